"""Admission: whether a job is taken on at all, asked before anything is spent on it; else what to change."""

from typing import Final

from gridlight.core.lanes import Lane
from gridlight.core.outcomes import (
    PINNED_MAX,
    WAITING_MAX,
    refused_by_load,
    refused_by_queue,
    refused_by_speed,
    refused_for_model,
    refused_for_trust,
    refused_for_workload,
    refused_pin,
    refused_without_node,
)
from gridlight.core.placement import Placement
from gridlight.messages.jobs import JobSubmitted, Outcome

_NO_NODE: Final = 2**31 - 1


def refusal(placement: Placement, job: JobSubmitted, *, is_settling: bool) -> Outcome | None:
    """Why the job is not taken on; None where it is. While the network settles, nodes that left may come back."""
    lane = placement.lanes.get(job.workload)
    if lane is None:
        return refused_for_workload(placement.closed.get(job.workload))
    if job.pinned_node is not None:
        node = placement.roster.node_index.get(job.pinned_node, _NO_NODE)
        if node == _NO_NODE or not lane.pool_of(node).has(node):
            return refused_pin(job)
        return refused_by_queue(lane.pinned_waiting(node), PINNED_MAX)
    waiting = placement.waiting(lane)
    pool = lane.serving(job.assurance)
    if not pool.slots_total:
        may_come_back = is_settling and placement.roster.node_ids
        return refused_by_queue(waiting, WAITING_MAX) if may_come_back else refused_for_want_of_nodes(placement, lane)
    return (
        refused_by_speed(job, pool)
        or refused_by_queue(waiting, WAITING_MAX)
        or refused_by_load(job, pool, waiting=waiting, service_ms=lane.service_ms)
    )


def refused_for_want_of_nodes(placement: Placement, lane: Lane) -> Outcome:
    """Nobody lends who could serve it: what is the nearest that could be done?"""
    if lane.shadows.slots_total:
        return refused_for_trust(lane.shadows.online_total)
    served = [workload for workload, lane in placement.lanes.items() if lane.slots_total]
    return refused_for_model(served) if served else refused_without_node()
