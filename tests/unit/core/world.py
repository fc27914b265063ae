"""A coordinator with a clock that the test moves: builders of events, and readers of what it answered."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from typing import TypeVar

from gridlight.core.coordinator import Coordinator
from gridlight.core.counts import Count
from gridlight.core.lanes import Lane
from gridlight.core.pools import Pool
from gridlight.core.scheduling import DUE_MAX
from gridlight.messages.codec import Effect, Event
from gridlight.messages.host import BusReconnected, CoordinatorStarted, TimePassed
from gridlight.messages.ids import AssignmentId, Blake3Digest, GatewayId, JobId, NodeId, WorkloadId
from gridlight.messages.jobs import CancelAssignment, EndJob, JobSubmitted, JobWithdrawn, Outcome, SendAssignment
from gridlight.messages.nodes import NodeDisconnected, NodeEnrolled, OfferChanged, SlotOffer
from gridlight.messages.results import ResultSubmitted, RunTiming
from gridlight.messages.tasks import (
    AssignmentAcknowledged,
    AssignmentDeclined,
    AssignmentFailed,
    AssignmentUndeliverable,
    DeclineReason,
    FailureCode,
    UndeliverableReason,
)
from gridlight.messages.trust import PRODUCTION, Assurance, EpochBegan, Tier, TrustParameters

WORKLOAD = WorkloadId("coco-ssd@sha256:" + "5d" * 32)
OTHER_WORKLOAD = WorkloadId("mobilenet@sha256:" + "0e" * 32)
GATEWAY = GatewayId("gateway-1")
DIGEST = Blake3Digest("ab" * 32)
OUTPUT = b"\0" * 12
BENCHMARK_MS = 100
START_MS = 1_000_000
SETTLED_MS = 10_000
_BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

E = TypeVar("E")


def node_id(number: int) -> NodeId:
    """A well-formed node id that stands for a number."""
    digits = ""
    while number:
        number, digit = divmod(number, 32)
        digits = _BASE32[digit] + digits
    return NodeId("U" + digits.rjust(55, "A"))


def job_id(number: int) -> JobId:
    """A well-formed job id that stands for a number."""
    return JobId(f"req_{number:026d}")


def session_id(number: int) -> str:
    """A well-formed session id that stands for a number."""
    return f"{number:016x}"


def enrolled(
    node: NodeId,
    *,
    gateway_id: GatewayId = GATEWAY,
    operator: NodeId | None = None,
    endorsed: Tier | None = Tier.TRUSTED,
    prefix: str = "",
) -> NodeEnrolled:
    """A gateway checked the node's proof of key; by default it is one of the founder's, with an operator of its own."""
    return NodeEnrolled(
        gateway_id=gateway_id,
        node_id=node,
        operator=operator or node,
        agent_version="1.0",
        cpus=4,
        memory_mib=8192,
        endorsed=endorsed,
        prefix=prefix,
    )


def offer(node: NodeId, *offers: SlotOffer, session: int = 1) -> OfferChanged:
    """The node's word on what it lends."""
    return OfferChanged(node_id=node, session=session_id(session), offers=offers)


def slots(count: int, *, workload: WorkloadId = WORKLOAD, benchmark_ms: int | None = BENCHMARK_MS) -> SlotOffer:
    """Slots of one workload."""
    return SlotOffer(workload=workload, slots=count, benchmark_ms=benchmark_ms)


def submitted(
    job: JobId,
    *,
    deadline_ms: int = 4_000,
    workload: WorkloadId = WORKLOAD,
    pinned_node: NodeId | None = None,
    assurance: Assurance = Assurance.NONE,
    is_public: bool = False,
) -> JobSubmitted:
    """A gateway asks who shall run a task; by default nobody is asked to check it."""
    return JobSubmitted(
        job_id=job,
        gateway_id=GATEWAY,
        workload=workload,
        deadline_ms=deadline_ms,
        input_digest=DIGEST,
        input_bytes=270_000,
        pinned_node=pinned_node,
        assurance=assurance,
        is_public=is_public,
    )


def digest_of(output: bytes) -> Blake3Digest:
    """Names an output; the core never looks into a digest."""
    return DIGEST if output == OUTPUT else Blake3Digest(blake2b(output, digest_size=32).hexdigest())


def secret(epoch: int) -> str:
    """An epoch's secret."""
    return f"{epoch:064x}"


def only(kind: type[E], messages: Iterable[object]) -> list[E]:
    """Those of one type, in order."""
    return [message for message in messages if isinstance(message, kind)]


def sends(effects: Iterable[Effect]) -> list[SendAssignment]:
    """The assignments among some effects."""
    return only(SendAssignment, effects)


def ends(effects: Iterable[Effect]) -> list[EndJob]:
    """The ends of jobs among some effects."""
    return only(EndJob, effects)


def cancels(effects: Iterable[Effect]) -> list[CancelAssignment]:
    """The cancellations among some effects."""
    return only(CancelAssignment, effects)


def outcome(effects: Iterable[Effect]) -> Outcome:
    """How the one job among some effects ended."""
    (end,) = ends(effects)
    return end.outcome


class World:
    """A settled network with no nodes, offering `WORKLOAD`. Every step checks the core's invariants."""

    def __init__(
        self, *, workloads: tuple[WorkloadId, ...] = (WORKLOAD,), seed: int = 7, trust: TrustParameters = PRODUCTION
    ) -> None:
        self.coordinator = Coordinator()
        self.now_ms = START_MS
        self.trust = trust
        self.jobs_made = 0
        self.nodes_made = 0
        self._is_in_bulk = False
        self.restart(workloads=workloads, seed=seed)
        self.now_ms += SETTLED_MS

    # Events

    def tell(self, event: Event) -> list[Effect]:
        """One event, now."""
        effects = self.coordinator.handle(self.now_ms, event)
        if not self._is_in_bulk:
            self.coordinator.check()
        return effects

    @contextmanager
    def in_bulk(self) -> Iterator[None]:
        """Very many events of one kind: the invariants are checked once, at the end."""
        self._is_in_bulk = True
        yield
        self._is_in_bulk = False
        self.coordinator.check()

    def time_passed(self) -> list[Effect]:
        """The host calls, whether anything is due or not; whatever was due is then in the future."""
        due_count_max = len(self.coordinator.scheduling.placement.deadlines)
        effects = self.tell(TimePassed())
        due_ms = self.coordinator.next_deadline_ms()
        assert due_ms is None or due_ms > self.now_ms or due_count_max > DUE_MAX, "the host would call for ever"
        return effects

    def pass_ms(self, ms: int) -> list[Effect]:
        """Time goes by, and the host calls at each deadline on the way."""
        until_ms = self.now_ms + ms
        effects: list[Effect] = []
        while (due_ms := self.coordinator.next_deadline_ms()) is not None and due_ms <= until_ms:
            self.now_ms = max(self.now_ms, due_ms)
            effects += self.time_passed()
        self.now_ms = until_ms
        return effects

    def restart(self, *, workloads: tuple[WorkloadId, ...] = (WORKLOAD,), seed: int = 7) -> list[Effect]:
        """A new process goes on."""
        return self.tell(CoordinatorStarted(seed=seed, workloads=workloads, trust=self.trust))

    def begin_epoch(self, epoch: int) -> list[Effect]:
        """The host drew a further secret."""
        return self.tell(EpochBegan(epoch=epoch, secret=secret(epoch), next_secret=secret(epoch + 1)))

    def go_on_from_a_snapshot(self) -> None:
        """A coordinator that was restored takes over, and its snapshot is the same."""
        snapshot = self.coordinator.snapshot()
        self.coordinator = Coordinator.restored(snapshot)
        self.coordinator.check()
        assert self.coordinator.snapshot() == snapshot

    def bus_reconnected(self) -> list[Effect]:
        """The bus was away."""
        return self.tell(BusReconnected())

    def join(
        self,
        *,
        slot_count: int = 1,
        benchmark_ms: int | None = BENCHMARK_MS,
        operator: NodeId | None = None,
        endorsed: Tier | None = Tier.TRUSTED,
        prefix: str = "",
    ) -> NodeId:
        """A new node enrols and offers, while nobody waits for it."""
        node = self.enrol(operator=operator, endorsed=endorsed, prefix=prefix)
        assert not sends(self.offer(node, slots(slot_count, benchmark_ms=benchmark_ms)))
        return node

    def enrol(
        self, *, operator: NodeId | None = None, endorsed: Tier | None = Tier.TRUSTED, prefix: str = ""
    ) -> NodeId:
        """A new node proves its key; it offers nothing yet."""
        self.nodes_made += 1
        node = node_id(self.nodes_made)
        self.tell(enrolled(node, operator=operator, endorsed=endorsed, prefix=prefix))
        return node

    def offer(self, node: NodeId, *offers: SlotOffer, session: int = 1) -> list[Effect]:
        """A node says what it lends."""
        return self.tell(offer(node, *offers, session=session))

    def disconnect(self, node: NodeId) -> list[Effect]:
        """The bus saw the node's connection close."""
        return self.tell(NodeDisconnected(node_id=node))

    def submit(
        self,
        *,
        deadline_ms: int = 4_000,
        workload: WorkloadId = WORKLOAD,
        pinned_node: NodeId | None = None,
        assurance: Assurance = Assurance.NONE,
        is_public: bool = False,
    ) -> list[Effect]:
        """A new job."""
        self.jobs_made += 1
        job = submitted(
            job_id(self.jobs_made),
            deadline_ms=deadline_ms,
            workload=workload,
            pinned_node=pinned_node,
            assurance=assurance,
            is_public=is_public,
        )
        return self.tell(job)

    def assign(
        self,
        *,
        deadline_ms: int = 4_000,
        pinned_node: NodeId | None = None,
        assurance: Assurance = Assurance.NONE,
        is_public: bool = False,
    ) -> SendAssignment:
        """A new job that is sent to a node at once."""
        effects = self.submit(
            deadline_ms=deadline_ms, pinned_node=pinned_node, assurance=assurance, is_public=is_public
        )
        (send,) = sends(effects)
        return send

    def withdraw(self, job: JobId) -> list[Effect]:
        """Nobody waits for the job any more."""
        return self.tell(JobWithdrawn(job_id=job))

    # Replies of the node an assignment was sent to, unless another is named

    def ack(
        self, send: SendAssignment, *, eta_ms: int = BENCHMARK_MS, elapsed_ms: int = 0, node: NodeId | None = None
    ) -> list[Effect]:
        """The node took it, which the gateway heard `elapsed_ms` after sending."""
        acknowledged = AssignmentAcknowledged(
            assignment_id=_assigned(send), node_id=node or send.node_id, eta_ms=eta_ms, elapsed_ms=elapsed_ms
        )
        return self.tell(acknowledged)

    def result(
        self,
        send: SendAssignment,
        *,
        output: bytes = OUTPUT,
        probes: tuple[int, ...] = (),
        node: NodeId | None = None,
    ) -> list[Effect]:
        """The node ran it."""
        return self.tell(
            ResultSubmitted(
                assignment_id=_assigned(send),
                node_id=node or send.node_id,
                output_digest=digest_of(output),
                output_bytes=len(output),
                timing=RunTiming(queue=0, infer=80),
                probes=probes,
                output=output,
            )
        )

    def decline(self, send: SendAssignment, reason: DeclineReason = DeclineReason.NO_FREE_SLOT) -> list[Effect]:
        """The node does not take it."""
        return self.tell(AssignmentDeclined(assignment_id=_assigned(send), node_id=send.node_id, reason=reason))

    def fail(self, send: SendAssignment, code: FailureCode = FailureCode.WORKER_CRASHED) -> list[Effect]:
        """The node took it and has no result."""
        return self.tell(AssignmentFailed(assignment_id=_assigned(send), node_id=send.node_id, code=code))

    def undeliverable(
        self, send: SendAssignment, reason: UndeliverableReason = UndeliverableReason.NO_RESPONDERS
    ) -> list[Effect]:
        """The gateway could not hand it over."""
        return self.tell(AssignmentUndeliverable(assignment_id=_assigned(send), node_id=send.node_id, reason=reason))

    # What can be read

    def count(self, count: Count) -> int:
        """One of scheduling's counters."""
        return self.coordinator.scheduling.placement.counts[count]

    @property
    def lane(self) -> Lane:
        """The lane of `WORKLOAD`."""
        return self.coordinator.scheduling.placement.lanes[WORKLOAD]

    @property
    def pool(self) -> Pool:
        """The trusted nodes of `WORKLOAD`."""
        return self.lane.trusted

    def number_of(self, node: NodeId) -> int:
        """The node's dense number."""
        number = self.coordinator.fleet.index_of(node)
        assert number is not None
        return number

    def tier_of(self, node: NodeId) -> Tier:
        """What the node may do, by all who know it."""
        number = self.number_of(node)
        tier = self.coordinator.reputation.tier_of(number)
        assert self.coordinator.scheduling.placement.roster.tier_of(number) is tier
        return tier


def _assigned(send: SendAssignment) -> AssignmentId:
    return send.assignment.assignment_id
