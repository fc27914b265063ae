"""Which node gets a task now: placing, waiting for a slot, further assignments, and the ends of leases and tasks.

The tables that scheduling works on are here, with the few moves that keep them true; when to make which move is
scheduling's.
"""

from collections import Counter
from typing import Final

from msgspec import Struct

from gridlight.core.attempts import (
    ACKED,
    ATTEMPTS_MAX,
    Attempt,
    Task,
    has_live_attempt,
    live_attempts,
    may_be_added_to,
    next_due_ms,
    tried_nodes,
)
from gridlight.core.budget import HedgeBudget
from gridlight.core.choosing import HEDGE_TIERS, PRIMARY_TIERS, Choice, Tiers, choose, chosen_by_name
from gridlight.core.counts import Count
from gridlight.core.deadlines import Deadlines
from gridlight.core.draw import draw_many
from gridlight.core.lanes import Lane, LaneSnapshot
from gridlight.core.latency import BUCKET_LAST
from gridlight.core.notices import NodeKnown, Output
from gridlight.core.outcomes import failed
from gridlight.core.resting import Resting
from gridlight.core.roster import Roster, RosterSnapshot
from gridlight.core.task_table import TaskTable, TaskTableSnapshot
from gridlight.messages.host import CoordinatorStarted
from gridlight.messages.ids import AssignmentId, WorkloadId
from gridlight.messages.jobs import CancelAssignment, EndJob, JobCode, Outcome, SendAssignment
from gridlight.messages.reasons import Reason
from gridlight.messages.tasks import Assignment
from gridlight.messages.trust import PRODUCTION, Tier, TrustParameters
from gridlight.messages.workloads import WorkloadState

HEDGE_SHARE: Final = 8
"""No hedge before this part of the deadline is gone: earlier it costs a run and gains nothing that was asked for."""

HEDGE_LATEST_SHARE: Final = 2
"""A node's p99 may be as long as its stalls: when this part of the deadline is gone, a task looks late in any case."""

HEDGE_RETRY_MS: Final = 250
SERVE_MAX: Final = 8


DISPATCHED: Final = Count.DISPATCHED


class PlacementSnapshot(Struct):
    """The tables as plain values."""

    seed: int
    hedge_tokens: int
    table: TaskTableSnapshot
    deadlines: list[tuple[int, int]]
    lanes: dict[WorkloadId, LaneSnapshot]
    roster: RosterSnapshot
    trust: TrustParameters
    resting: list[tuple[int, int]]
    counts: dict[Count, int]
    closed: dict[WorkloadId, WorkloadState] = {}


class Placement:
    """Tasks, lanes and leases of one shard."""

    def __init__(self) -> None:
        self.counts: dict[Count, int] = dict.fromkeys(Count, 0)
        self.lanes: dict[WorkloadId, Lane] = {}
        self.closed: dict[WorkloadId, WorkloadState] = {}
        """Workloads that were offered once, and why they are not any more."""
        self.seed = 0
        self.budget = HedgeBudget()
        self.deadlines = Deadlines()
        self.table = TaskTable()
        self.resting = Resting()
        self.roster = Roster()
        self.trust = PRODUCTION

    def begin(self, event: CoordinatorStarted) -> None:
        """What a new process of the coordinator is told."""
        self.seed, self.trust = event.seed, event.trust
        self.roster.share_ppm = event.trust.operator_share_ppm
        self.roster.are_prefixes_distinct = event.trust.are_prefixes_distinct

    def end(self, task: Task, outcome: Outcome) -> list[Output]:
        """The one place where a job that was taken on ends: answered once, its other attempts cancelled."""
        job = task.job
        if not task.assignments_made:
            self.lanes[job.workload].reasons.pass_by(BUCKET_LAST)
        cancels = [
            CancelAssignment(
                gateway_id=job.gateway_id,
                node_id=self.roster.node_ids[attempt.node],
                assignment_id=attempt.assignment_id,
            )
            for attempt in self.table.close(task, outcome)
        ]
        return [EndJob(job_id=job.job_id, gateway_id=job.gateway_id, outcome=outcome), *cancels]

    def place_or_wait(self, now_ms: int, task: Task) -> list[Output]:
        """Give the task to a node now, or let it wait for a slot; a task with no attempt left fails."""
        is_pinned = task.job.pinned_node is not None
        if len(task.attempts) >= ATTEMPTS_MAX or (is_pinned and task.attempts):
            hint = f"{len(task.attempts)} assignments were lost, declined or failed; try again"
            return self.end(task, failed(task, JobCode.ATTEMPTS_EXHAUSTED, hint))
        sent = self._place(now_ms, task)
        if not sent:
            task.is_waiting = True
            lane = self.lanes[task.job.workload]
            lane.enqueue(task.number, self._pinned_node(task), is_first=bool(task.attempts))
            self.arm(task)
        return sent

    def _pinned_node(self, task: Task) -> int | None:
        pinned = task.job.pinned_node
        return None if pinned is None else self.roster.node_index[pinned]

    def _place(self, now_ms: int, task: Task) -> list[Output]:
        """Send the task to a free node: of the primary tier, else of the widest; nothing where there is none.

        Nothing also past its deadline: `TimePassed` may come late, and what is left of it is never negative.
        """
        if now_ms >= task.deadline_ms:
            return []
        lane = self.lanes[task.job.workload]
        draws = draw_many(self.seed, "assign", task.number, task.assignments_made)
        node = self._pinned_node(task)
        if node is not None:
            self.wake(now_ms)
            pool = lane.pool_of(node)
            if not pool.is_free(node):
                return []
            return self.send(now_ms, task, chosen_by_name(node, pool.bucket_of(node), lane.trusted, task), draws)
        choice = self._choose(now_ms, task, PRIMARY_TIERS, draws[0], only_idle=False)
        return [] if choice is None else self.send(now_ms, task, choice, draws)

    def _choose(self, now_ms: int, task: Task, tiers: Tiers, random: int, *, only_idle: bool) -> Choice | None:
        self.wake(now_ms)
        pool, resting = self.lanes[task.job.workload].serving(task.job.assurance), self.resting.until_ms
        return choose(pool, self.roster, task, tiers, random, resting=resting, only_idle=only_idle)

    def send(self, now_ms: int, task: Task, choice: Choice, draws: tuple[int, ...]) -> list[Output]:
        """Lease a slot of the node for the task, and have it sent there."""
        job, lane, node = task.job, self.lanes[task.job.workload], choice.node
        lane.take(choice, is_first=not task.assignments_made)
        self.roster.give(now_ms, node)
        assignment_id = AssignmentId(f"{draws[1]:016x}")
        patience_ms = max(lane.latency.p99_ms(node), job.deadline_ms // HEDGE_SHARE)
        patience_ms = min(patience_ms, job.deadline_ms // HEDGE_LATEST_SHARE)
        self.table.lease(task, Attempt(assignment_id, node, now_ms, now_ms + patience_ms))
        task.assignments_made += 1
        if task.check is None:
            self.budget.dispatched()
            self.counts[DISPATCHED] += 1
            lane.gain_shadow_run(self.trust.shadow_ppm, self.trust.shadows_per_check_max)
        else:
            self.counts[Count.CHECKS_DISPATCHED] += 1
        self.arm(task)
        assignment = Assignment(
            assignment_id=assignment_id,
            workload=job.workload,
            deadline_ms=task.deadline_ms - now_ms,
            input_digest=job.input_digest,
            input_bytes=job.input_bytes,
            probe_seed=task.probe_seed,
        )
        node_id = self.roster.node_ids[node]
        return [SendAssignment(job_id=job.job_id, gateway_id=job.gateway_id, node_id=node_id, assignment=assignment)]

    def replace(self, now_ms: int, task: Task) -> list[Output]:
        """An attempt came to nothing: assign again, unless another one is at it that does not look late itself."""
        if not task.is_open or task.is_waiting:
            return []
        live = live_attempts(task)
        if not live:
            self.counts[Count.REPLACED_LOST] += 1
            return self.place_or_wait(now_ms, task)
        if all(attempt.is_replaced for attempt in live) and may_be_added_to(task):
            return self._make_up_for(now_ms, task, live[-1])
        return []

    def _make_up_for(self, now_ms: int, task: Task, late: Attempt) -> list[Output]:
        """What was to make up for a late assignment is lost: that is no further hedge, and costs none."""
        if len(task.attempts) >= ATTEMPTS_MAX or now_ms >= task.deadline_ms:
            return []
        draws = draw_many(self.seed, "assign", task.number, task.assignments_made)
        choice = self._choose(now_ms, task, HEDGE_TIERS, draws[0], only_idle=False)
        if choice is None:
            late.is_replaced = late.state is not ACKED
            late.hedge_ms = now_ms + HEDGE_RETRY_MS
            self.arm(task)
            return []
        self.counts[Count.REPLACED_LOST] += 1
        return self.send(now_ms, task, choice, draws)

    def waiting(self, lane: Lane) -> int:
        """How many tasks wait for a slot; those at the head that ended meanwhile are dropped, O(1) amortised."""
        while lane.waiting and not self._is_waiting(lane.waiting[0]):
            lane.waiting.popleft()
        return len(lane.waiting)

    def _is_waiting(self, number: int) -> bool:
        task = self.table.tasks.get(number)
        return task is not None and task.is_waiting

    def serve(self, now_ms: int, lane: Lane, node: int) -> list[Output]:
        """A slot of `node` may be free: give it to who waits. O(SERVE_MAX)."""
        outputs: list[Output] = []
        if not lane.pinned and not lane.waiting:
            return outputs
        pool = lane.pool_of(node)
        while pool.is_free(node) and (number := lane.next_pinned(node)) is not None:
            pinned = self.table.tasks.get(number)
            if pinned is not None and pinned.is_waiting:
                outputs += self._place(now_ms, pinned)
        passed_over: list[int] = []
        while lane.waiting and (lane.trusted.free_total or lane.shadows.free_total) and len(passed_over) < SERVE_MAX:
            task = self.table.tasks.get(lane.waiting.popleft())
            if task is None or not task.is_waiting or now_ms >= task.deadline_ms:
                continue  # it ended meanwhile, or ends with the next TimePassed
            sent = self._place(now_ms, task)
            outputs += sent
            if not sent:
                passed_over.append(task.number)
        lane.waiting.extendleft(reversed(passed_over))
        return outputs

    def wake(self, now_ms: int) -> None:
        """Those who have rested stand among the others again. O(1) amortised."""
        if not self.resting.until_ms:
            return
        for node in self.resting.wake(now_ms):
            for lane in self.lanes.values():
                lane.stand(node)

    def release(self, task: Task, attempt: Attempt, reason: Reason) -> None:
        """A node replied: its slot is free again."""
        self.lanes[task.job.workload].give_back(attempt.node)
        self.end_lease(task, attempt, reason)

    def end_lease(self, task: Task, attempt: Attempt, reason: Reason) -> None:
        """What a node had in hand is over, for this reason."""
        self.lanes[task.job.workload].reasons.end(attempt.node, reason)
        self.table.end_lease(task, attempt)

    def know(self, event: NodeKnown) -> None:
        """What is known of a node changed, and so perhaps why it is given nothing."""
        self.roster.know(event)
        for lane in self.lanes.values():
            lane.stand(event.node)

    def withdraw(self, node: int, reason: Reason) -> None:
        """The node lends nothing any more, of any workload; the owner ends what is leased on it."""
        self.roster.set_lending(node, is_lending=False)
        for lane in self.lanes.values():
            lane.withdraw(node, reason)

    def undo(self, node: int, reason: Reason, count: int, workload: WorkloadId | None) -> None:
        """Answers that the node gave stand for nothing; of which workload, is not always known. O(workloads)."""
        lanes = self.lanes.values() if workload is None else [self.lanes[workload]] if workload in self.lanes else []
        for lane in lanes:
            count -= lane.reasons.undo(node, reason, count)

    def change_tier(self, node: int, tier: Tier) -> list[Task]:
        """The node may do something else from now on; the tasks that it has in hand, which are no longer its own.

        What an administrator pinned to it stays with it. A node that broke its word has nothing leased on it any more;
        its tasks are given to others once fleet has said so.
        """
        taken: list[Task] = []
        for assignment_id in self.table.leases_of(node):
            found = self.table.find(assignment_id)
            assert found is not None
            is_its_own = found[0].job.pinned_node is not None and found[0].check is None
            if not is_its_own and self.lanes[found[0].job.workload].pool_of(node).is_leased(node):
                self.release(*found, Reason.TAKEN_BACK)
                taken.append(found[0])
        before = self.roster.tier_of(node)
        self.roster.set_tier(node, tier)
        for lane in self.lanes.values():
            lane.change_tier(node, before, tier)
        return taken

    def add_attempt(self, now_ms: int, task: Task, late: Attempt) -> list[Output]:
        """A further assignment beside one that looks late. For a missing acknowledgement it is no hedge."""
        is_hedge = late.state is ACKED
        if len(task.attempts) >= ATTEMPTS_MAX:
            late.is_replaced = True
            return []
        is_rescue = 2 * (now_ms - task.submitted_ms) >= task.job.deadline_ms
        if is_hedge and not self.budget.can_spend(is_rescue=is_rescue):
            return self._try_later(now_ms, late, Count.HEDGE_WITHOUT_BUDGET)
        draws = draw_many(self.seed, "assign", task.number, task.assignments_made)
        # A hedge that waits behind another task would gain nothing.
        choice = self._choose(now_ms, task, HEDGE_TIERS, draws[0], only_idle=is_hedge)
        if choice is None:
            return self._try_later(now_ms, late, Count.HEDGE_WITHOUT_NODE)
        late.is_replaced = True
        self.counts[Count.HEDGED if is_hedge else Count.REPLACED_UNACKED] += 1
        if is_hedge:
            self.budget.spend()
            task.is_hedged = True
        return self.send(now_ms, task, choice, draws)

    def _try_later(self, now_ms: int, late: Attempt, count: Count) -> list[Output]:
        """No hedge now. An unacknowledged attempt is not asked about again: at the hard limit it is lost anyway."""
        self.counts[count] += 1
        if late.state is ACKED:
            late.hedge_ms = now_ms + HEDGE_RETRY_MS
        else:
            late.is_replaced = True
        return []

    def arm(self, task: Task) -> None:
        """See that the task is looked at when it next wants attention."""
        self.arm_for(task, next_due_ms(task))

    def arm_for(self, task: Task, due_ms: int | None) -> None:
        """The same where it is known when that is."""
        if due_ms is not None and (task.armed_ms < 0 or due_ms < task.armed_ms):
            self.deadlines.arm(due_ms, task.number)
            task.armed_ms = due_ms

    def forget_leases(self) -> None:
        """Whatever was in flight is lost, through no fault of a node. O(open tasks + nodes)."""
        self.roster.nobody_lends()
        for lane in self.lanes.values():
            lane.clear()
        for task in list(self.table.tasks.values()):
            live = live_attempts(task)
            for attempt in live:
                self.end_lease(task, attempt, Reason.NETWORK_RESTARTED)
            # They do not count as tried: these nodes may well be the only ones.
            task.attempts = [attempt for attempt in task.attempts if attempt not in live]

    def wait_again(self, task: Task) -> None:
        """A task that was in flight waits for a slot once more."""
        if not task.is_waiting:
            task.is_waiting = True
            self.lanes[task.job.workload].enqueue(task.number, self._pinned_node(task), is_first=False)
        self.arm(task)

    def check(self) -> None:
        """Assert that nothing is lost, held twice, or waits without being watched."""
        self.table.check()
        for workload, lane in self.lanes.items():
            lane.check()
            assert lane.reasons.in_hand() == Counter(self.table.holders(workload))
        for task in self.table.tasks.values():
            due_ms = next_due_ms(task)
            assert due_ms is not None
            assert 0 <= task.armed_ms <= due_ms
            assert not task.is_open or task.is_waiting or has_live_attempt(task)
            assert len(task.attempts) <= ATTEMPTS_MAX
            nodes = tried_nodes(task)
            assert len(nodes) == len(set(nodes))

    def snapshot(self) -> PlacementSnapshot:
        """The tables, to be encoded at once: they share their own objects."""
        return PlacementSnapshot(
            seed=self.seed,
            hedge_tokens=self.budget.tokens,
            table=self.table.snapshot(),
            deadlines=self.deadlines.entries(self.table.tasks),
            lanes={workload: lane.snapshot() for workload, lane in self.lanes.items()},
            roster=self.roster.snapshot(),
            trust=self.trust,
            resting=self.resting.snapshot(),
            counts=self.counts,
            closed=self.closed,
        )

    def restore(self, snapshot: PlacementSnapshot) -> None:
        """Take what `snapshot` gave, after a trip through bytes."""
        self.seed = snapshot.seed
        self.budget.tokens = snapshot.hedge_tokens
        self.table.restore(snapshot.table)
        self.deadlines.restore(snapshot.deadlines)
        self.roster.restore(snapshot.roster)
        self.trust = snapshot.trust
        self.roster.share_ppm = snapshot.trust.operator_share_ppm
        self.roster.are_prefixes_distinct = snapshot.trust.are_prefixes_distinct
        for workload, lane in snapshot.lanes.items():
            self.lanes[workload] = Lane(self.roster, self.resting)
            self.lanes[workload].restore(lane)
        self.resting.restore(snapshot.resting)
        self.counts |= snapshot.counts
        self.closed = dict(snapshot.closed)
        for workload, lane in snapshot.lanes.items():
            if lane.reasons is None:
                self.lanes[workload].begin_counting(self.table.holders(workload))
