"""Hours of a day and of a week, and prices by a list."""

import pytest

from gridlight.core.preferences import DAY_MINUTES, DAYS, Hours, hours_change_in
from gridlight.core.tariff import LAST_S, Price, price_at, price_changes_in

NIGHT = Hours(22 * 60, 6 * 60)
OFFICE = Hours(9 * 60, 17 * 60)
MONDAY, SATURDAY, SUNDAY = 0, 5, 6


@pytest.mark.parametrize(
    ("hours", "within", "outside"),
    [(OFFICE, (540, 1_019), (539, 1_020)), (NIGHT, (1_320, 0, 359), (360, 1_319)), (Hours(), (0, 1_439), ())],
)
def test_hours_begin_with_their_first_minute_and_end_before_their_last(
    hours: Hours, within: tuple[int, ...], outside: tuple[int, ...]
) -> None:
    assert [hours.has(minute) for minute in within] == [True] * len(within)
    assert [hours.has(minute) for minute in outside] == [False] * len(outside)


@pytest.mark.parametrize(("minute", "change"), [(0, 360), (360, 960), (1_320, 480), (1_319, 1)])
def test_nightly_hours_change_twice_a_day(minute: int, change: int) -> None:
    assert hours_change_in((NIGHT,) * DAYS, MONDAY, minute) == change


def test_hours_without_an_end_never_change() -> None:
    assert hours_change_in((Hours(),) * DAYS, MONDAY, 0) is None


def test_a_weekend_of_its_own_begins_and_ends_at_midnight() -> None:
    week = (*(OFFICE,) * 5, Hours(), Hours())

    assert hours_change_in(week, 4, 1_020) == DAY_MINUTES - 1_020, "on Friday evening"
    assert hours_change_in(week, SATURDAY, 0) == 2 * DAY_MINUTES, "until Monday begins"
    assert hours_change_in(week, SUNDAY, 1_439) == 1


def test_hours_of_one_day_alone_are_a_week_apart() -> None:
    week = (Hours(600, 601), *(Hours(1, 2),) * 6)

    assert hours_change_in(week, MONDAY, 601) == DAY_MINUTES - 601 + 1


TARIFF = (Price(1_000, 300_000), Price(2_000, 100_000), Price(3_000, 200_000))


@pytest.mark.parametrize(
    ("now_s", "micros"),
    [(999, None), (1_000, 300_000), (1_999, 300_000), (2_000, 100_000), (3_000 + LAST_S - 1, 200_000)],
)
def test_a_price_holds_until_the_next_one(now_s: int, micros: int | None) -> None:
    assert price_at(TARIFF, now_s) == micros


def test_the_last_price_holds_for_an_hour() -> None:
    assert price_at(TARIFF, 3_000 + LAST_S) is None
    assert price_at((), 0) is None


@pytest.mark.parametrize(
    ("now_s", "max_micros", "change"),
    [
        (1_000, 100_000, 1_000),
        (2_000, 100_000, 1_000),
        (0, 300_000, 1_000),
        (1_000, 300_000, 2_000 + LAST_S),
        (3_000, 100_000, None),
    ],
)
def test_it_is_known_when_it_first_costs_less_or_more(now_s: int, max_micros: int, change: int | None) -> None:
    assert price_changes_in(TARIFF, now_s, max_micros=max_micros) == change


def test_a_list_without_prices_never_changes() -> None:
    assert price_changes_in((), 5, max_micros=1) is None
