"""Holds the core to its promises: an account of its own of what it heard and said, and the properties that must hold.

A property is a function that raises CheckFailed, named for what it demands.
"""

from collections import OrderedDict
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, Final

from msgspec import Struct

from gridlight.core.attempts import ATTEMPTS_MAX, LEASE_GRACE_MS
from gridlight.core.coordinator import Coordinator
from gridlight.core.counts import Count
from gridlight.core.outcomes import PINNED_MAX, WAITING_MAX
from gridlight.core.placement import DISPATCHED
from gridlight.core.task_table import RECENT_MAX
from gridlight.messages.codec import Effect, Event
from gridlight.messages.host import BusReconnected, CoordinatorStarted, RecordNode
from gridlight.messages.ids import AssignmentId, JobId, NodeId, WorkloadId
from gridlight.messages.jobs import EndJob, JobState, JobSubmitted, Outcome, SendAssignment
from gridlight.messages.nodes import NodeDisconnected, OfferChanged
from gridlight.messages.results import ResultSubmitted
from gridlight.messages.tasks import (
    Assignment,
    AssignmentAcknowledged,
    AssignmentDeclined,
    AssignmentFailed,
    AssignmentUndeliverable,
)
from gridlight.messages.trust import Assurance, RecordStanding
from gridlight.messages.workloads import WorkloadApproved, WorkloadStopped
from gridlight.simulation.considered import Considered
from gridlight.simulation.deadlines import DeadlineCounts
from gridlight.simulation.demands import CheckFailed, demand
from gridlight.simulation.shares import Shares
from gridlight.simulation.trust_account import TrustAccount

OVERDUE_MS: Final = 5
"""So long after its deadline a job may be open, while the host is still at its batches."""

_DONE: Final = JobState.DONE
_HEDGED: Final = Count.HEDGED

HEDGE_PERCENT_MAX: Final = 6
HEDGES_AT_ONCE_MAX: Final = 16

ENDED_MAX: Final = 4 * RECENT_MAX
"""Ended jobs that the account remembers."""


class Job(Struct, gc=False):
    """A job that is open, as its gateway sees it."""

    deadline_ms: int
    asked_deadline_ms: int
    tried: list[NodeId]
    """Nodes that were sent it since the coordinator or the bus was last lost."""
    assurance: Assurance


class Lease(Struct, frozen=True, gc=False):
    """An assignment that its node owes a reply to."""

    job_id: JobId
    node_id: NodeId
    assignment: Assignment


class Lender(Struct, gc=False):
    """A node as its own connection shows it."""

    session: str
    depth: int
    leases: list[AssignmentId]


class Account:
    """Hears each event before the core's answer, and then that answer."""

    def __init__(self) -> None:
        self.jobs: dict[JobId, Job] = {}
        self.offered: dict[WorkloadId, bool] = {}
        """What came with the program or was ruled on, and whether it may run."""
        self.lenders: dict[NodeId, Lender] = {}
        self.leases: dict[AssignmentId, Lease] = {}
        self.trust = TrustAccount()
        self.deadlines = DeadlineCounts()
        self.shares = Shares()
        self.considered = Considered()
        self.is_foreign = False
        """What was heard last is no live assignment's reply."""
        self.ended: OrderedDict[JobId, Outcome] = OrderedDict()
        self.now_ms = 0
        self.result: ResultSubmitted | None = None
        """Of a job that is open, and so its end."""
        self._due: list[tuple[int, JobId]] = []
        self._leases_due: list[tuple[int, AssignmentId]] = []
        self._hears: dict[type, Callable[[int, Any], None]] = {
            JobSubmitted: self._submitted,
            OfferChanged: self._offered,
            NodeDisconnected: self._disconnected,
            BusReconnected: self._nobody_is_there,
            CoordinatorStarted: self._started,
            WorkloadApproved: self._ruled,
            WorkloadStopped: self._ruled,
            ResultSubmitted: self._replied,
            AssignmentAcknowledged: self._acknowledged,
            AssignmentDeclined: self._replied,
            AssignmentFailed: self._replied,
            AssignmentUndeliverable: self._replied,
        }
        self._sees: dict[type, Callable[[Account, Any], None]] = {
            SendAssignment: sent_to_who_may_have_it,
            EndJob: ended_once,
            RecordNode: recorded_as_gone,
        }
        self._sees_trust = self.trust.sees

    def follow(self, now_ms: int, event: Event, effects: list[Effect]) -> None:
        """One step of the core."""
        self.now_ms, self.is_foreign = now_ms, False
        hear = self._hears.get(type(event))
        if hear is not None:
            hear(now_ms, event)
        if self.is_foreign:
            demand(not effects, "P12: what is said of no live assignment changes nothing", event, "with", effects)
            return
        self.considered.follow(event, effects)
        self.trust.hear(event)
        if len(effects) > 1:
            self._lose_what_tiers_take(effects)
        for effect in effects:
            kind = type(effect)
            see = self._sees.get(kind)
            if see is not None:
                see(self, effect)
            elif kind in self._sees_trust:
                self._sees_trust[kind](effect)
        if self.result is not None:
            raise CheckFailed("a valid result is taken", f"assignment {self.result.assignment_id}")

    def nothing_is_overdue(self, now_ms: int) -> None:
        """No job is silent past its deadline."""
        while self._due and self._due[0][0] <= now_ms - OVERDUE_MS:
            due_ms, job_id = heappop(self._due)
            if job_id in self.jobs:
                raise CheckFailed("no job is silent past its deadline", f"{job_id} is {now_ms - due_ms} ms over")
        while self._leases_due and self._leases_due[0][0] <= now_ms - OVERDUE_MS:
            due_ms, assignment_id = heappop(self._leases_due)
            if assignment_id in self.leases:
                raise CheckFailed("P10: every lease ends in time", f"{assignment_id} is {now_ms - due_ms} ms over")

    def lease(self, node_id: NodeId, job_id: JobId, assignment: Assignment) -> None:
        """A node owes a reply."""
        lender, assignment_id = self.lenders.get(node_id), assignment.assignment_id
        if lender is None:
            raise CheckFailed("only nodes that are there are sent work", node_id)
        demand(len(lender.leases) < lender.depth, "no slot is over-committed", node_id)
        demand(assignment_id not in self.leases, "P10: an assignment id comes once", assignment_id)
        lender.leases.append(assignment_id)
        self.leases[assignment_id] = Lease(job_id, node_id, assignment)
        heappush(self._leases_due, (self.now_ms + assignment.deadline_ms + LEASE_GRACE_MS, assignment_id))

    def lose(self, node_id: NodeId) -> None:
        """Whatever the node was at is lost."""
        lender = self.lenders.pop(node_id, None)
        if lender is not None:
            self._end_leases(lender)
            self.shares.goes(self.trust.standings[node_id].operator)

    def end(self, job_id: JobId, outcome: Outcome) -> None:
        """The job's one end."""
        self.jobs.pop(job_id, None)
        self.ended[job_id] = outcome
        if len(self.ended) > ENDED_MAX:
            self.ended.popitem(last=False)

    def _end_leases(self, lender: Lender) -> None:
        for assignment_id in lender.leases:
            del self.leases[assignment_id]
        lender.leases = []

    def _lose_what_tiers_take(self, effects: list[Effect]) -> None:
        """A node that may do something else has nothing in hand any more of what it was given before."""
        for effect in effects:
            if type(effect) is RecordStanding and self.trust.standings[effect.node_id].tier is not effect.tier:
                lender = self.lenders.get(effect.node_id)
                if lender is not None:
                    self._end_leases(lender)

    def _submitted(self, now_ms: int, event: JobSubmitted) -> None:
        if event.job_id not in self.jobs and event.job_id not in self.ended:
            deadline_ms = now_ms + event.deadline_ms
            self.jobs[event.job_id] = Job(deadline_ms, event.deadline_ms, [], event.assurance)
            heappush(self._due, (deadline_ms, event.job_id))

    def _offered(self, _now_ms: int, event: OfferChanged) -> None:
        depth = sum(one.slots + one.lookahead for one in event.offers if one.slots)
        lender = self.lenders.get(event.node_id)
        if lender is not None and lender.session == event.session:
            lender.depth = depth
        else:
            self.lose(event.node_id)
            standing = self.trust.standings.get(event.node_id)
            if standing is not None:
                self.lenders[event.node_id] = Lender(event.session, depth, [])
                self.shares.comes(standing.operator)

    def _disconnected(self, _now_ms: int, event: NodeDisconnected) -> None:
        self.lose(event.node_id)

    def _started(self, now_ms: int, event: CoordinatorStarted) -> None:
        self.shares.share_ppm = event.trust.operator_share_ppm
        self.offered |= {workload: True for workload in event.workloads if workload not in self.offered}
        self._nobody_is_there(now_ms, event)

    def _ruled(self, _now_ms: int, event: WorkloadApproved | WorkloadStopped) -> None:
        self.offered[event.workload] = isinstance(event, WorkloadApproved)

    def _nobody_is_there(self, _now_ms: int, _event: BusReconnected | CoordinatorStarted) -> None:
        self.lenders.clear()
        self.leases.clear()
        self.shares.nobody_lends()
        for job in self.jobs.values():
            job.tried.clear()

    def _replied(
        self, _now_ms: int, event: ResultSubmitted | AssignmentDeclined | AssignmentFailed | AssignmentUndeliverable
    ) -> None:
        lease = self.leases.get(event.assignment_id)
        if lease is None or lease.node_id != event.node_id:
            self.is_foreign = True
            return
        del self.leases[event.assignment_id]
        self.lenders[event.node_id].leases.remove(event.assignment_id)
        job = self.jobs.get(lease.job_id)
        if type(event) is ResultSubmitted and job is not None:
            self.result = event
            self.trust.tried(lease.job_id, lease.assignment, job.tried)

    def _acknowledged(self, _now_ms: int, event: AssignmentAcknowledged) -> None:
        lease = self.leases.get(event.assignment_id)
        self.is_foreign = lease is None or lease.node_id != event.node_id


def sent_to_who_may_have_it(account: Account, effect: SendAssignment) -> None:
    """Six assignments of an open job at most, each to another node that is there and lends a place for it.

    Of a job that has ended, those that check it, each to a node that has nothing in common with who answered.
    """
    node_id, assignment = effect.node_id, effect.assignment
    is_offered = account.offered.get(assignment.workload, False)
    demand(is_offered, "P54: what is not approved, or is stopped, is given to nobody", assignment.workload)
    job = account.jobs.get(effect.job_id)
    if job is None:
        account.trust.check_is_sent(effect)
        account.deadlines.count(assignment.deadline_ms, is_check=True)
    else:
        demand(node_id not in job.tried, "no node is sent a job twice", effect.job_id, "to", node_id)
        demand(len(job.tried) < ATTEMPTS_MAX, "P11: a job has six attempts at most", effect.job_id)
        left_ms = assignment.deadline_ms
        demand(0 < left_ms <= job.asked_deadline_ms, "an assignment's deadline lies ahead", effect)
        account.deadlines.count(left_ms, is_check=False)
        job.tried.append(node_id)
    account.shares.give(account.now_ms, account.trust.standings[node_id].operator, is_check=job is None)
    account.lease(node_id, effect.job_id, assignment)


def ended_once(account: Account, effect: EndJob) -> None:
    """A job has one outcome, however often it is said; done means that a result has just come."""
    outcome, ended = effect.outcome, account.ended.get(effect.job_id)
    if ended is not None:
        demand(effect.is_repeated and outcome == ended, "a job has exactly one outcome", effect.job_id)
        return
    job = account.jobs.get(effect.job_id)
    if job is None or effect.is_repeated:
        raise CheckFailed("only open jobs end", effect.job_id)
    account.trust.job_ends(effect, job.assurance)
    if outcome.state is _DONE:
        result, account.result = account.result, None
        is_its_own = result is not None and result.assignment_id == outcome.assignment_id
        demand(is_its_own, "done means that there is a result", effect.job_id)
    else:
        demand(bool(outcome.code and outcome.hint), "whoever gets no result is told why", effect.job_id)
    account.end(effect.job_id, outcome)


def recorded_as_gone(account: Account, effect: RecordNode) -> None:
    """Who is recorded as offline holds nothing any more."""
    if not effect.is_online:
        account.lose(effect.enrolled.node_id)


def check_queues(core: Coordinator) -> None:
    """Every queue is within its bound, and so are hedges."""
    placement = core.scheduling.placement
    hedged, dispatched = placement.counts[_HEDGED], placement.counts[DISPATCHED]
    is_within = hedged * 100 <= HEDGE_PERCENT_MAX * dispatched + HEDGES_AT_ONCE_MAX * 100
    demand(is_within, "P11: hedges are within their budget", hedged, "of", dispatched)
    demand(len(placement.table.recent) <= RECENT_MAX, "queues are within their bounds", "ended jobs")
    for workload, lane in placement.lanes.items():
        demand(placement.waiting(lane) <= WAITING_MAX, "queues are within their bounds", "waiting for", workload)
        for node in lane.pinned:
            demand(lane.pinned_waiting(node) <= PINNED_MAX, "queues are within their bounds", "pinned to", node)


def check_core(core: Coordinator) -> None:
    """The core's own invariants. O(nodes + tasks)."""
    try:
        core.check()
    except AssertionError as error:
        raise CheckFailed("core.check()", str(error) or _where(error)) from error


def check_at_rest(core: Coordinator, *, open_at_gateways: int) -> None:
    """Once faults have stopped and nobody asks: everything has ended, and no lease is left but those of checks."""
    tasks = [task for task in core.scheduling.placement.table.tasks.values() if task.check is None]
    demand(not tasks, "every task ends once faults have stopped", len(tasks), "did not")
    demand(not open_at_gateways, "every requester is answered", open_at_gateways, "were not")


def check_settled(core: Coordinator, *, open_commits: int) -> None:
    """Later still: no check is left, nothing is in dispute, and no answer is provisional."""
    checks, cases = core.scheduling.placement.table.tasks, core.verification.docket.cases
    demand(not checks, "P10: every check ends", len(checks), "did not")
    demand(not cases, "at rest nothing is examined or in dispute any more", len(cases), "are")
    demand(not open_commits, "L2: every answer is told for good", open_commits, "were not")


def _where(error: AssertionError) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f"line {trace.tb_lineno} of {trace.tb_frame.f_code.co_filename}"
