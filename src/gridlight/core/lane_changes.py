"""What opens and closes a workload's lane: tasks of one that is stopped end at once, wherever they are."""

from gridlight.core.attempts import Task, live_attempts
from gridlight.core.checking import end_check, ends_last
from gridlight.core.lanes import Lane
from gridlight.core.notices import CheckEnded, Output, WorkloadClosed, WorkloadOpened
from gridlight.core.outcomes import failed_by_stop
from gridlight.core.placement import Placement
from gridlight.core.rollout import Rollout


def change_lane(placement: Placement, event: WorkloadOpened | WorkloadClosed) -> list[Output]:
    """O(1) to open; to close O(tasks + nodes), since a stop is rare and must leave nothing behind."""
    if isinstance(event, WorkloadOpened):
        lane = placement.lanes.setdefault(event.workload, Lane(placement.roster, placement.resting))
        lane.roll_out(Rollout(event.workload, event.rollout_percent) if event.rollout_percent < 100 else None)
        placement.closed.pop(event.workload, None)
        return []
    if event.serial:  # else it only does not come with this program any more, as if it had never been there
        placement.closed[event.workload] = event.state
    closed = placement.lanes.get(event.workload)
    if closed is None:
        return []
    outputs: list[Output] = []
    for task in [task for task in placement.table.tasks.values() if task.job.workload == event.workload]:
        outputs += _end(placement, task, event)
    del placement.lanes[event.workload]
    for node in placement.roster.node_ids:
        if closed.pool_of(node).has(node):
            is_lending = any(lane.pool_of(node).has(node) for lane in placement.lanes.values())
            placement.roster.set_lending(node, is_lending=is_lending)
    return ends_last(outputs)


def _end(placement: Placement, task: Task, event: WorkloadClosed) -> list[Output]:
    outputs: list[Output] = []
    if task.is_open and task.check is not None:
        outputs = end_check(placement, task, CheckEnded(task.check.check, is_input_gone=True))
    elif task.is_open:
        outputs = placement.end(task, failed_by_stop(task, event.state))
    for attempt in live_attempts(task):
        placement.table.end_lease(task, attempt)
    return outputs
