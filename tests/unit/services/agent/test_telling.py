"""What an agent says of itself to a person."""

from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace
from tests.unit.core.test_owner import seen

from gridlight.core.owner import Belief
from gridlight.core.preferences import GENTLE
from gridlight.messages.control import PauseReason, Power, Stance
from gridlight.services.agent.telling import line, seen_now

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
"""A Monday."""


def told(
    reason: PauseReason | None = None, changes_in_s: int | None = None, cpus: int = 2, running: int = 0, **changes: Any
) -> str:
    """The sentence for a belief of what was seen."""
    stance = Stance.LENDING if reason is None else Stance.YIELDING
    belief = Belief(stance=stance, cpus=cpus, reason=reason, changes_in_s=changes_in_s)
    return line(GENTLE, belief, seen(cpus=4, **changes), NOW, running=running)


def test_a_running_node_says_what_it_sees_and_lends() -> None:
    assert told(idle_s=250) == "running: idle 4 min, on mains, 2 of 4 CPUs"
    assert told(idle_s=45, changes_in_s=10 * 3_600) == "running: idle 45 s, on mains, 2 of 4 CPUs; until 22:00"
    assert told(idle_s=None, power=Power.BATTERY) == "running: presence unknown, on battery, 2 of 4 CPUs"


@pytest.mark.parametrize(
    ("idle_s", "said"), [(5 * 3_600, "idle 5 h"), (4 * 86_400, "idle 4 d"), (30 * 86_400, "idle for days")]
)
def test_long_times_are_told_shortly(idle_s: int, said: str) -> None:
    assert said in told(idle_s=idle_s)


def test_a_node_in_use_says_for_how_long_it_waits() -> None:
    said = told(PauseReason.USER_ACTIVE, 110, idle_s=70)

    assert said == (
        "paused: in use, idle 1 min; runs after 3 min without input (idle_time_to_run); not before 12:01:50"
    )


@pytest.mark.parametrize(("in_s", "at"), [(600, "12:10"), (30 * 3_600, "Tue 18:00")])
def test_the_next_window_is_told_in_the_clocks_words(in_s: int, at: str) -> None:
    assert told(PauseReason.OUT_OF_HOURS, in_s).endswith(f"; next window {at}")


@pytest.mark.parametrize("reason", list(PauseReason))
def test_every_reason_has_its_words(reason: PauseReason) -> None:
    said = told(reason, others_cpu_percent=63)

    assert said.startswith("finished: " if reason is PauseReason.FINISHING else "paused: ")
    assert "{" not in said


def test_a_finishing_node_says_how_much_is_left() -> None:
    assert told(PauseReason.FINISHING, running=2).startswith("finishing: takes nothing more and ends 2 tasks, until")


@pytest.mark.parametrize("reason", [PauseReason.USER_UNKNOWN, PauseReason.POWER_UNKNOWN])
def test_what_is_unknown_is_said_to_be_and_what_to_do_about_it(reason: PauseReason) -> None:
    said = told(reason)

    assert "cannot tell" in said
    assert "= true runs it all the same" in said


def test_before_the_first_look_nothing_is_claimed() -> None:
    assert line(GENTLE, None, None, NOW, running=0) == "starting: has not looked at the machine yet"


def test_what_is_shown_is_what_was_seen() -> None:
    shown = seen_now(replace(seen(), transferred_bytes=7))

    assert (shown.idle_s, shown.cpus, shown.transferred_bytes, shown.price_micros) == (600, 8, 7, None)
