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

from gridlight.adapters.blobs import Blobs, cache_folder
from gridlight.adapters.bus import BusError, Delivery
from gridlight.adapters.clock import monotonic_ms
from gridlight.adapters.endorsements import ENDORSEMENT_FILE, read_endorsement
from gridlight.adapters.logs import write_json_logs
from gridlight.adapters.preferences import laid_over, read_preferences
from gridlight.adapters.signatures import SigningKey, blake3_digest
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
from gridlight.core.preferences import ALWAYS, GENTLE, Preferences
from gridlight.messages import codec, subjects
from gridlight.messages.codec import ProtocolViolation
from gridlight.messages.envelope import REPLY_DOMAIN
from gridlight.messages.ids import AssignmentId, NodeId, WorkloadId
from gridlight.messages.nodes import DrainNode
from gridlight.messages.tasks import Assignment
from gridlight.services.agent.control import Control
from gridlight.services.agent.gateway_api import GatewayApi, GatewayRefused, GatewayUnreachable, apart
from gridlight.services.agent.link import Link
from gridlight.services.agent.orders import Orders
from gridlight.services.agent.ownership import Ownership
from gridlight.services.agent.workers import Workers
from gridlight.workloads.contract import Manifest, catalogue

OFFER_REFRESH_S: Final = 240.0
"""Well within the ten minutes for which an offer stands."""

ARTIFACT_BYTES_MAX: Final = 1024 * 1024 * 1024
LOG_FILE: Final = "agent.jsonl"
"""In the node's folder, whoever else reads what it says."""

NICE: Final = 5
"""Whatever else runs on the machine goes first; and what is nice is told from what its owner runs. Not nicer: on a busy
machine the agent has to get its turn several times within the second in which it yields."""

_DRAIN_S: Final = 4.0
_FETCH_RETRY_S: Final = 2.0

_log = structlog.get_logger()


class FolderInUse(Exception):
    """Another agent runs with the key of this folder."""


class AgentService:
    """One node."""

    def __init__(
        self,
        network_url: str,
        data: Path,
        *,
        slots: int,
        endorsement_file: Path | None = None,
        defaults: Preferences = GENTLE,
    ) -> None:
        self._api = GatewayApi(network_url)
        self._node = SigningKey.load_or_create(data / "node.nk")
        self._node_id = NodeId(self._node.public)
        self._agent = Agent(self._node_id)
        self._slots = slots
        operator = SigningKey.load_or_create(data / "operator.nk")
        endorsement = _endorsement(endorsement_file, data / ENDORSEMENT_FILE, self._node_id)
        self._link = Link(
            self._api, self._node, operator, endorsement, on_opened=self._opened, on_delivery=self._delivered
        )
        self._workers: dict[WorkloadId, Workers] = {}
        pids = lambda: [pid for one in self._workers.values() for pid in one.pids]  # noqa: E731
        self._ownership = Ownership(data, defaults, slots, pids)
        self._orders = Orders(self._ownership, self._agent, self._link, self._workers, self._believe, network_url)
        self._control = Control(data, self._orders.answer)
        self._replies: dict[AssignmentId, str] = {}
        """Where to answer each assignment that runs."""
        self._bodies: dict[AssignmentId, bytes] = {}
        self._outbox: asyncio.Queue[Reply | PublishOffer] = asyncio.Queue()
        self._runs: asyncio.TaskGroup
        self._running: set[asyncio.Task[None]] = set()
        self._workers_allowed = 0
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
        for workers in self._workers.values():
            await workers.kill()
        await self._link.close()

    async def _work(self) -> None:
        """Join, fetch what the network's workloads need, start workers, and stay connected."""
        enrolment = await self._link.enrol()
        _log.info("enrolled", node_id=self._node_id)
        async with asyncio.TaskGroup() as tasks:
            for workload, manifest in catalogue().items():
                if workload in enrolment.workloads:
                    artifact = await self._fetch(manifest)
                    workers = Workers(
                        workload,
                        manifest,
                        artifact,
                        slots=self._slots,
                        tell=self._tell,
                        is_wanted=self._agent.is_wanted,
                        cpu_limit_percent=lambda: self._ownership.preferences.cpu_usage_limit_percent,
                    )
                    self._workers[workload] = workers
                    workers.allow(self._workers_allowed)
                    tasks.create_task(workers.keep())
            tasks.create_task(self._link.keep())

    async def _fetch(self, manifest: Manifest) -> Path:
        """The model's file, from the cache or from the gateway by its digest."""
        blobs = Blobs(cache_folder() / "blobs")
        [(name, digest)] = manifest.artifacts.items()
        while (path := await apart(lambda: blobs.verified_path(digest))) is None:
            await self._ownership.transfer_allowed()
            _log.info("fetching", artifact=name, digest=digest)
            try:
                await apart(lambda: self._api.fetch(digest, blobs, bytes_max=ARTIFACT_BYTES_MAX))
            except GatewayUnreachable as error:
                _log.warning("cannot fetch yet", artifact=name, error=str(error))
                await asyncio.sleep(_FETCH_RETRY_S)
        return path

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

    async def _opened(self, session: str) -> None:
        self._tell(BusOpened(session))

    async def _delivered(self, delivery: Delivery) -> None:
        """A message on this node's own subjects; whoever may publish there is the network's."""
        self._ownership.keeping.add(len(delivery.message or b"") + len(delivery.body))
        try:
            message = delivery.message or b""
            if delivery.subject == subjects.node_control(self._node_id):
                self._tell(codec.node_controls.decode(message))
            else:
                self._assigned(codec.assignments.decode(message), delivery)
        except ProtocolViolation as violation:
            _log.warning("a message refused", subject=delivery.subject, error=str(violation))

    def _assigned(self, assignment: Assignment, delivery: Delivery) -> None:
        assignment_id = assignment.assignment_id
        if assignment_id not in self._replies:
            self._replies[assignment_id] = delivery.reply
            self._bodies[assignment_id] = delivery.body
            self._tell(assignment)

    def _tell(self, event: AgentEvent) -> None:
        """Let the machine hear of an event, and queue what follows, in order."""
        for effect in self._agent.handle(monotonic_ms(), event):
            if isinstance(effect, Run):
                self._start(effect.assignment)
            elif isinstance(effect, KeepWorkers):
                self._workers_allowed = effect.count
                for workers in self._workers.values():
                    workers.allow(self._workers_allowed)
            else:
                self._outbox.put_nowait(effect)

    def _believe(self, belief: Belief) -> None:
        self._tell(BeliefChanged(belief))

    def _start(self, assignment: Assignment) -> None:
        body = self._bodies[assignment.assignment_id]
        if blake3_digest(body) != assignment.input_digest:
            self._tell(InputSpoiled(assignment.assignment_id))
            return
        run = self._runs.create_task(self._workers[assignment.workload].run(assignment, body))
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

    async def _refresh(self) -> None:
        while True:
            await asyncio.sleep(OFFER_REFRESH_S)
            for effect in self._agent.offers():
                self._outbox.put_nowait(effect)


def run(
    network_url: str, data: Path, slots: int = 1, endorsement_file: Path | None = None, *, is_always: bool = False
) -> None:
    """The process. GatewayRefused where the network does not take this node, FolderInUse where it runs already,
    BadEndorsement where it has one that cannot be its own, BadConfiguration where its preferences cannot be read.

    `is_always` lends a machine that is there to be a node; what its preferences say goes before it.
    """
    with _held(data):
        write_json_logs(None, service="agent", copy=data / LOG_FILE)
        defaults = ALWAYS if is_always else GENTLE
        if laid_over(defaults, read_preferences(data)).suspend_cpu_usage_percent:
            os.nice(NICE)
        try:
            service = AgentService(network_url, data, slots=slots, endorsement_file=endorsement_file, defaults=defaults)
            uvloop.run(service.run())
        except* GatewayRefused as group:
            raise _first(group) from None


def _endorsement(given: Path | None, kept: Path, node_id: NodeId) -> str | None:
    """What is in the file that was given, which must be there, or else in the folder's own, which need not be."""
    path = kept if given is None else given
    return read_endorsement(path, node_id) if given is not None or kept.exists() else None


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """One agent a folder: two with one key would both be given every task, and spoil each other's replies."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderInUse(f"{folder} is in use by an agent that runs; give each node a folder of its own") from None
        yield


def _first(group: BaseExceptionGroup[GatewayRefused]) -> GatewayRefused:
    while True:
        error = group.exceptions[0]
        if isinstance(error, GatewayRefused):
            return error
        group = error
