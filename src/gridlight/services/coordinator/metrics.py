"""The coordinator's figures for Prometheus, read from the core when they are asked for. No label per node."""

from collections import Counter
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gridlight.core.coordinator import Coordinator
from gridlight.core.fleet import Presence
from gridlight.services.coordinator.loop import Loop


class CoreFigures(Collector):
    """What fleet and scheduling count. Read from the scraper's thread: whole numbers that only the loop changes."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop

    def collect(self) -> Iterator[Metric]:
        """Each figure once a scrape; O(nodes)."""
        core = self._loop.core
        yield self._nodes(core)
        yield from _lanes(core)
        events = CounterMetricFamily("gridlight_assignments", "Assignments by what became of them.", labels=["event"])
        for count, total in core.scheduling.placement.counts.items():
            events.add_metric([count.value], total)
        yield events
        dropped = CounterMetricFamily("gridlight_events_dropped", "Events dropped because the inbox was full.")
        dropped.add_metric([], self._loop.refused)
        yield dropped

    def _nodes(self, core: Coordinator) -> Metric:
        nodes = GaugeMetricFamily("gridlight_nodes", "Enrolled nodes by presence.", labels=["state"])
        present = Counter(core.fleet.presences())
        for presence in Presence:
            nodes.add_metric([presence.name.lower()], present[presence])
        return nodes


def _lanes(core: Coordinator) -> Iterator[Metric]:
    lent = GaugeMetricFamily("gridlight_slots_lent", "Slots that nodes lend.", labels=["workload"])
    free = GaugeMetricFamily("gridlight_nodes_free", "Nodes that can take a task now.", labels=["workload"])
    skipped = CounterMetricFamily(
        "gridlight_nodes_skipped", "Nodes considered for an assignment and not chosen.", labels=["workload", "reason"]
    )
    for workload, lane in core.scheduling.placement.lanes.items():
        lent.add_metric([workload], lane.pool.slots_total)
        free.add_metric([workload], lane.pool.free_total)
        for reason, count in lane.pool.skipped.items():
            skipped.add_metric([workload, reason.value], count)
    yield from (lent, free, skipped)


def serve_metrics(loop: Loop, port: int) -> None:
    """Answer scrapes on the loopback address, in a thread of its own."""
    registry = CollectorRegistry()
    registry.register(CoreFigures(loop))
    start_http_server(port, addr="127.0.0.1", registry=registry)
