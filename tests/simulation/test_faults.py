"""Networks that much befalls: every promise is kept, and everything ends once faults have stopped."""

import pytest
from tests.simulation.running import ran, small

from gridlight.simulation.faults import FaultKind
from gridlight.simulation.scenario import Faults


@pytest.mark.parametrize("seed", range(6))
def test_whatever_befalls_a_small_network_its_promises_hold(seed: int) -> None:
    world = ran(small(), seed)

    assert {fault.kind for fault in world.breaker.begun} == set(FaultKind)
    assert world.measures.ended == world.gateways.asked
    assert world.measures.done > 0.6 * world.measures.ended
    assert not world.host.core.scheduling.placement.table.tasks
    assert world.host.replays > 2


def test_a_network_without_faults_answers_everybody() -> None:
    scenario = small(nodes=100, faults=Faults())

    world = ran(scenario, 3)

    assert not world.breaker.begun
    assert world.measures.unanswered_count == 0
    assert world.measures.done > 0.97 * world.measures.tasks


def test_a_coordinator_that_crashes_goes_on_where_its_journal_ends() -> None:
    world = ran(small(faults=Faults(coordinator_crashes=4, crash_ms=1_500)), 5)

    assert world.host.replays >= 4
    assert world.measures.ended == world.gateways.asked


def test_what_is_asked_after_faults_have_stopped_is_answered() -> None:
    world = ran(small(nodes=60, seconds=20), 8)

    quiet = [
        one for place, one in enumerate(world.measures.intervals) if place * world.measures.span.interval_ms > 26_000
    ]
    assert sum(one.answered for one in quiet) > 5
    assert sum(one.missed for one in quiet) <= 1
