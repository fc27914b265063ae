"""A coordinator driven by events in any order, with a witness, and a twin that was restored from a snapshot."""

from typing import Any, get_args

import msgspec
from tests.properties.trust_witness import TrustWitness
from tests.properties.witness import Witness
from tests.unit.core.world import START_MS, digest_of, secret

from gridlight.core.coordinator import Coordinator
from gridlight.messages.codec import Effect, Event, GatewayEffect, decode_record, encode, encode_record, gateway_effects
from gridlight.messages.host import CoordinatorStarted, TimePassed
from gridlight.messages.ids import NodeId, WorkloadId
from gridlight.messages.jobs import SendAssignment
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
from gridlight.messages.trust import PRODUCTION, EpochBegan, RecordFault, TrustParameters
from gridlight.simulation.considered import Considered

_SENT_MAX = 40
_HELD_EACH = 8
"""Counts are held against the witness's after so many events: every node is asked, and what is wrong stays wrong."""


class Drive:
    """Every step checks the invariants, the promises, and that a twin says the very same.

    What a node finds follows from the task alone, and is nothing in every seventh picture. Liars all say the same.
    """

    def __init__(self, trust: TrustParameters = PRODUCTION, *, is_patient: bool = False) -> None:
        self.coordinator = Coordinator()
        self.witness = Witness()
        self.trust = TrustWitness(trust)
        self.considered = Considered()
        self.is_patient = is_patient
        """Whether promises of verification that are broken are only noted."""
        self.liars: set[NodeId] = set()
        self._lied: set[NodeId] = set()
        self.now_ms = START_MS
        self.epoch = 0
        self.sent: list[SendAssignment] = []
        """The last assignments, ended or not: who replies to them may be late."""
        self._twin: Coordinator | None = None
        self.history: list[tuple[int, bytes]] = []

    def tell(self, event: Event) -> list[Effect]:
        """One event, now."""
        self.history.append((self.now_ms, encode_record([event])))
        is_of_no_lease = isinstance(event, ResultSubmitted) and not self._is_live(event)
        bare = self._bare() if is_of_no_lease else None
        self.witness.hear(self.now_ms, event)
        self.trust.hear(self.now_ms, event)
        effects = self.coordinator.handle(self.now_ms, event)
        self.coordinator.check()
        if bare is not None:
            self.trust.hold("P12", not effects and self._bare() == bare, "a result of no lease changes something")
        self.witness.see(effects)
        self.trust.see(effects)
        self.considered.follow(event, effects)
        if len(self.history) % _HELD_EACH == 0:
            self.considered.hold(self.coordinator)
        for fault in effects:
            if isinstance(fault, RecordFault) and fault.settled_by is not None:
                self.trust.hold("S2", fault.node_id in self._lied, "a reference node found an honest one at fault")
        assert self.is_patient or not self.trust.broken, self.trust.broken
        self._can_be_said(effects)
        if self._twin is not None:
            assert self._twin.handle(self.now_ms, event) == effects
            assert self._twin.snapshot() == self.coordinator.snapshot()
        self.sent = [*self.sent, *(one for one in effects if isinstance(one, SendAssignment))][-_SENT_MAX:]
        return effects

    def start(self, seed: int, workloads: tuple[WorkloadId, ...]) -> None:
        """A new process goes on, with the parameters that stand."""
        self.tell(CoordinatorStarted(seed=seed, workloads=workloads, trust=self.trust.trust))

    def begin_epoch(self) -> None:
        """The host drew a further secret."""
        self.epoch += 1
        self.tell(EpochBegan(epoch=self.epoch, secret=secret(self.epoch), next_secret=secret(self.epoch + 1)))

    # Replies to any of the last assignments, newest first, from the node it was sent to or from another

    def live(self) -> list[SendAssignment]:
        """Assignments that their nodes still owe an answer for, oldest first."""
        return list(self.witness.leases.values())

    def pick(self, place: int) -> SendAssignment:
        """One of the last assignments, whatever became of it."""
        return self.sent[-1 - place % len(self.sent)]

    def acknowledge(
        self, send: SendAssignment, sender: NodeId | None = None, *, eta_ms: int, elapsed_ms: int = 0
    ) -> None:
        """A node took it."""
        assignment_id, node_id = send.assignment.assignment_id, sender or send.node_id
        self.tell(
            AssignmentAcknowledged(assignment_id=assignment_id, node_id=node_id, eta_ms=eta_ms, elapsed_ms=elapsed_ms)
        )

    def give_result(self, send: SendAssignment, sender: NodeId | None = None) -> None:
        """A node ran it, or says so."""
        node_id, number = sender or send.node_id, int(send.job_id.removeprefix("req_"))
        output = b"" if number % 7 == 0 else b"%012d" % number
        if node_id in self.liars:
            self._lied.add(node_id)
            output = b"-%011d" % number
        self.tell(
            ResultSubmitted(
                assignment_id=send.assignment.assignment_id,
                node_id=node_id,
                output_digest=digest_of(output),
                output_bytes=len(output),
                timing=RunTiming(queue=0, infer=80),
                probes=(send.assignment.probe_seed % 1_000,),
                output=output,
            )
        )

    def return_it(
        self,
        send: SendAssignment,
        sender: NodeId | None = None,
        *,
        reason: DeclineReason | FailureCode | UndeliverableReason,
    ) -> None:
        """A node has no result."""
        assignment_id, node_id = send.assignment.assignment_id, sender or send.node_id
        match reason:
            case DeclineReason():
                self.tell(AssignmentDeclined(assignment_id=assignment_id, node_id=node_id, reason=reason))
            case FailureCode():
                self.tell(AssignmentFailed(assignment_id=assignment_id, node_id=node_id, code=reason))
            case UndeliverableReason():
                self.tell(AssignmentUndeliverable(assignment_id=assignment_id, node_id=node_id, reason=reason))

    # Time

    def wait(self, ms: int) -> None:
        """Time goes by, and the host calls at each deadline on the way."""
        until_ms = self.now_ms + ms
        while (due_ms := self.coordinator.next_deadline_ms()) is not None and due_ms <= until_ms:
            self.now_ms = max(self.now_ms, due_ms)
            self.let_due_time_pass()
        self.now_ms = until_ms

    def let_due_time_pass(self) -> None:
        """The host calls until nothing is due any more, as it does after each batch."""
        for _ in range(1_000):
            due_ms = self.coordinator.next_deadline_ms()
            if due_ms is None or due_ms > self.now_ms:
                break
            self.tell(TimePassed())
        else:
            raise AssertionError("the host would call for ever")
        self.witness.nothing_is_overdue(self.now_ms)
        self.trust.nothing_is_overdue(self.now_ms)
        for assignment_id in self.witness.leases:
            self.trust.hold("P10", self.now_ms < self.witness.ends_ms[assignment_id], "a lease does not end")

    def take_twin(self) -> None:
        """A second coordinator goes on from a snapshot of the first."""
        snapshot = self.coordinator.snapshot()
        self._twin = Coordinator.restored(snapshot)
        self._twin.check()
        assert self._twin.snapshot() == snapshot

    def finish(self) -> None:
        """Faults stop: every job ends by its deadline, every lease soon after, and the journal folds to this state."""
        self.let_due_time_pass()
        while (due_ms := self.coordinator.next_deadline_ms()) is not None:
            self.now_ms = max(self.now_ms, due_ms)
            self.let_due_time_pass()
        assert all(job.outcome is not None for job in self.witness.jobs.values())
        assert not self.witness.leases
        self.considered.hold(self.coordinator)
        self.trust.all_is_settled()
        assert self.is_patient or not self.trust.broken, self.trust.broken
        folded = Coordinator()
        for now_ms, record in self.history:
            for event in decode_record(record):
                folded.handle(now_ms, event)
        assert folded.snapshot() == self.coordinator.snapshot()

    def _is_live(self, event: ResultSubmitted) -> bool:
        sent = self.witness.leases.get(event.assignment_id)
        return sent is not None and sent.node_id == event.node_id

    def _bare(self) -> Any:
        """The whole state but for the time and scheduling's counts."""
        state = msgspec.msgpack.decode(self.coordinator.snapshot())
        del state["now_ms"], state["scheduling"]["placement"]["counts"]
        return state

    def _can_be_said(self, effects: list[Effect]) -> None:
        said = [effect for effect in effects if isinstance(effect, get_args(GatewayEffect))]
        assert gateway_effects.decode(encode(said)) == said
