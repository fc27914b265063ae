"""The coordinator's figures for Prometheus, read from the core when they are asked for. No label per node."""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Final

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gridlight.core.coordinator import Coordinator
from gridlight.core.fleet import Presence
from gridlight.messages.trust import CheckOutcome, Role
from gridlight.services.coordinator.loop import Loop

METHODS: Final = (Role.AUDIT, Role.CANARY, Role.SHADOW, Role.REFERENCE)
"""For what a node is asked again."""


class CoreFigures(Collector):
    """What fleet and scheduling count. Read from the scraper's thread: whole numbers that only the loop changes."""

    def __init__(self, loop: Loop, checks: Mapping[tuple[Role, CheckOutcome], int]) -> None:
        self._loop = loop
        self._checks = checks

    def collect(self) -> Iterator[Metric]:
        """Each figure once a scrape; O(nodes)."""
        core = self._loop.core
        yield from self._nodes(core)
        yield from _lanes(core)
        events = CounterMetricFamily("gridlight_assignments", "Assignments by what became of them.", labels=["event"])
        for count, total in core.scheduling.placement.counts.items():
            events.add_metric([count.value], total)
        yield events
        yield from self._verifications()
        dropped = CounterMetricFamily("gridlight_events_dropped", "Events dropped because the inbox was full.")
        dropped.add_metric([], self._loop.refused)
        yield dropped

    def _nodes(self, core: Coordinator) -> Iterator[Metric]:
        nodes = GaugeMetricFamily("gridlight_nodes", "Enrolled nodes by presence.", labels=["state"])
        present = Counter(core.fleet.presences())
        for presence in Presence:
            nodes.add_metric([presence.name.lower()], present[presence])
        tiers = GaugeMetricFamily("gridlight_nodes_by_tier", "Enrolled nodes by what they may do.", labels=["tier"])
        for tier, count in core.reputation.tiers().items():
            tiers.add_metric([tier.value], count)
        yield from (nodes, tiers)

    def _verifications(self) -> Iterator[Metric]:
        checks = CounterMetricFamily(
            "gridlight_verifications", "Checks of answers, since the start.", labels=["method", "outcome"]
        )
        canaries = CounterMetricFamily(
            "gridlight_canaries", "Checks by what was known before, since the start.", labels=["outcome"]
        )
        for role, outcome in product(METHODS, CheckOutcome):
            checks.add_metric([role.value, outcome.value], self._checks.get((role, outcome), 0))
        for outcome in CheckOutcome:
            canaries.add_metric([outcome.value], self._checks.get((Role.CANARY, outcome), 0))
        yield from (checks, canaries)


def _lanes(core: Coordinator) -> Iterator[Metric]:
    by_tier = ["workload", "tier"]
    lent = GaugeMetricFamily("gridlight_slots_lent", "Slots that nodes lend.", labels=by_tier)
    free = GaugeMetricFamily("gridlight_nodes_free", "Nodes that can take a task now.", labels=by_tier)
    skipped = CounterMetricFamily(
        "gridlight_nodes_skipped",
        "Nodes considered for an assignment and not chosen.",
        labels=[*by_tier, "reason"],
    )
    considered = CounterMetricFamily(
        "gridlight_tasks_considered",
        "Tasks that nodes were given, by what became of them; those that were done may be void later, too.",
        labels=["workload", "outcome"],
    )
    for workload, lane in core.scheduling.placement.lanes.items():
        for tier, pool in lane.pools.items():
            lent.add_metric([workload, tier.value], pool.slots_total)
            free.add_metric([workload, tier.value], pool.free_total)
            for reason, count in pool.skipped.items():
                skipped.add_metric([workload, tier.value, reason.value], count)
        for outcome, count in lane.reasons.ended.items():
            considered.add_metric([workload, outcome.value], count)
    yield from (lent, free, skipped, considered)


def serve_metrics(loop: Loop, checks: Mapping[tuple[Role, CheckOutcome], int], port: int) -> None:
    """Answer scrapes on the loopback address, in a thread of its own."""
    registry = CollectorRegistry()
    registry.register(CoreFigures(loop, checks))
    start_http_server(port, addr="127.0.0.1", registry=registry)
