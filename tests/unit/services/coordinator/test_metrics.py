"""The coordinator's figures, as a scraper reads them."""

from collections import Counter
from collections.abc import Mapping
from typing import cast

from prometheus_client import CollectorRegistry, generate_latest
from tests.unit.core.world import WORKLOAD, World, enrolled, node_id

from gridlight.messages.trust import CheckOutcome, Role, Tier
from gridlight.services.coordinator.loop import Loop
from gridlight.services.coordinator.metrics import CoreFigures

Checks = Mapping[tuple[Role, CheckOutcome], int]


class Host:
    """What the figures are read from."""

    def __init__(self, world: World) -> None:
        self.core = world.coordinator
        self.refused = 3


def scrape(world: World, checks: Checks | None = None) -> str:
    registry = CollectorRegistry()
    registry.register(CoreFigures(cast("Loop", Host(world)), checks or {}))
    return generate_latest(registry).decode()


def test_nodes_slots_and_assignments_are_counted_without_a_label_per_node() -> None:
    world = World()
    node = world.join()
    world.join()
    world.assign()

    text = scrape(world)

    assert 'gridlight_nodes{state="online"} 2.0' in text
    assert f'gridlight_slots_lent{{tier="trusted",workload="{WORKLOAD}"}} 2.0' in text
    assert f'gridlight_nodes_free{{tier="trusted",workload="{WORKLOAD}"}} 1.0' in text
    assert f'gridlight_nodes_free{{tier="shadow",workload="{WORKLOAD}"}} 0.0' in text
    assert 'gridlight_assignments_total{event="dispatched"} 1.0' in text
    assert "gridlight_events_dropped_total 3.0" in text
    assert node not in text


def test_tasks_are_counted_by_what_became_of_them() -> None:
    world = World()
    world.join()
    world.result(world.assign())
    world.decline(world.assign())

    text = scrape(world)

    assert f'gridlight_tasks_considered_total{{outcome="done",workload="{WORKLOAD}"}} 1.0' in text
    assert f'gridlight_tasks_considered_total{{outcome="declined_no_free_slot",workload="{WORKLOAD}"}} 1.0' in text
    assert f'gridlight_tasks_considered_total{{outcome="late",workload="{WORKLOAD}"}} 0.0' in text
    assert 'outcome="offline"' not in text


def test_a_node_that_broke_its_word_is_counted_apart() -> None:
    world = World()
    world.join()
    world.assign()

    world.pass_ms(1_000)

    assert 'gridlight_nodes{state="unresponsive"} 1.0' in scrape(world)


def test_nodes_are_counted_by_what_they_may_do() -> None:
    world = World()
    for number, endorsed in enumerate([Tier.TRUSTED, None, None, Tier.REFERENCE], start=1):
        world.tell(enrolled(node_id(number), endorsed=endorsed))

    text = scrape(world)

    assert 'gridlight_nodes_by_tier{tier="trusted"} 1.0' in text
    assert 'gridlight_nodes_by_tier{tier="shadow"} 2.0' in text
    assert 'gridlight_nodes_by_tier{tier="reference"} 1.0' in text
    assert 'gridlight_nodes_by_tier{tier="banned"} 0.0' in text


def test_checks_are_counted_by_method_and_outcome_and_canaries_once_more() -> None:
    checks = Counter({(Role.AUDIT, CheckOutcome.MATCH): 5, (Role.CANARY, CheckOutcome.MISMATCH): 2})

    text = scrape(World(), checks)

    assert 'gridlight_verifications_total{method="audit",outcome="match"} 5.0' in text
    assert 'gridlight_verifications_total{method="canary",outcome="mismatch"} 2.0' in text
    assert 'gridlight_verifications_total{method="reference",outcome="lost"} 0.0' in text
    assert 'gridlight_canaries_total{outcome="mismatch"} 2.0' in text
    assert 'gridlight_canaries_total{outcome="match"} 0.0' in text
