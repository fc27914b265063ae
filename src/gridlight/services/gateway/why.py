"""Why a node gets nothing, as it is told: every reason with its sentence and what its operator can do about it."""

from typing import Final

from msgspec import Struct

from gridlight.messages.api import ReasonView, WhyResponse, WorkloadWhy
from gridlight.messages.ids import NodeId
from gridlight.messages.reasons import NOT_GIVEN, Reason, WorkloadReasons


class Said(Struct, frozen=True):
    """A reason in words."""

    sentence: str
    advice: str


_KEEP_ONLINE: Final = "Keep the machine awake and its line up while it shall work."
_NOTHING: Final = "Nothing: this is how it should be."
_SEE_LOG: Final = "Read the agent's log for the worker's error; more memory or fewer slots often help."
_PREFERRED: Final = "in preferences.toml"
_NOT_YOURS: Final = "Nothing: it is not held against the node."

SAID: Final[dict[Reason, Said]] = {
    Reason.OFFLINE: Said("It was not connected.", _KEEP_ONLINE),
    Reason.UNRESPONSIVE: Said(
        "It had been silent when it was asked, and had not offered again yet.",
        "See that the machine does not stall or sleep; fewer slots leave it more room.",
    ),
    Reason.LENDS_NOTHING: Said(
        "It was connected and lent no slot: it was draining, had withdrawn, or its worker was not up yet.",
        "Read the agent's log if the worker does not come up.",
    ),
    Reason.OWNER_PAUSED: Said("Its operator had paused it.", "Let it work again: gridlight node resume."),
    Reason.OWNER_FINISHING: Said(
        "Its operator had told it to finish and take nothing more.", "Let it work again: gridlight node resume."
    ),
    Reason.OWNER_IN_USE: Said(
        "Somebody used the machine, or it could not see that nobody did.",
        f"Nothing, or lend it all the same: run_if_user_active {_PREFERRED}.",
    ),
    Reason.OWNER_ON_BATTERY: Said(
        "The machine ran on battery, or it could not see that it did not.",
        f"Plug it in, or set run_on_batteries {_PREFERRED}.",
    ),
    Reason.OWNER_OUT_OF_HOURS: Said(
        "It was outside of the hours in which its operator lends it.",
        f"Nothing, or widen start_hour and end_hour, net_start_hour and net_end_hour, {_PREFERRED}.",
    ),
    Reason.OWNER_PRICE_HIGH: Said(
        "Electricity cost more than its operator allows, or its price was not known.",
        f"Nothing, or raise energy_price_max {_PREFERRED}, and see that energy_price_file covers today.",
    ),
    Reason.OWNER_BUSY: Said(
        "Other programs needed its processors or its memory.",
        f"Nothing, or raise suspend_cpu_usage and suspend_memory_pressure {_PREFERRED}.",
    ),
    Reason.OWNER_AT_LIMIT: Said(
        "It had reached a limit of its operator's on memory, disk or transfer.",
        f"gridlight node status says which; make room, or raise it {_PREFERRED}.",
    ),
    Reason.NOT_ROLLED_OUT: Said(
        "The network gives this workload to a part of the nodes for now, and it is not among them.",
        "Nothing: it comes as the share grows.",
    ),
    Reason.BANNED: Said(
        "It was found to give wrong answers, and gets no more work.",
        "Check memory and overclocking; then ask the network's administrator.",
    ),
    Reason.NEWCOMER: Said(
        "It is not trusted yet: newcomers only run what others have answered already.",
        "Keep it running; it becomes trusted by checks it passes, and by age.",
    ),
    Reason.HELD_LEVEL_0: Said(
        "It is held in shadow: level 0 attestation. It only runs what others have answered already, unpaid.",
        "Bring an attestation of a higher level: gridlight operator attest. It goes on from what it has earned.",
    ),
    Reason.HELD_STATUS_LOST: Said(
        "It is held in shadow: its issuer's status list was not read for a day. Meanwhile its runs are unpaid.",
        "Nothing: it goes on once the list is read again. Ask the issuer, or the network's founder, why it is not.",
    ),
    Reason.REFERENCE: Said("It is a reference node: those only settle what others dispute.", _NOTHING),
    Reason.BUSY: Said("All its slots were taken.", "Nothing, or lend more: --slots N."),
    Reason.RESTING: Said(
        "It had broken its word a moment ago, and others went first for ten seconds.",
        "See that the machine does not stall or sleep.",
    ),
    Reason.TOO_SLOW: Said(
        "It was free, and too slow for the deadline.",
        "Leave it more of the processor: fewer slots, or less beside it.",
    ),
    Reason.OVER_SHARE: Said(
        "It was drawn, but its operator has had its share of the hour.",
        "Nothing: the next hour begins anew.",
    ),
    Reason.NOT_DRAWN: Said(
        "It was free, and the draw fell on another node.",
        "Nothing: there are more nodes than work. Who is free longer is drawn more often.",
    ),
    Reason.IN_HAND: Said("It has the task now.", _NOTHING),
    Reason.DONE: Said("It gave its result in time.", _NOTHING),
    Reason.VOID: Said(
        "It gave its result, and nobody could tell in time whether it was right.",
        "Stay online for some minutes after a task, so that its answers can be settled.",
    ),
    Reason.CONTRADICTED: Said(
        "It gave its result, and that was found to be wrong.",
        "Check memory and overclocking: wrong answers ban a node.",
    ),
    Reason.OUTRUN: Said(
        "Another node was faster, or nobody waited for the result any more.",
        "Leave it more of the processor, or see whether its line is slow.",
    ),
    Reason.LATE: Said(
        "It was done when the task's time was over.", "Leave it more of the processor: fewer slots, or less beside it."
    ),
    Reason.UNACKNOWLEDGED: Said(
        "It was sent the task and did not acknowledge it within a second.",
        "See that the machine does not stall or sleep, and that its line is up.",
    ),
    Reason.NO_RESULT: Said(
        "It acknowledged the task and was silent from then on.", "See that the machine does not stall or sleep."
    ),
    Reason.LOST: Said("Its connection closed, or it was given up, while it had the task.", _KEEP_ONLINE),
    Reason.UNREACHABLE: Said("Nobody listened where the task was sent.", _KEEP_ONLINE),
    Reason.INPUT_GONE: Said("The network no longer had the input, and sent it nothing.", _NOT_YOURS),
    Reason.BAD_REPLY: Said(
        "What it replied did not hold: signature, digest or form.",
        "Update the agent; see that no other program uses its key.",
    ),
    Reason.DECLINED_NO_FREE_SLOT: Said("It declined: all its slots were taken.", _NOT_YOURS),
    Reason.DECLINED_UNKNOWN_WORKLOAD: Said("It declined: it does not run this workload.", "Update the agent."),
    Reason.DECLINED_DEADLINE_TOO_SHORT: Said(
        "It declined: less time was left than it needs.",
        "Leave it more of the processor, or see whether its line is slow.",
    ),
    Reason.DECLINED_DRAINING: Said("It declined: it was about to leave.", _NOT_YOURS),
    Reason.WORKER_CRASHED: Said("Its worker crashed.", _SEE_LOG),
    Reason.WORKER_TIMEOUT: Said("Its worker was not done in time and was stopped.", _SEE_LOG),
    Reason.WORKER_ERROR: Said("Its worker could not do it.", _SEE_LOG),
    Reason.INPUT_SPOILED: Said(
        "The input reached it damaged.", "See whether something on its line changes what passes."
    ),
    Reason.HANDED_BACK: Said("It handed the task back.", _NOT_YOURS),
    Reason.TAKEN_BACK: Said("What it may do changed while it had the task.", _NOT_YOURS),
    Reason.NETWORK_RESTARTED: Said("The network itself was restarted while the node had the task.", _NOT_YOURS),
}


def why_response(node_id: NodeId, now_ms: int, counted: tuple[WorkloadReasons, ...]) -> WhyResponse:
    """What the coordinator counted, in words, the most frequent reason first."""
    return WhyResponse(node_id=node_id, at_ms=now_ms, workloads=[_workload(one) for one in counted])


def _workload(counted: WorkloadReasons) -> WorkloadWhy:
    ranked = sorted(counted.reasons.items(), key=lambda item: -item[1])
    reasons = [_view(reason, tasks) for reason, tasks in ranked]
    return WorkloadWhy(counted.workload, counted.since_ms, counted.considered, reasons)


def _view(reason: Reason, tasks: int) -> ReasonView:
    said = SAID[reason]
    return ReasonView(reason.value, tasks, reason not in NOT_GIVEN, said.sentence, said.advice)
