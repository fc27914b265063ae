"""An account of its own of how often each node was considered for tasks, by what the core was told and said alone."""

from collections import Counter

from gridlight.core.coordinator import Coordinator
from gridlight.messages.codec import Effect, Event
from gridlight.messages.host import CoordinatorStarted
from gridlight.messages.ids import JobId, NodeId, WorkloadId
from gridlight.messages.jobs import EndJob, JobSubmitted, SendAssignment
from gridlight.messages.nodes import NodeEnrolled, OfferChanged
from gridlight.messages.reasons import NOT_GIVEN

Place = tuple[NodeId, WorkloadId]


class ReasonsWitness:
    """Hears each event and the effects that followed, and then holds the core's counts against its own."""

    def __init__(self) -> None:
        self.given: Counter[Place] = Counter()
        """Assignments since each node first offered the workload."""
        self._enrolled: set[NodeId] = set()
        self._tasks: Counter[WorkloadId] = Counter()
        """Jobs that were given out for the first time, or ended before they could be."""
        self._checks: Counter[WorkloadId] = Counter()
        self._known: dict[Place, tuple[int, int]] = {}
        """How many of both there were, when the node was first known."""
        self._again: Counter[Place] = Counter()
        """Jobs that it was given after others."""
        self._open: dict[JobId, WorkloadId] = {}
        self._sent: set[JobId] = set()
        self._workloads: tuple[WorkloadId, ...] = ()

    def follow(self, event: Event, effects: list[Effect]) -> None:
        """What was told, and what was said to it."""
        if isinstance(event, NodeEnrolled):
            self._enrolled.add(event.node_id)
        if isinstance(event, OfferChanged) and event.node_id in self._enrolled:
            for offer in event.offers:
                if offer.workload in self._workloads:
                    before = (self._tasks[offer.workload], self._checks[offer.workload])
                    self._known.setdefault((event.node_id, offer.workload), before)
        for effect in effects:
            match effect:
                case SendAssignment():
                    self._send(effect, event)
                case EndJob(job_id=job_id, is_repeated=False):
                    workload = self._open.pop(job_id, None)
                    if workload is not None and job_id not in self._sent:
                        self._tasks[workload] += 1
                case _:
                    pass
        if isinstance(event, JobSubmitted) and not any(isinstance(effect, EndJob) for effect in effects):
            self._open.setdefault(event.job_id, event.workload)
        if isinstance(event, CoordinatorStarted):
            self._start(event.workloads)

    def hold(self, core: Coordinator) -> None:
        """Every node was considered as often as it should have been, and was given what it was sent."""
        for (node_id, workload), (tasks, checks) in self._known.items():
            node = core.fleet.index_of(node_id)
            assert node is not None
            reasons = core.scheduling.placement.lanes[workload].reasons
            counts = reasons.counts(node)
            assert sum(counts.values()) == reasons.considered_for(node)
            place = (node_id, workload)
            given = sum(count for reason, count in counts.items() if reason not in NOT_GIVEN)
            assert given == self.given[place], "a task that was given has not its one reason"
            certain = self._tasks[workload] - tasks + self._again[place]
            # A check that is lost is given again, which looks from outside like another check.
            asked = self._checks[workload] - checks
            assert certain <= reasons.considered_for(node) <= certain + asked, "not considered as often as it was"

    def _send(self, send: SendAssignment, event: Event) -> None:
        workload = send.assignment.workload
        place = (send.node_id, workload)
        self.given[place] += 1
        is_job = send.job_id in self._open or (isinstance(event, JobSubmitted) and event.job_id == send.job_id)
        if not is_job:
            self._checks[workload] += 1
        elif send.job_id in self._sent:
            self._again[place] += 1
        else:
            self._tasks[workload] += 1
            self._sent.add(send.job_id)

    def _start(self, workloads: tuple[WorkloadId, ...]) -> None:
        """What is offered no more is forgotten, with all that was counted."""
        self._workloads = workloads
        for place in [place for place in self._known if place[1] not in workloads]:
            del self._known[place], self.given[place]
            self._again.pop(place, None)
