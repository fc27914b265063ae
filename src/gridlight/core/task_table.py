"""The table of tasks and leases: every job is in exactly one place, and every lease belongs to one live task."""

from typing import Final

from msgspec import Struct

from gridlight.core.attempts import ENDED, Attempt, Task, has_live_attempt, live_attempts
from gridlight.core.draw import draw
from gridlight.core.notices import CheckWanted
from gridlight.messages.ids import AssignmentId, JobId, WorkloadId
from gridlight.messages.jobs import JobSubmitted, Outcome

RECENT_MAX: Final = 8_192
"""Ended jobs that are remembered, so that a job told twice is answered twice and run once."""

PROBE_SEED_MASK: Final = 2**53 - 1


class TaskTableSnapshot(Struct):
    """The table as plain values; what follows from the tasks is not kept twice."""

    next_number: int
    tasks: list[Task]
    recent: dict[JobId, Outcome]


class TaskTable:
    """Tasks by number, open jobs by id, ended ones for a while, and leases by assignment and by node."""

    def __init__(self) -> None:
        self.tasks: dict[int, Task] = {}
        self.recent: dict[JobId, Outcome] = {}
        self._next_number = 1
        self._open: dict[JobId, int] = {}
        self._leases: dict[AssignmentId, int] = {}
        self._leases_of: dict[int, list[AssignmentId]] = {}

    def open_task(self, job_id: JobId) -> Task | None:
        """The task of a job that has not ended."""
        number = self._open.get(job_id)
        return None if number is None else self.tasks[number]

    def open_tasks(self) -> list[Task]:
        """All tasks of jobs that have not ended; for a start or a lost bus."""
        return [self.tasks[number] for number in self._open.values()]

    def open(self, now_ms: int, job: JobSubmitted, seed: int) -> Task:
        """A job becomes a task; `seed` is the coordinator's."""
        probe_seed = draw(seed, "probe", self._next_number) & PROBE_SEED_MASK
        task = Task(self._next_number, job, now_ms, now_ms + job.deadline_ms, probe_seed)
        self._next_number += 1
        self.tasks[task.number] = task
        self._open[job.job_id] = task.number
        return task

    def open_check(self, now_ms: int, wanted: CheckWanted) -> Task:
        """A check becomes a task, with as much time as the job had."""
        job = wanted.job
        task = Task(self._next_number, job, now_ms, now_ms + job.deadline_ms, wanted.probe_seed, check=wanted)
        self._next_number += 1
        self.tasks[task.number] = task
        return task

    def open_checks(self) -> list[Task]:
        """All checks that have not ended; for a start or a lost bus."""
        return [task for task in self.tasks.values() if task.is_open and task.check is not None]

    def close_check(self, task: Task) -> None:
        """The check ended, once; leases that are left end by themselves."""
        assert task.is_open
        assert task.check is not None
        task.is_open = False
        if not has_live_attempt(task):
            del self.tasks[task.number]

    def close(self, task: Task, outcome: Outcome) -> list[Attempt]:
        """The job ended, once; what is left of it are the leases that nobody wants any more, which are returned."""
        assert task.is_open
        task.is_open = task.is_waiting = False
        del self._open[task.job.job_id]
        self.remember(task.job.job_id, outcome)
        live = live_attempts(task)
        if not live:
            del self.tasks[task.number]
        return live

    def remember(self, job_id: JobId, outcome: Outcome) -> None:
        """Keep an outcome for a job that is told again."""
        self.recent[job_id] = outcome
        if len(self.recent) > RECENT_MAX:
            del self.recent[next(iter(self.recent))]

    def lease(self, task: Task, attempt: Attempt) -> None:
        """A node was given the task."""
        assert attempt.assignment_id not in self._leases
        task.attempts.append(attempt)
        task.is_waiting = False
        self._leases[attempt.assignment_id] = task.number
        self._leases_of.setdefault(attempt.node, []).append(attempt.assignment_id)

    def find(self, assignment_id: AssignmentId) -> tuple[Task, Attempt] | None:
        """The task and its live attempt."""
        number = self._leases.get(assignment_id)
        if number is None:
            return None
        task = self.tasks[number]
        for attempt in task.attempts:
            if attempt.assignment_id == assignment_id:
                return task, attempt
        raise AssertionError(f"task {number} has no attempt {assignment_id}")

    def leases_of(self, node: int) -> list[AssignmentId]:
        """What a node is at, oldest task first: an order that a snapshot need not keep."""
        return sorted(self._leases_of.get(node, ()), key=self._leases.__getitem__)

    def holders(self, workload: WorkloadId) -> list[int]:
        """The nodes of all leases for a workload. O(leases)."""
        tasks = [task for task in self.tasks.values() if task.job.workload == workload]
        return [attempt.node for task in tasks for attempt in live_attempts(task)]

    def end_lease(self, task: Task, attempt: Attempt) -> None:
        """A lease ended; a task that is answered is forgotten with its last one."""
        assert attempt.state is not ENDED
        attempt.state = ENDED
        del self._leases[attempt.assignment_id]
        leases = self._leases_of[attempt.node]
        leases.remove(attempt.assignment_id)
        if not leases:
            del self._leases_of[attempt.node]
        if not task.is_open and not has_live_attempt(task):
            del self.tasks[task.number]

    def check(self) -> None:
        """Assert that no task is lost or held twice, and that leases and attempts say the same."""
        live: list[AssignmentId] = []
        for number, task in self.tasks.items():
            assert task.number == number
            assert task.is_open or has_live_attempt(task)
            if task.check is None:
                assert task.is_open == (self._open.get(task.job.job_id) == number)
                assert not (task.is_open and task.job.job_id in self.recent)
            live += [one.assignment_id for one in task.attempts if one.state is not ENDED]
        assert sorted(live) == sorted(self._leases)
        assert sorted(live) == sorted(one for leases in self._leases_of.values() for one in leases)

    def snapshot(self) -> TaskTableSnapshot:
        """The table, to be encoded at once: it shares the machine's own objects."""
        return TaskTableSnapshot(self._next_number, list(self.tasks.values()), self.recent)

    def restore(self, snapshot: TaskTableSnapshot) -> None:
        """Take what `snapshot` gave, after a trip through bytes."""
        self._next_number = snapshot.next_number
        self.tasks = {task.number: task for task in snapshot.tasks}
        self.recent = dict(snapshot.recent)
        is_open = [task for task in snapshot.tasks if task.is_open and task.check is None]
        self._open = {task.job.job_id: task.number for task in is_open}
        for task in snapshot.tasks:
            for attempt in task.attempts:
                if attempt.state is not ENDED:
                    self._leases[attempt.assignment_id] = task.number
                    self._leases_of.setdefault(attempt.node, []).append(attempt.assignment_id)
