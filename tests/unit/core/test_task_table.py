"""The table of tasks and leases, and its way through a snapshot."""

import msgspec
import pytest
from tests.unit.core.world import job_id, submitted

from gridlight.core.attempts import Attempt, AttemptState, Task
from gridlight.core.task_table import TaskTable, TaskTableSnapshot
from gridlight.messages.ids import AssignmentId
from gridlight.messages.jobs import JobState, Outcome

OUTCOME = Outcome(state=JobState.DONE)


def attempt(number: int, *, node: int) -> Attempt:
    """A lease of a node."""
    return Attempt(AssignmentId(f"{number:016x}"), node, 1_000, 1_500)


def opened(table: TaskTable, number: int) -> Task:
    """A job that was taken on."""
    return table.open(1_000, submitted(job_id(number)), seed=7)


def test_a_task_is_found_by_its_job_and_by_its_leases() -> None:
    table = TaskTable()
    task = opened(table, 1)
    lease = attempt(1, node=5)
    table.lease(task, lease)

    assert table.open_task(job_id(1)) is task
    assert table.open_task(job_id(2)) is None
    assert table.find(lease.assignment_id) == (task, lease)
    assert table.find(AssignmentId("f" * 16)) is None
    assert table.leases_of(5) == [lease.assignment_id]
    assert table.leases_of(6) == []
    table.check()


def test_a_task_lives_until_its_job_and_its_last_lease_ended() -> None:
    table = TaskTable()
    task = opened(table, 1)
    leases = [attempt(1, node=5), attempt(2, node=6)]
    for lease in leases:
        table.lease(task, lease)

    assert table.close(task, OUTCOME) == leases
    table.end_lease(task, leases[0])
    assert table.tasks == {task.number: task}
    table.check()
    table.end_lease(task, leases[1])

    assert table.tasks == {}
    assert table.recent == {job_id(1): OUTCOME}
    assert table.leases_of(5) == table.leases_of(6) == []
    table.check()


def test_a_lease_ends_once() -> None:
    table = TaskTable()
    task = opened(table, 1)
    lease = attempt(1, node=5)
    table.lease(task, lease)
    table.end_lease(task, lease)

    with pytest.raises(AssertionError):
        table.end_lease(task, lease)


def test_a_job_ends_once() -> None:
    table = TaskTable()
    task = opened(table, 1)
    table.close(task, OUTCOME)

    with pytest.raises(AssertionError):
        table.close(task, OUTCOME)


def test_a_node_leaves_its_oldest_task_first_whichever_it_was_given_first() -> None:
    table = TaskTable()
    older, newer = opened(table, 1), opened(table, 2)
    table.lease(newer, attempt(1, node=5))
    table.lease(older, attempt(2, node=5))

    restored = TaskTable()
    restored.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(table.snapshot()), type=TaskTableSnapshot))

    assert (
        table.leases_of(5)
        == restored.leases_of(5)
        == [attempt(2, node=5).assignment_id, attempt(1, node=5).assignment_id]
    )


def test_a_restored_table_knows_what_the_first_one_knew() -> None:
    table = TaskTable()
    done, running, waiting = (opened(table, number) for number in (1, 2, 3))
    table.close(done, OUTCOME)
    lost, live = attempt(1, node=5), attempt(2, node=6)
    table.lease(running, lost)
    table.lease(running, live)
    table.end_lease(running, lost)
    waiting.is_waiting = True

    restored = TaskTable()
    restored.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(table.snapshot()), type=TaskTableSnapshot))

    restored.check()
    assert restored.snapshot() == table.snapshot()
    assert restored.open_tasks() == [running, waiting]
    assert restored.find(lost.assignment_id) is None
    assert restored.find(live.assignment_id) == (running, live)
    assert lost.state is AttemptState.ENDED
    assert opened(restored, 4).number == opened(table, 4).number
