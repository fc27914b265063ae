"""Paid tasks that are not over yet: who pays, who answered, and who checked; by job, and by committed answer."""

from msgspec import Struct

from gridlight.core.pricing import Quote
from gridlight.messages.ids import AssignmentId, JobId, NodeId, WorkloadId
from gridlight.messages.trust import CheckOutcome, Role

CHECKS_MAX = 64
"""Of one task."""


class PaidCheck(Struct, frozen=True, gc=False):
    """Somebody ran the task again."""

    node_id: NodeId
    attempt: AssignmentId
    role: Role
    outcome: CheckOutcome
    is_unpaid: bool = False
    """Its node was held in shadow."""
    operator: str | None = None
    """Whose node it was when it answered; nothing where that was not known, or not kept yet."""


class PaidTask(Struct):
    """One task that a requester pays for."""

    job_id: JobId
    workload: WorkloadId
    mwu: int
    quote: Quote
    node_id: NodeId | None = None
    """Who was served; nobody until then."""
    attempt: AssignmentId | None = None
    commit: int = 0
    is_bound: bool = False
    """It becomes final by its own audit alone."""
    is_disputed: bool = False
    is_examined: bool = False
    """Its input is kept: further checks may come."""
    is_over: bool = False
    """Final, corrected or void."""
    checks: list[PaidCheck] = []
    """Not paid yet: it is not known whether they are right."""
    operator: str | None = None
    """Whose node was served, as of a check."""


class PaidTasks:
    """Paid tasks by their jobs; those answered by their commits, and each node's that are provisional."""

    def __init__(self) -> None:
        self.by_job: dict[JobId, PaidTask] = {}
        self._by_commit: dict[int, JobId] = {}
        self._provisional: dict[NodeId, list[int]] = {}

    def add(self, task: PaidTask) -> None:
        """A task was paid for, or comes from a snapshot."""
        self.by_job[task.job_id] = task
        if task.node_id is not None:
            self._index(task, task.node_id)

    def committed(self, task: PaidTask, node_id: NodeId, attempt: AssignmentId, commit: int) -> None:
        """Somebody was served."""
        task.node_id, task.attempt, task.commit = node_id, attempt, commit
        self._index(task, node_id)

    def _index(self, task: PaidTask, node_id: NodeId) -> None:
        self._by_commit[task.commit] = task.job_id
        if not task.is_over:
            self._provisional.setdefault(node_id, []).append(task.commit)

    def of_commit(self, commit: int) -> PaidTask | None:
        """The task of an answer, if anybody pays for it and it is not forgotten."""
        job_id = self._by_commit.get(commit)
        return None if job_id is None else self.by_job[job_id]

    def provisional(self, node_id: NodeId, commit: int) -> list[PaidTask]:
        """Of a node's answers up to this one those that are neither over nor disputed. O(the node's open ones).

        In the order of their commits, also after a restart, whose snapshot has tasks in the order of their jobs:
        entries are posted in this order.
        """
        numbers = sorted(self._provisional.get(node_id, []))
        tasks = [self.by_job[self._by_commit[number]] for number in numbers if number <= commit]
        return [task for task in tasks if not task.is_disputed]

    def end(self, task: PaidTask) -> None:
        """The task is over: no settlement of its node means it any more."""
        task.is_over = True
        if task.node_id is not None:
            numbers = self._provisional[task.node_id]
            numbers.remove(task.commit)
            if not numbers:
                del self._provisional[task.node_id]
        self.forget(task)

    def forget(self, task: PaidTask) -> None:
        """Once it is over and nobody can check it any more."""
        if task.is_over and not task.is_examined:
            del self.by_job[task.job_id]
            self._by_commit.pop(task.commit, None)

    def check(self) -> None:
        """Assert that the tables say the same. O(tasks)."""
        answered = {task.commit: task for task in self.by_job.values() if task.node_id is not None}
        assert self._by_commit == {commit: task.job_id for commit, task in answered.items()}
        open_commits = {commit for commit, task in answered.items() if not task.is_over}
        assert open_commits == {commit for numbers in self._provisional.values() for commit in numbers}
