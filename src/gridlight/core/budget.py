"""The hedge budget: a token bucket that each dispatch fills a little, so that overload cannot become a storm.

Half of what it holds at most is kept for rescues: tasks of which half the deadline is gone.
"""

from typing import Final

_HEDGE_COST: Final = 1_000
_PER_DISPATCH: Final = 60
"""6 % of dispatches."""

_BURST: Final = 16 * _HEDGE_COST
_RESERVE: Final = _BURST // 2


class HedgeBudget:
    """How many hedges may be made now."""

    def __init__(self) -> None:
        self.tokens = _BURST

    def dispatched(self) -> None:
        """One more assignment was sent."""
        if self.tokens < _BURST:
            self.tokens = min(_BURST, self.tokens + _PER_DISPATCH)

    def can_spend(self, *, is_rescue: bool) -> bool:
        """Whether a hedge is allowed now."""
        return self.tokens >= _HEDGE_COST + (0 if is_rescue else _RESERVE)

    def spend(self) -> None:
        """A hedge was sent."""
        assert self.tokens >= _HEDGE_COST
        self.tokens -= _HEDGE_COST
