"""How a job can end, as values: done, failed, or refused with the nearest feasible change."""

from typing import Final

from gridlight.core.attempts import Attempt, Task
from gridlight.core.latency import BOUNDS_MS
from gridlight.core.notices import RunSeen
from gridlight.core.pools import Pool
from gridlight.messages.ids import NodeId, WorkloadId
from gridlight.messages.jobs import JobCode, JobState, JobSubmitted, JobTiming, Outcome
from gridlight.messages.results import ResultSubmitted
from gridlight.messages.trust import Verification
from gridlight.messages.workloads import WorkloadState

WAITING_MAX: Final = 10_000
"""Tasks of one workload that wait for a slot, at most."""

PINNED_MAX: Final = 1_000
"""Tasks that wait for a slot of one node, at most."""

RETRY_AFTER_MS: Final = 1_000
_DONE: Final = JobState.DONE
_MODELS_HINT: Final = "GET /v1/models lists what this network offers"


def done(now_ms: int, task: Task, attempt: Attempt, result: ResultSubmitted, verification: Verification) -> Outcome:
    """The first valid result."""
    timing = JobTiming(
        queue=task.attempts[0].sent_ms - task.submitted_ms,
        ack=max(attempt.acked_ms - attempt.sent_ms, 0),
        infer=result.timing.infer,
        total=now_ms - task.submitted_ms,
    )
    return Outcome(
        state=_DONE,
        node_id=result.node_id,
        assignment_id=attempt.assignment_id,
        output=result.output,
        timing=timing,
        attempts=len(task.attempts),
        hedged=task.is_hedged,
        verification=verification,
    )


def run_seen(task: Task, attempt: Attempt, node_id: NodeId) -> RunSeen:
    """A node's result came in time."""
    return RunSeen(node_id, attempt.assignment_id, task.job.job_id, task.job.workload, attempt.sent_ms)


def failed(task: Task, code: JobCode, hint: str, retry_after_ms: int | None = None) -> Outcome:
    """A job that was taken on and has no result."""
    return Outcome(
        state=JobState.FAILED,
        code=code,
        hint=hint,
        retry_after_ms=retry_after_ms,
        attempts=len(task.attempts),
        hedged=task.is_hedged,
    )


def refused(code: JobCode, hint: str, retry_after_ms: int | None = None) -> Outcome:
    """A job that is not taken on."""
    return Outcome(state=JobState.REFUSED, code=code, hint=hint, retry_after_ms=retry_after_ms)


def refused_for_workload(closed: WorkloadState | None) -> Outcome:
    """The network does not offer it, or does not any more."""
    if closed is None:
        return refused(JobCode.UNKNOWN_MODEL, _MODELS_HINT)
    return refused(JobCode.WORKLOAD_STOPPED, f"{_ended_how(closed)}; {_MODELS_HINT}")


def failed_by_stop(task: Task, closed: WorkloadState) -> Outcome:
    """A job whose workload was stopped while it ran."""
    return failed(task, JobCode.WORKLOAD_STOPPED, f"{_ended_how(closed)} while this ran; {_MODELS_HINT}")


def _ended_how(closed: WorkloadState) -> str:
    is_expired = closed is WorkloadState.EXPIRED
    return "the network's approval of this workload ended" if is_expired else "the network stopped this workload"


def refused_without_node() -> Outcome:
    """Nobody is there; it may be different in a moment."""
    hint = "no node is online for this model; try again, or start one: gridlight node start --network URL"
    return refused(JobCode.NO_NODE_ONLINE, hint, RETRY_AFTER_MS)


def refused_by_queue(waiting: int, waiting_max: int) -> Outcome | None:
    """As many wait as may: a bound on memory, whatever the deadline."""
    if waiting < waiting_max:
        return None
    return refused(JobCode.BUSY, f"{waiting} requests wait already; try again", RETRY_AFTER_MS)


def refused_for_trust(waiting_newcomers: int) -> Outcome:
    """Newcomers are there, but nobody whose answer would stand for something: no assurance is the feasible change."""
    hint = f"no trusted node is online for this model, {waiting_newcomers} newcomers are; verify=none is served by them"
    return refused(JobCode.NO_TRUSTED_NODE, hint, RETRY_AFTER_MS)


def refused_for_model(served: list[WorkloadId]) -> Outcome:
    """Nodes are there, but none for this model: another model is the nearest feasible change."""
    hint = f"no node online runs this model; they run {', '.join(served)}"
    return refused(JobCode.NO_CAPABLE_NODE, hint)


def refused_pin(job: JobSubmitted) -> Outcome:
    """The one node that was asked for is not there."""
    hint = f"node {job.pinned_node} lends no slot for this model now; GET /v1/nodes lists those online"
    return refused(JobCode.NODE_NOT_ONLINE, hint)


def refused_by_speed(job: JobSubmitted, pool: Pool) -> Outcome | None:
    """No node online is fast enough for the deadline."""
    fastest_ms = BOUNDS_MS[pool.fastest_bucket()]
    if fastest_ms <= job.deadline_ms:
        return None
    spent_ms = max(job.asked_deadline_ms - job.deadline_ms, 0)
    needed_ms = spent_ms + fastest_ms + 500
    spent = f", and {spent_ms} ms were spent before it could be asked" if spent_ms else ""
    hint = f"the fastest node online needs about {fastest_ms} ms{spent}; allow a deadline_ms of {needed_ms} or more"
    return refused(JobCode.DEADLINE_TOO_SHORT, hint)


def refused_by_load(job: JobSubmitted, pool: Pool, *, waiting: int, service_ms: int) -> Outcome | None:
    """All slots are leased, and by the time one is free for this job its deadline would be past."""
    if pool.free_total and not waiting:
        return None
    wait_ms = (waiting + 1) * service_ms // pool.slots_total
    if wait_ms + service_ms <= job.deadline_ms:
        return None
    busy = f"all {pool.slots_total} slots are busy and {waiting} requests wait"
    return refused(JobCode.BUSY, f"{busy}; try again, or allow a longer deadline_ms", max(RETRY_AFTER_MS, wait_ms))
