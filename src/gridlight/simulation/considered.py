"""How often nodes were considered for tasks: an account of a sample of nodes, beside the counts of the core."""

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from gridlight.core.coordinator import Coordinator
from gridlight.messages.codec import Effect, Event
from gridlight.messages.host import CoordinatorStarted
from gridlight.messages.ids import JobId, NodeId, WorkloadId
from gridlight.messages.jobs import EndJob, JobSubmitted, SendAssignment
from gridlight.messages.nodes import NodeEnrolled, OfferChanged
from gridlight.messages.reasons import NOT_GIVEN, Reason
from gridlight.messages.workloads import RecordWorkload, WorkloadState
from gridlight.simulation.demands import demand

SAMPLED_MAX: Final = 200

Place = tuple[NodeId, WorkloadId]


class Considered:
    """Hears each event and the effects that followed."""

    def __init__(self) -> None:
        self._enrolled: set[NodeId] = set()
        self._workloads: tuple[WorkloadId, ...] = ()
        self._stopped: set[WorkloadId] = set()
        self._jobs: Counter[WorkloadId] = Counter()
        """Those that were given out for the first time, or ended before they could be."""
        self._checks: Counter[WorkloadId] = Counter()
        self._known: dict[Place, tuple[int, int]] = {}
        """How many jobs and checks there had been when each node of the sample first offered the workload."""
        self._given: Counter[Place] = Counter()
        self._again: Counter[Place] = Counter()
        """Jobs that a node was given after others."""
        self._kept_back: dict[NodeId, set[str]] = {}
        """Why each node of the sample ever said that it lends nothing."""
        self._open: dict[JobId, WorkloadId] = {}
        self._sent: set[JobId] = set()
        """Of those that are open."""
        self._hears: dict[type, Callable[[Any], None]] = {
            JobSubmitted: self._submitted,
            OfferChanged: self._offered,
            NodeEnrolled: self._came,
            CoordinatorStarted: self._started,
        }
        self._sees: dict[type, Callable[[Any, Any], None]] = {
            SendAssignment: self._send,
            EndJob: self._end,
            RecordWorkload: self._ruled,
        }

    def follow(self, event: Event, effects: list[Effect]) -> None:
        """What was told, and what was said to it."""
        hear = self._hears.get(type(event))
        if hear is not None:
            hear(event)
        for effect in effects:
            see = self._sees.get(type(effect))
            if see is not None:
                see(event, effect)

    def hold(self, core: Coordinator) -> None:
        """Each node was considered as often as it should have been, and has one reason each time. O(sample)."""
        for (node_id, workload), (jobs, checks) in self._known.items():
            node = core.fleet.index_of(node_id)
            assert node is not None
            reasons = core.scheduling.placement.lanes[workload].reasons
            counts, considered, place = reasons.counts(node), reasons.considered_for(node), (node_id, workload)
            demand(sum(counts.values()) == considered, "each task considered has one reason", node_id, "with", counts)
            given = sum(count for reason, count in counts.items() if reason not in NOT_GIVEN)
            demand(given == self._given[place], "each task given has one reason", node_id, "with", counts)
            by_owner = {reason for reason in counts if reason.startswith("owner_")}
            is_said = by_owner <= self._kept_back.get(node_id, set())
            demand(is_said, "only who said so is counted as kept back", node_id, "with", by_owner)
            demand(Reason.NOT_ROLLED_OUT not in counts, "what comes with the network is for all nodes", node_id)
            certain = self._jobs[workload] - jobs + self._again[place]
            # A check that was lost is given again, which looks from here like another check.
            is_within = certain <= considered <= certain + self._checks[workload] - checks
            demand(is_within, "each task is considered once for each node", node_id, "with", considered, "not", certain)

    def _started(self, event: CoordinatorStarted) -> None:
        self._workloads = event.workloads
        self._forget({workload for _, workload in self._known} - {*event.workloads})

    def _submitted(self, event: JobSubmitted) -> None:
        self._open.setdefault(event.job_id, event.workload)

    def _came(self, event: NodeEnrolled) -> None:
        if len(self._enrolled) < SAMPLED_MAX:
            self._enrolled.add(event.node_id)

    def _offered(self, event: OfferChanged) -> None:
        if event.node_id not in self._enrolled:
            return
        self._kept_back.setdefault(event.node_id, set()).add(f"owner_{event.owner_state}")
        for offer in event.offers:
            if offer.workload in self._workloads and offer.workload not in self._stopped:
                before = (self._jobs[offer.workload], self._checks[offer.workload])
                self._known.setdefault((event.node_id, offer.workload), before)

    def _ruled(self, _event: Event, record: RecordWorkload) -> None:
        if record.state is WorkloadState.APPROVED:
            self._stopped.discard(record.workload)
        else:
            self._stopped.add(record.workload)
            self._forget({record.workload})

    def _send(self, _event: Event, send: SendAssignment) -> None:
        workload = send.assignment.workload
        place = (send.node_id, workload)
        is_known = place in self._known
        if is_known:
            self._given[place] += 1
        if send.job_id not in self._open:
            self._checks[workload] += 1
        elif send.job_id in self._sent:
            if is_known:
                self._again[place] += 1
        else:
            self._jobs[workload] += 1
            self._sent.add(send.job_id)

    def _end(self, event: Event, end: EndJob) -> None:
        workload = self._open.pop(end.job_id, None)
        if workload is not None and end.job_id not in self._sent and type(event) is not JobSubmitted:
            self._jobs[workload] += 1
        self._sent.discard(end.job_id)

    def _forget(self, workloads: set[WorkloadId]) -> None:
        """What is offered no more is forgotten, with all that was counted."""
        for place in [place for place in self._known if place[1] in workloads]:
            del self._known[place], self._given[place]
            self._again.pop(place, None)
