"""A lane: everything scheduling keeps for one workload: its pool of nodes, what they take, and who waits for a slot."""

from collections import deque
from typing import Final

from msgspec import Struct

from gridlight.core.latency import Latency, bucket_of
from gridlight.core.pools import Pool, PoolSnapshot
from gridlight.core.rollout import Rollout
from gridlight.core.roster import MILLION, Roster
from gridlight.messages.trust import Assurance, Tier

SERVICE_MS_START: Final = 200
_MEAN_WEIGHT: Final = 16


class LaneSnapshot(Struct):
    """A lane as plain values."""

    pools: dict[Tier, PoolSnapshot]
    latency: tuple[dict[int, bytes], bytes, bytes, bytes]
    waiting: list[int]
    pinned: dict[int, list[int]]
    service_ms_sum: int
    shadow_tokens: int
    rollout: Rollout | None = None


class Lane:
    """One workload's nodes and queue. Tasks are numbers; the owner skips an entry whose task no longer waits."""

    def __init__(self, roster: Roster) -> None:
        self.pools = {tier: Pool() for tier in Tier}
        """By what a node may do; a banned one lends, too, but nobody takes it."""
        self.trusted = self.pools[Tier.TRUSTED]
        self.shadows = self.pools[Tier.SHADOW]
        self.latency = Latency()
        self.waiting: deque[int] = deque()
        self.pinned: dict[int, deque[int]] = {}
        self.rollout: Rollout | None = None
        """The nodes that may have it; all where it is absent."""
        self._service_ms_sum = SERVICE_MS_START * _MEAN_WEIGHT
        self._roster = roster
        self._shadow_tokens = 0

    @property
    def service_ms(self) -> int:
        """What a task takes here of late, from sending to result."""
        return self._service_ms_sum // _MEAN_WEIGHT

    @property
    def slots_total(self) -> int:
        """Slots of all who may serve or shadow."""
        return self.trusted.slots_total + self.shadows.slots_total

    def pool_of(self, node: int) -> Pool:
        """Where the node stands, by what it may do."""
        return self.pools[self._roster.tier_of(node)]

    def serving(self, assurance: Assurance) -> Pool:
        """Who serves at this assurance: trusted nodes; where there are none, newcomers serve who wants no assurance."""
        is_for_newcomers = assurance is Assurance.NONE and not self.trusted.slots_total
        return self.shadows if is_for_newcomers else self.trusted

    def change_tier(self, node: int, before: Tier, after: Tier) -> None:
        """The node may do something else from now on; what it lends stays lent."""
        self.pools[before].hand_over(node, self.pools[after])

    def gain_shadow_run(self, share_ppm: int, runs_max: int) -> None:
        """A task went to a trusted node: newcomers may run as much each, up to a share of all tasks."""
        trusted = max(self.trusted.online_total, 1)
        gain = min(share_ppm, self.shadows.online_total * MILLION // trusted)
        self._shadow_tokens = min(self._shadow_tokens + gain, runs_max * MILLION)

    def spend_shadow_run(self) -> bool:
        """Take one shadow run, if there is one to take."""
        if self._shadow_tokens < MILLION:
            return False
        self._shadow_tokens -= MILLION
        return True

    def lend(self, node: int, slots: int, benchmark_ms: int | None, lookahead: int = 0) -> None:
        """A node lends slots: it stands where its own p95 puts it. One that the rollout leaves out lends none."""
        if self.rollout is not None and not self.rollout.takes(self._roster.node_ids[node]):
            slots = 0
        self.latency.admit(node, benchmark_ms)
        self.pool_of(node).lend(node, slots, bucket_of(self.latency.p95_ms(node)), lookahead)

    def served(self, node: int, ms: int) -> None:
        """A node gave a valid result this long after it was sent the task."""
        self._service_ms_sum += ms - self.service_ms
        pool = self.pool_of(node)
        if self.latency.add(node, ms) and pool.has(node):
            pool.move(node, bucket_of(self.latency.p95_ms(node)))

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
        pools, latency = {tier: pool.snapshot() for tier, pool in self.pools.items()}, self.latency.snapshot()
        waiting = list(self.waiting)
        return LaneSnapshot(pools, latency, waiting, pinned, self._service_ms_sum, self._shadow_tokens, self.rollout)

    def restore(self, snapshot: LaneSnapshot) -> None:
        """Take what `snapshot` gave."""
        for tier, pool in snapshot.pools.items():
            self.pools[tier].restore(pool)
        self.latency.restore(snapshot.latency)
        self.waiting = deque(snapshot.waiting)
        self.pinned = {node: deque(queue) for node, queue in snapshot.pinned.items()}
        self._service_ms_sum = snapshot.service_ms_sum
        self._shadow_tokens = snapshot.shadow_tokens
        self.rollout = snapshot.rollout
