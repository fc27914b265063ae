"""Makes a journal for this folder: `PYTHONPATH=. python -m tests.replay.making NAME`.

For a new version of the core, or a new kind of event. The life of a small network by a script that always draws the
same. A file that is there is never written again.
"""

import random
import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec
from tests.unit.core.world import (
    DIGEST,
    OUTPUT,
    WORKLOAD,
    enrolled,
    job_id,
    node_id,
    offer,
    sends,
    slots,
    submitted,
)

from gridlight.core.coordinator import CORE_VERSION, Coordinator
from gridlight.messages.codec import Effect, Event, encode_record
from gridlight.messages.host import BusReconnected, CoordinatorStarted, TimePassed
from gridlight.messages.ids import NodeId, WorkloadId
from gridlight.messages.jobs import JobWithdrawn, SendAssignment
from gridlight.messages.nodes import NodeDisconnected
from gridlight.messages.results import ResultSubmitted, RunTiming
from gridlight.messages.tasks import (
    AssignmentAcknowledged,
    AssignmentDeclined,
    AssignmentFailed,
    AssignmentUndeliverable,
    DeclineReason,
    FailureCode,
    UndeliverableReason,
)

FOLDER = Path(__file__).parent
NODES = 5
JOBS = 60
START_MS = 1_790_000_000_000
UNKNOWN = WorkloadId("unheard-of@sha256:" + "0" * 64)

Row = tuple[int, int, int, bytes]
"""Sequence, time, core's version and events of one record, as the table has them."""


class Network:
    """A core that is told events, each batch a record, and whose assignments are answered by chance."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._core = Coordinator()
        self._now_ms = START_MS
        self._random = random.Random(20_261_122)
        self._due: list[tuple[int, Event]] = []

    def tell(self, *events: Event) -> None:
        """One batch; what nodes will say to what comes of it is noted for later."""
        self.rows.append((len(self.rows) + 1, self._now_ms, CORE_VERSION, encode_record(list(events))))
        for event in events:
            self._answer(self._core.handle(self._now_ms, event))
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

    def _answer(self, effects: Iterable[Effect]) -> None:
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
    return ResultSubmitted(
        assignment_id=send.assignment.assignment_id,
        node_id=send.node_id,
        output_digest=DIGEST,
        output_bytes=len(OUTPUT),
        timing=RunTiming(queue=1, infer=run_ms),
        probes=(1, -2),
        output=OUTPUT,
    )


def live() -> list[Row]:
    """Nodes join, work, fail and leave; the bus is lost once, and the coordinator restarted once under load."""
    network = Network()
    nodes = [node_id(number) for number in range(1, NODES + 1)]
    network.tell(CoordinatorStarted(seed=1, workloads=(WORKLOAD,)))
    network.tell(*(enrolled(node) for node in nodes))
    _lend(network, nodes, session=1)
    for number in range(1, JOBS + 1):
        pinned = nodes[number % NODES] if number % 11 == 0 else None
        deadline_ms = 300 if number % 6 == 0 else 4_000
        workload = UNKNOWN if number % 29 == 0 else WORKLOAD
        network.tell(submitted(job_id(number), deadline_ms=deadline_ms, pinned_node=pinned, workload=workload))
        network.pass_ms(120)
        _disturb(network, nodes, number)
    network.pass_ms(20_000)
    return network.rows


def _lend(network: Network, nodes: list[NodeId], *, session: int) -> None:
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
            network.tell(CoordinatorStarted(seed=2, workloads=(WORKLOAD,)))
            _lend(network, nodes, session=4)
        case _:
            pass


if __name__ == "__main__":
    path = FOLDER / f"core_{CORE_VERSION}_{sys.argv[1]}.msgpack"
    with path.open("xb") as file:
        file.write(msgspec.msgpack.encode(live()))
    print(path.name, path.stat().st_size, "bytes")
