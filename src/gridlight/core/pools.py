"""A pool: the nodes that lend slots for one workload, held so that choosing one is cheap however many there are.

A node with an idle worker stands on the idle shelf. One whose workers are all busy, but that holds a further task in
readiness, stands on the spare shelf: it is chosen where nobody is idle, so that a worker need not wait for the length
of a round trip. A speed tier is a bucket limit, not a set.
"""

from array import array
from bisect import bisect_right
from enum import StrEnum
from itertools import accumulate
from typing import Final, Protocol

from msgspec import Struct

from gridlight.core.latency import BUCKET_LAST, BUCKETS
from gridlight.core.shelf import Screening, Shelf

ELIGIBLE_MIN: Final = 20
"""Where a tier holds fewer online nodes than this, all nodes are eligible."""


class SkipReason(StrEnum):
    """Why a node that was considered for an assignment was not chosen; counted, for `why` to print."""

    BUSY = "busy"
    TOO_SLOW = "too_slow"
    TRIED_BEFORE = "tried_before"
    SAME_OPERATOR = "same_operator"
    SAME_PREFIX = "same_prefix"
    OVER_SHARE = "over_share"
    NOT_DRAWN = "not_drawn"


BUSY: Final = SkipReason.BUSY
TOO_SLOW: Final = SkipReason.TOO_SLOW
NOT_DRAWN: Final = SkipReason.NOT_DRAWN


class CountingScreen(Screening, Protocol):
    """A screen that counts why it found nodes unfit."""

    reasons: dict[SkipReason, int]


class PoolSnapshot(Struct):
    """A pool as plain values."""

    idle: list[list[int]]
    spare: list[list[int]]
    slots: bytes
    depth: bytes
    used: bytes
    bucket: bytes
    skipped: dict[SkipReason, int]


class Pool:
    """Nodes that lend slots for one workload."""

    def __init__(self) -> None:
        self.online: list[int] = [0] * BUCKETS
        self.slots_total = 0
        self.skipped: dict[SkipReason, int] = dict.fromkeys(SkipReason, 0)
        self._up_to: list[int] = []
        """Nodes online in each bucket and all faster ones; empty where they have to be counted anew."""
        self._idle = Shelf()
        self._spare = Shelf()
        self._slots = array("H")
        self._depth = array("H")
        self._used = array("H")
        self._bucket = bytearray()

    @property
    def online_total(self) -> int:
        """Nodes that lend at least one slot."""
        return self._within(BUCKET_LAST)

    @property
    def free_total(self) -> int:
        """Nodes that can take a task now."""
        return self._idle.total + self._spare.total

    def has(self, node: int) -> bool:
        """Whether the node lends a slot here now."""
        return node < len(self._slots) and self._slots[node] > 0

    def nodes(self) -> list[int]:
        """All that lend here. O(nodes)."""
        return [node for node, slots in enumerate(self._slots) if slots]

    def is_free(self, node: int) -> bool:
        """Whether the node can take a task now, to run it or to hold it in readiness."""
        return node < len(self._slots) and self._shelf_of(node) is not None

    def bucket_of(self, node: int) -> int:
        """The speed by which a node that lends stands on its shelf."""
        return self._bucket[node]

    def is_leased(self, node: int) -> bool:
        """Whether anything is leased on the node."""
        return node < len(self._used) and self._used[node] > 0

    def lend(self, node: int, slots: int, bucket: int, lookahead: int = 0) -> None:
        """The node lends this many slots from now on, and holds so many tasks more; its leases stay counted."""
        self._make_room(node)
        self._leave(node)
        self._slots[node] = slots
        self._depth[node] = slots + lookahead if slots else 0
        self._bucket[node] = bucket
        if slots:
            self._count_online(bucket, 1)
            self.slots_total += slots
        shelf = self._shelf_of(node)
        if shelf is not None:
            shelf.add(node, bucket)

    def hand_over(self, node: int, other: "Pool") -> None:
        """The node lends to another pool from now on what it lent here, with its leases."""
        if not self.has(node):
            return
        slots, depth, used, bucket = self._slots[node], self._depth[node], self._used[node], self._bucket[node]
        self.withdraw(node)
        other._make_room(node)
        other._used[node] = used
        other.lend(node, slots, bucket, depth - slots)

    def withdraw(self, node: int) -> None:
        """The node lends nothing any more, and nothing is leased on it."""
        if node < len(self._slots):
            self._leave(node)
            self._slots[node] = self._depth[node] = self._used[node] = 0

    def clear(self) -> None:
        """Nobody lends anything: who is connected is unknown. O(nodes), at a start or a lost bus only."""
        for node in range(len(self._slots)):
            self.withdraw(node)

    def take(self, node: int) -> bool:
        """Lease one slot, or a place in readiness; whether it was the last."""
        assert self._used[node] < self._depth[node]
        return self._count_lease(node, 1)

    def give_back(self, node: int) -> bool:
        """A lease of the node ended; whether it could take no task until now."""
        assert self._used[node] > 0
        return self._count_lease(node, -1)

    def move(self, node: int, bucket: int) -> None:
        """The node's speed changed; one bucket's difference is left alone, so that a node does not flutter."""
        if abs(bucket - self._bucket[node]) > 1:
            slots = self._slots[node]
            self.lend(node, slots, bucket, self._depth[node] - slots)

    def limit_for(self, bucket: int) -> int:
        """The tier up to this bucket, or all where too few nodes are in it."""
        return bucket if self._within(bucket) >= ELIGIBLE_MIN else BUCKET_LAST

    def fastest_bucket(self) -> int:
        """The fastest bucket with a node online; the pool must not be empty."""
        return bisect_right(self._up_to, 0) if self._within(BUCKET_LAST) else BUCKETS

    def choose(self, random: int, limit: int, screen: CountingScreen, *, only_idle: bool = False) -> int | None:
        """A node up to this bucket that can take a task and passes the screen, an idle one if there is one; O(buckets).

        Every other node adds to a reason.
        """
        pick = self._idle.pick(random, limit, screen)
        free = pick.within
        if pick.node is None and not only_idle:
            pick = self._spare.pick(random, limit, screen)
            free += pick.within
        within = self._within(limit)
        skipped = self.skipped
        skipped[TOO_SLOW] += self._within(BUCKET_LAST) - within
        skipped[BUSY] += within - free
        for reason, count in screen.reasons.items():
            skipped[reason] += count
            free -= count
        skipped[NOT_DRAWN] += free - (pick.node is not None)
        return pick.node

    def _within(self, bucket: int) -> int:
        """Nodes online up to this bucket. O(1), but O(buckets) after somebody came, went or changed its speed."""
        if not self._up_to:
            self._up_to = list(accumulate(self.online))
        return self._up_to[bucket]

    def _count_online(self, bucket: int, change: int) -> None:
        self.online[bucket] += change
        self._up_to = []

    def _make_room(self, node: int) -> None:
        missing = node + 1 - len(self._slots)
        if missing > 0:
            for column in (self._slots, self._depth, self._used):
                column.extend([0] * missing)
            self._bucket.extend(bytes(missing))

    def _shelf_of(self, node: int) -> Shelf | None:
        """Where the node belongs by its leases."""
        used = self._used[node]
        if used < self._slots[node]:
            return self._idle
        return self._spare if used < self._depth[node] else None

    def _count_lease(self, node: int, change: int) -> bool:
        """Whether the node can take a task now and could not before, or the other way round."""
        before = self._shelf_of(node)
        self._used[node] += change
        after = self._shelf_of(node)
        if before is after:
            return False
        bucket = self._bucket[node]
        if before is not None:
            before.remove(node, bucket)
        if after is not None:
            after.add(node, bucket)
        return before is None or after is None

    def _leave(self, node: int) -> None:
        shelf = self._shelf_of(node)
        if shelf is not None:
            shelf.remove(node, self._bucket[node])
        if self._slots[node]:
            self._count_online(self._bucket[node], -1)
            self.slots_total -= self._slots[node]

    def check(self) -> None:
        """Assert that the shelves, counts and columns say the same."""
        nodes = range(len(self._slots))
        for node in nodes:
            is_idle = self._used[node] < self._slots[node]
            assert (node in self._idle) == is_idle
            assert (node in self._spare) == (not is_idle and self._used[node] < self._depth[node])
        assert self.free_total == sum(self.is_free(node) for node in nodes)
        assert self.online_total == sum(self.has(node) for node in nodes)
        assert self.slots_total == sum(self._slots)

    def snapshot(self) -> PoolSnapshot:
        """The pool as plain values, to be encoded at once."""
        return PoolSnapshot(
            idle=self._idle.buckets(),
            spare=self._spare.buckets(),
            slots=self._slots.tobytes(),
            depth=self._depth.tobytes(),
            used=self._used.tobytes(),
            bucket=bytes(self._bucket),
            skipped=self.skipped,
        )

    def restore(self, snapshot: PoolSnapshot) -> None:
        """Take what `snapshot` gave, after a trip through bytes."""
        self._slots = array("H", snapshot.slots)
        self._depth = array("H", snapshot.depth)
        self._used = array("H", snapshot.used)
        self._bucket = bytearray(snapshot.bucket)
        self._idle.restore(snapshot.idle, len(self._slots))
        self._spare.restore(snapshot.spare, len(self._slots))
        self.online, self._up_to = [0] * BUCKETS, []
        for node, lent in enumerate(self._slots):
            self.online[self._bucket[node]] += lent > 0
        self.slots_total = sum(self._slots)
        self.skipped |= snapshot.skipped
