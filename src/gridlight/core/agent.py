"""The node's side: which assignments it takes, what it answers, and what it offers.

An assignment is acknowledged or declined before its input is looked at. A node lends what its workers can run; one
that is draining lends nothing.
"""

from collections.abc import Sequence
from typing import Final, assert_never

from msgspec import Struct

from gridlight.messages.ids import AssignmentId, Blake3Digest, NodeId, WorkloadId
from gridlight.messages.nodes import CancelWork, DrainNode, OfferChanged, RequestOffer, SlotOffer
from gridlight.messages.results import ResultSubmitted, RunTiming
from gridlight.messages.tasks import (
    Assignment,
    AssignmentAcknowledged,
    AssignmentDeclined,
    AssignmentFailed,
    DeclineReason,
    FailureCode,
)
from gridlight.messages.workloads import StopWorkload

_MEAN_WEIGHT: Final = 8


class WorkerReady(Struct, frozen=True, gc=False):
    """A worker process is up: one more slot of its workload can be lent."""

    workload: WorkloadId
    benchmark_ms: int


class WorkerLost(Struct, frozen=True, gc=False):
    """A worker process died or was killed: one slot fewer."""

    workload: WorkloadId


class BusOpened(Struct, frozen=True, gc=False):
    """A new connection to the bus."""

    session: str


class RunFinished(Struct, frozen=True, gc=False):
    """A worker gave a result after `infer_ms` of running, `run_ms` after the assignment was taken."""

    assignment_id: AssignmentId
    output: bytes
    output_digest: Blake3Digest
    probes: tuple[int, ...]
    infer_ms: int
    run_ms: int


class RunFailed(Struct, frozen=True, gc=False):
    """A worker gave no result."""

    assignment_id: AssignmentId
    code: FailureCode


class InputSpoiled(Struct, frozen=True, gc=False):
    """The input that came with an assignment is not what the assignment says."""

    assignment_id: AssignmentId


class ConsentRevoked(Struct, frozen=True, gc=False):
    """The operator does not want this workload to run here any more; its workers are being killed."""

    workload: WorkloadId


class Reply(Struct, frozen=True, gc=False):
    """To the host: sign this and send it to whoever sent the assignment."""

    assignment_id: AssignmentId
    message: AssignmentAcknowledged | AssignmentDeclined | AssignmentFailed | ResultSubmitted
    body: bytes = b""

    @property
    def is_last(self) -> bool:
        """Whether nothing more will be said of this assignment."""
        return not isinstance(self.message, AssignmentAcknowledged)


class Run(Struct, frozen=True, gc=False):
    """To the host: give the input to a free worker."""

    assignment: Assignment


class PublishOffer(Struct, frozen=True, gc=False):
    """To the host: publish what this node lends now."""

    offer: OfferChanged


AgentEvent = (
    Assignment
    | CancelWork
    | DrainNode
    | RequestOffer
    | WorkerReady
    | WorkerLost
    | BusOpened
    | RunFinished
    | RunFailed
    | InputSpoiled
    | StopWorkload
    | ConsentRevoked
)
AgentEffect = Reply | Run | PublishOffer


class Lending(Struct, gc=False):
    """One workload on this node."""

    slots: int
    benchmark_ms: int
    mean_run_ms: int
    taken: int = 0

    @property
    def lookahead(self) -> int:
        """One task held in readiness for each that runs."""
        return self.slots


class Running(Struct, gc=False):
    """An assignment that a worker is at."""

    workload: WorkloadId
    is_cancelled: bool = False


class Agent:
    """The machine of one node."""

    def __init__(self, node_id: NodeId) -> None:
        self.is_draining = False
        self._node_id = node_id
        self._session = ""
        self._lendings: dict[WorkloadId, Lending] = {}
        self._running: dict[AssignmentId, Running] = {}

    @property
    def is_idle(self) -> bool:
        """Whether no assignment runs: a draining node may leave."""
        return not self._running

    def is_wanted(self, assignment_id: AssignmentId) -> bool:
        """Whether an assignment that waits for a worker is still worth running."""
        return assignment_id in self._running and not self._running[assignment_id].is_cancelled

    def handle(self, now_ms: int, event: AgentEvent) -> Sequence[AgentEffect]:
        """O(1)."""
        match event:
            case Assignment():
                return self._assigned(event)
            case RunFinished() | RunFailed():
                return self._ran(event)
            case InputSpoiled(assignment_id=assignment_id):
                return [self._fail(assignment_id, FailureCode.INPUT_SPOILED)]
            case CancelWork(assignment_id=assignment_id):
                if assignment_id in self._running:
                    self._running[assignment_id].is_cancelled = True
                return []
            case DrainNode():
                self.is_draining = True
                return self.offers()
            case RequestOffer():
                return self.offers()
            case StopWorkload(workload=workload) | ConsentRevoked(workload=workload):
                return self._withdraw(workload)
            case WorkerReady() | WorkerLost():
                self._count_worker(event)
                return self.offers()
            case BusOpened(session=session):
                self._session = session
                return self.offers()
            case _:
                assert_never(event)

    def offers(self) -> list[PublishOffer]:
        """What stands now; nothing while there is no connection to publish it on."""
        if not self._session:
            return []
        offers = tuple(
            SlotOffer(
                workload=workload,
                slots=0 if self.is_draining else lending.slots,
                lookahead=0 if self.is_draining else lending.lookahead,
                benchmark_ms=lending.benchmark_ms,
            )
            for workload, lending in self._lendings.items()
        )
        return [PublishOffer(OfferChanged(node_id=self._node_id, session=self._session, offers=offers))]

    def _assigned(self, event: Assignment) -> list[AgentEffect]:
        if event.assignment_id in self._running:
            return []  # delivered twice; the first one answers
        lending = self._lendings.get(event.workload)
        reason = self._reason_to_decline(event, lending)
        if reason is not None or lending is None:
            assert reason is not None
            declined = AssignmentDeclined(assignment_id=event.assignment_id, node_id=self._node_id, reason=reason)
            return [Reply(event.assignment_id, declined)]
        lending.taken += 1
        self._running[event.assignment_id] = Running(event.workload)
        eta_ms = lending.mean_run_ms * -(-lending.taken // lending.slots)
        acknowledged = AssignmentAcknowledged(assignment_id=event.assignment_id, node_id=self._node_id, eta_ms=eta_ms)
        return [Reply(event.assignment_id, acknowledged), Run(event)]

    def _reason_to_decline(self, event: Assignment, lending: Lending | None) -> DeclineReason | None:
        if self.is_draining:
            return DeclineReason.DRAINING
        if lending is None:
            return DeclineReason.UNKNOWN_WORKLOAD
        if lending.taken >= lending.slots + lending.lookahead:
            return DeclineReason.NO_FREE_SLOT
        if event.deadline_ms < lending.benchmark_ms:
            return DeclineReason.DEADLINE_TOO_SHORT
        return None

    def _ran(self, event: RunFinished | RunFailed) -> list[AgentEffect]:
        if event.assignment_id not in self._running:
            return []  # its workload was stopped or revoked meanwhile, and it was handed back
        if isinstance(event, RunFailed):
            return [self._fail(event.assignment_id, event.code)]
        return self._finished(event)

    def _finished(self, event: RunFinished) -> list[AgentEffect]:
        running = self._running[event.assignment_id]
        if running.is_cancelled:
            return [self._fail(event.assignment_id, FailureCode.CANCELLED)]
        lending = self._end(event.assignment_id)
        lending.mean_run_ms += (event.infer_ms - lending.mean_run_ms) // _MEAN_WEIGHT
        result = ResultSubmitted(
            assignment_id=event.assignment_id,
            node_id=self._node_id,
            output_digest=event.output_digest,
            output_bytes=len(event.output),
            timing=RunTiming(queue=max(event.run_ms - event.infer_ms, 0), infer=event.infer_ms),
            probes=event.probes,
        )
        return [Reply(event.assignment_id, result, event.output)]

    def _fail(self, assignment_id: AssignmentId, code: FailureCode) -> Reply:
        self._end(assignment_id)
        return Reply(assignment_id, AssignmentFailed(assignment_id=assignment_id, node_id=self._node_id, code=code))

    def _withdraw(self, workload: WorkloadId) -> list[AgentEffect]:
        """Nothing of it runs here from now on: what it was at is handed back at once, so that others can do it."""
        at_it = [one for one, running in self._running.items() if running.workload == workload]
        handed_back: list[AgentEffect] = [self._fail(one, FailureCode.HANDED_BACK) for one in at_it]
        if self._lendings.pop(workload, None) is None:
            return []
        return [*handed_back, *self.offers()]

    def _end(self, assignment_id: AssignmentId) -> Lending:
        lending = self._lendings[self._running.pop(assignment_id).workload]
        lending.taken -= 1
        assert lending.taken >= 0
        return lending

    def _count_worker(self, event: WorkerReady | WorkerLost) -> None:
        match event:
            case WorkerReady(workload=workload, benchmark_ms=benchmark_ms):
                lending = self._lendings.setdefault(workload, Lending(0, benchmark_ms, benchmark_ms))
                lending.slots += 1
                lending.benchmark_ms = benchmark_ms
            case WorkerLost(workload=workload) if workload in self._lendings:
                self._lendings[workload].slots -= 1
                assert self._lendings[workload].slots >= 0
            case WorkerLost():
                pass  # of a workload that was stopped or revoked
            case _:
                assert_never(event)
