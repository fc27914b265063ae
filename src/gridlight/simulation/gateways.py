"""The gateways: what requesters ask, what is open, and how each job was answered."""

from collections import deque
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from gridlight.core.draw import draw_many
from gridlight.messages.ids import Blake3Digest, GatewayId, JobId
from gridlight.messages.jobs import EndJob, JobState, JobSubmitted
from gridlight.simulation.distributions import exponential
from gridlight.simulation.entries import Asking
from gridlight.simulation.measures import Measures
from gridlight.simulation.minds import WORKLOAD
from gridlight.simulation.network import Network
from gridlight.simulation.scenario import Demand
from gridlight.simulation.timeline import Timeline

GRACE_MS: Final = 50
"""After a job's deadline the gateway waits this long for the coordinator, then answers by itself."""

INPUT_DIGEST: Final = Blake3Digest("ab" * 32)
INPUT_BYTES: Final = 270_000
_MICROS: Final = 1_000_000


class OpenJob(Struct, frozen=True, gc=False):
    """A job whose requester waits."""

    asked_ms: int
    submitted: JobSubmitted


class Gateways:
    """All gateways of a run."""

    def __init__(self, *, seed: int, demand: Demand, network: Network, timeline: Timeline, measures: Measures) -> None:
        self.ids = [GatewayId(f"gateway-{number}") for number in range(demand.gateways)]
        self.is_asked = True
        """Until requesters stop."""
        self.asked = 0
        self.open: dict[JobId, OpenJob] = {}
        self._due: deque[tuple[int, JobId]] = deque()
        self._seed = seed
        self._demand = demand
        self._network = network
        self._timeline = timeline
        self._measures = measures
        self._gap_us = exponential(_MICROS // demand.tasks_per_second)
        self._next_us = 0

    def begin(self, at_ms: int) -> None:
        """Requesters come from then on."""
        self._next_us = at_ms * 1_000
        self.ask_next()

    def ask_next(self) -> None:
        """Draw when the next requester comes; those who come within the same millisecond come with it."""
        self._next_us += self._gap_us[draw_many(self._seed, "gap", self.asked)[0] & 0xFFFF]
        self._timeline.put(max(self._next_us // 1_000, self._timeline.now_ms + 1), Asking())

    def asking(self, _entry: Asking) -> None:
        """A requester comes: the job goes to the coordinator."""
        if not self.is_asked:
            return
        demand, now_ms = self._demand, self._timeline.now_ms
        self.asked += 1
        submitted = JobSubmitted(
            job_id=JobId(f"req_{self.asked:026d}"),
            gateway_id=self.ids[self.asked % len(self.ids)],
            workload=WORKLOAD,
            deadline_ms=demand.deadline_ms - demand.reserve_ms,
            input_digest=INPUT_DIGEST,
            input_bytes=INPUT_BYTES,
            asked_deadline_ms=demand.deadline_ms,
        )
        self.open[submitted.job_id] = OpenJob(now_ms, submitted)
        self._due.append((now_ms + submitted.deadline_ms + GRACE_MS, submitted.job_id))
        self._send(submitted)
        self.ask_next()

    def announce(self, gateway_id: GatewayId) -> None:
        """Tell the coordinator of each open job again, with what is left of its deadline."""
        now_ms = self._timeline.now_ms
        for job in self.open.values():
            submitted = job.submitted
            left_ms = job.asked_ms + submitted.deadline_ms - now_ms
            if submitted.gateway_id == gateway_id and left_ms > 0:
                self._send(replace(submitted, deadline_ms=left_ms))

    def ended(self, end: EndJob) -> None:
        """The coordinator's word on a job: the first one is the requester's answer."""
        if not self._network.reaches(end.gateway_id):
            return
        job = self.open.pop(end.job_id, None)
        if job is None:
            return  # a copy, or the gateway had given up
        if job.asked_ms < self._measures.start_ms:
            return
        outcome, waited_ms = end.outcome, self._timeline.now_ms - job.asked_ms
        match outcome.state:
            case JobState.DONE:
                self._measures.answered(self._timeline.now_ms, waited_ms, attempts=outcome.attempts)
            case JobState.REFUSED:
                self._measures.refused(self._timeline.now_ms, outcome.code)
            case JobState.FAILED:
                self._measures.failed(self._timeline.now_ms, outcome.code)

    def give_up(self) -> None:
        """Answer those whose time is over by ourselves."""
        now_ms = self._timeline.now_ms
        while self._due and self._due[0][0] <= now_ms:
            job = self.open.pop(self._due.popleft()[1], None)
            if job is not None and job.asked_ms >= self._measures.start_ms:
                self._measures.unanswered(now_ms)

    def next_due_ms(self) -> int | None:
        """When a requester's patience ends next; answered ones are passed over."""
        while self._due and self._due[0][1] not in self.open:
            self._due.popleft()
        return self._due[0][0] if self._due else None

    def _send(self, event: JobSubmitted) -> None:
        if not self._network.reaches(event.gateway_id):
            return
        number = int(event.job_id.removeprefix("req_"))
        for delay_ms in self._network.ways_ms("submit", number, event.deadline_ms):
            self._timeline.put(self._timeline.now_ms + delay_ms, event)
