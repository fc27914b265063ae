"""How simulated nodes decide: as a model in columns, or as the real `core.agent` with each message through the codec.

Both say the very same; a test holds one against the other.
"""

from typing import Protocol

from msgspec.structs import replace

from gridlight.core.agent import (
    Agent,
    AgentEvent,
    BusOpened,
    PublishOffer,
    Reply,
    Run,
    RunFailed,
    RunFinished,
    WorkerReady,
    lookahead_of,
)
from gridlight.messages import codec
from gridlight.messages.codec import NodeReply
from gridlight.messages.ids import AssignmentId, WorkloadId
from gridlight.messages.nodes import CancelWork, OfferChanged, RequestOffer, SlotOffer
from gridlight.messages.results import ResultSubmitted, RunTiming
from gridlight.messages.tasks import (
    Assignment,
    AssignmentAcknowledged,
    AssignmentDeclined,
    AssignmentFailed,
    DeclineReason,
    FailureCode,
)
from gridlight.simulation.answers import Answer
from gridlight.simulation.population import Population

WORKLOAD = WorkloadId("simulated@sha256:" + "51" * 32)
_MEAN_WEIGHT = 8


class Minds(Protocol):
    """What the nodes answer. A node's process ends and begins; its connection may break without that."""

    def begin(self, node: int) -> None:
        """A new process, connected."""

    def end(self, node: int) -> None:
        """The process is gone, and all that it knew."""

    def offer(self, node: int) -> OfferChanged:
        """What it lends on its present connection."""

    def assigned(self, node: int, assignment: Assignment) -> AssignmentAcknowledged | AssignmentDeclined | None:
        """Its answer to an assignment; none to one that it has already."""

    def cancel(self, node: int, assignment_id: AssignmentId) -> None:
        """It hears that a result is not wanted."""

    def is_wanted(self, node: int, assignment_id: AssignmentId) -> bool:
        """Whether an assignment that waits for a worker is still worth running."""

    def finished(
        self, node: int, assignment_id: AssignmentId, answer: Answer, *, infer_ms: int, run_ms: int
    ) -> NodeReply:
        """A worker has a result."""

    def failed(self, node: int, assignment_id: AssignmentId, code: FailureCode) -> NodeReply:
        """A worker has none."""


class ModelMinds:
    """Columns and two tables; what idle nodes cost is nothing."""

    def __init__(self, population: Population) -> None:
        self._population = population
        self._taken: dict[int, dict[AssignmentId, bool]] = {}
        """For nodes at work, what they have in hand, and whether it is still wanted."""

    def begin(self, node: int) -> None:
        """See Minds."""
        self._population.mean_run_ms[node] = self._population.benchmark_ms[node]

    def end(self, node: int) -> None:
        """See Minds."""
        self._taken.pop(node, None)

    def offer(self, node: int) -> OfferChanged:
        """See Minds."""
        population = self._population
        slots, benchmark_ms = population.slots[node], population.benchmark_ms[node]
        lookahead = lookahead_of(slots, benchmark_ms)
        lent = SlotOffer(workload=WORKLOAD, slots=slots, lookahead=lookahead, benchmark_ms=benchmark_ms)
        return OfferChanged(node_id=population.ids[node], session=population.session_id(node), offers=(lent,))

    def assigned(self, node: int, assignment: Assignment) -> AssignmentAcknowledged | AssignmentDeclined | None:
        """See Minds."""
        population, assignment_id = self._population, assignment.assignment_id
        taken = self._taken.get(node)
        slots = population.slots[node]
        if taken is not None and assignment_id in taken:
            return None
        reason: DeclineReason | None = None
        if taken is not None and len(taken) >= slots + lookahead_of(slots, population.benchmark_ms[node]):
            reason = DeclineReason.NO_FREE_SLOT
        elif assignment.deadline_ms < population.benchmark_ms[node]:
            reason = DeclineReason.DEADLINE_TOO_SHORT
        if reason is not None:
            return AssignmentDeclined(assignment_id=assignment_id, node_id=population.ids[node], reason=reason)
        if taken is None:
            taken = self._taken[node] = {}
        taken[assignment_id] = True
        eta_ms = population.mean_run_ms[node] * -(-len(taken) // slots)
        return AssignmentAcknowledged(assignment_id=assignment_id, node_id=population.ids[node], eta_ms=eta_ms)

    def cancel(self, node: int, assignment_id: AssignmentId) -> None:
        """See Minds."""
        taken = self._taken.get(node)
        if taken is not None and assignment_id in taken:
            taken[assignment_id] = False

    def is_wanted(self, node: int, assignment_id: AssignmentId) -> bool:
        """See Minds."""
        return self._taken[node][assignment_id]

    def finished(
        self, node: int, assignment_id: AssignmentId, answer: Answer, *, infer_ms: int, run_ms: int
    ) -> NodeReply:
        """See Minds."""
        if not self._taken[node][assignment_id]:
            return self.failed(node, assignment_id, FailureCode.CANCELLED)
        self._put_down(node, assignment_id)
        mean_run_ms = self._population.mean_run_ms
        mean_run_ms[node] += (infer_ms - mean_run_ms[node]) // _MEAN_WEIGHT
        return ResultSubmitted(
            assignment_id=assignment_id,
            node_id=self._population.ids[node],
            output_digest=answer.digest,
            output_bytes=len(answer.output),
            timing=RunTiming(queue=max(run_ms - infer_ms, 0), infer=infer_ms),
            probes=answer.probes,
            output=answer.output,
        )

    def failed(self, node: int, assignment_id: AssignmentId, code: FailureCode) -> NodeReply:
        """See Minds."""
        self._put_down(node, assignment_id)
        return AssignmentFailed(assignment_id=assignment_id, node_id=self._population.ids[node], code=code)

    def _put_down(self, node: int, assignment_id: AssignmentId) -> None:
        taken = self._taken[node]
        del taken[assignment_id]
        if not taken:
            del self._taken[node]


class FullMinds:
    """The machine that each agent runs; whatever it hears and says goes through the codec."""

    def __init__(self, population: Population) -> None:
        self._population = population
        self._agents: dict[int, Agent] = {}

    def begin(self, node: int) -> None:
        """See Minds."""
        agent = self._agents[node] = Agent(self._population.ids[node])
        for _ in range(self._population.slots[node]):
            agent.handle(0, WorkerReady(WORKLOAD, self._population.benchmark_ms[node]))

    def end(self, node: int) -> None:
        """See Minds."""
        del self._agents[node]

    def offer(self, node: int) -> OfferChanged:
        """See Minds."""
        agent = self._agents[node]
        agent.handle(0, BusOpened(self._population.session_id(node)))
        request = codec.node_controls.decode(codec.encode(RequestOffer(node_id=self._population.ids[node])))
        assert isinstance(request, RequestOffer)
        (effect,) = agent.handle(0, request)
        assert isinstance(effect, PublishOffer)
        return codec.node_offers.decode(codec.encode(effect.offer))

    def assigned(self, node: int, assignment: Assignment) -> AssignmentAcknowledged | AssignmentDeclined | None:
        """See Minds."""
        effects = self._agents[node].handle(0, codec.assignments.decode(codec.encode(assignment)))
        if not effects:
            return None
        reply = _heard(effects[0])
        assert isinstance(reply, AssignmentAcknowledged | AssignmentDeclined)
        assert isinstance(reply, AssignmentDeclined) or isinstance(effects[1], Run)
        return reply

    def cancel(self, node: int, assignment_id: AssignmentId) -> None:
        """See Minds."""
        cancel = codec.node_controls.decode(codec.encode(CancelWork(assignment_id=assignment_id)))
        assert isinstance(cancel, CancelWork)
        self._agents[node].handle(0, cancel)

    def is_wanted(self, node: int, assignment_id: AssignmentId) -> bool:
        """See Minds."""
        return self._agents[node].is_wanted(assignment_id)

    def finished(
        self, node: int, assignment_id: AssignmentId, answer: Answer, *, infer_ms: int, run_ms: int
    ) -> NodeReply:
        """See Minds."""
        finished = RunFinished(
            assignment_id=assignment_id,
            output=answer.output,
            output_digest=answer.digest,
            probes=answer.probes,
            infer_ms=infer_ms,
            run_ms=run_ms,
        )
        return self._one_reply(node, finished)

    def failed(self, node: int, assignment_id: AssignmentId, code: FailureCode) -> NodeReply:
        """See Minds."""
        return self._one_reply(node, RunFailed(assignment_id, code))

    def _one_reply(self, node: int, event: AgentEvent) -> NodeReply:
        (effect,) = self._agents[node].handle(0, event)
        return _heard(effect)


def _heard(effect: object) -> NodeReply:
    """What the coordinator hears: the gateway puts a result's body into its message."""
    assert isinstance(effect, Reply)
    message = codec.node_replies.decode(codec.encode(effect.message))
    return replace(message, output=effect.body) if isinstance(message, ResultSubmitted) else message


def with_elapsed(reply: NodeReply, elapsed_ms: int) -> NodeReply:
    """What the gateway says of an acknowledgement: how long after sending it came."""
    return replace(reply, elapsed_ms=elapsed_ms) if isinstance(reply, AssignmentAcknowledged) else reply
