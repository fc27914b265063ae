"""Paid tasks that are not over, by job and by answer."""

from tests.unit.core.world import WORKLOAD, node_id

from gridlight.core.paid_tasks import PaidTask, PaidTasks
from gridlight.core.pricing import Quote
from gridlight.messages.ids import AssignmentId, JobId

NODE = node_id(1)


def test_a_node_s_answers_settle_in_the_order_of_their_commits_after_a_restart_too() -> None:
    """The first job was answered last; a restarted coordinator posts the entries that the old one would have."""
    living, restarted = PaidTasks(), PaidTasks()
    tasks = [PaidTask(JobId(f"req_{number:026d}"), WORKLOAD, 1, Quote(1, 0, 0)) for number in range(2)]
    for task in tasks:
        living.add(task)
    for commit, task in enumerate(reversed(tasks), start=1):
        living.committed(task, NODE, AssignmentId(f"{commit:032x}"), commit)
    for task in living.by_job.values():
        restarted.add(task)

    assert [task.commit for task in living.provisional(NODE, 2)] == [1, 2]
    assert [task.commit for task in restarted.provisional(NODE, 2)] == [1, 2]
