"""Carries assignments to nodes and their checked replies to the coordinator. Says what to publish; does no I/O."""

from collections import OrderedDict
from typing import Final

import msgspec
import structlog
from msgspec import Struct

from gridlight.messages import subjects
from gridlight.messages.codec import NodeReply, ProtocolViolation, ViolationReason, encode
from gridlight.messages.ids import AssignmentId, GatewayId, NodeId
from gridlight.messages.jobs import CancelAssignment, SendAssignment
from gridlight.messages.nodes import CancelWork
from gridlight.messages.results import ResultSubmitted
from gridlight.messages.tasks import AssignmentAcknowledged, AssignmentUndeliverable, UndeliverableReason
from gridlight.services.gateway.inputs import KeptInputs
from gridlight.services.gateway.jobs import OpenJobs
from gridlight.services.gateway.metrics import Metrics
from gridlight.services.gateway.outbox import Outbox
from gridlight.services.gateway.replies import SentAssignment, SignedReply, Stage, check_reply

ASSIGNMENTS_KEPT_MAX: Final = 20_000
"""Sent assignments outlive their jobs, since a cancelled node still owes its word; the oldest are forgotten."""

TOGETHER_MS_MAX: Final = 250
"""So long after its assignment was sent, an acknowledgement may wait for the result, and share its message and its
commit. Nothing follows from one before 600 ms, or before the first hedge may be made."""

TOGETHER_SHARE: Final = 8
"""One part in so many of the deadline: before it, no hedge is made."""

PATIENCE_MS: Final = 25
"""How long one waits for company whose result takes longer by the node's own estimate."""

_log = structlog.get_logger()


class Publication(Struct, frozen=True, eq=False):
    """One message for the bus."""

    subject: str
    message: bytes
    body: bytes = b""
    reply: str = ""


class Dispatch:
    """Knows what was sent to whom, so that no reply counts twice, out of turn, or in another's name."""

    def __init__(
        self,
        gateway_id: GatewayId,
        *,
        jobs: OpenJobs,
        inputs: KeptInputs,
        outbox: Outbox,
        metrics: Metrics,
        assignments_max: int = ASSIGNMENTS_KEPT_MAX,
    ) -> None:
        self._gateway_id = gateway_id
        self._jobs = jobs
        self._inputs = inputs
        self._outbox = outbox
        self._rejected = {reason: metrics.replies_rejected.labels(reason.value) for reason in ViolationReason}
        self._ack_seconds = metrics.ack_seconds
        self._result_seconds = metrics.result_seconds
        self._assignments: OrderedDict[AssignmentId, SentAssignment] = OrderedDict()
        self._assignments_max = assignments_max

    def send(self, now_ms: int, effect: SendAssignment) -> Publication | None:
        """The assignment with its input, as the node gets it. None where the input is gone or it was sent already.

        An assignment that checks an earlier answer looks like any other, and its job has usually ended.
        """
        assignment = effect.assignment
        if assignment.assignment_id in self._assignments:
            return None
        held = self._jobs.input(effect.job_id) or self._inputs.find(now_ms, effect.job_id)
        if held is None or held.digest != assignment.input_digest:
            self._report_undeliverable(assignment.assignment_id, effect.node_id, UndeliverableReason.INPUT_GONE)
            return None
        self._keep(
            SentAssignment(
                assignment_id=assignment.assignment_id,
                node_id=effect.node_id,
                job_id=effect.job_id,
                manifest=held.manifest,
                sent_ms=now_ms,
                deadline_ms=assignment.deadline_ms,
            )
        )
        return Publication(
            subject=subjects.task(effect.node_id, assignment.assignment_id),
            message=encode(assignment),
            body=held.tensor,
            reply=subjects.inbox(self._gateway_id, assignment.assignment_id),
        )

    def cancel(self, effect: CancelAssignment) -> Publication:
        """The node's notice; its last word on the assignment is still listened to."""
        message = encode(CancelWork(assignment_id=effect.assignment_id))
        return Publication(subject=subjects.node_control(effect.node_id), message=message)

    def no_responders(self, inbox: str) -> None:
        """The bus' own word that nobody listens at the node's subject: it is gone."""
        assignment = self._assignments.get(_assignment_of(inbox))
        if assignment is None or assignment.stage is not Stage.SENT:
            return
        assignment.stage = Stage.ANSWERED
        self._report_undeliverable(assignment.assignment_id, assignment.node_id, UndeliverableReason.NO_RESPONDERS)

    def receive(self, now_ms: int, inbox: str, received: SignedReply) -> None:
        """Check a reply and pass it on; a violation is counted, and ends the assignment if it was open."""
        assignment = self._assignments.get(_assignment_of(inbox))
        if assignment is None:
            self._rejected[ViolationReason.UNKNOWN_ASSIGNMENT].inc()
            return
        try:
            reply = check_reply(assignment, received)
        except ProtocolViolation as violation:
            self._reject(assignment, violation)
            return
        self._advance(now_ms - assignment.sent_ms, assignment, reply)

    def _advance(self, elapsed_ms: int, assignment: SentAssignment, reply: NodeReply) -> None:
        if isinstance(reply, AssignmentAcknowledged):
            assignment.stage = Stage.ACKNOWLEDGED
            self._ack_seconds.observe(elapsed_ms / 1_000)
            timed = msgspec.structs.replace(reply, elapsed_ms=elapsed_ms)  # whatever the node says of it
            self._outbox.add(timed, patience_ms=patience_ms(assignment.deadline_ms, elapsed_ms, reply.eta_ms))
            return
        if isinstance(reply, ResultSubmitted):
            self._result_seconds.observe(elapsed_ms / 1_000)
            if assignment.stage is Stage.SENT:
                self._acknowledged_by(reply, elapsed_ms)
        assignment.stage = Stage.ANSWERED
        self._outbox.add(reply, deadline_ms=assignment.deadline_ms)

    def _acknowledged_by(self, result: ResultSubmitted, elapsed_ms: int) -> None:
        """The coordinator hears of both, whether they came in one message or in two."""
        self._ack_seconds.observe(elapsed_ms / 1_000)
        ack = AssignmentAcknowledged(
            assignment_id=result.assignment_id, node_id=result.node_id, eta_ms=0, elapsed_ms=elapsed_ms
        )
        self._outbox.add(ack, patience_ms=PATIENCE_MS)  # it goes with the result, which is next

    def _reject(self, assignment: SentAssignment, violation: ProtocolViolation) -> None:
        self._rejected[violation.reason].inc()
        _log.warning(
            "reply_rejected",
            reason=violation.reason.value,
            detail=str(violation),
            node_id=assignment.node_id,
            assignment_id=assignment.assignment_id,
            job_id=assignment.job_id,
        )
        if assignment.stage is not Stage.ANSWERED:
            assignment.stage = Stage.ANSWERED
            self._report_undeliverable(assignment.assignment_id, assignment.node_id, UndeliverableReason.BAD_REPLY)

    def _report_undeliverable(self, assignment_id: AssignmentId, node_id: NodeId, reason: UndeliverableReason) -> None:
        self._outbox.add(AssignmentUndeliverable(assignment_id=assignment_id, node_id=node_id, reason=reason))

    def _keep(self, assignment: SentAssignment) -> None:
        self._assignments[assignment.assignment_id] = assignment
        if len(self._assignments) > self._assignments_max:
            self._assignments.popitem(last=False)


def patience_ms(deadline_ms: int, elapsed_ms: int, eta_ms: int) -> int:
    """How long an acknowledgement waits for company, that came so long after sending and says when the result comes."""
    together_ms = min(TOGETHER_MS_MAX, deadline_ms // TOGETHER_SHARE)
    return max(together_ms - elapsed_ms, PATIENCE_MS) if elapsed_ms + eta_ms < together_ms else PATIENCE_MS


def _assignment_of(inbox: str) -> AssignmentId:
    return AssignmentId(inbox.rpartition(".")[2])
