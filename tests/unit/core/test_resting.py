"""Nodes that broke their word: others go before them for a while."""

import msgspec

from gridlight.core.resting import REST_MS, Resting


def test_nobody_rests_at_first() -> None:
    resting = Resting()

    assert 1 not in resting
    assert resting.wake(0) == []


def test_a_node_rests_for_its_time_and_no_longer() -> None:
    resting = Resting()
    resting.begin(100, 1)

    assert resting.wake(100 + REST_MS - 1) == []
    assert 1 in resting
    assert resting.until_ms == {1: 100 + REST_MS}
    assert resting.wake(100 + REST_MS) == [1]
    assert 1 not in resting


def test_who_has_rested_wakes_before_who_has_not() -> None:
    resting = Resting()
    resting.begin(0, 1)
    resting.begin(5, 2)

    assert resting.wake(REST_MS) == [1]
    assert 2 in resting


def test_a_node_that_breaks_its_word_again_rests_from_then_on() -> None:
    resting = Resting()
    resting.begin(0, 1)
    resting.begin(5, 2)
    resting.begin(10, 1)

    assert resting.wake(REST_MS + 9) == [2]
    assert resting.wake(REST_MS + 10) == [1]


def test_what_was_restored_goes_on_as_the_first_would() -> None:
    resting = Resting()
    resting.begin(5, 2)
    resting.begin(9, 1)
    restored = Resting()

    restored.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(resting.snapshot()), type=list[tuple[int, int]]))

    assert restored.snapshot() == resting.snapshot()
    assert restored.wake(5 + REST_MS) == [2]
    assert 1 in restored
