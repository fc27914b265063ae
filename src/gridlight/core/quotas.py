"""How much of its day each account has used, as one of several gateways knows it: what all saved, and its own since."""

from typing import Final

from msgspec import Struct

ACCOUNTS_MAX: Final = 65_536
DAY_MS: Final = 86_400_000


class Spent(Struct, frozen=True, gc=False, kw_only=True):
    """What one gateway has still to save."""

    account: str
    day: int
    count: int


class _Day(Struct, gc=False):
    day: int
    saved: int
    """By all gateways, when it was last read."""
    unsaved: int
    """By this one since."""


class Quotas:
    """O(1) a request. Gateways that save every few seconds let pass what they take in that time at most too much."""

    def __init__(self, accounts_max: int = ACCOUNTS_MAX) -> None:
        assert accounts_max > 0
        self._days: dict[str, _Day] = {}
        self._unsaved: dict[str, None] = {}
        self._accounts_max = accounts_max

    def __len__(self) -> int:
        return len(self._days)

    def used(self, now_ms: int, account: str) -> int:
        """Of this day, as far as it is known here."""
        one = self._days.get(account)
        return 0 if one is None or one.day != now_ms // DAY_MS else one.saved + one.unsaved

    def spend(self, now_ms: int, account: str, most: int | None) -> bool:
        """Count one request; not where the day's quota is used up, or there is no room to count in."""
        one = self._find(now_ms // DAY_MS, account)
        if one is None or (most is not None and one.saved + one.unsaved >= most):
            return False
        one.unsaved += 1
        self._unsaved[account] = None
        return True

    def unsaved(self) -> list[Spent]:
        """What is to be added to what all gateways know."""
        days = ((account, self._days[account]) for account in self._unsaved)
        return [Spent(account=account, day=one.day, count=one.unsaved) for account, one in days]

    def saved(self, spent: Spent, total: int) -> None:
        """It was added, and this is what all together have saved of that day now."""
        one = self._days.get(spent.account)
        if one is None or one.day != spent.day:  # a new day began meanwhile
            return
        one.unsaved -= spent.count
        one.saved = max(one.saved, total)
        if one.unsaved == 0:
            self._unsaved.pop(spent.account, None)

    def seen(self, now_ms: int, account: str, total: int) -> None:
        """What all have saved of this day. Totals only grow, so an older look changes nothing."""
        one = self._find(now_ms // DAY_MS, account)
        if one is not None:
            one.saved = max(one.saved, total)

    def _find(self, day: int, account: str) -> _Day | None:
        one = self._days.get(account)
        if one is None:
            if len(self._days) >= self._accounts_max and not self._make_room():
                return None
            one = self._days[account] = _Day(day, 0, 0)
        if one.day != day:
            one.day, one.saved, one.unsaved = day, 0, 0
            self._unsaved.pop(account, None)
        return one

    def _make_room(self) -> bool:
        """Forget the account that came first, unless it has something to save: then it is saved first."""
        oldest = next(iter(self._days))
        if oldest in self._unsaved:
            return False
        del self._days[oldest]
        return True
