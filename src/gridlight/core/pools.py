"""A pool: the nodes that lend slots for one workload, held so that choosing one is cheap however many there are.

Nodes are dense indexes, kept by the bucket of their own p95. Each bucket is a dense list of nodes with a free slot,
with swap-removal, so add, remove and move are O(1). A speed tier is a bucket limit, not a set.
"""

from array import array
from bisect import bisect_right
from collections.abc import Collection
from enum import StrEnum
from itertools import accumulate

from gridlight.core.latency import BUCKET_LAST, BUCKETS

ELIGIBLE_MIN = 20
"""Where a tier holds fewer online nodes than this, all nodes are eligible."""

TRIES_MAX = 32
_NOWHERE = -1


class SkipReason(StrEnum):
    """Why a node that was considered for an assignment was not chosen; counted, for `why` to print."""

    BUSY = "busy"
    TOO_SLOW = "too_slow"
    TRIED_BEFORE = "tried_before"
    NOT_DRAWN = "not_drawn"


class Pool:
    """Nodes that lend slots for one workload."""

    def __init__(self) -> None:
        self.free: list[list[int]] = [[] for _ in range(BUCKETS)]
        self.online: list[int] = [0] * BUCKETS
        self.slots_total = 0
        self.free_total = 0
        self.skipped: dict[SkipReason, int] = dict.fromkeys(SkipReason, 0)
        self._slots = array("H")
        self._used = array("H")
        self._bucket = bytearray()
        self._place = array("i")

    @property
    def online_total(self) -> int:
        """Nodes that lend at least one slot."""
        return sum(self.online)

    def has(self, node: int) -> bool:
        """Whether the node lends a slot here now."""
        return node < len(self._slots) and self._slots[node] > 0

    def is_free(self, node: int) -> bool:
        """Whether the node has a slot that nothing is leased on."""
        return self.has(node) and self._used[node] < self._slots[node]

    def lend(self, node: int, slots: int, bucket: int) -> None:
        """The node lends this many slots from now on; its leases stay counted."""
        missing = node + 1 - len(self._slots)
        if missing > 0:
            self._slots.extend([0] * missing)
            self._used.extend([0] * missing)
            self._bucket.extend(bytes(missing))
            self._place.extend([_NOWHERE] * missing)
        self._leave(node)
        self._slots[node] = slots
        self._bucket[node] = bucket
        self._enter(node)

    def withdraw(self, node: int) -> None:
        """The node lends nothing any more, and nothing is leased on it."""
        if node < len(self._slots):
            self._leave(node)
            self._slots[node] = 0
            self._used[node] = 0

    def clear(self) -> None:
        """Nobody lends anything: who is connected is unknown. O(nodes), at a start or a lost bus only."""
        for node in range(len(self._slots)):
            self.withdraw(node)

    def take(self, node: int) -> None:
        """Lease one slot."""
        assert self.is_free(node)
        self._used[node] += 1
        if self._used[node] == self._slots[node]:
            self._remove_free(node)

    def give_back(self, node: int) -> None:
        """A lease of the node ended."""
        assert self._used[node] > 0
        self._used[node] -= 1
        if self.is_free(node) and self._place[node] == _NOWHERE:
            self._add_free(node)

    def move(self, node: int, bucket: int) -> None:
        """The node's speed changed; one bucket's difference is left alone, so that a node does not flutter."""
        if abs(bucket - self._bucket[node]) <= 1:
            return
        slots = self._slots[node]
        self.lend(node, slots, bucket)

    def limit_for(self, bucket: int) -> int:
        """The tier up to this bucket, or all where too few nodes are in it."""
        return bucket if sum(self.online[: bucket + 1]) >= ELIGIBLE_MIN else BUCKET_LAST

    def fastest_bucket(self) -> int:
        """The fastest bucket with a node online; the pool must not be empty."""
        return next(bucket for bucket in range(BUCKETS) if self.online[bucket])

    def choose(self, random: int, limit: int, tried: Collection[int]) -> int | None:
        """A free node of the tier, uniformly, none of `tried`; every other node adds to a reason.

        Rejection sampling where many are free, a walk from a random place where few are. O(buckets).
        """
        ends = list(accumulate(map(len, self.free[: limit + 1])))
        free_total = ends[-1]
        rejected = 0
        chosen = None
        for attempt in range(min(free_total, TRIES_MAX)):
            # A walk visits each once where few are free; a stride that is no divisor spreads it where many are.
            place = (random + attempt * (1 if free_total <= TRIES_MAX else 0x9E3779B1)) % free_total
            bucket = bisect_right(ends, place)
            node = self.free[bucket][place - (ends[bucket - 1] if bucket else 0)]
            if node not in tried:
                chosen = node
                break
            rejected += 1
        self._count_skipped(limit, free_total, rejected, chosen is not None)
        return chosen

    def _count_skipped(self, limit: int, free_total: int, rejected: int, was_found: bool) -> None:
        within = sum(self.online[: limit + 1])
        skipped = self.skipped
        skipped[SkipReason.TOO_SLOW] += sum(self.online) - within
        skipped[SkipReason.BUSY] += within - free_total
        skipped[SkipReason.TRIED_BEFORE] += rejected
        skipped[SkipReason.NOT_DRAWN] += free_total - rejected - was_found

    def _enter(self, node: int) -> None:
        if self._slots[node]:
            self.online[self._bucket[node]] += 1
            self.slots_total += self._slots[node]
        if self.is_free(node):
            self._add_free(node)

    def _leave(self, node: int) -> None:
        if self._place[node] != _NOWHERE:
            self._remove_free(node)
        if self._slots[node]:
            self.online[self._bucket[node]] -= 1
            self.slots_total -= self._slots[node]

    def _add_free(self, node: int) -> None:
        bucket = self.free[self._bucket[node]]
        self._place[node] = len(bucket)
        bucket.append(node)
        self.free_total += 1

    def _remove_free(self, node: int) -> None:
        bucket = self.free[self._bucket[node]]
        place = self._place[node]
        last = bucket.pop()
        if last != node:
            bucket[place] = last
            self._place[last] = place
        self._place[node] = _NOWHERE
        self.free_total -= 1

    def check(self) -> None:
        """Assert that the lists, counts and columns say the same."""
        nodes = range(len(self._slots))
        for node in nodes:
            is_listed = self._place[node] != _NOWHERE
            assert is_listed == self.is_free(node)
            if is_listed:
                assert self.free[self._bucket[node]][self._place[node]] == node
        assert self.free_total == sum(map(len, self.free)) == sum(self.is_free(node) for node in nodes)
        assert self.online_total == sum(self.has(node) for node in nodes)
        assert self.slots_total == sum(self._slots)

    def snapshot(self) -> tuple[list[list[int]], bytes, bytes, bytes, dict[str, int]]:
        """The pool as plain values; the order inside the lists decides choices, so it is kept."""
        skipped = {reason.value: count for reason, count in self.skipped.items()}
        return self.free, self._slots.tobytes(), self._used.tobytes(), bytes(self._bucket), skipped

    def restore(self, snapshot: tuple[list[list[int]], bytes, bytes, bytes, dict[str, int]]) -> None:
        """Take what `snapshot` gave."""
        free, slots, used, bucket, skipped = snapshot
        self.free = [list(nodes) for nodes in free]
        self._slots = array("H", slots)
        self._used = array("H", used)
        self._bucket = bytearray(bucket)
        self._place = array("i", [_NOWHERE] * len(self._slots))
        for nodes in self.free:
            for place, node in enumerate(nodes):
                self._place[node] = place
        self.online = [0] * BUCKETS
        for node, lent in enumerate(self._slots):
            self.online[self._bucket[node]] += lent > 0
        self.slots_total = sum(self._slots)
        self.free_total = sum(map(len, self.free))
        self.skipped = {SkipReason(reason): count for reason, count in skipped.items()}
