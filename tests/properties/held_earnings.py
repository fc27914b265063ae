"""What nodes earned and did not get yet, as `money_machine` counts it: run by run, where the books count by days."""

from typing import NamedTuple

from tests.properties.money_words import HOLD_MS, HOLD_TASKS


class Run(NamedTuple):
    """What one run earned, and when."""

    earned_ms: int
    number: int
    """How many runs of the node had earned something by then."""
    amount: int


class HeldEarnings:
    """One node's runs that did not vest yet, the oldest first."""

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self.count = 0
        self.disputes = 0
        self.is_trusted = False

    @property
    def amount(self) -> int:
        return sum(run.amount for run in self.runs)

    def earn(self, now_ms: int, amount: int) -> None:
        self.count += 1
        self.runs.append(Run(now_ms, self.count, amount))

    def vest(self, now_ms: int, amount: int) -> None:
        """P7: so much vested, of the oldest runs: each is old and has later ones, its node trusted and undisputed."""
        while amount > 0:
            run = self.runs.pop(0)
            amount -= run.amount
            assert run.earned_ms + HOLD_MS <= now_ms, "it vested too early"
            assert run.number + HOLD_TASKS <= self.count, "it vested without a later task"
            assert self.is_trusted, "a newcomer's earnings vested"
            assert not self.disputes, "it vested in spite of an open dispute"
        assert amount == 0, "a part of what a run earned vested"
