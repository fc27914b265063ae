"""What an operator says to the agent on this machine, and what it answers: one line of JSON each, on its own socket.

It is no message of the network: it leaves the machine on no path, and only whoever owns the agent's folder can send it.
"""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

PAUSE_S_MAX = 366 * 24 * 3_600
SAMPLES_MAX = 1_080
"""So that a history fits a line."""


class Stance(StrEnum):
    """What the node does for the network now."""

    LENDING = "lending"
    FINISHING = "finishing"
    """It takes nothing more, and ends what it has."""
    YIELDING = "yielding"
    """It takes nothing, and what it had is handed back."""


class Power(StrEnum):
    """What the machine runs on."""

    MAINS = "mains"
    BATTERY = "battery"
    UNKNOWN = "unknown"


class PauseReason(StrEnum):
    """Why a node does not lend, the most telling one first."""

    PAUSED = "paused"
    FINISHING = "finishing"
    ON_BATTERY = "on_battery"
    POWER_UNKNOWN = "power_unknown"
    USER_ACTIVE = "user_active"
    USER_UNKNOWN = "user_unknown"
    OUT_OF_HOURS = "out_of_hours"
    OUT_OF_NETWORK_HOURS = "out_of_network_hours"
    PRICE_HIGH = "price_high"
    PRICE_UNKNOWN = "price_unknown"
    CPU_BUSY = "cpu_busy"
    MEMORY_PRESSURE = "memory_pressure"
    MEMORY_FULL = "memory_full"
    DISK_FULL = "disk_full"
    TRANSFER_SPENT = "transfer_spent"


class AskStatus(Struct, frozen=True, kw_only=True, tag_field="ask", tag="status"):
    """How is the node?"""


class AskPause(Struct, frozen=True, kw_only=True, tag_field="ask", tag="pause"):
    """Yield at once, for so long, or until told otherwise."""

    for_s: Annotated[int, Meta(ge=1, le=PAUSE_S_MAX)] | None = None


class AskFinish(Struct, frozen=True, kw_only=True, tag_field="ask", tag="finish"):
    """Take nothing more, end what runs, and then stay idle."""


class AskResume(Struct, frozen=True, kw_only=True, tag_field="ask", tag="resume"):
    """Lend again whenever the preferences allow it."""


class AskHistory(Struct, frozen=True, kw_only=True, tag_field="ask", tag="history"):
    """What has become of the last hours?"""


ControlRequest = AskStatus | AskPause | AskFinish | AskResume | AskHistory


class SeenNow(Struct, frozen=True, kw_only=True):
    """What the agent sees of the machine; None where it cannot."""

    idle_s: int | None
    power: Power
    cpus: int
    others_cpu_percent: int | None
    memory_pressure_percent: int | None
    worker_memory_bytes: int
    """Of one worker, as last measured or as expected."""
    agent_memory_bytes: int
    disk_used_bytes: int
    disk_free_bytes: int
    transferred_bytes: int
    """Today."""
    price_micros: int | None = None
    """A millionth of the price file's unit."""


class DoneSoFar(Struct, frozen=True, kw_only=True):
    """What became of assignments since the agent started."""

    taken: int = 0
    finished: int = 0
    handed_back: int = 0
    failed: int = 0


class NodeStatus(Struct, frozen=True, kw_only=True, tag_field="answer", tag="status"):
    """What the agent believes, and why."""

    line: str
    """The same in a sentence."""
    node_id: str
    network: str
    is_connected: bool
    stance: Stance
    reason: PauseReason | None
    cpus: int
    """Tasks that it would run at once now."""
    workers: int
    """Worker processes that are up."""
    running: int
    """Assignments in hand."""
    changes_in_s: int | None
    """When this may change by itself next, where that is known."""
    seen: SeenNow | None
    """None until the first look."""
    done: DoneSoFar
    is_always: bool = False
    """Whether it was started as a machine that is there to be a node."""
    preferences_error: str = ""
    """Why the preferences file is not followed, and the last good one is."""
    twin: str = ""
    """What to know, and to do, where another agent has this node's key."""


class ControlRefusal(Struct, frozen=True, kw_only=True, tag_field="answer", tag="refusal"):
    """The agent does not understand or cannot do what it was asked."""

    message: str


class Sample(Struct, frozen=True, array_like=True):
    """One moment: seconds since 1970, tasks finished and handed back by then, and why the node did not lend."""

    at_s: int
    finished: int
    handed_back: int
    reason: PauseReason | None = None


class NodeHistory(Struct, frozen=True, kw_only=True, tag_field="answer", tag="history"):
    """Moments at equal distances, the oldest first; since the agent started, and at most some hours."""

    samples: Annotated[tuple[Sample, ...], Meta(max_length=SAMPLES_MAX)]


ControlAnswer = NodeStatus | NodeHistory | ControlRefusal
