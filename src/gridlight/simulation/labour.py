"""What each machine of a run spent on it: CPU time, by what went into each answer.

Only runs of tasks that were asked for before `last` was set are counted, as in what was earned: answers to later ones
may not be settled when the run ends. A run that is lost with its node is not counted, for nobody. Who spends less on an
answer says it no sooner than others would, so as not to stand out.
"""

from array import array
from typing import Final

from gridlight.simulation.answers import COST_PPM, Answer, right_digest

_MILLIS_PPM: Final = 1_000
"""Milliseconds times parts of a million are so many microseconds."""


class Labour:
    """Columns, by machine: whoever it says to be at the time."""

    def __init__(self, count: int) -> None:
        self.last: int | None = None
        """The number of the last task that counts; without it all do."""
        self.cpu_us = array("q", bytes(8 * count))
        self.runs = array("I", bytes(4 * count))
        """Answers, however little went into them, and runs that failed."""
        self.wrong = array("I", bytes(4 * count))
        """Answers that were wrong, asked for by whomever."""

    def answered(self, node: int, infer_ms: int, number: int, answer: Answer) -> None:
        """A machine has an answer to a task; `infer_ms` is what the model would have taken."""
        if self.last is None or number <= self.last:
            self.runs[node] += 1
            self.cpu_us[node] += infer_ms * COST_PPM[answer.effort] // _MILLIS_PPM
            self.wrong[node] += answer.digest != right_digest(number)

    def failed(self, node: int, infer_ms: int, number: int) -> None:
        """A worker ran, and came to nothing."""
        if self.last is None or number <= self.last:
            self.runs[node] += 1
            self.cpu_us[node] += infer_ms * 1_000
