"""The jobs whose requesters wait here: a future and the prepared input of each, held while it is open."""

import asyncio
import base64
import secrets
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from gridlight.messages.ids import JobId
from gridlight.messages.jobs import JobCode, JobState, JobSubmitted, Outcome
from gridlight.services.gateway.errors import Refusal
from gridlight.services.gateway.inputs import Input
from gridlight.workloads.contract import Manifest

JOBS_OPEN_MAX: Final = 1_024
INPUT_BYTES_MAX: Final = 512 * 1024 * 1024
"""Of all open jobs together."""

_ID_BYTES: Final = 17
_ID_CHARACTERS: Final = 26

GAVE_UP: Final = Outcome(state=JobState.FAILED, code=JobCode.DEADLINE_EXCEEDED)
"""The gateway's own word, where the coordinator says none."""

LEFT: Final = Outcome(state=JobState.FAILED, code=JobCode.WITHDRAWN)
"""Nobody reads this one."""


def new_job_id() -> JobId:
    """130 bits that nobody can guess: whoever knows the id may read the result."""
    return JobId("req_" + base64.b32encode(secrets.token_bytes(_ID_BYTES)).decode()[:_ID_CHARACTERS].lower())


class OpenJob(Struct, frozen=True, eq=False):
    """One requester who waits."""

    submitted: JobSubmitted
    input: Input
    ends_ms: int
    """Monotonic: when the coordinator's deadline is over."""
    outcome: asyncio.Future[Outcome]


class OpenJobs:
    """Bounded in number and in bytes. A job is open from `open` to `close`, and ends at most once in between."""

    def __init__(self, *, jobs_max: int = JOBS_OPEN_MAX, bytes_max: int = INPUT_BYTES_MAX) -> None:
        self._jobs: dict[JobId, OpenJob] = {}
        self._jobs_max = jobs_max
        self._bytes_max = bytes_max
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._jobs)

    def open(self, now_ms: int, submitted: JobSubmitted, manifest: Manifest, tensor: bytes) -> OpenJob:
        """Hold a job and its input. Refusal BUSY where there is no room."""
        assert submitted.job_id not in self._jobs
        assert submitted.input_bytes == len(tensor)
        if len(self._jobs) >= self._jobs_max or self._bytes + len(tensor) > self._bytes_max:
            raise Refusal("BUSY")
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        given = Input(submitted.input_digest, manifest, tensor, submitted.is_public)
        job = OpenJob(submitted, given, now_ms + submitted.deadline_ms, outcome)
        self._jobs[submitted.job_id] = job
        self._bytes += len(tensor)
        return job

    def find(self, job_id: JobId) -> OpenJob | None:
        """The job, while its requester waits and it has not ended."""
        job = self._jobs.get(job_id)
        return None if job is None or job.outcome.done() else job

    def input(self, job_id: JobId) -> Input | None:
        """What the job's nodes are sent, while it is open."""
        job = self.find(job_id)
        return None if job is None else job.input

    def end(self, job_id: JobId, outcome: Outcome) -> bool:
        """Wake the requester; whether somebody was still waiting. The first word counts, a second changes nothing."""
        job = self.find(job_id)
        if job is None:
            return False
        job.outcome.set_result(outcome)
        return True

    def give_up(self, job_id: JobId) -> bool:
        """The coordinator said nothing by the deadline and its grace."""
        return self.end(job_id, GAVE_UP)

    def leave(self, job_id: JobId) -> bool:
        """The requester's connection is gone."""
        return self.end(job_id, LEFT)

    def close(self, job_id: JobId) -> None:
        """Let the job and its input go, however it ended."""
        job = self._jobs.pop(job_id)
        self._bytes -= len(job.input.tensor)
        job.outcome.cancel()

    def announcements(self, now_ms: int) -> list[JobSubmitted]:
        """Every open job with the time that it has left, for a coordinator that may not know it."""
        return [
            replace(job.submitted, deadline_ms=job.ends_ms - now_ms)
            for job in self._jobs.values()
            if not job.outcome.done() and job.ends_ms > now_ms
        ]
