"""The timeline: time's order, and the order of putting within one millisecond."""

from random import Random

import pytest

from gridlight.simulation.timeline import Timeline

START_MS = 1_000_000
FOREVER_MS = 2**40


def test_what_falls_on_one_millisecond_keeps_the_order_it_was_put_in() -> None:
    timeline = Timeline(START_MS)
    far_ms = START_MS + 20_000
    timeline.put(far_ms, "put while it was far")
    timeline.take(timeline.next_ms(far_ms - 1))
    timeline.put(far_ms, "put while it was near")

    assert timeline.take(timeline.next_ms(FOREVER_MS)) == ["put while it was far", "put while it was near"]
    assert timeline.now_ms == far_ms


def test_nothing_happens_before_its_time_or_is_lost() -> None:
    random, timeline = Random(1), Timeline(START_MS)
    expected: list[tuple[int, int]] = []
    for number in range(3_000):
        when_ms = START_MS + 1 + random.choice([3, 300, 9_000, 100_000]) * random.randrange(1, 9)
        timeline.put(when_ms, number)
        expected.append((when_ms, number))

    happened: list[tuple[int, int]] = []
    while timeline.pending:
        limit_ms = timeline.now_ms + random.choice([1, 5_000, 50_000])
        now_ms = timeline.next_ms(limit_ms)
        assert now_ms <= limit_ms
        for number in timeline.take(now_ms):
            happened.append((now_ms, number))
            if number < 500:
                timeline.put(now_ms + 7_000, 10_000 + number)
                expected.append((now_ms + 7_000, 10_000 + number))

    assert [when_ms for when_ms, _ in happened] == sorted(when_ms for when_ms, _ in happened)
    assert sorted(happened) == sorted(expected)


def test_nothing_can_be_put_into_the_past() -> None:
    timeline = Timeline(START_MS)
    with pytest.raises(AssertionError, match="future"):
        timeline.put(START_MS, "now")


def test_what_is_discarded_does_not_happen() -> None:
    timeline = Timeline(START_MS)
    for when_ms in (5, 5_000, 50_000):
        timeline.put(START_MS + when_ms, "lost")
        timeline.put(START_MS + when_ms, "kept")

    assert timeline.discard(lambda entry: entry == "lost") == 3
    assert timeline.pending == 3
    assert timeline.take(timeline.next_ms(FOREVER_MS)) == ["kept"]
