"""A lane: everything scheduling keeps for one workload: its pool of nodes, what they take, why others don't, and who
waits for a slot.
"""

from collections import deque
from typing import Final

from msgspec import Struct

from gridlight.core.choosing import Choice
from gridlight.core.latency import BUCKET_LAST, Latency, bucket_of
from gridlight.core.pools import Pool, PoolSnapshot
from gridlight.core.reasons import ABSENT, FREE, OF_OWNER, Reasons, ReasonsSnapshot
from gridlight.core.resting import Resting
from gridlight.core.rollout import Rollout
from gridlight.core.roster import MILLION, Roster
from gridlight.messages.nodes import OwnerState
from gridlight.messages.operators import Hold
from gridlight.messages.reasons import Reason
from gridlight.messages.trust import Assurance, Tier

SERVICE_MS_START: Final = 200
_MEAN_WEIGHT: Final = 16

_TRUSTED: Final = Tier.TRUSTED
_UNASSURED: Final = Assurance.NONE
_BUSY: Final = Reason.BUSY

_OF_TIER: Final = {Tier.SHADOW: Reason.NEWCOMER, Tier.REFERENCE: Reason.REFERENCE, Tier.BANNED: Reason.BANNED}
"""Why a node that lends is given no ordinary task, whatever else holds of it."""

_OF_HOLD: Final = {
    Hold.LEVEL_0: Reason.HELD_LEVEL_0,
    Hold.STATUS_STALE: Reason.NEWCOMER,
    Hold.STATUS_LOST: Reason.HELD_STATUS_LOST,
}
"""The same of newcomers that are held."""


class LaneSnapshot(Struct):
    """A lane as plain values."""

    pools: dict[Tier, PoolSnapshot]
    latency: tuple[dict[int, bytes], bytes, bytes, bytes]
    waiting: list[int]
    pinned: dict[int, list[int]]
    service_ms_sum: int
    shadow_tokens: int
    reasons: ReasonsSnapshot | None = None
    """Nothing in snapshots that were taken before reasons were counted."""
    rollout: Rollout | None = None


class Lane:
    """One workload's nodes and queue. Tasks are numbers; the owner skips an entry whose task no longer waits."""

    def __init__(self, roster: Roster, resting: Resting) -> None:
        self.pools = {tier: Pool() for tier in Tier}
        """By what a node may do; a banned one lends, too, but nobody takes it."""
        self._pool_by_tier = tuple(self.pools.values())
        """By the tiers' numbers in the roster."""
        self.trusted = self.pools[Tier.TRUSTED]
        self.shadows = self.pools[Tier.SHADOW]
        self.latency = Latency()
        self.waiting: deque[int] = deque()
        self.pinned: dict[int, deque[int]] = {}
        self.rollout: Rollout | None = None
        """The nodes that may have it; all where it is absent."""
        self._service_ms_sum = SERVICE_MS_START * _MEAN_WEIGHT
        self.reasons = Reasons()
        self._roster = roster
        self._resting = resting
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
        return self._pool_by_tier[self._roster.tiers[node]]

    def serving(self, assurance: Assurance) -> Pool:
        """Who serves at this assurance: trusted nodes; where there are none, newcomers serve who wants no assurance."""
        if self.trusted.slots_total or assurance is not _UNASSURED:
            return self.trusted
        return self.shadows

    def change_tier(self, node: int, before: Tier, after: Tier) -> None:
        """The node may do something else from now on; what it lends stays lent."""
        self.pools[before].hand_over(node, self.pools[after])
        self.stand(node)

    def gain_shadow_run(self, share_ppm: int, runs_max: int) -> None:
        """A task went to a trusted node: newcomers may run as much each, up to a share of all tasks."""
        if self._shadow_tokens == runs_max * MILLION:
            return
        trusted = max(self.trusted.online_total, 1)
        gain = min(share_ppm, self.shadows.online_total * MILLION // trusted)
        self._shadow_tokens = min(self._shadow_tokens + gain, runs_max * MILLION)

    def spend_shadow_run(self) -> bool:
        """Take one shadow run, if there is one to take."""
        if self._shadow_tokens < MILLION:
            return False
        self._shadow_tokens -= MILLION
        return True

    def roll_out(self, rollout: Rollout | None) -> None:
        """These nodes may have it from now on; who was left out and is not any more has yet to offer. O(nodes)."""
        self.rollout = rollout
        for node in self.reasons.known():
            if self.reasons.at(node) is Reason.NOT_ROLLED_OUT and not self._is_left_out(node):
                self._be_absent(node, Reason.LENDS_NOTHING)

    def _is_left_out(self, node: int) -> bool:
        return self.rollout is not None and not self.rollout.takes(self._roster.node_ids[node])

    def lend(
        self,
        node: int,
        slots: int,
        benchmark_ms: int | None,
        lookahead: int = 0,
        *,
        now_ms: int,
        owner_state: OwnerState = OwnerState.AVAILABLE,
    ) -> None:
        """A node lends slots: it stands where its own p95 puts it. One that the rollout leaves out lends none."""
        is_left_out = self._is_left_out(node)
        if is_left_out:
            slots = 0
        self.latency.admit(node, benchmark_ms)
        self.reasons.know(now_ms, node)
        self.pool_of(node).lend(node, slots, bucket_of(self.latency.p95_ms(node)), lookahead)
        if slots:
            self.stand(node)
        else:
            of_network = Reason.NOT_ROLLED_OUT if is_left_out else Reason.LENDS_NOTHING
            self._be_absent(node, OF_OWNER.get(owner_state, of_network))

    def take(self, choice: Choice, *, is_first: bool) -> None:
        """A task is given to a node, as the first or after others: one slot fewer is free."""
        node = choice.node
        is_full = self.pool_of(node).take(node)
        if is_first:
            self.reasons.give(node, choice.limit, choice.over_share)
        else:
            self.reasons.give_again(node)
        if is_full:
            self.stand(node)

    def give_back(self, node: int) -> None:
        """A slot of the node is free again."""
        if self.pool_of(node).give_back(node):
            self.stand(node)

    def withdraw(self, node: int, reason: Reason) -> None:
        """The node lends nothing any more, for this reason."""
        self.pool_of(node).withdraw(node)
        self._be_absent(node, reason)

    def clear(self) -> None:
        """Who is connected is unknown. O(nodes)."""
        for pool in self.pools.values():
            pool.clear()
        self.reasons.clear()

    def stand(self, node: int) -> None:
        """Something about a node changed: count it where it stands now. Who is away stays where it is."""
        pool = self.pool_of(node)
        if pool.has(node):
            self.reasons.stand(node, self.reason_of(node), pool.bucket_of(node))

    def _be_absent(self, node: int, reason: Reason) -> None:
        if self.reasons.knows(node):
            self.reasons.stand(node, reason, 0)

    def begin_counting(self, holders: list[int]) -> None:
        """What was restored is of a time when no reasons were counted: those there are known from now on. O(nodes)."""
        for pool in self.pools.values():
            for node in pool.nodes():
                self.reasons.know(0, node)
                self.stand(node)
        for node in holders:
            self.reasons.know(0, node)
            self.reasons.give(node, BUCKET_LAST)

    def reason_of(self, node: int) -> Reason:
        """Why a node that lends would not be given the next task."""
        tier = self._roster.tier_of(node)
        if tier is not _TRUSTED:
            hold = self._roster.holds.get(node) if tier is Tier.SHADOW else None
            return _OF_TIER[tier] if hold is None else _OF_HOLD[hold]
        if not self.trusted.is_free(node):
            return _BUSY
        return Reason.RESTING if node in self._resting else FREE

    def served(self, node: int, ms: int) -> None:
        """A node gave a valid result this long after it was sent the task."""
        self._service_ms_sum += ms - self.service_ms
        if self.latency.add(node, ms) and (pool := self.pool_of(node)).has(node):
            pool.move(node, bucket_of(self.latency.p95_ms(node)))
            self.stand(node)

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

    def check(self) -> None:
        """Assert that each node is counted where it stands."""
        for pool in self.pools.values():
            pool.check()
        self.reasons.check()
        for node in self.reasons.known():
            pool = self.pool_of(node)
            if pool.has(node):
                assert self.reasons.at(node) is self.reason_of(node)
            else:
                assert self.reasons.at(node) in ABSENT

    def snapshot(self) -> LaneSnapshot:
        """The lane as plain values."""
        pinned = {node: list(queue) for node, queue in self.pinned.items()}
        pools, latency = {tier: pool.snapshot() for tier, pool in self.pools.items()}, self.latency.snapshot()
        waiting = list(self.waiting)
        return LaneSnapshot(
            pools=pools,
            latency=latency,
            waiting=waiting,
            pinned=pinned,
            service_ms_sum=self._service_ms_sum,
            shadow_tokens=self._shadow_tokens,
            rollout=self.rollout,
            reasons=self.reasons.snapshot(),
        )

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
        if snapshot.reasons is not None:
            self.reasons.restore(snapshot.reasons)
