"""The gateways: what requesters ask, what is open, and how each job was answered."""

from collections import deque
from heapq import heappop, heappush
from typing import Final

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from gridlight.core.draw import draw_many
from gridlight.messages.ids import GatewayId, JobId
from gridlight.messages.jobs import EndJob, JobState, JobSubmitted
from gridlight.messages.trust import Assurance, KeepInput, ReleaseInput
from gridlight.simulation.adversary import happens
from gridlight.simulation.answers import input_digest
from gridlight.simulation.distributions import MILLION, exponential
from gridlight.simulation.entries import Asking
from gridlight.simulation.measures import Measures
from gridlight.simulation.minds import WORKLOAD
from gridlight.simulation.network import Network
from gridlight.simulation.scenario import Demand
from gridlight.simulation.timeline import Timeline

GRACE_MS: Final = 50
"""After a job's deadline the gateway waits this long for the coordinator, then answers by itself."""

INPUT_BYTES: Final = 270_000
_SAMPLED: Final = Assurance.SAMPLED
_MICROS: Final = 1_000_000
_JOB_DIGITS: Final = 18


class OpenJob(Struct, frozen=True, gc=False):
    """A job whose requester waits."""

    asked_ms: int
    submitted: JobSubmitted


class Gateways:
    """All gateways of a run."""

    def __init__(
        self,
        *,
        seed: int,
        demand: Demand,
        network: Network,
        timeline: Timeline,
        measures: Measures,
        account_id: str | UnsetType = UNSET,
    ) -> None:
        self.ids = [GatewayId(f"gateway-{number}") for number in range(demand.gateways)]
        self.is_asked = True
        """Until requesters stop."""
        self.asked = 0
        self.open: dict[JobId, OpenJob] = {}
        self.kept: dict[JobId, int] = {}
        """Inputs that are kept for checks, and until when; a canary's until it is released."""
        self.canaries: dict[int, None] = {}
        """Numbers of the jobs whose inputs may be used again."""
        self._due: deque[tuple[int, JobId]] = deque()
        self._kept_due: list[tuple[int, JobId]] = []
        self._seed = seed
        self._demand = demand
        self._network = network
        self._timeline = timeline
        self._measures = measures
        self._gap_us = exponential(_MICROS // demand.tasks_per_second)
        self._assured = (
            (Assurance.NONE, demand.unassured_ppm),
            (Assurance.AUDITED, demand.audited_ppm),
            (Assurance.ARBITRATED, demand.arbitrated_ppm),
        )
        self._account_id = account_id
        """Who pays for all that is asked."""
        self._next_us = 0
        self._draws: tuple[int, ...] = ()
        """Of the requester who comes next."""

    def begin(self, at_ms: int) -> None:
        """Requesters come from then on."""
        self._next_us = at_ms * 1_000
        self._draw_next()

    def asking(self, _entry: Asking) -> None:
        """Requesters come, all those of this millisecond together."""
        if not self.is_asked:
            return
        end_us = (self._timeline.now_ms + 1) * 1_000
        while True:
            self._ask()
            if not self._draw_next(before_us=end_us):
                return

    def _draw_next(self, before_us: int = 0) -> bool:
        """Draw when the next requester comes; whether that is before a time, and else it is waited for."""
        self._draws = draw_many(self._seed, "gap", self.asked)
        self._next_us += self._gap_us[self._draws[0] & 0xFFFF]
        if self._next_us < before_us:
            return True
        self._timeline.put(max(self._next_us // 1_000, self._timeline.now_ms + 1), Asking())
        return False

    def _ask(self) -> None:
        """The job goes to the coordinator."""
        demand, now_ms = self._demand, self._timeline.now_ms
        self.asked += 1
        draws = self._draws
        submitted = JobSubmitted(
            job_id=JobId(f"req_{self.asked:026d}"),
            gateway_id=self.ids[self.asked % len(self.ids)],
            workload=WORKLOAD,
            deadline_ms=demand.deadline_ms - demand.reserve_ms,
            input_digest=input_digest(self.asked),
            input_bytes=INPUT_BYTES,
            asked_deadline_ms=demand.deadline_ms,
            assurance=self._assurance(draws[1]),
            is_public=happens(draws[2], demand.public_ppm),
            account_id=self._account_id,
        )
        self.open[submitted.job_id] = OpenJob(now_ms, submitted)
        self._due.append((now_ms + submitted.deadline_ms + GRACE_MS, submitted.job_id))
        self._send(submitted)

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

    def keep(self, effect: KeepInput) -> None:
        """Somebody else will be asked the same; without the input, as where the gateway gave up, it is in vain."""
        if not self._network.reaches(effect.gateway_id) or not self.has_input(effect.job_id):
            return
        until_ms = self._timeline.now_ms + effect.keep_ms
        self.kept[effect.job_id] = until_ms
        if effect.is_canary:
            self.canaries[number_of_job(effect.job_id)] = None
        heappush(self._kept_due, (until_ms, effect.job_id))

    def release(self, effect: ReleaseInput) -> None:
        """Nobody will be asked again; what is not heard is forgotten in time."""
        if self._network.reaches(effect.gateway_id):
            self._forget(effect.job_id)

    def has_input(self, job_id: JobId) -> bool:
        """Whether a job's input can be sent to a node."""
        return job_id in self.open or job_id in self.kept

    def forget_inputs(self) -> None:
        """Drop what was kept for its time."""
        now_ms = self._timeline.now_ms
        while self._kept_due and self._kept_due[0][0] <= now_ms:
            job_id = heappop(self._kept_due)[1]
            if self.kept.get(job_id, now_ms + 1) <= now_ms:
                self._forget(job_id)

    def _forget(self, job_id: JobId) -> None:
        self.kept.pop(job_id, None)
        self.canaries.pop(number_of_job(job_id), None)

    def _assurance(self, bits: int) -> Assurance:
        part = (bits & 0xFFFF_FFFF) * MILLION >> 32
        for assurance, ppm in self._assured:
            if part < ppm:
                return assurance
            part -= ppm
        return _SAMPLED

    def next_due_ms(self) -> int | None:
        """When a requester's patience ends next; answered ones are passed over."""
        while self._due and self._due[0][1] not in self.open:
            self._due.popleft()
        return self._due[0][0] if self._due else None

    def _send(self, event: JobSubmitted) -> None:
        if not self._network.reaches(event.gateway_id):
            return
        for delay_ms in self._network.ways_ms("submit", number_of_job(event.job_id), event.deadline_ms):
            self._timeline.put(self._timeline.now_ms + delay_ms, event)


def number_of_job(job_id: JobId) -> int:
    """Jobs are numbered in the order in which they were asked for."""
    return int(job_id[-_JOB_DIGITS:])
