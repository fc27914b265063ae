"""Nodes that broke their word: others go before them for a while."""

import msgspec

from gridlight.core.resting import REST_MS, Resting


def test_nobody_rests_at_first() -> None:
    assert 1 not in Resting().at(0)


def test_a_node_rests_for_its_time_and_no_longer() -> None:
    resting = Resting()
    resting.begin(100, 1)

    assert 1 in resting.at(100 + REST_MS - 1)
    assert 1 not in resting.at(100 + REST_MS)


def test_who_has_rested_wakes_before_who_has_not() -> None:
    resting = Resting()
    resting.begin(0, 1)
    resting.begin(5, 2)

    rest = resting.at(REST_MS)

    assert 1 not in rest
    assert 2 in rest


def test_a_node_that_breaks_its_word_again_rests_from_then_on() -> None:
    resting = Resting()
    resting.begin(0, 1)
    resting.begin(5, 2)
    resting.begin(10, 1)

    assert 1 in resting.at(REST_MS + 9)
    assert 2 not in resting.at(REST_MS + 9)
    assert 1 not in resting.at(REST_MS + 10)


def test_what_was_restored_goes_on_as_the_first_would() -> None:
    resting = Resting()
    resting.begin(5, 2)
    resting.begin(9, 1)
    restored = Resting()

    restored.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(resting.snapshot()), type=list[tuple[int, int]]))

    assert restored.snapshot() == resting.snapshot()
    assert 2 not in restored.at(5 + REST_MS)
    assert 1 in restored.at(5 + REST_MS)
