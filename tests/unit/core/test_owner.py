"""What a node may do, by its operator's word and preferences and what is seen of the machine."""

from typing import Any

import pytest
from msgspec.structs import replace

from gridlight.core.owner import HOLD_MS, START_S, Belief, Observation, Owner, Word, WordKind, rest_ms
from gridlight.core.preferences import ALWAYS, GENTLE, GIB, Hours, Preferences
from gridlight.core.tariff import Price
from gridlight.messages.control import PauseReason, Power, Stance
from gridlight.messages.nodes import OwnerState

NOW_S = 1_800_000_000
"""A whole minute."""
MIB = 1024 * 1024
DEAR, CHEAP = 400_000, 100_000


def seen(**changes: Any) -> Observation:
    """Of a machine with eight CPUs, on mains, that nobody uses; a Monday at noon."""
    quiet = Observation(
        now_s=NOW_S,
        weekday=0,
        minute=720,
        watched_s=3_600,
        idle_s=600,
        power=Power.MAINS,
        cpus=8,
        others_cpu_percent=0,
        memory_bytes=8 * GIB,
        memory_pressure_percent=0,
        agent_memory_bytes=48 * MIB,
        worker_memory_bytes=160 * MIB,
        disk_used_bytes=GIB,
        disk_free_bytes=100 * GIB,
        transferred_bytes=0,
    )
    return replace(quiet, **changes)


def believed(preferences: Preferences = GENTLE, /, **changes: Any) -> Belief:
    """By an operator's machine that has seen nothing before."""
    return Owner().believe(0, preferences, seen(**changes))


def prefer(**changes: Any) -> Preferences:
    """The gentle defaults but for these."""
    return replace(GENTLE, **changes)


def week(start: int, end: int, monday: Hours | None = None) -> tuple[Hours, ...]:
    """The same hours of each day, or other ones on Mondays."""
    usual = Hours(start * 60, end * 60)
    return (monday or usual, *(usual,) * 6)


def test_an_idle_machine_on_mains_lends_half_its_cpus() -> None:
    belief = believed()

    assert belief == Belief(stance=Stance.LENDING, cpus=4)
    assert belief.owner_state is OwnerState.AVAILABLE


def test_a_machine_with_one_cpu_lends_that_one() -> None:
    assert believed(cpus=1).cpus == 1


def test_it_lends_no_more_than_it_was_started_with() -> None:
    assert believed(prefer(slots_max=3)).cpus == 3


@pytest.mark.parametrize(
    ("changes", "reason", "state"),
    [
        ({"word": Word(WordKind.PAUSE)}, PauseReason.PAUSED, OwnerState.PAUSED),
        ({"word": Word(WordKind.PAUSE, NOW_S + 1)}, PauseReason.PAUSED, OwnerState.PAUSED),
        ({"power": Power.BATTERY}, PauseReason.ON_BATTERY, OwnerState.ON_BATTERY),
        ({"power": Power.UNKNOWN}, PauseReason.POWER_UNKNOWN, OwnerState.ON_BATTERY),
        ({"idle_s": 179}, PauseReason.USER_ACTIVE, OwnerState.IN_USE),
        ({"idle_s": None}, PauseReason.USER_UNKNOWN, OwnerState.IN_USE),
        ({"others_cpu_percent": 26}, PauseReason.CPU_BUSY, OwnerState.BUSY),
        ({"memory_pressure_percent": 21}, PauseReason.MEMORY_PRESSURE, OwnerState.BUSY),
        ({"memory_bytes": 400 * MIB}, PauseReason.MEMORY_FULL, OwnerState.AT_LIMIT),
        ({"disk_used_bytes": 10 * GIB + 1}, PauseReason.DISK_FULL, OwnerState.AT_LIMIT),
        ({"disk_free_bytes": GIB - 1}, PauseReason.DISK_FULL, OwnerState.AT_LIMIT),
    ],
)
def test_whatever_the_operator_needs_the_machine_for_ends_the_lending_at_once(
    changes: dict[str, Any], reason: PauseReason, state: OwnerState
) -> None:
    belief = believed(**changes)

    assert (belief.stance, belief.cpus, belief.reason) == (Stance.YIELDING, 0, reason)
    assert belief.owner_state is state


@pytest.mark.parametrize(
    "changes",
    [
        {"power": Power.BATTERY},
        {"power": Power.UNKNOWN},
        {"idle_s": 0},
        {"idle_s": None},
        {"others_cpu_percent": 100},
        {"others_cpu_percent": None},
        {"memory_pressure_percent": 100},
        {"memory_pressure_percent": None},
        {"disk_free_bytes": 0},
    ],
)
def test_a_machine_that_is_there_to_be_a_node_lends_all_of_itself_whatever_happens(changes: dict[str, Any]) -> None:
    assert believed(ALWAYS, **changes) == Belief(stance=Stance.LENDING, cpus=8)


def test_its_operator_may_still_pause_it() -> None:
    assert believed(ALWAYS, word=Word(WordKind.PAUSE)).reason is PauseReason.PAUSED


@pytest.mark.parametrize("power", [Power.BATTERY, Power.UNKNOWN])
def test_on_battery_it_lends_where_that_is_allowed(power: Power) -> None:
    assert believed(prefer(run_on_batteries=True), power=power).stance is Stance.LENDING


def test_load_that_cannot_be_seen_counts_as_none() -> None:
    assert believed(others_cpu_percent=None, memory_pressure_percent=None).stance is Stance.LENDING


def test_finishing_lends_nothing_more_and_yields_nothing() -> None:
    belief = believed(word=Word(WordKind.FINISH))

    assert (belief.stance, belief.cpus, belief.owner_state) == (Stance.FINISHING, 0, OwnerState.FINISHING)


def test_a_pause_ends_by_itself_when_it_was_said_to() -> None:
    paused, over = (believed(word=Word(WordKind.PAUSE, until_s)) for until_s in (NOW_S + 90, NOW_S))

    assert paused.changes_in_s == 90
    assert over.stance is Stance.LENDING


def test_in_use_it_says_when_it_will_have_been_idle_for_long_enough() -> None:
    assert believed(idle_s=60).changes_in_s == 120


def test_what_was_typed_to_start_the_node_does_not_keep_it_from_beginning() -> None:
    begun = believed(watched_s=60, idle_s=60)
    starting = believed(watched_s=0, idle_s=0)
    touched = believed(watched_s=60, idle_s=60 - START_S - 1)

    assert (begun.stance, starting.stance) == (Stance.LENDING, Stance.LENDING)
    assert touched.reason is PauseReason.USER_ACTIVE


def test_others_keep_the_machine_for_a_while_after_they_needed_it() -> None:
    owner = Owner()
    busy = owner.believe(0, GENTLE, seen(others_cpu_percent=90))
    held = owner.believe(HOLD_MS - 1, GENTLE, seen(others_cpu_percent=0))
    over = owner.believe(HOLD_MS, GENTLE, seen(others_cpu_percent=0))

    assert busy.changes_in_s == HOLD_MS // 1_000
    assert (held.reason, held.changes_in_s) == (PauseReason.CPU_BUSY, 1)
    assert over.stance is Stance.LENDING


def test_memory_that_was_short_is_left_alone_for_a_while() -> None:
    owner = Owner()
    owner.believe(0, GENTLE, seen(memory_pressure_percent=90))

    assert owner.believe(HOLD_MS - 1, GENTLE, seen()).reason is PauseReason.MEMORY_PRESSURE
    assert owner.believe(HOLD_MS, GENTLE, seen()).stance is Stance.LENDING


def test_out_of_its_hours_it_says_when_they_begin() -> None:
    belief = believed(prefer(hours=week(22, 6)), now_s=NOW_S + 20)

    assert belief.reason is PauseReason.OUT_OF_HOURS
    assert belief.changes_in_s == 10 * 3_600 - 20
    assert belief.may_transfer


def test_within_its_hours_it_says_when_they_end() -> None:
    assert believed(prefer(hours=week(8, 13))).changes_in_s == 3_600


def test_a_day_may_have_hours_of_its_own() -> None:
    usual, monday = week(8, 9), week(8, 9, monday=Hours(12 * 60, 13 * 60))

    assert believed(prefer(hours=usual)).reason is PauseReason.OUT_OF_HOURS
    assert believed(prefer(hours=monday)).stance is Stance.LENDING


def test_out_of_the_networks_hours_nothing_is_fetched_even_while_it_is_paused_for_another_reason() -> None:
    belief = believed(prefer(network_hours=week(22, 6)))
    in_use = believed(prefer(network_hours=week(22, 6)), idle_s=0)

    assert belief.reason is PauseReason.OUT_OF_NETWORK_HOURS
    assert in_use.reason is PauseReason.USER_ACTIVE
    assert (belief.may_transfer, in_use.may_transfer) == (False, False)


def test_a_days_transfer_once_spent_ends_the_lending_until_midnight() -> None:
    limited = prefer(daily_xfer_limit_bytes=1_000)
    spent = believed(limited, transferred_bytes=1_000, now_s=NOW_S + 15)

    assert (spent.reason, spent.may_transfer) == (PauseReason.TRANSFER_SPENT, False)
    assert spent.changes_in_s == 12 * 3_600 - 15
    assert believed(limited, transferred_bytes=999).stance is Stance.LENDING


def test_it_waits_for_a_cheaper_hour_and_says_when_that_comes() -> None:
    tariff = (Price(NOW_S - 60, DEAR), Price(NOW_S + 60, CHEAP), Price(NOW_S + 120, DEAR))
    thrifty = prefer(price_max_micros=CHEAP)

    dear = believed(thrifty, tariff=tariff)
    cheap = believed(thrifty, tariff=tariff, now_s=NOW_S + 60)

    assert (dear.reason, dear.changes_in_s, dear.owner_state) == (PauseReason.PRICE_HIGH, 60, OwnerState.PRICE_HIGH)
    assert (cheap.stance, cheap.changes_in_s) == (Stance.LENDING, 60)


@pytest.mark.parametrize("tariff", [None, (Price(NOW_S + 60, CHEAP),)])
def test_where_the_price_is_unknown_it_waits(tariff: tuple[Price, ...] | None) -> None:
    belief = believed(prefer(price_max_micros=CHEAP), tariff=tariff)

    assert belief.reason is PauseReason.PRICE_UNKNOWN
    assert belief.changes_in_s == (None if tariff is None else 60)


def test_as_many_workers_run_as_fit_into_the_memory_lent() -> None:
    """Half of 1 GiB less the agent's 48 MiB; a quarter while somebody uses the machine."""
    shared = prefer(run_if_user_active=True)

    assert believed(shared, memory_bytes=GIB).cpus == (512 - 48) // 160
    assert believed(shared, memory_bytes=GIB, idle_s=0).cpus == (256 - 48) // 160


def test_a_worker_that_ran_rests_as_long_as_its_share_demands() -> None:
    assert [rest_ms(70, percent) for percent in (100, 50, 25)] == [0, 70, 210]
