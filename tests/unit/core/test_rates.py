"""Token buckets: what a rate lets pass, and what is forgotten of it."""

from hypothesis import given
from hypothesis import strategies as some

from gridlight.core.rates import Rate, Rates

SLOW = Rate(per_minute=60, burst=3)


def test_a_burst_passes_and_then_one_each_interval() -> None:
    rates = Rates()

    taken = [rates.take(0, "a", SLOW) for _ in range(4)]

    assert [one.is_allowed for one in taken] == [True, True, True, False]
    assert [one.remaining for one in taken] == [2, 1, 0, 0]
    assert taken[-1].wait_ms == 1_000
    assert taken[-1].full_ms == 3_000
    assert not rates.take(999, "a", SLOW).is_allowed
    assert rates.take(1_000, "a", SLOW).is_allowed


def test_whether_one_is_allowed_can_be_asked_without_taking_it() -> None:
    rates = Rates()

    assert all(rates.is_free(0, "a", SLOW) for _ in range(10))
    for _ in range(3):
        rates.take(0, "a", SLOW)
    assert not rates.is_free(0, "a", SLOW)
    assert rates.is_free(1_000, "a", SLOW)
    assert rates.is_free(0, "b", SLOW)


def test_one_who_asks_too_often_costs_nobody_else_anything() -> None:
    rates = Rates()
    for _ in range(100):
        rates.take(0, "loud", SLOW)

    assert rates.take(0, "quiet", SLOW).remaining == 2


def test_buckets_are_bounded_and_the_longest_unused_is_forgotten() -> None:
    rates = Rates(rates_max=2)
    for who in ("a", "b", "a", "c"):
        rates.take(0, who, SLOW)

    assert len(rates) == 2
    assert rates.take(0, "a", SLOW).remaining == 0
    assert rates.take(0, "b", SLOW).remaining == 2


@given(
    per_minute=some.integers(1, 6_000_000),
    burst=some.integers(1, 50),
    gaps_ms=some.lists(some.integers(0, 5_000), min_size=1, max_size=200),
)
def test_no_stretch_of_time_holds_more_than_the_burst_and_the_rate_allow(
    per_minute: int, burst: int, gaps_ms: list[int]
) -> None:
    rates, rate, now_ms = Rates(), Rate(per_minute=per_minute, burst=burst), 0
    allowed_ms = []
    for gap_ms in gaps_ms:
        now_ms += gap_ms
        taken = rates.take(now_ms, "a", rate)
        if taken.is_allowed:
            allowed_ms.append(now_ms)
        else:
            # What is told to wait is true, and no longer than it must be.
            assert taken.wait_ms > 0
            assert rates.is_free(now_ms + taken.wait_ms, "a", rate)
            assert not rates.is_free(now_ms + taken.wait_ms - 1, "a", rate)
        assert 0 <= taken.remaining <= burst

    for first, since_ms in enumerate(allowed_ms):
        for last, until_ms in enumerate(allowed_ms[first:], start=first):
            assert last - first + 1 <= burst + (until_ms - since_ms) * per_minute / 60_000 + 1e-9
