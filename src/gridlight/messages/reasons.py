"""Why a node did not get, finish or get paid for tasks: the reasons, and how a gateway asks what is counted."""

from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta, Struct

from gridlight.messages.ids import GatewayIdField, NodeIdField, WorkloadIdField

QuestionField = Annotated[str, Meta(pattern=r"^[0-9a-f]{16}$(?!\n)")]


class Reason(StrEnum):
    """What is counted for a node when a task of a workload that it offers is given out: one of these, each time.

    None of them tells what an assignment was for: a check that was done is counted as any other task that was done.
    """

    OFFLINE = "offline"
    UNRESPONSIVE = "unresponsive"
    LENDS_NOTHING = "lends_nothing"
    OWNER_PAUSED = "owner_paused"
    OWNER_FINISHING = "owner_finishing"
    OWNER_IN_USE = "owner_in_use"
    OWNER_ON_BATTERY = "owner_on_battery"
    OWNER_OUT_OF_HOURS = "owner_out_of_hours"
    OWNER_PRICE_HIGH = "owner_price_high"
    OWNER_BUSY = "owner_busy"
    OWNER_AT_LIMIT = "owner_at_limit"
    NOT_ROLLED_OUT = "not_rolled_out"
    BANNED = "banned"
    NEWCOMER = "newcomer"
    HELD_LEVEL_0 = "held_level_0"
    HELD_STATUS_LOST = "held_status_lost"
    REFERENCE = "reference"
    BUSY = "busy"
    RESTING = "resting"
    TOO_SLOW = "too_slow"
    OVER_SHARE = "over_share"
    NOT_DRAWN = "not_drawn"
    IN_HAND = "in_hand"
    DONE = "done"
    VOID = "void"
    CONTRADICTED = "contradicted"
    OUTRUN = "outrun"
    LATE = "late"
    UNACKNOWLEDGED = "unacknowledged"
    NO_RESULT = "no_result"
    LOST = "lost"
    UNREACHABLE = "unreachable"
    INPUT_GONE = "input_gone"
    BAD_REPLY = "bad_reply"
    DECLINED_NO_FREE_SLOT = "declined_no_free_slot"
    DECLINED_UNKNOWN_WORKLOAD = "declined_unknown_workload"
    DECLINED_DEADLINE_TOO_SHORT = "declined_deadline_too_short"
    DECLINED_DRAINING = "declined_draining"
    WORKER_CRASHED = "worker_crashed"
    WORKER_TIMEOUT = "worker_timeout"
    WORKER_ERROR = "worker_error"
    INPUT_SPOILED = "input_spoiled"
    HANDED_BACK = "handed_back"
    TAKEN_BACK = "taken_back"
    NETWORK_RESTARTED = "network_restarted"


NOT_GIVEN: Final = frozenset(
    (
        Reason.OFFLINE,
        Reason.UNRESPONSIVE,
        Reason.LENDS_NOTHING,
        Reason.OWNER_PAUSED,
        Reason.OWNER_FINISHING,
        Reason.OWNER_IN_USE,
        Reason.OWNER_ON_BATTERY,
        Reason.OWNER_OUT_OF_HOURS,
        Reason.OWNER_PRICE_HIGH,
        Reason.OWNER_BUSY,
        Reason.OWNER_AT_LIMIT,
        Reason.NOT_ROLLED_OUT,
        Reason.BANNED,
        Reason.NEWCOMER,
        Reason.HELD_LEVEL_0,
        Reason.HELD_STATUS_LOST,
        Reason.REFERENCE,
        Reason.BUSY,
        Reason.RESTING,
        Reason.TOO_SLOW,
        Reason.OVER_SHARE,
        Reason.NOT_DRAWN,
    )
)
"""Reasons of tasks that the node was not given; the others say what became of those it was."""


class ReasonsAsked(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="reasons.asked.v1"):
    """A gateway asks what is counted for a node. It changes nothing, and so it is not journalled."""

    gateway_id: GatewayIdField
    node_id: NodeIdField
    question: QuestionField
    """Comes back with the answer."""


class WorkloadReasons(Struct, frozen=True, gc=False, kw_only=True):
    """What was counted for a node in one workload; the counts add up to `considered`."""

    workload: WorkloadIdField
    since_ms: int
    """When the node was first known to offer the workload, on the coordinator's clock."""
    considered: int
    """How often it was considered since then: once for each task that was given out or given up, and once more for
    each that it was given after others.
    """
    reasons: dict[Reason, int]


class TellReasons(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="reasons.tell.v1"):
    """To the gateway that asked; nothing where no such node is enrolled."""

    gateway_id: GatewayIdField
    question: QuestionField
    workloads: tuple[WorkloadReasons, ...] | None


class SampledReasons(Struct, frozen=True, gc=False, kw_only=True):
    """As `WorkloadReasons`, by names that a newer network may have added to."""

    workload: str
    since_ms: int
    considered: int
    reasons: dict[str, int]


class ReasonsSample(Struct, frozen=True, gc=False, kw_only=True):
    """What a network said at one moment; a node keeps some of these in its own folder, one a line."""

    network: str
    """The gateway's address."""
    at_ms: int
    """On the network's clock."""
    workloads: tuple[SampledReasons, ...]
