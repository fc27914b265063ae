"""Whether a node may lend its machine now, how much of it, and why not: the operator's word and preferences against
what is seen of the machine. Where input or power cannot be seen, it is as if the operator were using it.
"""

from enum import StrEnum
from typing import Final

from msgspec import Struct

from gridlight.core.preferences import DAY_MINUTES, PPM, Hours, Preferences, hours_change_in
from gridlight.core.tariff import Price, price_at, price_changes_in
from gridlight.messages.control import PauseReason, Power, Stance
from gridlight.messages.nodes import OwnerState

HOLD_MS: Final = 5_000
"""Once others needed the machine, it is left to them for so long: work that starts and stops gains nobody anything."""

START_S: Final = 2
"""Who starts a node types for it; what was typed by then is no reason not to begin."""

MINUTE_S: Final = 60


class WordKind(StrEnum):
    """What the operator said last."""

    RUN = "run"
    PAUSE = "pause"
    FINISH = "finish"


class Word(Struct, frozen=True):
    """The operator's own word; a pause may have an end, in seconds since 1970."""

    kind: WordKind = WordKind.RUN
    until_s: int | None = None


class Observation(Struct, frozen=True, kw_only=True):
    """What is seen of the machine at one moment; None where it cannot be."""

    now_s: int
    """Seconds since 1970: what prices and pauses are told in."""
    weekday: int
    """0 is Monday, here and in the minute: local time."""
    minute: int
    watched_s: int
    """How long the agent has been there."""
    idle_s: int | None
    """Since the last input of anybody."""
    power: Power
    cpus: int
    others_cpu_percent: int | None
    memory_bytes: int
    memory_pressure_percent: int | None
    agent_memory_bytes: int
    worker_memory_bytes: int
    """Of one worker."""
    disk_used_bytes: int
    disk_free_bytes: int
    transferred_bytes: int
    """Today."""
    tariff: tuple[Price, ...] | None = None
    """None where there is no list of prices that can be read."""
    word: Word = Word()


class Belief(Struct, frozen=True, kw_only=True):
    """What follows from an observation."""

    stance: Stance
    cpus: int
    """Tasks to run at once; 0 unless it lends."""
    reason: PauseReason | None = None
    changes_in_s: int | None = None
    """When it may change by itself next, where that is known."""
    may_transfer: bool = True
    """Whether it may fetch what is large."""

    @property
    def owner_state(self) -> OwnerState:
        """What the network is told: no more than it needs to count."""
        return OwnerState.AVAILABLE if self.reason is None else _STATES[self.reason]


_STATES: Final = {
    PauseReason.PAUSED: OwnerState.PAUSED,
    PauseReason.FINISHING: OwnerState.FINISHING,
    PauseReason.ON_BATTERY: OwnerState.ON_BATTERY,
    PauseReason.POWER_UNKNOWN: OwnerState.ON_BATTERY,
    PauseReason.USER_ACTIVE: OwnerState.IN_USE,
    PauseReason.USER_UNKNOWN: OwnerState.IN_USE,
    PauseReason.OUT_OF_HOURS: OwnerState.OUT_OF_HOURS,
    PauseReason.OUT_OF_NETWORK_HOURS: OwnerState.OUT_OF_HOURS,
    PauseReason.PRICE_HIGH: OwnerState.PRICE_HIGH,
    PauseReason.PRICE_UNKNOWN: OwnerState.PRICE_HIGH,
    PauseReason.CPU_BUSY: OwnerState.BUSY,
    PauseReason.MEMORY_PRESSURE: OwnerState.BUSY,
    PauseReason.MEMORY_FULL: OwnerState.AT_LIMIT,
    PauseReason.DISK_FULL: OwnerState.AT_LIMIT,
    PauseReason.TRANSFER_SPENT: OwnerState.AT_LIMIT,
}

_Because = tuple[PauseReason, int | None]


class Owner:
    """The machine that speaks for the operator of one node."""

    def __init__(self) -> None:
        self._busy_until_ms = 0
        self._pressed_until_ms = 0

    def believe(self, now_ms: int, preferences: Preferences, seen: Observation) -> Belief:
        """Of one observation; only what others need of the machine is remembered for a while."""
        is_any_cpu = not preferences.suspend_cpu_usage_percent
        if not is_any_cpu and (seen.others_cpu_percent or 0) > preferences.suspend_cpu_usage_percent:
            self._busy_until_ms = now_ms + HOLD_MS
        is_any_pressure = not preferences.suspend_memory_pressure_percent
        if not is_any_pressure and (seen.memory_pressure_percent or 0) > preferences.suspend_memory_pressure_percent:
            self._pressed_until_ms = now_ms + HOLD_MS
        because = (
            _by_word(seen)
            or _by_power(preferences, seen)
            or _by_user(preferences, seen)
            or _by_hours(preferences, seen)
            or _by_price(preferences, seen)
            or _held(PauseReason.CPU_BUSY, self._busy_until_ms - now_ms)
            or _held(PauseReason.MEMORY_PRESSURE, self._pressed_until_ms - now_ms)
            or _by_limits(preferences, seen)
        )
        may_transfer = preferences.network_hours[seen.weekday].has(seen.minute) and not _is_spent(preferences, seen)
        if because is None:
            return Belief(
                stance=Stance.LENDING,
                cpus=_cpus(preferences, seen),
                changes_in_s=_closes_in_s(preferences, seen),
                may_transfer=may_transfer,
            )
        stance = Stance.FINISHING if because[0] is PauseReason.FINISHING else Stance.YIELDING
        return Belief(stance=stance, cpus=0, reason=because[0], changes_in_s=because[1], may_transfer=may_transfer)


def rest_ms(infer_ms: int, limit_percent: int) -> int:
    """How long a worker that ran so long stands still after it, so that it has no more than its share of a CPU."""
    return infer_ms * (100 - limit_percent) // limit_percent


def _by_word(seen: Observation) -> _Because | None:
    match seen.word:
        case Word(kind=WordKind.PAUSE, until_s=None):
            return PauseReason.PAUSED, None
        case Word(kind=WordKind.PAUSE, until_s=until_s) if until_s is not None and until_s > seen.now_s:
            return PauseReason.PAUSED, until_s - seen.now_s
        case Word(kind=WordKind.FINISH):
            return PauseReason.FINISHING, None
        case _:
            return None


def _by_power(preferences: Preferences, seen: Observation) -> _Because | None:
    if preferences.run_on_batteries or seen.power is Power.MAINS:
        return None
    return (PauseReason.ON_BATTERY if seen.power is Power.BATTERY else PauseReason.POWER_UNKNOWN), None


def _by_user(preferences: Preferences, seen: Observation) -> _Because | None:
    if preferences.run_if_user_active or not _is_user_active(preferences, seen):
        return None
    if seen.idle_s is None:
        return PauseReason.USER_UNKNOWN, None
    return PauseReason.USER_ACTIVE, preferences.idle_time_to_run_s - seen.idle_s


def _is_user_active(preferences: Preferences, seen: Observation) -> bool:
    """Input within the time that the operator wants to have been idle, but for the start of the node itself."""
    if seen.idle_s is None:
        return True
    is_since_start = seen.idle_s < seen.watched_s - START_S
    return is_since_start and seen.idle_s < preferences.idle_time_to_run_s


def _by_hours(preferences: Preferences, seen: Observation) -> _Because | None:
    for reason, week in (
        (PauseReason.OUT_OF_HOURS, preferences.hours),
        (PauseReason.OUT_OF_NETWORK_HOURS, preferences.network_hours),
    ):
        if not week[seen.weekday].has(seen.minute):
            return reason, _hours_change_in_s(week, seen)
    return None


def _hours_change_in_s(week: tuple[Hours, ...], seen: Observation) -> int | None:
    """To the second, since a local minute begins with a minute of 1970's everywhere."""
    minutes = hours_change_in(week, seen.weekday, seen.minute)
    return None if minutes is None else minutes * MINUTE_S - seen.now_s % MINUTE_S


def _by_price(preferences: Preferences, seen: Observation) -> _Because | None:
    if preferences.price_max_micros is None:
        return None
    tariff = seen.tariff or ()
    price = price_at(tariff, seen.now_s)
    if price is not None and price <= preferences.price_max_micros:
        return None
    changes_in_s = price_changes_in(tariff, seen.now_s, max_micros=preferences.price_max_micros)
    return (PauseReason.PRICE_UNKNOWN if price is None else PauseReason.PRICE_HIGH), changes_in_s


def _held(reason: PauseReason, left_ms: int) -> _Because | None:
    return (reason, -(-left_ms // 1_000)) if left_ms > 0 else None


def _by_limits(preferences: Preferences, seen: Observation) -> _Because | None:
    if not _room(preferences, seen):
        return PauseReason.MEMORY_FULL, None
    is_disk_full = (
        seen.disk_used_bytes > preferences.disk_max_used_bytes or seen.disk_free_bytes < preferences.disk_min_free_bytes
    )
    if is_disk_full:
        return PauseReason.DISK_FULL, None
    if _is_spent(preferences, seen):
        return PauseReason.TRANSFER_SPENT, (DAY_MINUTES - seen.minute) * MINUTE_S - seen.now_s % MINUTE_S
    return None


def _is_spent(preferences: Preferences, seen: Observation) -> bool:
    limit_bytes = preferences.daily_xfer_limit_bytes
    return bool(limit_bytes) and seen.transferred_bytes >= limit_bytes


def _room(preferences: Preferences, seen: Observation) -> int:
    """How many workers fit into the memory that is lent."""
    is_busy = _is_user_active(preferences, seen)
    share_ppm = preferences.ram_max_used_busy_ppm if is_busy else preferences.ram_max_used_idle_ppm
    return max(seen.memory_bytes * share_ppm // PPM - seen.agent_memory_bytes, 0) // seen.worker_memory_bytes


def _cpus(preferences: Preferences, seen: Observation) -> int:
    """One at least: a share of a single CPU is meant as that CPU for a share of the time."""
    share = max(seen.cpus * preferences.max_ncpus_percent // 100, 1)
    return min(share, preferences.slots_max, _room(preferences, seen))


def _closes_in_s(preferences: Preferences, seen: Observation) -> int | None:
    """When a schedule ends it."""
    ends_s = [_hours_change_in_s(week, seen) for week in (preferences.hours, preferences.network_hours)]
    if preferences.price_max_micros is not None:
        ends_s.append(price_changes_in(seen.tariff or (), seen.now_s, max_micros=preferences.price_max_micros))
    return min((end_s for end_s in ends_s if end_s is not None), default=None)
