"""A job's life between gateway and coordinator: submitted, assigned, ended."""

from enum import StrEnum
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from gridlight.messages.ids import (
    AssignmentIdField,
    Blake3Field,
    GatewayIdField,
    JobIdField,
    NodeIdField,
    WorkloadIdField,
)
from gridlight.messages.ledger import AccountIdField, Price
from gridlight.messages.limits import DEADLINE_MS_MAX, INLINE_BYTES_MAX, PICTURE_PIXELS_MAX
from gridlight.messages.tasks import Assignment
from gridlight.messages.trust import Assurance, Verification


class JobState(StrEnum):
    """How a job ended; the requester reads it as `state`."""

    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"


class JobCode(StrEnum):
    """Why a job has no result. Each has one sentence in docs/protocol.md and one HTTP status in the gateway."""

    UNKNOWN_MODEL = "UNKNOWN_MODEL"
    NO_NODE_ONLINE = "NO_NODE_ONLINE"
    NO_CAPABLE_NODE = "NO_CAPABLE_NODE"
    NO_TRUSTED_NODE = "NO_TRUSTED_NODE"
    DEADLINE_TOO_SHORT = "DEADLINE_TOO_SHORT"
    NODE_NOT_ONLINE = "NODE_NOT_ONLINE"
    BUSY = "BUSY"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    ATTEMPTS_EXHAUSTED = "ATTEMPTS_EXHAUSTED"
    COORDINATOR_RESTARTED = "COORDINATOR_RESTARTED"
    WITHDRAWN = "WITHDRAWN"
    WORKLOAD_STOPPED = "WORKLOAD_STOPPED"
    INSUFFICIENT_FUNDS = "INSUFFICIENT_FUNDS"


class Picture(Struct, frozen=True, gc=False, kw_only=True):
    """The requester's picture as shown: pixels after EXIF orientation."""

    width: Annotated[int, Meta(ge=1, le=PICTURE_PIXELS_MAX)]
    height: Annotated[int, Meta(ge=1, le=PICTURE_PIXELS_MAX)]


class JobSubmitted(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="job.submitted.v1"):
    """A gateway holds the prepared input of one task and asks who shall run it. May come twice."""

    job_id: JobIdField
    gateway_id: GatewayIdField
    workload: WorkloadIdField
    deadline_ms: Annotated[int, Meta(ge=1, le=DEADLINE_MS_MAX)]
    """From the arrival of this message; the gateway has taken off what it used and what it needs to answer."""
    input_digest: Blake3Field
    input_bytes: Annotated[int, Meta(ge=0, le=INLINE_BYTES_MAX)]
    picture: Picture | None = None
    threshold: Annotated[int, Meta(ge=0, le=10_000)] = 0
    """In 1e-4; kept with the job so that a later read is presented as the first was."""
    pinned_node: NodeIdField | None = None
    """An administrator's pin; the task goes to this node or fails."""
    prepared_ms: Annotated[int, Meta(ge=0, le=DEADLINE_MS_MAX)] = 0
    """What upload and picture took in the gateway, before this message."""
    asked_deadline_ms: Annotated[int, Meta(ge=0, le=DEADLINE_MS_MAX)] = 0
    """The requester's own deadline; kept with the job so that a later read says what the first did."""
    assurance: Assurance = Assurance.SAMPLED
    is_public: bool = False
    """The requester allows that the input is used again, as a canary."""
    account_id: AccountIdField | UnsetType = UNSET
    """Who pays for it, in the ledger; absent where nobody does. It is not encoded then, so that nothing changes for
    networks without money."""


class JobWithdrawn(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="job.withdrawn.v1"):
    """The requester is gone or the gateway gave up: nobody waits for this job any more."""

    job_id: JobIdField


class SendAssignment(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="assignment.send.v1"):
    """To the gateway that holds the input: send it to this node now."""

    job_id: JobIdField
    gateway_id: GatewayIdField
    node_id: NodeIdField
    assignment: Assignment


class CancelAssignment(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="assignment.cancel.v1"):
    """To a gateway, and by it to the node: this assignment's result is no longer wanted."""

    gateway_id: GatewayIdField
    node_id: NodeIdField
    assignment_id: AssignmentIdField


class JobTiming(Struct, frozen=True, gc=False, kw_only=True):
    """Milliseconds: from submission to the first assignment, from the winning assignment to its acknowledgement, the
    node's own word on the run, and from submission to the result.
    """

    queue: int
    ack: int
    infer: int
    total: int


class Shortfall(Struct, frozen=True, gc=False, kw_only=True):
    """An account has less than a job costs. Units of 1e-7 coin."""

    price: Price
    available: Price


class Outcome(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """How a job ended, once and for all; journalled, stored, and sent to its gateway."""

    state: JobState
    code: JobCode | None = None
    hint: str | None = None
    """What the requester can change, with the nearest feasible value."""
    retry_after_ms: int | None = None
    node_id: NodeIdField | None = None
    assignment_id: AssignmentIdField | None = None
    output: bytes | None = None
    """The canonical result (see results.py)."""
    timing: JobTiming | None = None
    attempts: int = 0
    hedged: bool = False
    verification: Verification | None = None
    """Of a result, as it is served; what becomes known later is recorded beside it."""
    shortfall: Shortfall | None = None
    """Of INSUFFICIENT_FUNDS."""


class EndJob(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="job.end.v1"):
    """To the job's gateway: answer the requester."""

    job_id: JobIdField
    gateway_id: GatewayIdField
    outcome: Outcome
    is_repeated: bool = False
    """The job was told again after it had ended: this was said, counted and stored before."""
