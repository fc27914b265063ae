"""Answers what gateways ask of the core. It changes nothing, so it is no event, and is in no journal."""

from gridlight.core.coordinator import Coordinator
from gridlight.messages.reasons import ReasonsAsked, TellReasons, WorkloadReasons


def answer(core: Coordinator, asked: ReasonsAsked) -> TellReasons:
    """What is counted for the node, one entry a workload that it has offered. O(workloads)."""
    node = core.fleet.index_of(asked.node_id)
    workloads = None if node is None else _counted(core, node)
    return TellReasons(gateway_id=asked.gateway_id, question=asked.question, workloads=workloads)


def _counted(core: Coordinator, node: int) -> tuple[WorkloadReasons, ...]:
    return tuple(
        WorkloadReasons(
            workload=workload,
            since_ms=lane.reasons.since_ms(node),
            considered=lane.reasons.considered_for(node),
            reasons=lane.reasons.counts(node),
        )
        for workload, lane in core.scheduling.placement.lanes.items()
        if lane.reasons.knows(node)
    )
