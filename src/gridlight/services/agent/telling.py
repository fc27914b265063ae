"""What the agent believes, in a sentence for a person."""

from datetime import datetime, timedelta
from typing import Final

from gridlight.core.owner import Belief, Observation
from gridlight.core.preferences import Preferences
from gridlight.core.tariff import price_at
from gridlight.messages.control import PauseReason, Power, SeenNow

_POWER: Final = {
    Power.MAINS: "on mains",
    Power.BATTERY: "on battery",
    Power.UNKNOWN: "power unknown",
}
_REASONS: Final = {
    PauseReason.PAUSED: "by your word; `gridlight node resume` ends it",
    PauseReason.ON_BATTERY: "on battery (run_on_batteries)",
    PauseReason.POWER_UNKNOWN: (
        "cannot tell whether this machine runs on battery; run_on_batteries = true runs it all the same"
    ),
    PauseReason.USER_ACTIVE: "in use, {idle}; runs after {wanted} without input (idle_time_to_run)",
    PauseReason.USER_UNKNOWN: (
        "cannot tell whether somebody uses this machine; run_if_user_active = true runs it all the same"
    ),
    PauseReason.OUT_OF_HOURS: "outside of its hours (start_hour, end_hour)",
    PauseReason.OUT_OF_NETWORK_HOURS: "outside of the network's hours (net_start_hour, net_end_hour)",
    PauseReason.PRICE_HIGH: "electricity costs more than energy_price_max",
    PauseReason.PRICE_UNKNOWN: "energy_price_file has no price for now",
    PauseReason.CPU_BUSY: "others need the CPUs, {others} % of them just now (suspend_cpu_usage)",
    PauseReason.MEMORY_PRESSURE: "memory is short (suspend_memory_pressure)",
    PauseReason.MEMORY_FULL: "no worker fits into the memory lent (ram_max_used_busy_frac, ram_max_used_idle_frac)",
    PauseReason.DISK_FULL: "the disk lent is full (disk_max_used_gb, disk_min_free_gb)",
    PauseReason.TRANSFER_SPENT: "today's transfer is spent (daily_xfer_limit_mb)",
}
_UNSURE: Final = (PauseReason.USER_ACTIVE, PauseReason.CPU_BUSY, PauseReason.MEMORY_PRESSURE)
"""Whoever uses the machine may go on doing so."""

_LONG_S: Final = 7 * 24 * 3_600


def line(
    preferences: Preferences, belief: Belief | None, seen: Observation | None, now: datetime, *, running: int
) -> str:
    """As "running: idle 4 min, on mains, 2 of 4 CPUs; until 22:00"."""
    if belief is None or seen is None:
        return "starting: has not looked at the machine yet"
    if belief.reason is None:
        until = "" if belief.changes_in_s is None else f"; until {_clock(now, belief.changes_in_s)}"
        return f"running: {_idle(seen)}, {_POWER[seen.power]}, {belief.cpus} of {seen.cpus} CPUs{until}"
    if belief.reason is PauseReason.FINISHING:
        what = f"finishing: takes nothing more and ends {running} tasks" if running else "finished: idle"
        return f"{what}, until `gridlight node resume`"
    because = _because(preferences, belief.reason, seen)
    if belief.changes_in_s is None:
        return f"paused: {because}"
    promise = "not before" if belief.reason in _UNSURE else "next window"
    return f"paused: {because}; {promise} {_clock(now, belief.changes_in_s)}"


def seen_now(seen: Observation) -> SeenNow:
    """What is shown of an observation."""
    return SeenNow(
        idle_s=seen.idle_s,
        power=seen.power,
        cpus=seen.cpus,
        others_cpu_percent=seen.others_cpu_percent,
        memory_pressure_percent=seen.memory_pressure_percent,
        worker_memory_bytes=seen.worker_memory_bytes,
        agent_memory_bytes=seen.agent_memory_bytes,
        disk_used_bytes=seen.disk_used_bytes,
        disk_free_bytes=seen.disk_free_bytes,
        transferred_bytes=seen.transferred_bytes,
        price_micros=price_at(seen.tariff or (), seen.now_s),
    )


def _because(preferences: Preferences, reason: PauseReason, seen: Observation) -> str:
    return _REASONS[reason].format(
        idle=_idle(seen), wanted=length(preferences.idle_time_to_run_s), others=seen.others_cpu_percent or 0
    )


def _idle(seen: Observation) -> str:
    if seen.idle_s is None:
        return "presence unknown"
    return "idle for days" if seen.idle_s > _LONG_S else f"idle {length(seen.idle_s)}"


def length(seconds: int) -> str:
    """As a person says it: in the largest unit that there are several of."""
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3_600:
        return f"{seconds // 60} min"
    return f"{seconds // 3_600} h" if seconds < 72 * 3_600 else f"{seconds // 86_400} d"


def _clock(now: datetime, in_s: int) -> str:
    """The time of day, with the seconds where it is near, and the day where it is far."""
    at = now + timedelta(seconds=in_s)
    if in_s < 120:
        return f"{at:%H:%M:%S}"
    return f"{at:%H:%M}" if in_s < 24 * 3_600 else f"{at:%a %H:%M}"
