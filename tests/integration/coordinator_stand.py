"""A real coordinator process on a real bus and a real database; its gateways and its nodes are in the test's hands."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import tomli_w
from tests.integration.conftest import WAIT_S, Connections, Server
from tests.unit.core.world import DIGEST, OUTPUT, job_id

from gridlight.adapters.bus import Bus, Delivery
from gridlight.adapters.credentials import NodeCredentials
from gridlight.adapters.journal import Journal, Record
from gridlight.adapters.signatures import blake3_digest
from gridlight.adapters.store import Store
from gridlight.core.coordinator import Coordinator
from gridlight.messages import subjects
from gridlight.messages.codec import GatewayEvent, encode, gateway_effects, node_controls
from gridlight.messages.host import AnnounceCoordinator
from gridlight.messages.ids import GatewayId, JobId, NodeId
from gridlight.messages.jobs import EndJob, JobSubmitted, SendAssignment
from gridlight.messages.nodes import AdmitNode, NodeEnrolled, OfferChanged, RequestOffer, SlotOffer
from gridlight.messages.results import ResultSubmitted, RunTiming
from gridlight.messages.tasks import AssignmentAcknowledged
from gridlight.messages.trust import Tier
from gridlight.services.coordinator.config import CoordinatorConfig
from gridlight.workloads.contract import catalogue

SHARD = "s0"
WORKLOAD = next(iter(catalogue()))
SLOTS = 100
_POLL_S = 0.01


async def eventually(what: str, is_so: Callable[[], object]) -> None:
    """Wait for what shows in a file, a database or a process."""
    try:
        async with asyncio.timeout(WAIT_S):
            while not is_so():  # noqa: ASYNC110  (no event tells of it)
                await asyncio.sleep(_POLL_S)
    except TimeoutError:
        raise AssertionError(f"{what}: not within {WAIT_S} s") from None


class Process:
    """A coordinator as `gridlight up` starts it."""

    def __init__(self, config: Path, log_file: Path, errors_file: Path) -> None:
        command = [sys.executable, "-m", "gridlight", "coordinator", "--config", str(config)]
        with errors_file.open("wb") as errors:
            self._process = subprocess.Popen(command, stderr=errors)
        self._log_file = log_file
        self._errors_file = errors_file
        self.pid = self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    @property
    def errors(self) -> str:
        return self._errors_file.read_text()

    def log(self, event: str) -> list[dict[str, Any]]:
        """Lines of its log that tell of this."""
        lines = [json.loads(line) for line in self._log_file.read_text().splitlines()]
        return [line for line in lines if line["event"] == event]

    def kill(self) -> None:
        """As a power cut would."""
        self._process.kill()
        self._process.wait()

    async def stop(self) -> int:
        """As an administrator would; the exit code."""
        self._process.send_signal(signal.SIGTERM)
        return await self.ended()

    async def ended(self) -> int:
        """Wait for its end; the exit code."""
        await eventually("the coordinator ends", lambda: not self.is_running)
        return self._process.returncode


def acknowledged(send: SendAssignment) -> AssignmentAcknowledged:
    """The word of the node that it took an assignment."""
    return AssignmentAcknowledged(
        assignment_id=send.assignment.assignment_id, node_id=send.node_id, eta_ms=1, elapsed_ms=1
    )


def answered(send: SendAssignment, output: bytes = OUTPUT) -> list[GatewayEvent]:
    """What a gateway hears of a node that works."""
    result = ResultSubmitted(
        assignment_id=send.assignment.assignment_id,
        node_id=send.node_id,
        output_digest=blake3_digest(output),
        output_bytes=len(output),
        timing=RunTiming(queue=0, infer=1),
        output=output,
    )
    return [acknowledged(send), result]


class Gateway:
    """Submits jobs, answers assignments by a script in their nodes' stead, and keeps what the coordinator says."""

    def __init__(self, bus: Bus, gateway_id: str) -> None:
        self.gateway_id = GatewayId(gateway_id)
        self.script: Callable[[SendAssignment], list[GatewayEvent]] = answered
        self.endorsed: Tier | None = Tier.TRUSTED
        """What the next nodes are by the network's own word."""
        self.jobs: dict[JobId, JobSubmitted] = {}
        self.sends: list[SendAssignment] = []
        self.ends: dict[JobId, list[EndJob]] = {}
        self.admitted: list[NodeId] = []
        self.announcements = 0
        self.messages: list[int] = []
        """How many effects came in each message."""
        self._bus = bus
        self._heard = asyncio.Condition()

    async def follow(self) -> None:
        await self._bus.subscribe(subjects.control_effects(SHARD, self.gateway_id), self._hear)
        await self._bus.subscribe(subjects.control_announcements(SHARD), self._hear)
        await self._bus.flush()

    async def say(self, body: bytes) -> None:
        """Anything at all, on the subject that a coordinator listens to."""
        await self._bus.publish(subjects.control_events(SHARD), body)

    async def tell(self, events: Iterable[GatewayEvent]) -> None:
        said = list(events)
        if said:
            await self.say(encode(said))

    @property
    def is_connected(self) -> bool:
        return self._bus.is_connected

    async def sent(self) -> None:
        """Wait until the bus has taken what was told."""
        await self._bus.flush()

    async def submit(self, *numbers: int, deadline_ms: int = 60_000, pinned_node: NodeId | None = None) -> list[JobId]:
        """New jobs, in one message."""
        jobs = [self.job(number, deadline_ms=deadline_ms, pinned_node=pinned_node) for number in numbers]
        self.jobs |= {job.job_id: job for job in jobs}
        await self.tell(jobs)
        return [job.job_id for job in jobs]

    def job(self, number: int, *, deadline_ms: int, pinned_node: NodeId | None) -> JobSubmitted:
        return JobSubmitted(
            job_id=job_id(number),
            gateway_id=self.gateway_id,
            workload=WORKLOAD,
            deadline_ms=deadline_ms,
            input_digest=DIGEST,
            input_bytes=270_000,
            pinned_node=pinned_node,
        )

    async def enrol(self, node_id: NodeId) -> None:
        """Tell of a node that proved its key, and wait until it is admitted."""
        enrolled = NodeEnrolled(
            gateway_id=self.gateway_id,
            node_id=node_id,
            operator=node_id,
            agent_version="test",
            cpus=2,
            memory_mib=1_024,
            endorsed=self.endorsed,
        )
        await self.tell([enrolled])
        await self.until("the node is admitted", lambda: node_id in self.admitted)

    async def run(self, *numbers: int, pinned_node: NodeId | None = None) -> list[EndJob]:
        """Submit jobs and wait for their ends."""
        job_ids = await self.submit(*numbers, pinned_node=pinned_node)
        await self.until("the jobs end", lambda: all(one in self.ends for one in job_ids))
        return [self.ends[one][0] for one in job_ids]

    async def until(self, what: str, is_so: Callable[[], object]) -> None:
        try:
            async with asyncio.timeout(WAIT_S), self._heard:
                await self._heard.wait_for(lambda: bool(is_so()))
        except TimeoutError:
            raise AssertionError(f"{what}: not within {WAIT_S} s") from None

    def open_jobs(self) -> list[JobSubmitted]:
        return [job for one, job in self.jobs.items() if one not in self.ends]

    async def _hear(self, delivery: Delivery) -> None:
        effects = gateway_effects.decode(delivery.body)
        self.messages.append(len(effects))
        for effect in effects:
            match effect:
                case SendAssignment():
                    self.sends.append(effect)
                    await self.tell(self.script(effect))
                case EndJob(job_id=ended):
                    self.ends.setdefault(ended, []).append(effect)
                case AdmitNode(node_id=node_id):
                    self.admitted.append(node_id)
                case AnnounceCoordinator():
                    self.announcements += 1
                    await self.tell(self.open_jobs())
                case _:
                    pass
        async with self._heard:
            self._heard.notify_all()


class Node:
    """A node's connection: it offers when it is asked. Its gateway answers in its stead."""

    def __init__(self, credentials: NodeCredentials, bus: Bus) -> None:
        self.node_id = NodeId(credentials.key.public)
        self.session = f"{1:016x}"
        self.slots = SLOTS
        self.asked = 0
        self.bus = bus

    async def follow(self) -> None:
        await self.bus.subscribe(subjects.node_tasks(self.node_id), self._hear)
        await self.bus.flush()

    def offer(self) -> OfferChanged:
        offer = SlotOffer(workload=WORKLOAD, slots=self.slots, benchmark_ms=10)
        return OfferChanged(node_id=self.node_id, session=self.session, offers=(offer,))

    async def say(self, message: bytes | None) -> None:
        """Anything at all, on the node's own subject."""
        await self.bus.publish(subjects.offer(self.node_id), message=message)

    async def lend(self) -> None:
        await self.say(encode(self.offer()))

    async def _hear(self, delivery: Delivery) -> None:
        if isinstance(node_controls.decode(delivery.message or b""), RequestOffer):
            self.asked += 1
            await self.lend()


class Stand:
    """Starts coordinators on one database, and looks into it."""

    def __init__(self, server: Server, connections: Connections, folder: Path) -> None:
        self.server = server
        self.connections = connections
        self.folder = folder
        self.database_url = f"sqlite:///{folder}/gridlight.db"
        self.processes: list[Process] = []
        self._journal = Journal(self.database_url)
        self.store = Store.open(self.database_url)
        self._gateways = 0

    async def gateway(self) -> Gateway:
        self._gateways += 1
        bus = await self.connections.open(self.server, self.server.keys.creds_file("gateway"))
        gateway = Gateway(bus, f"gateway{self._gateways}")
        await gateway.follow()
        return gateway

    async def node(self, gateway: Gateway) -> Node:
        """An enrolled node that lends its slots; a job for it has shown that it does."""
        credentials = self.server.node()
        node = Node(credentials, await self.connections.open(self.server, credentials))
        await node.follow()
        await gateway.enrol(node.node_id)
        await node.lend()
        await eventually("the node is online", lambda: self.node_is_online(node.node_id))
        return node

    async def start(self, gateway: Gateway, *, nats_url: str | None = None) -> Process:
        """One more coordinator, which has announced itself."""
        announced = gateway.announcements
        process = self.launch(nats_url=nats_url)
        await gateway.until("the coordinator announces itself", lambda: gateway.announcements > announced)
        return process

    def launch(
        self,
        *,
        nats_url: str | None = None,
        metrics_port: int | None = None,
        trust: dict[str, Any] | None = None,
        epoch_s: int = 600,
    ) -> Process:
        number = len(self.processes)
        log_file = self.folder / f"log{number}.jsonl"
        config = CoordinatorConfig(
            shard=SHARD,
            nats_url=nats_url or self.server.url,
            credentials=self.server.keys.creds_file("coordinator"),
            system_credentials=self.server.keys.creds_file("system"),
            account=self.server.keys.account_public,
            database_url=self.database_url,
            metrics_port=metrics_port,
            log_file=log_file,
            epoch_s=epoch_s,
        )
        path = self.folder / f"config{number}.toml"
        values = msgspec.to_builtins(config, enc_hook=str) | {"trust": trust or {}}
        path.write_text(tomli_w.dumps({key: value for key, value in values.items() if value is not None}))
        process = Process(path, log_file, self.folder / f"stderr{number}")
        self.processes.append(process)
        return process

    def node_is_online(self, node_id: NodeId) -> bool:
        return any(node.online for node in self.store.nodes() if node.node_id == node_id)

    def stored(self, job: JobId) -> Any:
        """The job's outcome in the read model."""
        record = self.store.job(job)
        return None if record is None else record.outcome

    def records(self) -> list[Record]:
        return list(self._journal.records_after(0))

    def events(self, kind: type) -> list[Any]:
        """All journalled events of a kind."""
        return [event for record in self.records() for event in record.events if type(event) is kind]

    def snapshot(self) -> tuple[int, bytes] | None:
        return self._journal.newest_snapshot(2**31 - 1)

    def close(self) -> None:
        for process in self.processes:
            if process.is_running:
                process.kill()
        self._journal.close()
        self.store.close()


def folded(records: Iterable[Record]) -> Coordinator:
    """The state that records tell, with the core's own invariants checked."""
    core = Coordinator()
    for record in records:
        for event in record.events:
            core.handle(record.now_ms, event)
    core.check()
    return core


@asynccontextmanager
async def standing(server: Server, connections: Connections, folder: Path) -> AsyncIterator[Stand]:
    stand = Stand(server, connections, folder)
    try:
        yield stand
    finally:
        stand.close()
