"""The heap of deadlines."""

import random

import msgspec
import pytest

from gridlight.core.deadlines import Deadlines

ALL = range(1 << 40)


def test_nothing_is_due_before_its_time() -> None:
    deadlines = Deadlines()
    deadlines.arm(100, 1)

    assert deadlines.next_ms(ALL) == 100
    assert deadlines.pop_due(99) is None
    assert deadlines.pop_due(100) == 1
    assert deadlines.pop_due(100) is None
    assert deadlines.next_ms(ALL) is None


def test_what_falls_due_comes_in_order_of_time_then_number() -> None:
    deadlines = Deadlines()
    draws = random.Random(3)
    armed = [(draws.randrange(50), number) for number in range(200)]
    for when_ms, number in draws.sample(armed, len(armed)):
        deadlines.arm(when_ms, number)

    popped = [deadlines.pop_due(49) for _ in armed]

    assert popped == [number for _, number in sorted(armed)]
    assert len(deadlines) == 0


@pytest.mark.parametrize(("when_ms", "number"), [(-1, 0), (0, -1), (0, 1 << 40)])
def test_what_does_not_fit_an_entry_is_a_bug_of_ours(when_ms: int, number: int) -> None:
    with pytest.raises(AssertionError):
        Deadlines().arm(when_ms, number)


def test_the_largest_number_is_told_from_the_time() -> None:
    deadlines = Deadlines()
    deadlines.arm(5, (1 << 40) - 1)

    assert deadlines.next_ms(ALL) == 5
    assert deadlines.pop_due(5) == (1 << 40) - 1


def test_what_is_gone_wakes_nobody() -> None:
    deadlines = Deadlines()
    for when_ms, number in ((10, 1), (20, 2), (30, 3)):
        deadlines.arm(when_ms, number)

    assert deadlines.next_ms({2, 3}) == 20
    assert deadlines.next_ms(()) is None
    assert len(deadlines) == 0


def test_a_restored_heap_holds_what_stood_and_goes_on() -> None:
    deadlines = Deadlines()
    for when_ms in (30, 10, 20, 40):
        deadlines.arm(when_ms, when_ms)
    restored = Deadlines()

    restored.restore(deadlines.entries({10, 30, 40}))
    restored.arm(15, 15)

    assert [restored.pop_due(99) for _ in range(5)] == [10, 15, 30, 40, None]


def test_entries_of_this_century_pass_through_bytes() -> None:
    deadlines = Deadlines()
    when_ms = 4_102_444_800_000  # the year 2100
    deadlines.arm(when_ms, (1 << 40) - 1)
    restored = Deadlines()

    kept = msgspec.msgpack.encode(deadlines.entries({(1 << 40) - 1}))
    restored.restore(msgspec.msgpack.decode(kept, type=list[tuple[int, int]]))

    assert restored.next_ms({(1 << 40) - 1}) == when_ms
