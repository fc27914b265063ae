"""P31: no operator has more of an hour's tasks than its share, where there are enough others to give them to."""

from typing import Final

from gridlight.simulation.demands import demand

HOUR_MS: Final = 3_600_000
MILLION: Final = 1_000_000

ENOUGH_PERCENT: Final = 110
"""The cap stands while twice as many operators lend as would fill an hour; this account allows for one more in ten."""


class Shares:
    """What each operator was given in this hour, and how many of its nodes lend."""

    def __init__(self) -> None:
        self.share_ppm = 0
        self._lending: dict[str, int] = {}
        self._given: dict[str, int] = {}
        self._total = 0
        self._hour = 0

    def comes(self, operator: str) -> None:
        """A node of the operator lends."""
        self._lending[operator] = self._lending.get(operator, 0) + 1

    def goes(self, operator: str) -> None:
        """It does not any more."""
        self._lending[operator] -= 1
        if not self._lending[operator]:
            del self._lending[operator]

    def nobody_lends(self) -> None:
        """Who is there is unknown."""
        self._lending.clear()

    def give(self, now_ms: int, operator: str, *, is_check: bool) -> None:
        """The operator is given a task, or a check, which counts but is asked of whom it must be asked."""
        if not self.share_ppm:
            return
        if now_ms // HOUR_MS != self._hour:
            self._hour, self._total, self._given = now_ms // HOUR_MS, 0, {}
        given = self._given.get(operator, 0)
        if not is_check and len(self._lending) * self.share_ppm * 100 >= 2 * MILLION * ENOUGH_PERCENT:
            is_within = given * MILLION <= self._total * self.share_ppm
            demand(is_within, "P31: no operator has more than its share", given, "of", self._total, "to", operator)
        self._given[operator] = given + 1
        self._total += 1
