"""Whether a node could tell by its deadline what an assignment is for: those of tasks and of checks must look alike."""

from collections import Counter
from math import sqrt
from typing import Final

from gridlight.simulation.demands import demand

SLACK: Final = 0.10
"""How far two distributions may lie apart beyond what chance explains: hedges, and what makes up for lost assignments,
have less than the whole deadline, and are of tasks alone."""

AT_ONCE_SHARE: Final = 0.8
"""Of tasks' assignments in a network that is not overloaded, those that have the whole deadline."""

_CHANCE: Final = 1.95
"""Kolmogorov and Smirnov's coefficient for one false alarm in a thousand."""

_COARSE_MS: Final = 10
_ENOUGH: Final = 1_000
"""Of each, before anything is said: a network that loses every third assignment looks otherwise for a while."""


class DeadlineCounts:
    """Assignments of tasks and of checks, by how long the node was given."""

    def __init__(self) -> None:
        self._tasks: Counter[int] = Counter()
        self._checks: Counter[int] = Counter()

    def count(self, deadline_ms: int, *, is_check: bool) -> None:
        """One more was sent."""
        (self._checks if is_check else self._tasks)[deadline_ms // _COARSE_MS] += 1

    def check(self) -> None:
        """P17, of the deadline alone.

        Nothing is said of a network that is overloaded: there tasks wait for a slot and checks do not.
        """
        tasks, checks = self._tasks.total(), self._checks.total()
        if min(tasks, checks) < _ENOUGH or self._tasks.most_common(1)[0][1] < AT_ONCE_SHARE * tasks:
            return
        task_part = check_part = 0
        widest = 0.0
        for deadline in sorted({*self._tasks, *self._checks}):
            task_part += self._tasks[deadline]
            check_part += self._checks[deadline]
            widest = max(widest, abs(task_part / tasks - check_part / checks))
        bound = SLACK + _CHANCE * sqrt((tasks + checks) / (tasks * checks))
        demand(widest <= bound, "P17: deadlines tell nothing of roles", f"{widest:.3f} apart, at most {bound:.3f}")
