"""What electricity costs at a time, by a list of prices that somebody published beforehand."""

from bisect import bisect_right
from typing import Final

from msgspec import Struct

LAST_S: Final = 3_600
"""How long the last price of a list holds: most are published by the hour."""


class Price(Struct, frozen=True, order=True):
    """What it costs from a time on, in millionths of whatever unit the list has."""

    start_s: int
    micros: int


def price_at(tariff: tuple[Price, ...], now_s: int) -> int | None:
    """The price now; None before the first and after the last."""
    position = bisect_right([price.start_s for price in tariff], now_s) - 1
    if position < 0 or (position == len(tariff) - 1 and now_s >= tariff[-1].start_s + LAST_S):
        return None
    return tariff[position].micros


def price_changes_in(tariff: tuple[Price, ...], now_s: int, *, max_micros: int) -> int | None:
    """Seconds until it first costs at most this, or no longer does; None where the list does not say."""
    is_fine = _is_fine(price_at(tariff, now_s), max_micros)
    ends_s = tariff[-1].start_s + LAST_S if tariff else now_s
    for time_s in [*(price.start_s for price in tariff), ends_s]:
        if time_s > now_s and _is_fine(price_at(tariff, time_s), max_micros) is not is_fine:
            return time_s - now_s
    return None


def _is_fine(micros: int | None, max_micros: int) -> bool:
    return micros is not None and micros <= max_micros
