"""The hedge budget: a token bucket that each dispatch fills a little, so that overload cannot become a storm."""

from typing import Final

_HEDGE_COST: Final = 1_000
_PER_DISPATCH: Final = 60
"""6 % of dispatches."""

_BURST: Final = 16 * _HEDGE_COST


class HedgeBudget:
    """How many hedges may be made now."""

    def __init__(self) -> None:
        self.tokens = _BURST

    def dispatched(self) -> None:
        """One more assignment was sent."""
        self.tokens = min(_BURST, self.tokens + _PER_DISPATCH)

    def can_spend(self) -> bool:
        """Whether a hedge is allowed now."""
        return self.tokens >= _HEDGE_COST

    def spend(self) -> None:
        """A hedge was sent."""
        assert self.can_spend()
        self.tokens -= _HEDGE_COST
