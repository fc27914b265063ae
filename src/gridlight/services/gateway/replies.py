"""Is this reply the node's, in turn, signed, and bound to its body? The one place that trusts a node's word."""

from enum import StrEnum

from msgspec import Struct

from gridlight.adapters.signatures import blake3_digest, verify
from gridlight.messages.codec import NodeReply, ProtocolViolation, ViolationReason, node_replies
from gridlight.messages.envelope import REPLY_DOMAIN
from gridlight.messages.ids import AssignmentId, JobId, NodeId
from gridlight.messages.results import ResultSubmitted
from gridlight.messages.tasks import AssignmentAcknowledged, AssignmentDeclined
from gridlight.workloads.contract import Manifest
from gridlight.workloads.present import check_output


class Stage(StrEnum):
    """What a node has said of an assignment so far."""

    SENT = "sent"
    ACKNOWLEDGED = "acknowledged"
    ANSWERED = "answered"


class SentAssignment(Struct, eq=False, kw_only=True):
    """An assignment this gateway sent, and how far its node has come. `stage` moves only in dispatch.py."""

    assignment_id: AssignmentId
    node_id: NodeId
    job_id: JobId
    manifest: Manifest
    sent_ms: int
    deadline_ms: int
    """What was left when it was sent."""
    stage: Stage = Stage.SENT


class SignedReply(Struct, frozen=True, eq=False):
    """A reply as received, undecoded and untrusted."""

    message: bytes | None
    signature: bytes | None
    body: bytes


def check_reply(assignment: SentAssignment, received: SignedReply) -> NodeReply:
    """The node's verified word, a result with its output filled in. ProtocolViolation for anything less.

    Cheap checks go first; the signature, near 0.1 ms, is verified once and before anything in the body is read.
    """
    if received.message is None or received.signature is None:
        raise ProtocolViolation(ViolationReason.BAD_SIGNATURE, "a reply without message or signature")
    reply = node_replies.decode(received.message)
    if reply.assignment_id != assignment.assignment_id:
        raise ProtocolViolation(ViolationReason.UNKNOWN_ASSIGNMENT, "the reply is to another assignment")
    if reply.node_id != assignment.node_id:
        raise ProtocolViolation(ViolationReason.WRONG_SENDER, "the reply is in another node's name")
    if not verify(assignment.node_id, REPLY_DOMAIN, received.message, received.signature):
        raise ProtocolViolation(ViolationReason.BAD_SIGNATURE, "the signature is not the node's over this message")
    if not _is_in_turn(assignment.stage, reply):
        raise ProtocolViolation(ViolationReason.OUT_OF_TURN, f"{type(reply).__name__} while {assignment.stage.value}")
    if not isinstance(reply, ResultSubmitted):
        if received.body:
            raise ProtocolViolation(ViolationReason.MALFORMED, "a body beside a message that has none")
        return reply
    return _check_output(assignment.manifest, reply, received.body)


def _is_in_turn(stage: Stage, reply: NodeReply) -> bool:
    """A result that comes soon acknowledges its assignment as well; whatever else ends one has been acknowledged."""
    if isinstance(reply, ResultSubmitted):
        return stage is not Stage.ANSWERED
    if isinstance(reply, AssignmentAcknowledged | AssignmentDeclined):
        return stage is Stage.SENT
    return stage is Stage.ACKNOWLEDGED


def _check_output(manifest: Manifest, result: ResultSubmitted, body: bytes) -> ResultSubmitted:
    if result.output:
        raise ProtocolViolation(ViolationReason.MALFORMED, "the output belongs into the body")
    if len(body) != result.output_bytes or blake3_digest(body) != result.output_digest:
        raise ProtocolViolation(ViolationReason.DIGEST_MISMATCH, "the body is not the one that the message names")
    try:
        check_output(manifest, body)
    except ValueError as error:
        raise ProtocolViolation(ViolationReason.BAD_OUTPUT, str(error)) from error
    return ResultSubmitted(
        assignment_id=result.assignment_id,
        node_id=result.node_id,
        output_digest=result.output_digest,
        output_bytes=result.output_bytes,
        timing=result.timing,
        probes=result.probes,
        output=body,
    )
