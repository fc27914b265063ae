"""What is measured of a run while it runs: counts, a histogram of waits, and how both went over time."""

from array import array
from typing import Final

from msgspec import Struct

from gridlight.core.latency import BOUNDS_MS, BUCKETS, bucket_of
from gridlight.messages.jobs import JobCode

WAIT_MS_MAX: Final = 60_000
INTERVALS: Final = 120


class Interval(Struct):
    """A stretch of the run."""

    answered: int = 0
    within: int = 0
    missed: int = 0
    """Late, failed, or not answered by the coordinator."""
    refused: int = 0
    events: int = 0
    nodes_here: int = 0
    waits: list[int] = []
    """By the bucket of core.latency."""


class Span:
    """The counted part of a run, in stretches of the same length."""

    def __init__(self, *, start_ms: int, length_ms: int) -> None:
        self.start_ms = start_ms
        self.interval_ms = max(1, -(-length_ms // INTERVALS))
        self.count = -(-length_ms // self.interval_ms) + 1

    def place(self, now_ms: int) -> int:
        """The stretch that a time falls in; the last one holds what comes after."""
        return min(max(now_ms - self.start_ms, 0) // self.interval_ms, self.count - 1)


class Measures:
    """Counts of one run."""

    def __init__(self, span: Span, *, deadline_ms: int) -> None:
        self.waits = array("Q", bytes(8 * (WAIT_MS_MAX + 1)))
        """Answered jobs by how many milliseconds their requesters waited."""
        self.done = 0
        self.within_deadline = 0
        self.unanswered_count = 0
        self.refused_by_code: dict[str, int] = {}
        self.failed_by_code: dict[str, int] = {}
        self.attempts: dict[int, int] = {}
        """Answered jobs by how many assignments they took."""
        self.span = span
        self.intervals = [Interval(waits=[0] * BUCKETS) for _ in range(span.count)]
        self.start_ms = span.start_ms
        """Jobs that were asked before are not counted."""
        self._deadline_ms = deadline_ms

    def interval(self, now_ms: int) -> Interval:
        """The stretch that a time falls in."""
        return self.intervals[self.span.place(now_ms)]

    def answered(self, now_ms: int, waited_ms: int, *, attempts: int) -> None:
        """A requester has a result."""
        self.done += 1
        self.waits[min(waited_ms, WAIT_MS_MAX)] += 1
        self.attempts[attempts] = self.attempts.get(attempts, 0) + 1
        interval = self.interval(now_ms)
        interval.answered += 1
        interval.waits[bucket_of(waited_ms)] += 1
        if waited_ms <= self._deadline_ms:
            self.within_deadline += 1
            interval.within += 1
        else:
            interval.missed += 1

    def refused(self, now_ms: int, code: JobCode | None) -> None:
        """A job was not taken on."""
        _count(self.refused_by_code, code)
        self.interval(now_ms).refused += 1

    def failed(self, now_ms: int, code: JobCode | None) -> None:
        """A job was taken on and has no result."""
        _count(self.failed_by_code, code)
        self.interval(now_ms).missed += 1

    def unanswered(self, now_ms: int) -> None:
        """A gateway answered by itself, since the coordinator did not."""
        self.unanswered_count += 1
        self.interval(now_ms).missed += 1

    @property
    def tasks(self) -> int:
        """Jobs that were not refused and have ended."""
        return self.done + sum(self.failed_by_code.values()) + self.unanswered_count

    @property
    def ended(self) -> int:
        """All jobs that have ended."""
        return self.tasks + sum(self.refused_by_code.values())

    def wait_quantile_ms(self, per_million: int) -> int | None:
        """The wait that so many of a million answered jobs had at most."""
        if not self.done:
            return None
        rank = -(-self.done * per_million // 1_000_000)
        for wait_ms, count in enumerate(self.waits):
            rank -= count
            if rank <= 0:
                return wait_ms
        return WAIT_MS_MAX


def bucket_quantile_ms(waits: list[int], per_million: int) -> int | None:
    """The same of an interval, as the upper bound of a bucket."""
    total = sum(waits)
    rank = -(-total * per_million // 1_000_000)
    for bucket, count in enumerate(waits):
        rank -= count
        if total and rank <= 0:
            return BOUNDS_MS[bucket]
    return None


def _count(counts: dict[str, int], code: JobCode | None) -> None:
    assert code is not None
    counts[code.value] = counts.get(code.value, 0) + 1
