"""A task and its attempts as scheduling holds them, with the pure questions that are asked of them."""

from enum import IntEnum
from typing import Final

from msgspec import Struct

from gridlight.core.notices import CheckWanted
from gridlight.messages.ids import AssignmentId
from gridlight.messages.jobs import JobSubmitted

ATTEMPTS_MAX: Final = 6
"""Assignments of one task, at most."""

ACK_SOFT_MS: Final = 600
"""Without an acknowledgement by then a second assignment is sent, silently."""

ACK_HARD_MS: Final = 1_000
"""Without an acknowledgement by then the node broke its word and the assignment is lost."""

LEASE_GRACE_MS: Final = 500
"""A lease ends this long after the task's deadline; a node that said nothing by then broke its word."""

NO_TIME: Final = -1


class AttemptState(IntEnum):
    """Where one assignment stands."""

    SENT = 0
    ACKED = 1
    ENDED = 2


SENT: Final = AttemptState.SENT
ACKED: Final = AttemptState.ACKED
ENDED: Final = AttemptState.ENDED


class Attempt(Struct, gc=False):
    """One assignment of a task to a node, and so a lease on one of its slots until it ends."""

    assignment_id: AssignmentId
    node: int
    sent_ms: int
    hedge_ms: int
    """When it begins to look late: the node's own p99 after sending, within bounds that the deadline sets."""
    acked_ms: int = NO_TIME
    state: AttemptState = SENT
    is_replaced: bool = False
    """A further assignment was already made on its account."""


class Task(Struct):
    """One job's task, or one check of it, from submission until its last lease ended."""

    number: int
    job: JobSubmitted
    submitted_ms: int
    deadline_ms: int
    """On the coordinator's clock."""
    probe_seed: int
    """The same for all its attempts."""
    attempts: list[Attempt] = []
    assignments_made: int = 0
    """Counts also those that a lost bus made us forget, so that no assignment id comes twice."""
    is_open: bool = True
    is_waiting: bool = False
    is_hedged: bool = False
    armed_ms: int = NO_TIME
    """The earliest entry in the deadline heap that is known to stand."""
    check: CheckWanted | None = None
    """It is not the requester who waits for it."""


def live_attempts(task: Task) -> list[Attempt]:
    """Those whose nodes still owe an answer, oldest first."""
    return [attempt for attempt in task.attempts if attempt.state is not ENDED]


def has_live_attempt(task: Task) -> bool:
    """Whether any node still owes an answer."""
    return bool(live_attempts(task))


def tried_nodes(task: Task) -> list[int]:
    """Nodes that had this task: none gets it twice."""
    return [attempt.node for attempt in task.attempts]


def is_ack_missed(attempt: Attempt, now_ms: int) -> bool:
    """Whether the node broke its word to acknowledge within 1 s."""
    return attempt.state is SENT and now_ms >= attempt.sent_ms + ACK_HARD_MS


def looks_late(attempt: Attempt, now_ms: int) -> bool:
    """Whether a further assignment should be made on its account."""
    if attempt.is_replaced:
        return False
    if attempt.state is SENT:
        return now_ms >= attempt.sent_ms + ACK_SOFT_MS
    return attempt.state is ACKED and now_ms >= attempt.hedge_ms


def may_be_added_to(task: Task) -> bool:
    """Whether a further assignment beside a late one is thinkable.

    A pinned task has nowhere else to go, and a check is in no such hurry.
    """
    return task.is_open and task.check is None and task.job.pinned_node is None


def next_due_ms(task: Task) -> int | None:
    """When the task wants attention next; None where nothing is left to watch."""
    due_ms = task.deadline_ms if task.is_open else None
    is_watched = may_be_added_to(task)
    for attempt in task.attempts:
        if attempt.state is ENDED:
            continue
        is_sent = attempt.state is SENT
        if due_ms is None or task.deadline_ms + LEASE_GRACE_MS < due_ms:
            due_ms = task.deadline_ms + LEASE_GRACE_MS
        if is_sent and attempt.sent_ms + ACK_HARD_MS < due_ms:
            due_ms = attempt.sent_ms + ACK_HARD_MS
        if is_watched and not attempt.is_replaced:
            late_ms = attempt.sent_ms + ACK_SOFT_MS if is_sent else attempt.hedge_ms
            if late_ms < due_ms:
                due_ms = late_ms
    return due_ms
