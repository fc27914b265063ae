"""How often each of many may ask: token buckets, as one number each, and no more of them than a maximum.

The generic cell rate algorithm (ITU-T I.371): a bucket is the time at which it will be full again. One that is full by
now says nothing that no bucket does not say, so it may be forgotten at any time.
"""

from typing import Final

from msgspec import Struct

RATES_MAX: Final = 65_536
_MINUTE_US: Final = 60_000_000


class Rate(Struct, frozen=True, gc=False, kw_only=True):
    """So many a minute for long, and so many at once."""

    per_minute: int
    burst: int

    @property
    def interval_us(self) -> int:
        """Between two in the long run; rounded up, so that no minute holds more."""
        return -(-_MINUTE_US // self.per_minute)


class Taken(Struct, frozen=True, gc=False, kw_only=True):
    """What became of one request."""

    is_allowed: bool
    remaining: int
    """How many more would be allowed now."""
    wait_ms: int
    """Until one is allowed again; 0 where one is now."""
    full_ms: int
    """Until as many as the burst are allowed again."""


class Rates:
    """O(1) a request. Where there are too many, whoever asked least recently starts anew with a full bucket."""

    def __init__(self, rates_max: int = RATES_MAX) -> None:
        assert rates_max > 0
        self._full_us: dict[str, int] = {}
        self._rates_max = rates_max

    def __len__(self) -> int:
        return len(self._full_us)

    def take(self, now_ms: int, who: str, rate: Rate) -> Taken:
        """One request of somebody's; a refused one takes nothing."""
        now_us, interval_us = now_ms * 1_000, rate.interval_us
        most_us = rate.burst * interval_us
        full_us = max(self._full_us.pop(who, 0), now_us)
        is_allowed = full_us + interval_us - now_us <= most_us
        if is_allowed:
            full_us += interval_us
        self._full_us[who] = full_us
        if len(self._full_us) > self._rates_max:
            del self._full_us[next(iter(self._full_us))]
        missing_us = full_us - now_us
        return Taken(
            is_allowed=is_allowed,
            remaining=max(0, (most_us - missing_us) // interval_us),
            wait_ms=max(0, -((most_us - missing_us - interval_us) // 1_000)),
            full_ms=-(-missing_us // 1_000),
        )

    def is_free(self, now_ms: int, who: str, rate: Rate) -> bool:
        """Whether one more would be allowed now. Takes nothing."""
        missing_us = max(0, self._full_us.get(who, 0) - now_ms * 1_000)
        return missing_us + rate.interval_us <= rate.burst * rate.interval_us
