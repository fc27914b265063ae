"""The agent's process: joins link and workers to the node's machine in `core.agent`."""

import asyncio
import fcntl
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import structlog
import uvloop

from gridlight.adapters.bus import BusError, Delivery
from gridlight.adapters.certificates import brought_certificate, carried_attestation
from gridlight.adapters.clock import monotonic_ms, wall_s
from gridlight.adapters.endorsements import ENDORSEMENT_FILE, read_endorsement
from gridlight.adapters.logs import write_json_logs
from gridlight.adapters.node_folder import LOCK_FILE, NODE_KEY_FILE, OPERATOR_KEY_FILE, WAY_FILE
from gridlight.adapters.preferences import laid_over, read_preferences
from gridlight.adapters.samples import SAMPLES_FILE, Samples
from gridlight.adapters.sandbox.port import EngineUnavailable
from gridlight.adapters.signatures import SigningKey, blake3_digest
from gridlight.adapters.word_files import WordFiles
from gridlight.core.agent import (
    Agent,
    AgentEvent,
    BeliefChanged,
    BusOpened,
    InputSpoiled,
    KeepWorkers,
    PublishOffer,
    Reply,
    Run,
)
from gridlight.core.owner import Belief
from gridlight.messages import codec, subjects
from gridlight.messages.codec import ProtocolViolation
from gridlight.messages.envelope import REPLY_DOMAIN
from gridlight.messages.ids import AssignmentId, NodeId
from gridlight.messages.nodes import DrainNode, SessionStands
from gridlight.messages.operators import NodeBarred
from gridlight.messages.tasks import Assignment
from gridlight.messages.workloads import StopWorkload
from gridlight.services.agent.acknowledging import Acknowledgements
from gridlight.services.agent.control import Control
from gridlight.services.agent.engine import Engine
from gridlight.services.agent.gateway_api import GatewayApi, GatewayRefused, apart
from gridlight.services.agent.lent import Lent
from gridlight.services.agent.link import Link
from gridlight.services.agent.memory import remember
from gridlight.services.agent.options import AgentOptions
from gridlight.services.agent.orders import Orders
from gridlight.services.agent.ownership import Ownership
from gridlight.services.agent.promises import Promises
from gridlight.services.agent.sampling import Sampler
from gridlight.services.agent.ways import LastWay
from gridlight.workloads.contract import catalogue

OFFER_REFRESH_S: Final = 240.0
"""Well within the ten minutes for which an offer stands."""

LOG_FILE: Final = "agent.jsonl"
"""In the node's folder, whoever else reads what it says."""

NICE: Final = 5
"""Whatever else runs on the machine goes first; and what is nice is told from what its owner runs. Not nicer: on a busy
machine the agent has to get its turn several times within the second in which it yields."""

_DRAIN_S: Final = 4.0

_log = structlog.get_logger()


class FolderInUse(Exception):
    """Another agent runs with the key of this folder."""


class AgentService:
    """One node."""

    def __init__(self, options: AgentOptions) -> None:
        folder = options.data
        self._options = options
        self._api = GatewayApi(options.network_url)
        self._node = SigningKey.load_or_create(folder / NODE_KEY_FILE)
        self._node_id = NodeId(self._node.public)
        self._agent = Agent(self._node_id)
        self._engine = Engine(options.engine, self._node_id, folder)
        SigningKey.load_or_create(folder / OPERATOR_KEY_FILE)  # there from the first start on, for backups
        self._link = Link(
            self._api,
            self._node,
            _endorsement(options.endorsement_file, folder / ENDORSEMENT_FILE, self._node_id),
            LastWay(folder / WAY_FILE),
            certificate=lambda: brought_certificate(folder, self._node_id, now_ms=wall_s() * 1_000),
            attestation=lambda: carried_attestation(folder),
            own_bus_url=options.own_bus_url,
            on_opened=self._opened,
            on_delivery=self._delivered,
        )
        self._sampler = Sampler(self._api, self._node, Samples(folder / SAMPLES_FILE))
        self._promises = Promises(self._api, self._node, WordFiles(folder))
        self._ownership = Ownership(folder, options.defaults, options.slots, self._worker_pids)
        self._lent = Lent(
            self._api,
            folder,
            self._node_id,
            engine=self._engine,
            ownership=self._ownership,
            slots=options.slots,
            tell=self._tell,
            is_wanted=self._agent.is_wanted,
        )
        self._orders = Orders(
            self._ownership, self._agent, self._link, self._lent.running, self._believe, options.network_url
        )
        self._control = Control(folder, self._orders.answer)
        self._replies: dict[AssignmentId, str] = {}
        """Where to answer each assignment that runs."""
        self._bodies: dict[AssignmentId, bytes] = {}
        self._outbox: asyncio.Queue[Reply | PublishOffer] = asyncio.Queue()
        self._acknowledgements = Acknowledgements(self._outbox.put_nowait)
        self._runs: asyncio.TaskGroup
        self._running: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._quiet = asyncio.Event()

    async def run(self) -> None:
        """Until SIGTERM or SIGINT; then hands nothing more out, finishes what runs, and leaves."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stopping.set)
        async with asyncio.TaskGroup() as helpers, asyncio.TaskGroup() as self._runs:
            own = (self._ownership.watch(self._believe), self._orders.take_samples(), self._control.serve())
            endless = (self._work(), self._send_all(), self._refresh(), *own)
            started = [helpers.create_task(one) for one in endless]
            await self._stopping.wait()
            self._tell(DrainNode())
            await self._drained()
            for helper in started:
                helper.cancel()
        await self._lent.kill()
        await self._engine.close()
        await self._link.close()

    async def _work(self) -> None:
        """Join, lend what may run here, and stay connected."""
        enrolment = await self._link.enrol()
        _log.info("enrolled", node_id=self._node_id)
        await apart(lambda: remember(self._options.data, self._options.network_url))
        first_party = {one: manifest for one, manifest in catalogue().items() if one in enrolment.workloads}
        for manifest in first_party.values():
            _log.info("accepted by starting this node", workload=manifest.name, publisher="first-party")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._sampler.keep())
            tasks.create_task(self._promises.keep())
            tasks.create_task(self._lent.keep(first_party, enrolment.network_key))
            tasks.create_task(self._link.keep())

    async def _drained(self) -> None:
        """Until nothing runs and all is said, for a few seconds; what still runs then is given up."""
        self._note_quiet()
        try:
            async with asyncio.timeout(_DRAIN_S):
                await self._quiet.wait()
        except TimeoutError:
            _log.warning("left before everything was finished")
        for run in self._running:
            run.cancel()

    def _note_quiet(self) -> None:
        if self._agent.is_idle and self._outbox.empty():
            self._quiet.set()
        else:
            self._quiet.clear()

    async def _opened(self, session: str, process: str) -> None:
        self._tell(BusOpened(session, process))

    def _delivered(self, delivery: Delivery) -> None:
        """A message on this node's own subjects; whoever may publish there is the network's."""
        self._ownership.keeping.add(len(delivery.message or b"") + len(delivery.body))
        try:
            message = delivery.message or b""
            if delivery.subject in (subjects.node_control(self._node_id), subjects.EVERY_NODE):
                self._controlled(codec.node_controls.decode(message))
            elif self._link.is_taken:  # else it is for another agent with this node's key
                self._assigned(codec.assignments.decode(message), delivery)
        except ProtocolViolation as violation:
            _log.warning("a message refused", subject=delivery.subject, error=str(violation))

    def _controlled(self, control: codec.NodeControl) -> None:
        if isinstance(control, SessionStands):
            self._link.heard(control)
            return
        if isinstance(control, NodeBarred):
            self._link.barred(control)
            return
        self._tell(control)
        if isinstance(control, StopWorkload):
            self._lent.stop(control.workload, control.serial)

    def _assigned(self, assignment: Assignment, delivery: Delivery) -> None:
        assignment_id = assignment.assignment_id
        if assignment_id not in self._replies:
            self._replies[assignment_id] = delivery.reply
            self._bodies[assignment_id] = delivery.body
            self._promises.took(assignment)
            self._tell(assignment)

    def _tell(self, event: AgentEvent) -> None:
        """Let the machine hear of an event, and queue what follows, in order."""
        deadline_ms = event.deadline_ms if isinstance(event, Assignment) else None
        for effect in self._agent.handle(monotonic_ms(), event):
            if isinstance(effect, Reply):
                self._acknowledgements.pass_on(effect, deadline_ms)
            elif isinstance(effect, Run):
                self._start(effect.assignment)
            elif isinstance(effect, KeepWorkers):
                self._lent.allow(effect.count)
            else:
                self._outbox.put_nowait(effect)

    def _worker_pids(self) -> list[int]:
        return self._lent.pids()

    def _believe(self, belief: Belief) -> None:
        self._tell(BeliefChanged(belief))

    def _start(self, assignment: Assignment) -> None:
        body = self._bodies[assignment.assignment_id]
        if blake3_digest(body) != assignment.input_digest:
            self._tell(InputSpoiled(assignment.assignment_id))
            return
        run = self._runs.create_task(self._lent.running[assignment.workload].run(assignment, body))
        self._running.add(run)
        run.add_done_callback(self._running.discard)

    async def _send_all(self) -> None:
        while True:
            effect = await self._outbox.get()
            try:
                await self._send(effect)
            except BusError as error:
                # Answers to a connection that is gone are not wanted any more; an offer is published at the next one.
                _log.warning("not sent", error=str(error))
            self._note_quiet()

    async def _send(self, effect: Reply | PublishOffer) -> None:
        bus = self._link.bus
        if isinstance(effect, PublishOffer):
            if bus is not None:
                await bus.publish(subjects.offer(self._node_id), message=codec.encode(effect.offer))
            return
        subject = self._replies[effect.assignment_id]
        if effect.is_last:
            del self._replies[effect.assignment_id], self._bodies[effect.assignment_id]
        if bus is None:
            raise BusError("the connection broke before the answer was ready")
        message = codec.encode(effect.message)
        signature = self._node.sign(REPLY_DOMAIN, message)
        await bus.publish(subject, effect.body, message=message, signature=signature)
        self._ownership.keeping.add(len(message) + len(effect.body))
        if effect.is_last:
            self._promises.said(effect.message)

    async def _refresh(self) -> None:
        while True:
            await asyncio.sleep(OFFER_REFRESH_S)
            for effect in self._agent.offers():
                self._outbox.put_nowait(effect)


def run(options: AgentOptions) -> None:
    """The process. GatewayRefused where the network does not take this node, FolderInUse where it runs already,
    BadEndorsement where it has one that cannot be its own, EngineUnavailable where workers cannot run as was asked,
    BadConfiguration where its preferences cannot be read.
    """
    with _held(options.data):
        write_json_logs(None, service="agent", copy=options.data / LOG_FILE)
        if laid_over(options.defaults, read_preferences(options.data)).suspend_cpu_usage_percent:
            os.nice(NICE)
        service = AgentService(options)
        try:
            uvloop.run(service.run())
        except* (GatewayRefused, EngineUnavailable) as group:
            raise _first(group) from None


def _endorsement(given: Path | None, kept: Path, node_id: NodeId) -> str | None:
    """What is in the file that was given, which must be there, or else in the folder's own, which need not be."""
    path = kept if given is None else given
    return read_endorsement(path, node_id) if given is not None or kept.exists() else None


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """One agent a folder: two with one key would both be given every task, and spoil each other's replies."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK_FILE).open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderInUse(f"{folder} is in use by an agent that runs; give each node a folder of its own") from None
        yield


def _first(group: BaseExceptionGroup[GatewayRefused | EngineUnavailable]) -> GatewayRefused | EngineUnavailable:
    while True:
        error = group.exceptions[0]
        if isinstance(error, GatewayRefused | EngineUnavailable):
            return error
        group = error
