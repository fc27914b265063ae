"""Jobs to tasks, tasks to assignments: who runs what, until when, and what happens when a node is late or gone.

A task is open until its first valid result, or until its deadline, and ends exactly once. Every assignment is a lease
on one slot of a node, which ends by its reply, by the node's leaving, or by expiry.
"""

from functools import partial
from typing import Final

from msgspec import Struct

from gridlight.core.admission import refusal, refused_for_want_of_nodes
from gridlight.core.attempts import (
    ACKED,
    LEASE_GRACE_MS,
    SENT,
    Attempt,
    Task,
    is_ack_missed,
    live_attempts,
    looks_late,
    may_be_added_to,
    next_due_ms,
    tried_nodes,
)
from gridlight.core.checking import begin_check, check_answered, end_check, end_checks, ends_last, place_check
from gridlight.core.counts import Count
from gridlight.core.lane_changes import change_lane
from gridlight.core.notices import (
    AnswersVoided,
    CapacityChanged,
    CapacityLost,
    CheckEnded,
    CheckWanted,
    FaultFound,
    Hears,
    NodeKnown,
    NodeMissed,
    Output,
    SlotFreed,
    TaskAnswered,
    TierChanged,
    WorkloadClosed,
    WorkloadOpened,
)
from gridlight.core.outcomes import RETRY_AFTER_MS, done, failed, run_seen
from gridlight.core.placement import Placement, PlacementSnapshot
from gridlight.core.reasons import Returned, reason_of_result, reason_of_return
from gridlight.messages.host import AnnounceCoordinator, BusReconnected, CoordinatorStarted, TimePassed
from gridlight.messages.ids import AssignmentId, JobId, NodeId
from gridlight.messages.jobs import EndJob, JobCode, JobSubmitted, JobWithdrawn
from gridlight.messages.reasons import Reason
from gridlight.messages.results import ResultSubmitted
from gridlight.messages.tasks import (
    AssignmentAcknowledged,
    AssignmentDeclined,
    AssignmentFailed,
    AssignmentUndeliverable,
    UndeliverableReason,
)
from gridlight.messages.trust import Assurance, Tier, Verification

NodeChange = CapacityChanged | CapacityLost | NodeKnown | TierChanged | SlotFreed | AnswersVoided | FaultFound
SchedulingEvent = (
    ResultSubmitted
    | AssignmentAcknowledged
    | JobSubmitted
    | TimePassed
    | Returned
    | CheckWanted
    | NodeChange
    | JobWithdrawn
    | CoordinatorStarted
    | BusReconnected
    | WorkloadOpened
    | WorkloadClosed
)

SETTLING_MS: Final = 3_000
"""After a start or a lost bus, jobs wait this long for nodes to offer again before they are refused for want of one."""

DUE_MAX: Final = 1_000
"""Tasks attended to in one `TimePassed`: the largest batch is what sets the pause."""

_UNASSURED: Final = Assurance.NONE
_TRUSTED: Final = Tier.TRUSTED
_PROVISIONAL: Final = Verification.PROVISIONAL
_UNVERIFIED: Final = Verification.UNVERIFIED
_OF_MISSED: Final = {Count.ACK_MISSED: Reason.UNACKNOWLEDGED, Count.LEASE_EXPIRED: Reason.NO_RESULT}


class SchedulingSnapshot(Struct):
    """The machine's state as plain values."""

    settling_until_ms: int
    placement: PlacementSnapshot


class Scheduling:
    """The machine that gives tasks to nodes."""

    def __init__(self) -> None:
        self.placement = Placement()
        self._settling_until_ms = 0
        self.hears: Hears = {
            ResultSubmitted: self._result,
            AssignmentAcknowledged: self._acknowledged,
            JobSubmitted: self._submitted,
            TimePassed: self._time_passed,
            AssignmentDeclined: self._returned,
            AssignmentFailed: self._returned,
            AssignmentUndeliverable: self._returned,
            CheckWanted: partial(begin_check, self.placement),
            SlotFreed: self._slot_freed,
            CapacityChanged: self._capacity_changed,
            CapacityLost: self._capacity_lost,
            NodeKnown: self._known,
            TierChanged: self._tier_changed,
            AnswersVoided: self._voided,
            FaultFound: self._contradicted,
            JobWithdrawn: self._withdrawn,
            CoordinatorStarted: self._started,
            BusReconnected: self._bus_reconnected,
            WorkloadOpened: self._lane_changes,
            WorkloadClosed: self._lane_changes,
        }

    def next_deadline_ms(self) -> int | None:
        """When the host must call again with TimePassed."""
        return self.placement.deadlines.next_ms(self.placement.table.tasks)

    def handle(self, now_ms: int, event: SchedulingEvent) -> list[Output]:
        """O(attempts of one task), but for a start or a lost bus: O(open tasks + nodes)."""
        return self.hears[type(event)](now_ms, event)

    # Jobs

    def knows(self, job_id: JobId) -> bool:
        """Whether the job is open, or ended a short while ago."""
        return self.placement.table.open_task(job_id) is not None or job_id in self.placement.table.recent

    def _submitted(self, now_ms: int, job: JobSubmitted) -> list[Output]:
        if self.placement.table.open_task(job.job_id) is not None:
            return []
        ended = self.placement.table.recent.get(job.job_id)
        if ended is not None:
            return [EndJob(job_id=job.job_id, gateway_id=job.gateway_id, outcome=ended, is_repeated=True)]
        refused = refusal(self.placement, job, is_settling=now_ms < self._settling_until_ms)
        if refused is not None:
            self.placement.table.remember(job.job_id, refused)
            return [EndJob(job_id=job.job_id, gateway_id=job.gateway_id, outcome=refused)]
        task = self.placement.table.open(now_ms, job, self.placement.seed)
        outputs = self.placement.place_or_wait(now_ms, task)
        if task.is_waiting and now_ms < self._settling_until_ms:
            self.placement.deadlines.arm(self._settling_until_ms, task.number)
        return outputs

    def _withdrawn(self, _now_ms: int, event: JobWithdrawn) -> list[Output]:
        task = self.placement.table.open_task(event.job_id)
        if task is None:
            return []
        return self.placement.end(task, failed(task, JobCode.WITHDRAWN, "the requester no longer waits for it"))

    # What nodes reply

    def _find(self, assignment_id: AssignmentId, node_id: NodeId) -> tuple[Task, Attempt] | None:
        """The live attempt a node speaks of; None (and counted) where it is not this node's or has ended."""
        found = self.placement.table.find(assignment_id)
        if found is None or self.placement.roster.node_ids[found[1].node] != node_id:
            self.placement.counts[Count.REPLY_UNKNOWN] += 1
            return None
        return found

    def _acknowledged(self, now_ms: int, event: AssignmentAcknowledged) -> list[Output]:
        found = self._find(event.assignment_id, event.node_id)
        if found is None or found[1].state is not SENT:
            return []
        task, attempt = found
        # On the gateway's clock, since the host may let an acknowledgement wait for company before it is journalled.
        attempt.state, attempt.acked_ms = ACKED, min(attempt.sent_ms + event.elapsed_ms, now_ms)
        if now_ms + event.eta_ms > task.deadline_ms:
            attempt.hedge_ms = now_ms
        return self._attend(now_ms, task)

    def _result(self, now_ms: int, event: ResultSubmitted) -> list[Output]:
        found = self._find(event.assignment_id, event.node_id)
        if found is None:
            return []
        task, attempt = found
        lane = self.placement.lanes[task.job.workload]
        lane.served(attempt.node, now_ms - attempt.sent_ms)
        is_late = now_ms >= task.deadline_ms
        self.placement.release(task, attempt, reason_of_result(is_open=task.is_open, is_late=is_late))
        is_taken = task.is_open or not is_late
        outputs: list[Output] = [run_seen(task, attempt, event.node_id)] if is_taken else []
        if not task.is_open:
            self.placement.counts[Count.RESULT_LATE] += 1
        elif task.check is not None:
            freed = SlotFreed(attempt.node, task.job.workload)
            return [*outputs, *check_answered(self.placement, task, attempt.node, event), freed]
        else:
            outputs += self._answered(now_ms, task, attempt, event)
        return outputs + self.placement.serve(now_ms, lane, attempt.node)

    def _answered(self, now_ms: int, task: Task, attempt: Attempt, event: ResultSubmitted) -> list[Output]:
        """The requester's answer. A trusted node's is committed, unless no assurance was asked for."""
        is_committed = task.job.assurance is not _UNASSURED and (
            self.placement.roster.tier_of(attempt.node) is _TRUSTED
        )
        verification = _PROVISIONAL if is_committed else _UNVERIFIED
        ended = self.placement.end(task, done(now_ms, task, attempt, event, verification))
        if not is_committed:
            return ended
        answered = TaskAnswered(
            job=task.job,
            probe_seed=task.probe_seed,
            node=attempt.node,
            node_id=event.node_id,
            assignment_id=event.assignment_id,
            output=event.output,
            output_digest=event.output_digest,
            probes=event.probes,
            tried=tuple(tried_nodes(task)),
        )
        return [answered, *ended]

    def _returned(self, now_ms: int, event: Returned) -> list[Output]:
        found = self._find(event.assignment_id, event.node_id)
        if found is None:
            return []
        task, attempt = found
        is_late = now_ms >= task.deadline_ms
        self.placement.release(task, attempt, reason_of_return(event, is_open=task.is_open, is_late=is_late))
        undeliverable = event.reason if isinstance(event, AssignmentUndeliverable) else None
        if undeliverable is UndeliverableReason.INPUT_GONE and task.check is not None and task.is_open:
            outputs = end_check(self.placement, task, CheckEnded(task.check.check, is_input_gone=True))
        else:
            outputs = self._replace(now_ms, task)
        if undeliverable is UndeliverableReason.NO_RESPONDERS:
            return [*outputs, NodeMissed(attempt.node)]
        return outputs + self.placement.serve(now_ms, self.placement.lanes[task.job.workload], attempt.node)

    def _replace(self, now_ms: int, task: Task) -> list[Output]:
        """An attempt came to nothing."""
        if task.check is None:
            return self.placement.replace(now_ms, task)
        return place_check(self.placement, now_ms, task) if task.is_open and not live_attempts(task) else []

    # Nodes

    def _known(self, _now_ms: int, event: NodeKnown) -> list[Output]:
        self.placement.know(event)
        return []

    def _slot_freed(self, now_ms: int, event: SlotFreed) -> list[Output]:
        return self.placement.serve(now_ms, self.placement.lanes[event.workload], event.node)

    def _voided(self, _now_ms: int, event: AnswersVoided) -> list[Output]:
        self.placement.undo(event.node, Reason.VOID, event.count, event.workload)
        return []

    def _contradicted(self, _now_ms: int, event: FaultFound) -> list[Output]:
        self.placement.undo(event.node, Reason.CONTRADICTED, 1, event.workload)
        return []

    def _lane_changes(self, _now_ms: int, event: WorkloadOpened | WorkloadClosed) -> list[Output]:
        return change_lane(self.placement, event)

    def _capacity_changed(self, now_ms: int, event: CapacityChanged) -> list[Output]:
        lane = self.placement.lanes.get(event.workload)
        if lane is None:
            return []  # a workload that this network does not offer
        lane.lend(
            event.node,
            event.slots,
            event.benchmark_ms,
            event.lookahead,
            now_ms=now_ms,
            owner_state=event.owner_state,
        )
        is_lending = any(one.pool_of(event.node).has(event.node) for one in self.placement.lanes.values())
        self.placement.roster.set_lending(event.node, is_lending=is_lending)
        return self.placement.serve(now_ms, lane, event.node)

    def _capacity_lost(self, now_ms: int, event: CapacityLost) -> list[Output]:
        """A node is gone: what it was at is assigned again at once."""
        self.placement.withdraw(event.node, Reason.UNRESPONSIVE if event.is_missed else Reason.OFFLINE)
        outputs: list[Output] = []
        for assignment_id in self.placement.table.leases_of(event.node):
            found = self.placement.table.find(assignment_id)
            assert found is not None
            task, attempt = found
            self.placement.end_lease(task, attempt, Reason.LOST)
            outputs += self._replace(now_ms, task)
        return ends_last(outputs)

    def _tier_changed(self, now_ms: int, event: TierChanged) -> list[Output]:
        """What the node has in hand was given to it as what it was: that is given to somebody else."""
        outputs: list[Output] = []
        for task in self.placement.change_tier(event.node, event.tier):
            outputs += self._replace(now_ms, task)
        for lane in self.placement.lanes.values():
            outputs += self.placement.serve(now_ms, lane, event.node)
        return ends_last(outputs)

    # Time

    def _time_passed(self, now_ms: int, _event: TimePassed) -> list[Output]:
        outputs: list[Output] = []
        for _ in range(DUE_MAX):
            number = self.placement.deadlines.pop_due(now_ms)
            if number is None:
                break
            task = self.placement.table.tasks.get(number)
            if task is not None:
                task.armed_ms = -1
                outputs += self._attend(now_ms, task)
        return ends_last(outputs)

    def _attend(self, now_ms: int, task: Task) -> list[Output]:
        """Look at one task: end it at its deadline, give up on silent nodes, assign again what looks late."""
        due_ms = next_due_ms(task)
        if due_ms is not None and now_ms < due_ms and not task.is_waiting:
            self.placement.arm_for(task, due_ms)
            return []
        outputs: list[Output] = []
        if task.check is not None and task.is_open and now_ms >= task.deadline_ms:
            outputs += end_check(self.placement, task, CheckEnded(task.check.check))
        elif task.is_open and now_ms >= task.deadline_ms:
            self.placement.counts[Count.DEADLINE_EXCEEDED] += 1
            hint = f"no result within {task.job.deadline_ms} ms; allow a longer deadline_ms, or try again"
            outputs += self.placement.end(task, failed(task, JobCode.DEADLINE_EXCEEDED, hint))
        elif task.is_waiting and self._is_in_vain(now_ms, task):
            lane = self.placement.lanes[task.job.workload]
            outputs += self.placement.end(task, refused_for_want_of_nodes(self.placement, lane))
        missed: list[Output] = []
        for attempt in live_attempts(task):
            if is_ack_missed(attempt, now_ms):
                missed.append(self._missed(now_ms, task, attempt, Count.ACK_MISSED))
            elif now_ms >= task.deadline_ms + LEASE_GRACE_MS:
                missed.append(self._missed(now_ms, task, attempt, Count.LEASE_EXPIRED))
        if may_be_added_to(task):
            for attempt in [one for one in task.attempts if looks_late(one, now_ms)]:
                outputs += self.placement.add_attempt(now_ms, task, attempt)
        if missed:
            outputs += missed + self._replace(now_ms, task)
        self.placement.arm(task)
        return outputs

    def _is_in_vain(self, now_ms: int, task: Task) -> bool:
        """Whether it waited for nodes to offer again, and none did while the network settled."""
        pool = self.placement.lanes[task.job.workload].serving(task.job.assurance)
        return now_ms >= self._settling_until_ms and not task.assignments_made and not pool.slots_total

    def _missed(self, now_ms: int, task: Task, attempt: Attempt, count: Count) -> NodeMissed:
        """The node is out at once: other tasks look for a free slot in this same moment, before fleet hears of it."""
        self.placement.counts[count] += 1
        self.placement.resting.begin(now_ms, attempt.node)
        self.placement.withdraw(attempt.node, Reason.UNRESPONSIVE)
        self.placement.end_lease(task, attempt, _OF_MISSED[count])
        return NodeMissed(attempt.node)

    # The host

    def _started(self, now_ms: int, event: CoordinatorStarted) -> list[Output]:
        outputs: list[Output] = []
        for task in self.placement.table.open_tasks():
            hint = "the coordinator was restarted while this ran; send it again"
            outputs += self.placement.end(task, failed(task, JobCode.COORDINATOR_RESTARTED, hint, RETRY_AFTER_MS))
        outputs += end_checks(self.placement)
        self.placement.forget_leases()
        self.placement.begin(event)
        self._settling_until_ms = now_ms + SETTLING_MS
        return [*outputs, AnnounceCoordinator()]

    def _bus_reconnected(self, now_ms: int, _event: BusReconnected) -> list[Output]:
        """What was in flight is lost, through no fault of a node: open tasks wait for who offers again."""
        outputs = end_checks(self.placement)
        self.placement.forget_leases()
        self._settling_until_ms = now_ms + SETTLING_MS
        for task in self.placement.table.open_tasks():
            self.placement.wait_again(task)
        return [*outputs, AnnounceCoordinator()]

    def check(self) -> None:
        """Assert that nothing is lost, held twice, or waits without being watched."""
        self.placement.check()

    def snapshot(self) -> SchedulingSnapshot:
        """The state, to be encoded at once: it shares the machine's own objects."""
        return SchedulingSnapshot(self._settling_until_ms, self.placement.snapshot())

    def restore(self, snapshot: SchedulingSnapshot) -> None:
        """Take what `snapshot` gave, after a trip through bytes."""
        self._settling_until_ms = snapshot.settling_until_ms
        self.placement.restore(snapshot.placement)
