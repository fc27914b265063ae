"""What passes between a gateway and a node about one assignment, and what the gateway reports of it."""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from gridlight.messages.ids import AssignmentIdField, Blake3Field, NodeIdField, WorkloadIdField
from gridlight.messages.limits import DEADLINE_MS_MAX, INLINE_BYTES_MAX

ProbeSeedField = Annotated[int, Meta(ge=0, lt=2**53)]


class Assignment(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="task.assignment.v1"):
    """To a node, with the prepared input as body: run this. Says nothing of task, attempt or role."""

    assignment_id: AssignmentIdField
    workload: WorkloadIdField
    deadline_ms: Annotated[int, Meta(ge=0, le=DEADLINE_MS_MAX)]
    """Relative: what is left when it is sent. No two clocks need agree."""
    input_digest: Blake3Field
    input_bytes: Annotated[int, Meta(ge=0, le=INLINE_BYTES_MAX)]
    probe_seed: ProbeSeedField
    """Chooses which raw output values the node must report beside its result."""


class DeclineReason(StrEnum):
    """Why a node does not take an assignment."""

    NO_FREE_SLOT = "no_free_slot"
    UNKNOWN_WORKLOAD = "unknown_workload"
    DEADLINE_TOO_SHORT = "deadline_too_short"
    DRAINING = "draining"


class FailureCode(StrEnum):
    """Why a node that took an assignment has no result."""

    CANCELLED = "cancelled"
    WORKER_CRASHED = "worker_crashed"
    WORKER_TIMEOUT = "worker_timeout"
    WORKER_ERROR = "worker_error"
    INPUT_SPOILED = "input_spoiled"
    HANDED_BACK = "handed_back"


class UndeliverableReason(StrEnum):
    """Why a gateway could not hand an assignment to its node."""

    NO_RESPONDERS = "no_responders"
    INPUT_GONE = "input_gone"
    BAD_REPLY = "bad_reply"


class AssignmentAcknowledged(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="task.ack.v1"):
    """The node's signed word that it took the assignment, within 1 s, with its own finish estimate."""

    assignment_id: AssignmentIdField
    node_id: NodeIdField
    eta_ms: Annotated[int, Meta(ge=0, le=10 * DEADLINE_MS_MAX)]
    elapsed_ms: Annotated[int, Meta(ge=0, lt=2**53)] = 0
    """Left out by the node; the gateway says here how long after sending the acknowledgement came."""


class AssignmentDeclined(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="task.decline.v1"):
    """The node's signed word that it does not take the assignment."""

    assignment_id: AssignmentIdField
    node_id: NodeIdField
    reason: DeclineReason


class AssignmentFailed(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="task.error.v1"):
    """The node's signed word that an assignment it took has no result, or is handed back."""

    assignment_id: AssignmentIdField
    node_id: NodeIdField
    code: FailureCode


class AssignmentUndeliverable(
    Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="assignment.undeliverable.v1"
):
    """The gateway's word that the node did not get, or did not properly answer, the assignment."""

    assignment_id: AssignmentIdField
    node_id: NodeIdField
    reason: UndeliverableReason
