"""The core's door: what it passes on, what it refuses to believe, and its way through a snapshot."""

from typing import Any

import pytest
from tests.unit.core.world import WORKLOAD, World, ends, job_id, outcome, sends, slots, submitted

from gridlight.core.catalogue import Catalogue, CatalogueEvent
from gridlight.core.coordinator import HOPS_MAX, Coordinator
from gridlight.core.fleet import Fleet, FleetEvent
from gridlight.core.notices import NodeMissed
from gridlight.core.reputation import Reputation, ReputationEvent
from gridlight.core.scheduling import Scheduling, SchedulingEvent
from gridlight.core.verification import VerificationEvent, Verifier
from gridlight.messages.codec import Event
from gridlight.messages.host import TimePassed
from gridlight.messages.jobs import JobState


def test_time_never_goes_backwards() -> None:
    coordinator = Coordinator()
    coordinator.handle(1_000, TimePassed())
    coordinator.handle(1_000, TimePassed())

    with pytest.raises(AssertionError, match="backwards"):
        coordinator.handle(999, TimePassed())


def test_machines_that_talk_in_circles_are_stopped() -> None:
    coordinator = Coordinator()
    heard: list[Any] = []

    def echo(now_ms: int, message: Any) -> list[Any]:
        heard.append((now_ms, message))
        return [NodeMissed(0)]

    coordinator._routes = {TimePassed: (echo,), NodeMissed: (echo,)}

    with pytest.raises(AssertionError, match="NodeMissed travelled"):
        coordinator.handle(1, TimePassed())
    assert len(heard) == HOPS_MAX


def test_every_event_has_a_machine_that_hears_it() -> None:
    routed = set(Coordinator()._routes)

    assert set(Event.__args__) <= routed


@pytest.mark.parametrize(
    ("machine", "events"),
    [
        (Fleet(), FleetEvent),
        (Scheduling(), SchedulingEvent),
        (Reputation(), ReputationEvent),
        (Verifier(), VerificationEvent),
        (Catalogue(), CatalogueEvent),
    ],
)
def test_a_machine_hears_what_its_type_says_and_nothing_else(machine: Any, events: Any) -> None:
    assert set(machine.hears) == set(events.__args__)


def test_a_new_coordinator_has_nothing_to_wait_for() -> None:
    assert Coordinator().next_deadline_ms() is None


def test_a_restored_coordinator_goes_on_as_the_first_one_would() -> None:
    world = World()
    for count in (1, 2, 1, 3):
        world.join(slot_count=count)
    sent = [world.assign(deadline_ms=2_000 + 100 * number) for number in range(7)]
    world.submit()
    for send in sent[:4]:
        world.ack(send, eta_ms=900)
    world.result(sent[0])
    world.pass_ms(200)

    first, restored = world.coordinator, Coordinator.restored(world.coordinator.snapshot())

    assert restored.snapshot() == first.snapshot()
    assert restored.now_ms == first.now_ms
    now_ms = world.now_ms
    while (due_ms := first.next_deadline_ms()) is not None:
        assert restored.next_deadline_ms() == due_ms
        now_ms = max(now_ms, due_ms)
        assert restored.handle(now_ms, TimePassed()) == first.handle(now_ms, TimePassed())
        restored.check()
    assert restored.snapshot() == first.snapshot()


def test_a_job_that_ended_before_the_snapshot_is_answered_after_it() -> None:
    world = World()
    node = world.join()
    done = outcome(world.result(world.assign()))

    world.coordinator = Coordinator.restored(world.coordinator.snapshot())

    effects = world.tell(submitted(job_id(1)))
    assert outcome(effects) == done
    assert [end.is_repeated for end in ends(effects)] == [True]
    assert world.assign().node_id == node
    assert sends(world.offer(node, slots(1, workload=WORKLOAD))) == []
    assert done.state is JobState.DONE
