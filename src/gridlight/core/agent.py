"""The node's side: which assignments it takes, what it answers, and what it offers.

An assignment is acknowledged or declined before its input is looked at. A node lends what its workers can run and its
operator allows; one that is draining lends nothing. What runs when it has to yield is handed back at once.
"""

from collections.abc import Sequence
from typing import Final, assert_never

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from gridlight.core.owner import Belief
from gridlight.messages.control import DoneSoFar, Stance
from gridlight.messages.ids import AssignmentId, Blake3Digest, NodeId, WorkloadId
from gridlight.messages.limits import SLOTS_PER_OFFER_MAX
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

QUICK_MS: Final = 60
"""A run that takes less is over before the next input is there, where a busy gateway gathers what it tells."""

_MEAN_WEIGHT: Final = 8


def lookahead_of(slots: int, benchmark_ms: int) -> int:
    """How many tasks are held in readiness beyond those that run: one for each, or two where runs are quick."""
    return slots if benchmark_ms >= QUICK_MS else min(2 * slots, SLOTS_PER_OFFER_MAX)


class WorkerReady(Struct, frozen=True, gc=False):
    """A worker process is up: one more slot of its workload can be lent."""

    workload: WorkloadId
    benchmark_ms: int


class WorkerLost(Struct, frozen=True, gc=False):
    """A worker process died or was killed: one slot fewer."""

    workload: WorkloadId


class BusOpened(Struct, frozen=True, gc=False):
    """A new connection to the bus, of this process."""

    session: str
    process: str | UnsetType = UNSET


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


class BeliefChanged(Struct, frozen=True, gc=False):
    """The operator lends the machine now, or does so no longer, or more or less of it."""

    belief: Belief


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


class KeepWorkers(Struct, frozen=True, gc=False):
    """To the host: so many workers of each workload may be up; end the others, those at work when they are done, and
    all of them at once where it is none."""

    count: int


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
    | BeliefChanged
    | StopWorkload
    | ConsentRevoked
)
AgentEffect = Reply | Run | PublishOffer | KeepWorkers


class Lending(Struct, gc=False):
    """One workload on this node."""

    slots: int
    benchmark_ms: int
    mean_run_ms: int
    taken: int = 0


class Running(Struct, gc=False):
    """An assignment that a worker is at."""

    workload: WorkloadId
    is_cancelled: bool = False


class Agent:
    """The machine of one node."""

    def __init__(self, node_id: NodeId) -> None:
        self.is_draining = False
        self.done = DoneSoFar()
        self._belief = Belief(stance=Stance.LENDING, cpus=SLOTS_PER_OFFER_MAX)
        self.node_id = node_id
        self._session = ""
        self._process: str | UnsetType = UNSET
        self._lendings: dict[WorkloadId, Lending] = {}
        self._running: dict[AssignmentId, Running] = {}

    @property
    def is_idle(self) -> bool:
        """Whether no assignment runs: a draining node may leave."""
        return not self._running

    @property
    def running(self) -> int:
        """Assignments in hand."""
        return len(self._running)

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
                return self._fail(assignment_id, FailureCode.INPUT_SPOILED)
            case BeliefChanged(belief=belief):
                return self._believe(belief)
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
            case BusOpened(session=session, process=process):
                self._session, self._process = session, process
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
                slots=self._lent(lending),
                lookahead=lookahead_of(self._lent(lending), lending.benchmark_ms),
                benchmark_ms=lending.benchmark_ms,
            )
            for workload, lending in self._lendings.items()
        )
        offer = OfferChanged(
            node_id=self.node_id,
            session=self._session,
            offers=offers,
            owner_state=self._belief.owner_state,
            process=self._process,
        )
        return [PublishOffer(offer)]

    def _lent(self, lending: Lending) -> int:
        """Slots of one workload; the operator's CPUs are the bound of each."""
        return 0 if self.is_draining else min(lending.slots, self._belief.cpus)

    def _believe(self, belief: Belief) -> list[AgentEffect]:
        """The offer goes first, so that nothing more is sent here; then what runs is handed back, and is no loss."""
        self._belief = belief
        effects: list[AgentEffect] = [*self.offers()]
        if belief.stance is Stance.YIELDING:
            for assignment_id in list(self._running):
                effects += self._fail(assignment_id, FailureCode.HANDED_BACK)
        if belief.stance is not Stance.FINISHING or self.is_idle:
            effects.append(KeepWorkers(belief.cpus))
        return effects

    def _assigned(self, event: Assignment) -> list[AgentEffect]:
        if event.assignment_id in self._running:
            return []  # delivered twice; the first one answers
        lending = self._lendings.get(event.workload)
        reason = self._reason_to_decline(event, lending)
        if reason is not None or lending is None:
            assert reason is not None
            declined = AssignmentDeclined(assignment_id=event.assignment_id, node_id=self.node_id, reason=reason)
            return [Reply(event.assignment_id, declined)]
        lending.taken += 1
        self.done = replace(self.done, taken=self.done.taken + 1)
        self._running[event.assignment_id] = Running(event.workload)
        eta_ms = lending.mean_run_ms * -(-lending.taken // self._lent(lending))
        acknowledged = AssignmentAcknowledged(assignment_id=event.assignment_id, node_id=self.node_id, eta_ms=eta_ms)
        return [Reply(event.assignment_id, acknowledged), Run(event)]

    def _reason_to_decline(self, event: Assignment, lending: Lending | None) -> DeclineReason | None:
        if self.is_draining or self._belief.stance is not Stance.LENDING:
            return DeclineReason.DRAINING
        if lending is None:
            return DeclineReason.UNKNOWN_WORKLOAD
        # Workloads share the processors: what all of them hold in readiness is bounded like what one may.
        taken_max, running_max = (
            slots + lookahead_of(slots, lending.benchmark_ms) for slots in (self._lent(lending), self._belief.cpus)
        )
        if lending.taken >= taken_max or len(self._running) >= running_max:
            return DeclineReason.NO_FREE_SLOT
        if event.deadline_ms < lending.benchmark_ms:
            return DeclineReason.DEADLINE_TOO_SHORT
        return None

    def _ran(self, event: RunFinished | RunFailed) -> list[AgentEffect]:
        if isinstance(event, RunFailed):
            return self._fail(event.assignment_id, event.code)
        return self._finished(event)

    def _finished(self, event: RunFinished) -> list[AgentEffect]:
        running = self._running.get(event.assignment_id)
        if running is None:
            return []  # handed back meanwhile, to its operator or since its workload was stopped
        if running.is_cancelled:
            return self._fail(event.assignment_id, FailureCode.CANCELLED)
        lending = self._end(event.assignment_id)
        lending.mean_run_ms += (event.infer_ms - lending.mean_run_ms) // _MEAN_WEIGHT
        self.done = replace(self.done, finished=self.done.finished + 1)
        result = ResultSubmitted(
            assignment_id=event.assignment_id,
            node_id=self.node_id,
            output_digest=event.output_digest,
            output_bytes=len(event.output),
            timing=RunTiming(queue=max(event.run_ms - event.infer_ms, 0), infer=event.infer_ms),
            probes=event.probes,
        )
        return [Reply(event.assignment_id, result, event.output), *self._rest()]

    def _fail(self, assignment_id: AssignmentId, code: FailureCode) -> list[AgentEffect]:
        if assignment_id not in self._running:
            return []  # handed back meanwhile
        self._end(assignment_id)
        if code is FailureCode.HANDED_BACK:
            self.done = replace(self.done, handed_back=self.done.handed_back + 1)
        elif code is not FailureCode.CANCELLED:
            self.done = replace(self.done, failed=self.done.failed + 1)
        failed = AssignmentFailed(assignment_id=assignment_id, node_id=self.node_id, code=code)
        return [Reply(assignment_id, failed), *self._rest()]

    def _rest(self) -> list[AgentEffect]:
        """Whoever was to finish, and has, needs no workers any more."""
        return [KeepWorkers(0)] if self._belief.stance is Stance.FINISHING and self.is_idle else []

    def _withdraw(self, workload: WorkloadId) -> list[AgentEffect]:
        """Nothing of it runs here from now on: what it was at is handed back at once, so that others can do it."""
        handed_back: list[AgentEffect] = []
        for assignment_id in [one for one, running in self._running.items() if running.workload == workload]:
            handed_back += self._fail(assignment_id, FailureCode.HANDED_BACK)
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
