"""A coordinator driven by events in any order, with a witness, and a twin that was restored from a snapshot."""

from typing import get_args

from tests.properties.witness import Witness
from tests.unit.core.world import DIGEST, START_MS

from gridlight.core.coordinator import Coordinator
from gridlight.messages.codec import Effect, Event, GatewayEffect, decode_record, encode, encode_record, gateway_effects
from gridlight.messages.host import TimePassed
from gridlight.messages.ids import NodeId
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

_SENT_MAX = 40


class Drive:
    """Every step checks the invariants, the promises, and that a twin says the very same."""

    def __init__(self) -> None:
        self.coordinator = Coordinator()
        self.witness = Witness()
        self.now_ms = START_MS
        self.sent: list[SendAssignment] = []
        """The last assignments, ended or not: who replies to them may be late."""
        self._results_made = 0
        self._twin: Coordinator | None = None
        self._history: list[tuple[int, bytes]] = []

    def tell(self, event: Event) -> list[Effect]:
        """One event, now."""
        self._history.append((self.now_ms, encode_record([event])))
        self.witness.hear(self.now_ms, event)
        effects = self.coordinator.handle(self.now_ms, event)
        self.coordinator.check()
        self.witness.see(effects)
        self._can_be_said(effects)
        if self._twin is not None:
            assert self._twin.handle(self.now_ms, event) == effects
            assert self._twin.snapshot() == self.coordinator.snapshot()
        self.sent = [*self.sent, *(one for one in effects if isinstance(one, SendAssignment))][-_SENT_MAX:]
        return effects

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
        """A node ran it; each result is different."""
        self._results_made += 1
        self.tell(
            ResultSubmitted(
                assignment_id=send.assignment.assignment_id,
                node_id=sender or send.node_id,
                output_digest=DIGEST,
                output_bytes=12,
                timing=RunTiming(queue=0, infer=80),
                output=b"%012d" % self._results_made,
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
        folded = Coordinator()
        for now_ms, record in self._history:
            for event in decode_record(record):
                folded.handle(now_ms, event)
        assert folded.snapshot() == self.coordinator.snapshot()

    def _can_be_said(self, effects: list[Effect]) -> None:
        said = [effect for effect in effects if isinstance(effect, get_args(GatewayEffect))]
        assert gateway_effects.decode(encode(said)) == said
