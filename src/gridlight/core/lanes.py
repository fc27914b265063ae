"""A lane: everything scheduling keeps for one workload: its pool of nodes, what they take, and who waits for a slot."""

from collections import deque
from typing import Final

from msgspec import Struct

from gridlight.core.latency import Latency, bucket_of
from gridlight.core.pools import Pool, PoolSnapshot

SERVICE_MS_START: Final = 200
_MEAN_WEIGHT: Final = 16


class LaneSnapshot(Struct):
    """A lane as plain values."""

    pool: PoolSnapshot
    latency: tuple[dict[int, bytes], bytes, bytes, bytes]
    waiting: list[int]
    pinned: dict[int, list[int]]
    service_ms_sum: int


class Lane:
    """One workload's nodes and queue. Tasks are numbers; the owner skips an entry whose task no longer waits."""

    def __init__(self) -> None:
        self.pool = Pool()
        self.latency = Latency()
        self.waiting: deque[int] = deque()
        self.pinned: dict[int, deque[int]] = {}
        self._service_ms_sum = SERVICE_MS_START * _MEAN_WEIGHT

    @property
    def service_ms(self) -> int:
        """What a task takes here of late, from sending to result."""
        return self._service_ms_sum // _MEAN_WEIGHT

    def lend(self, node: int, slots: int, benchmark_ms: int | None, lookahead: int = 0) -> None:
        """A node lends slots: it stands where its own p95 puts it."""
        self.latency.admit(node, benchmark_ms)
        self.pool.lend(node, slots, bucket_of(self.latency.p95_ms(node)), lookahead)

    def served(self, node: int, ms: int) -> None:
        """A node gave a valid result this long after it was sent the task."""
        self._service_ms_sum += ms - self.service_ms
        if self.latency.add(node, ms) and self.pool.has(node):
            self.pool.move(node, bucket_of(self.latency.p95_ms(node)))

    def enqueue(self, number: int, pinned_node: int | None, *, is_first: bool) -> None:
        """Let a task wait for a slot, or for a slot of one node; a task that was begun goes first."""
        queue = self.waiting if pinned_node is None else self.pinned.setdefault(pinned_node, deque())
        if is_first:
            queue.appendleft(number)
        else:
            queue.append(number)

    def pinned_waiting(self, node: int) -> int:
        """How many tasks wait for this very node."""
        return len(self.pinned.get(node, ()))

    def next_pinned(self, node: int) -> int | None:
        """The task that waits longest for this very node."""
        queue = self.pinned.get(node)
        if queue is None:
            return None
        number = queue.popleft()
        if not queue:
            del self.pinned[node]
        return number

    def snapshot(self) -> LaneSnapshot:
        """The lane as plain values."""
        pinned = {node: list(queue) for node, queue in self.pinned.items()}
        pool, latency = self.pool.snapshot(), self.latency.snapshot()
        return LaneSnapshot(pool, latency, list(self.waiting), pinned, self._service_ms_sum)

    def restore(self, snapshot: LaneSnapshot) -> None:
        """Take what `snapshot` gave."""
        self.pool.restore(snapshot.pool)
        self.latency.restore(snapshot.latency)
        self.waiting = deque(snapshot.waiting)
        self.pinned = {node: deque(queue) for node, queue in snapshot.pinned.items()}
        self._service_ms_sum = snapshot.service_ms_sum
