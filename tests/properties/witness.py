"""An independent account of what a coordinator was told and said, kept to hold it to its promises."""

from dataclasses import dataclass, field
from hashlib import sha256

from gridlight.core.attempts import ATTEMPTS_MAX, LEASE_GRACE_MS
from gridlight.messages.codec import Effect, Event
from gridlight.messages.host import BusReconnected, CoordinatorStarted, RecordNode, TimePassed
from gridlight.messages.ids import AssignmentId, JobId, NodeId, WorkloadId
from gridlight.messages.jobs import (
    CancelAssignment,
    EndJob,
    JobState,
    JobSubmitted,
    Outcome,
    SendAssignment,
)
from gridlight.messages.nodes import NodeDisconnected, NodeEnrolled, OfferChanged
from gridlight.messages.results import ResultSubmitted
from gridlight.messages.tasks import AssignmentDeclined, AssignmentFailed, AssignmentUndeliverable
from gridlight.messages.trust import RecordStanding, Tier, Verification
from gridlight.messages.workloads import WorkloadApproved, WorkloadStopped


@dataclass
class Job:
    """A job as its gateway sees it."""

    submitted: JobSubmitted
    deadline_ms: int
    outcome: Outcome | None = None
    tried: list[NodeId] = field(default_factory=list)
    """Nodes that were sent it since the bus was last lost."""


@dataclass
class Lender:
    """A node as its own connection shows it."""

    is_online: bool = False
    tier: Tier = Tier.SHADOW
    session: str = ""
    depths: dict[WorkloadId, int] = field(default_factory=dict)
    """How many tasks of each workload it takes at once."""


class Witness:
    """Hears each event before the coordinator does, and each effect after."""

    def __init__(self) -> None:
        self.jobs: dict[JobId, Job] = {}
        self.nodes: dict[NodeId, Lender] = {}
        self.leases: dict[AssignmentId, SendAssignment] = {}
        self.seen: set[AssignmentId] = set()
        self.ends_ms: dict[AssignmentId, int] = {}
        """When a lease must be over, whatever its node does."""
        self.allowed: dict[WorkloadId, int | None] = {}
        """What the network offers, and until when."""
        self._serials: dict[WorkloadId, int] = {}
        self._first_party: set[WorkloadId] = set()
        self._now_ms = 0
        self.checks: set[AssignmentId] = set()
        """Assignments for which no requester waits."""
        self._held: dict[AssignmentId, SendAssignment] = {}
        self._result: ResultSubmitted | None = None

    def hear(self, now_ms: int, event: Event) -> None:
        """What the event ends or begins, by the protocol alone."""
        self._now_ms = now_ms
        self._result = None
        self._held = dict(self.leases)
        match event:
            case JobSubmitted(job_id=job_id):
                self.jobs.setdefault(job_id, Job(event, now_ms + event.deadline_ms))
            case NodeEnrolled(node_id=node_id):
                self.nodes.setdefault(node_id, Lender())
            case OfferChanged(node_id=node_id) if node_id in self.nodes:
                self._offered(event)
            case NodeDisconnected(node_id=node_id) if node_id in self.nodes:
                self._gone(node_id)
            case CoordinatorStarted(workloads=workloads):
                self._nobody_is_there()
                self._comes_with(set(workloads))
            case BusReconnected():
                self._nobody_is_there()
            case WorkloadApproved(workload=workload, serial=serial) if self._counts(event, now_ms):
                self._serials[workload] = serial
                self.allowed[workload] = event.expires_ms
            case WorkloadStopped(workload=workload, serial=serial) if serial > self._serials.get(workload, 0):
                self._serials[workload] = serial
                self._ends(workload)
            case TimePassed():
                for workload in [one for one, end in self.allowed.items() if end is not None and end <= now_ms]:
                    self._ends(workload)
            case ResultSubmitted() | AssignmentDeclined() | AssignmentFailed() | AssignmentUndeliverable():
                self._replied(event)
            case _:
                pass

    def see(self, effects: list[Effect]) -> None:
        """Whether each effect keeps the promises."""
        for effect in effects:
            match effect:
                case RecordStanding():
                    self._stands(effect)
                case SendAssignment():
                    self._sent(effect)
                case EndJob():
                    self._ended(effect)
                case CancelAssignment(assignment_id=assignment_id, node_id=node_id):
                    assert (self._held | self.leases)[assignment_id].node_id == node_id
                case RecordNode(is_online=False) if self.nodes[effect.enrolled.node_id].is_online:
                    self._gone(effect.enrolled.node_id)
                case _:
                    pass
        assert self._result is None, "a valid result was not taken"

    def nothing_is_overdue(self, now_ms: int) -> None:
        """To be asked once the host has let all due time pass."""
        for job in self.jobs.values():
            assert job.outcome is not None or now_ms < job.deadline_ms
        for assignment_id in self.leases:
            assert now_ms < self.ends_ms[assignment_id]

    def _comes_with(self, workloads: set[WorkloadId]) -> None:
        """What comes with a program is approved by that, unless the network stopped it."""
        for workload in self._first_party - workloads:
            self._ends(workload)
        for workload in workloads - self._first_party - self._serials.keys():
            self.allowed[workload] = None
        self._first_party = workloads

    def _counts(self, event: WorkloadApproved, now_ms: int) -> bool:
        is_its_manifest = sha256(event.manifest).hexdigest() == event.workload.rpartition(":")[2]
        is_newer = event.serial > self._serials.get(event.workload, 0)
        return is_its_manifest and is_newer and event.expires_ms > now_ms

    def _ends(self, workload: WorkloadId) -> None:
        """Nobody may be given it, and whatever was in hand of it is nobody's any more."""
        self.allowed.pop(workload, None)
        self.leases = {key: sent for key, sent in self.leases.items() if sent.assignment.workload != workload}

    def _stands(self, standing: RecordStanding) -> None:
        """From a node of another tier now all is taken but what was pinned to it."""
        node = self.nodes[standing.node_id]
        if node.tier is standing.tier:
            return
        node.tier = standing.tier
        self.leases = {
            key: sent
            for key, sent in self.leases.items()
            if sent.node_id != standing.node_id or (key not in self.checks and self._is_pinned(sent))
        }

    def _is_pinned(self, sent: SendAssignment) -> bool:
        return self.jobs[sent.job_id].submitted.pinned_node is not None

    def _offered(self, event: OfferChanged) -> None:
        node = self.nodes[event.node_id]
        if node.is_online and node.session != event.session:
            self._gone(event.node_id)
        node.is_online, node.session = True, event.session
        node.depths = {one.workload: one.slots + one.lookahead if one.slots else 0 for one in event.offers}

    def _gone(self, node_id: NodeId) -> None:
        self.nodes[node_id].is_online = False
        self.leases = {key: sent for key, sent in self.leases.items() if sent.node_id != node_id}

    def _nobody_is_there(self) -> None:
        for node_id in self.nodes:
            self._gone(node_id)
        for job in self.jobs.values():
            job.tried.clear()

    def _replied(
        self, event: ResultSubmitted | AssignmentDeclined | AssignmentFailed | AssignmentUndeliverable
    ) -> None:
        sent = self.leases.get(event.assignment_id)
        if sent is None or sent.node_id != event.node_id:
            return
        del self.leases[event.assignment_id]
        is_asked_for = event.assignment_id not in self.checks and self.jobs[sent.job_id].outcome is None
        if isinstance(event, ResultSubmitted) and is_asked_for:
            self._result = event

    def _sent(self, effect: SendAssignment) -> None:
        assignment, node_id = effect.assignment, effect.node_id
        job, node = self.jobs[effect.job_id], self.nodes[node_id]
        assert assignment.assignment_id not in self.seen, "an assignment id came twice"
        assert 0 < assignment.deadline_ms <= job.submitted.deadline_ms
        assert assignment.workload == job.submitted.workload
        assert assignment.workload in self.allowed, "P54: sent although nobody approved it, or it was stopped"
        assert node.is_online, "sent to a node that is away"
        held = [one for one in self.leases.values() if one.node_id == node_id]
        busy = sum(one.assignment.workload == assignment.workload for one in held)
        assert busy < node.depths.get(assignment.workload, 0), "more than the node lends"
        if job.outcome is None:
            assert job.submitted.pinned_node in (None, node_id)
            assert node_id not in job.tried, "sent twice to one node"
            job.tried.append(node_id)
            assert len(job.tried) <= ATTEMPTS_MAX
        else:
            assert job.outcome.verification is Verification.PROVISIONAL, "sent for a job that has ended"
            self.checks.add(assignment.assignment_id)
        self.seen.add(assignment.assignment_id)
        self.leases[assignment.assignment_id] = effect
        self.ends_ms[assignment.assignment_id] = self._now_ms + assignment.deadline_ms + LEASE_GRACE_MS

    def _ended(self, effect: EndJob) -> None:
        job = self.jobs[effect.job_id]
        if job.outcome is not None:
            assert effect.is_repeated
            assert effect.outcome == job.outcome, "two ends of one job"
            return
        assert not effect.is_repeated
        job.outcome = effect.outcome
        if effect.outcome.state is JobState.DONE:
            assert self._result is not None, "done without a result"
            assert effect.outcome.assignment_id == self._result.assignment_id
            assert effect.outcome.output == self._result.output
            self._result = None
        else:
            assert effect.outcome.code
            assert effect.outcome.hint
