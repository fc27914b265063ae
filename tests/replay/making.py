"""Makes a journal for this folder: `PYTHONPATH=. python -m tests.replay.making NAME`.

For a new version of the core, or a new kind of event. The life of a small network by a script that always draws the
same. A file that is there is never written again. The digest that it prints is for test_replay.py.
"""

import random
import sys
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

import msgspec
from tests.unit.core.world import (
    WORKLOAD,
    digest_of,
    enrolled,
    job_id,
    node_id,
    offer,
    only,
    secret,
    sends,
    slots,
    submitted,
)

from gridlight.core.coordinator import CORE_VERSION, Coordinator
from gridlight.messages.codec import Effect, Event, encode_record
from gridlight.messages.host import BusReconnected, CoordinatorStarted, TimePassed
from gridlight.messages.ids import NodeId, WorkloadId
from gridlight.messages.jobs import EndJob, JobWithdrawn, SendAssignment
from gridlight.messages.nodes import NodeDisconnected, RequestOffer
from gridlight.messages.results import Detection, ResultSubmitted, RunTiming, encode_detections
from gridlight.messages.tasks import (
    AssignmentAcknowledged,
    AssignmentDeclined,
    AssignmentFailed,
    AssignmentUndeliverable,
    DeclineReason,
    FailureCode,
    UndeliverableReason,
)
from gridlight.messages.trust import (
    LAPTOP,
    Assurance,
    Comparison,
    EpochBegan,
    RecordCommit,
    RecordFault,
    RecordVerification,
    SettleCommits,
    Tier,
    TrustParameters,
)

FOLDER = Path(__file__).parent
NODES = 7
REFERENCES = (6,)
NEWCOMERS = (7,)
LIARS = (3,)
JOBS = 90
TRUST: TrustParameters = msgspec.structs.replace(LAPTOP, canary_ppm=300_000, canary_delay_ms_max=2_000)
RULE = Comparison(
    name="boxes",
    parameters={"iou_min": 9_500, "score_delta_max": 100, "border_band": 100, "probe_delta_max": 1_000},
)
HELD_TO = (EndJob, RecordCommit, RecordVerification, SettleCommits, RecordFault)
"""What a requester, an operator or a ledger would hold us to."""
START_MS = 1_790_000_000_000
UNKNOWN = WorkloadId("unheard-of@sha256:" + "0" * 64)

Row = tuple[int, int, int, bytes]
"""Sequence, time, core's version and events of one record, as the table has them."""


class Network:
    """A core that is told events, each batch a record, and whose assignments are answered by chance."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.said: list[Effect] = []
        self.session = 1
        self._core = Coordinator()
        self._now_ms = START_MS
        self._random = random.Random(20_261_122)
        self._due: list[tuple[int, Event]] = []

    def tell(self, *events: Event) -> None:
        """One batch; what nodes will say to what comes of it is noted for later."""
        self.rows.append((len(self.rows) + 1, self._now_ms, CORE_VERSION, encode_record(list(events))))
        for event in events:
            effects = self._core.handle(self._now_ms, event)
            self.said += effects
            self._answer(effects)
        self._core.check()

    def pass_ms(self, ms: int) -> None:
        """Time goes by: nodes speak, and the core is called when it asked to be."""
        until_ms = self._now_ms + ms
        while True:
            due_ms = self._core.next_deadline_ms()
            said_ms = min((when for when, _ in self._due), default=None)
            next_ms = min((when for when in (due_ms, said_ms) if when is not None), default=until_ms + 1)
            if next_ms > until_ms:
                break
            self._now_ms = max(self._now_ms, next_ms)
            said = [event for when, event in self._due if when <= self._now_ms]
            self._due = [(when, event) for when, event in self._due if when > self._now_ms]
            is_due = due_ms is not None and due_ms <= self._now_ms
            self.tell(*said, *([TimePassed()] if is_due else []))
        self._now_ms = until_ms

    def _answer(self, effects: list[Effect]) -> None:
        for request in only(RequestOffer, effects):
            again = offer(request.node_id, slots(2), session=self.session)
            self._due.append((self._now_ms + 60, again))
        for send in sends(effects):
            for delay_ms, event in self._replies(send):
                self._due.append((self._now_ms + delay_ms, event))

    def _replies(self, send: SendAssignment) -> list[tuple[int, Event]]:
        """Mostly what was asked for; now and then silence, refusal, delay or an accident."""
        assignment_id, node = send.assignment.assignment_id, send.node_id
        chance = self._random.random()
        if chance < 0.05:
            return []
        if chance < 0.10:
            reason = UndeliverableReason.NO_RESPONDERS
            return [(2, AssignmentUndeliverable(assignment_id=assignment_id, node_id=node, reason=reason))]
        if chance < 0.16:
            reason_given = DeclineReason.NO_FREE_SLOT
            return [(9, AssignmentDeclined(assignment_id=assignment_id, node_id=node, reason=reason_given))]
        ack_ms, run_ms = self._random.randrange(3, 40), self._random.choice([90, 110, 110, 130, 900, 2_500])
        ack = AssignmentAcknowledged(assignment_id=assignment_id, node_id=node, eta_ms=100, elapsed_ms=ack_ms)
        if chance < 0.24:
            code = FailureCode.WORKER_CRASHED
            return [(ack_ms, ack), (70, AssignmentFailed(assignment_id=assignment_id, node_id=node, code=code))]
        return [(ack_ms, ack), (ack_ms + run_ms, _result(send, run_ms))]


def _result(send: SendAssignment, run_ms: int) -> ResultSubmitted:
    """What honest nodes find differs in the last digit; there is nothing in every ninth picture; liars shift it."""
    number, node = int(send.job_id.removeprefix("req_")), send.node_id
    left = 400 if node in {node_id(liar) for liar in LIARS} else 0
    found = Detection(class_id=1, score=9_000 + int(node[-1] in "BD"), box=(left + 10 * number, 10, 2_000 + left, 900))
    output = encode_detections([] if number % 9 == 0 else [found])
    return ResultSubmitted(
        assignment_id=send.assignment.assignment_id,
        node_id=node,
        output_digest=digest_of(output),
        output_bytes=len(output),
        timing=RunTiming(queue=1, infer=run_ms),
        probes=(send.assignment.probe_seed % 1_000_000, -2),
        output=output,
    )


def digest(effects: Iterable[Effect]) -> str:
    """Of all that was said and that others rely on; not of the words of hints."""
    said: list[object] = []
    for effect in effects:
        if isinstance(effect, EndJob):
            bare = msgspec.structs.replace(effect.outcome, hint=None, retry_after_ms=None)
            said.append((effect.job_id, effect.is_repeated, bare))
        elif isinstance(effect, HELD_TO):
            said.append(effect)
    return sha256(msgspec.json.encode(said)).hexdigest()


def live() -> Network:
    """Nodes join, work, lie, fail and leave; the bus is lost once, and the coordinator restarted once under load."""
    network = Network()
    nodes = [node_id(number) for number in range(1, NODES + 1)]
    network.tell(_started(seed=1))
    network.tell(_began(1))
    network.tell(*(enrolled(node_id(number), endorsed=_endorsed(number)) for number in range(1, NODES + 1)))
    _lend(network, nodes, session=1)
    for number in range(1, JOBS + 1):
        job = submitted(
            job_id(number),
            deadline_ms=300 if number % 6 == 0 else 4_000,
            pinned_node=nodes[number % 5] if number % 11 == 0 else None,
            workload=UNKNOWN if number % 29 == 0 else WORKLOAD,
            assurance=list(Assurance)[number % 4 if number % 3 == 0 else 1],
            is_public=number % 2 == 0,
        )
        network.tell(job)
        network.pass_ms(120)
        _disturb(network, nodes, number)
    network.pass_ms(2 * (TRUST.settle_ms_max + TRUST.settle_grace_ms))
    return network


def _started(seed: int) -> CoordinatorStarted:
    return CoordinatorStarted(seed=seed, workloads=(WORKLOAD,), comparisons={WORKLOAD: RULE}, trust=TRUST)


def _began(epoch: int) -> EpochBegan:
    return EpochBegan(epoch=epoch, secret=secret(epoch), next_secret=secret(epoch + 1))


def _endorsed(number: int) -> Tier | None:
    return Tier.REFERENCE if number in REFERENCES else None if number in NEWCOMERS else Tier.TRUSTED


def _lend(network: Network, nodes: list[NodeId], *, session: int) -> None:
    network.session = session
    network.tell(*(offer(node, slots(1 + place % 2), session=session) for place, node in enumerate(nodes)))


def _disturb(network: Network, nodes: list[NodeId], number: int) -> None:
    """What happens beside the jobs, after some of them."""
    match number:
        case 8:
            network.tell(JobWithdrawn(job_id=job_id(8)), submitted(job_id(1)))
        case 15:
            network.tell(NodeDisconnected(node_id=nodes[0]))
        case 20:
            network.tell(offer(nodes[0], slots(2), session=2))
        case 30:
            network.tell(BusReconnected())
            network.pass_ms(200)
            _lend(network, nodes, session=3)
        case 45:
            network.tell(_started(seed=2))
            network.tell(_began(2))
            _lend(network, nodes, session=4)
        case 60 | 75:
            network.tell(_began(number // 15 - 1))
        case _:
            pass


if __name__ == "__main__":
    path, network = FOLDER / f"core_{CORE_VERSION}_{sys.argv[1]}.msgpack", live()
    with path.open("xb") as file:
        file.write(msgspec.msgpack.encode(network.rows))
    print(path.name, path.stat().st_size, "bytes", digest(network.said))
