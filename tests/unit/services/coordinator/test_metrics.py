"""The coordinator's figures, as a scraper reads them."""

from typing import cast

from prometheus_client import CollectorRegistry, generate_latest
from tests.unit.core.world import WORKLOAD, World

from gridlight.services.coordinator.loop import Loop
from gridlight.services.coordinator.metrics import CoreFigures


class Host:
    """What the figures are read from."""

    def __init__(self, world: World) -> None:
        self.core = world.coordinator
        self.refused = 3


def scrape(world: World) -> str:
    registry = CollectorRegistry()
    registry.register(CoreFigures(cast("Loop", Host(world))))
    return generate_latest(registry).decode()


def test_nodes_slots_and_assignments_are_counted_without_a_label_per_node() -> None:
    world = World()
    node = world.join()
    world.join()
    world.assign()

    text = scrape(world)

    assert 'gridlight_nodes{state="online"} 2.0' in text
    assert f'gridlight_slots_lent{{workload="{WORKLOAD}"}} 2.0' in text
    assert f'gridlight_nodes_free{{workload="{WORKLOAD}"}} 1.0' in text
    assert 'gridlight_assignments_total{event="dispatched"} 1.0' in text
    assert "gridlight_events_dropped_total 3.0" in text
    assert node not in text


def test_a_node_that_broke_its_word_is_counted_apart() -> None:
    world = World()
    world.join()
    world.assign()

    world.pass_ms(1_000)

    assert 'gridlight_nodes{state="unresponsive"} 1.0' in scrape(world)
