"""A real gateway with real HTTP and a real bus, and in the test's own hands a coordinator and a node.

Both speak the real messages over the real bus, so that a test can make them late, silent or dishonest.
"""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
from tests.integration.conftest import WAIT_S, Connections, Server

from gridlight.adapters.accounts import AccountBook
from gridlight.adapters.books import Sign, unsigned
from gridlight.adapters.bus import Bus, Delivery
from gridlight.adapters.bus_server import free_port
from gridlight.adapters.changes import Changes
from gridlight.adapters.clock import SteadyClock
from gridlight.adapters.credentials import NodeCredentials
from gridlight.adapters.journal import Journal, Record
from gridlight.adapters.signatures import SigningKey, blake3_digest
from gridlight.core.coordinator import Coordinator as Core
from gridlight.messages import subjects
from gridlight.messages.accounts import Limits, Scope
from gridlight.messages.codec import (
    Effect,
    Event,
    GatewayEvent,
    GatewayQuestion,
    NodeControl,
    NodeReply,
    assignments,
    encode,
    gateway_words,
    node_controls,
)
from gridlight.messages.envelope import ENROLMENT_DOMAIN, REPLY_DOMAIN
from gridlight.messages.host import AnnounceCoordinator, CoordinatorStarted, RecordNode
from gridlight.messages.ids import AssignmentId, JobId, NodeId
from gridlight.messages.jobs import (
    CancelAssignment,
    EndJob,
    JobCode,
    JobState,
    JobSubmitted,
    JobTiming,
    JobWithdrawn,
    Outcome,
    SendAssignment,
)
from gridlight.messages.ledger import AccountCredited
from gridlight.messages.nodes import AdmitNode, EnrolNode, NodeEnrolled
from gridlight.messages.results import Detection, ResultSubmitted, RunTiming, encode_detections
from gridlight.messages.tasks import Assignment, AssignmentAcknowledged, AssignmentFailed, AssignmentUndeliverable
from gridlight.messages.trust import LAPTOP, KeepInput, ReleaseInput, TrustParameters
from gridlight.services.coordinator.questions import answer
from gridlight.services.gateway.config import GatewayConfig
from gridlight.services.gateway.main import Gateway

ADMIN_TOKEN = "correct-horse-battery-staple"
OUTPUT = encode_detections(
    [
        Detection(class_id=6, score=9_300, box=(480, 960, 4_320, 3_840)),
        Detection(class_id=1, score=3_000, box=(0, 0, 480, 480)),
        Detection(class_id=1, score=2_100, box=(0, 0, 240, 240)),
    ]
)
Said = tuple[NodeReply, bytes]
TO_GATEWAY = (SendAssignment, CancelAssignment, EndJob, AdmitNode, KeepInput, ReleaseInput)


class Coordinator:
    """Gives every job to one node, and ends it by what becomes of that; keeps the real read models."""

    bus: Bus

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.core = Core()
        """Asked about money alone."""
        self.node_id: NodeId | None = None
        self.is_silent = False
        self.keep_ms: int | None = None
        """How long the input of every answer shall be kept; None where nobody is asked again."""
        self.events: list[GatewayEvent] = []
        self.arrived = asyncio.Condition()
        self._jobs: dict[AssignmentId, JobSubmitted] = {}
        self._checks: set[AssignmentId] = set()
        self._batches = 0
        self._clock = SteadyClock(0)

    def start(self, trust: TrustParameters = LAPTOP) -> None:
        """What a coordinator's first record says."""
        self.record(events=[CoordinatorStarted(seed=1, workloads=(), trust=trust)])

    def record(self, *effects: Effect, events: list[Event] | None = None, sign: Sign = unsigned) -> None:
        """Journal and read models, as the host writes them before it performs anything."""
        self._batches += 1
        now_ms = self._clock.now_ms()
        self.journal.commit(
            Record(self._batches, now_ms, 1, events or []), Changes(now_ms, events or [], effects, sign)
        )

    async def hear(self, delivery: Delivery) -> None:
        words = gateway_words.decode(delivery.body)
        for asked in words:
            if isinstance(asked, GatewayQuestion) and not self.is_silent:
                subject = subjects.control_effects("s0", asked.gateway_id)
                await self.bus.publish(subject, encode([answer(self.core, asked)]))
        events = [word for word in words if not isinstance(word, GatewayQuestion)]
        for event in events:
            effects = [] if self.is_silent else self.decide(event)
            self.record(*effects, events=[event])
            await self.say(*effects)
        async with self.arrived:
            self.events += events
            self.arrived.notify_all()

    async def on_reconnected(self) -> None:
        # A gateway that was back before us announced to nobody.
        await self.say(AnnounceCoordinator())

    async def say(self, *effects: Effect) -> None:
        """One list to the one gateway that there is, and whatever concerns all to all."""
        said = [effect for effect in effects if isinstance(effect, TO_GATEWAY)]
        if said:
            await self.bus.publish(subjects.control_effects("s0", said[0].gateway_id), encode(said))
        if AnnounceCoordinator() in effects:
            await self.bus.publish(subjects.control_announcements("s0"), encode([AnnounceCoordinator()]))

    async def ask_again(self, job: JobSubmitted, node_id: NodeId) -> AssignmentId:
        """An assignment for a job that has ended, to check its answer."""
        order = self._order(job, node_id)
        self._checks.add(order.assignment.assignment_id)
        await self.say(order)
        return order.assignment.assignment_id

    async def heard(self, kind: type[Any], count: int = 1) -> list[Any]:
        """Wait until so many events of a kind have arrived."""
        async with asyncio.timeout(WAIT_S), self.arrived:
            await self.arrived.wait_for(lambda: sum(type(one) is kind for one in self.events) >= count)
        return [one for one in self.events if type(one) is kind]

    def decide(self, event: GatewayEvent) -> list[Effect]:
        match event:
            case NodeEnrolled():
                record = RecordNode(enrolled=event, is_online=False, slots=0, workloads=())
                return [AdmitNode(gateway_id=event.gateway_id, node_id=event.node_id), record]
            case AccountCredited():
                return self.core.handle(self._clock.now_ms(), event)
            case JobSubmitted():
                return [self._assign(event)]
            case ResultSubmitted() | AssignmentUndeliverable() if event.assignment_id in self._checks:
                return []
            case ResultSubmitted():
                return [*self._kept(self._jobs[event.assignment_id]), self._done(event)]
            case AssignmentUndeliverable() | AssignmentFailed():
                job = self._jobs[event.assignment_id]
                outcome = Outcome(state=JobState.FAILED, code=JobCode.ATTEMPTS_EXHAUSTED, attempts=1)
                return [EndJob(job_id=job.job_id, gateway_id=job.gateway_id, outcome=outcome)]
            case _:
                return []

    def ended(self, job: JobSubmitted, outcome: Outcome) -> EndJob:
        """How a job ended."""
        return EndJob(job_id=job.job_id, gateway_id=job.gateway_id, outcome=outcome)

    def _assign(self, job: JobSubmitted) -> Effect:
        if self.node_id is None:
            return self.ended(job, Outcome(state=JobState.REFUSED, code=JobCode.NO_NODE_ONLINE, retry_after_ms=2_000))
        return self._order(job, self.node_id)

    def _kept(self, job: JobSubmitted) -> list[Effect]:
        if self.keep_ms is None:
            return []
        return [KeepInput(job_id=job.job_id, gateway_id=job.gateway_id, keep_ms=self.keep_ms)]

    def _order(self, job: JobSubmitted, node_id: NodeId) -> SendAssignment:
        assignment_id = AssignmentId(f"{len(self._jobs):016x}")
        self._jobs[assignment_id] = job
        assignment = Assignment(
            assignment_id=assignment_id,
            workload=job.workload,
            deadline_ms=job.deadline_ms,
            input_digest=job.input_digest,
            input_bytes=job.input_bytes,
            probe_seed=1,
        )
        return SendAssignment(job_id=job.job_id, gateway_id=job.gateway_id, node_id=node_id, assignment=assignment)

    def _done(self, result: ResultSubmitted) -> Effect:
        job = self._jobs[result.assignment_id]
        outcome = Outcome(
            state=JobState.DONE,
            node_id=result.node_id,
            assignment_id=result.assignment_id,
            output=result.output,
            timing=JobTiming(queue=1, ack=20, infer=result.timing.infer, total=40),
            attempts=1,
        )
        return EndJob(job_id=job.job_id, gateway_id=job.gateway_id, outcome=outcome)


class Node:
    """Answers assignments by a script, which a test may replace with a dishonest one."""

    def __init__(self, key: SigningKey) -> None:
        self.key = key
        self.node_id = NodeId(key.public)
        self.signs_with = key
        self.script: Callable[[Assignment, bytes], list[Said]] = self.honest
        self.controls: asyncio.Queue[NodeControl] = asyncio.Queue()
        self.assigned: asyncio.Queue[Assignment] = asyncio.Queue()
        self.bus: Bus | None = None

    def honest(self, assignment: Assignment, tensor: bytes) -> list[Said]:
        assert blake3_digest(tensor) == assignment.input_digest
        return [self.ack(assignment), self.result(assignment)]

    def ack(self, assignment: Assignment) -> Said:
        reply = AssignmentAcknowledged(assignment_id=assignment.assignment_id, node_id=self.node_id, eta_ms=30)
        return reply, b""

    def result(self, assignment: Assignment, output: bytes = OUTPUT) -> Said:
        reply = ResultSubmitted(
            assignment_id=assignment.assignment_id,
            node_id=self.node_id,
            output_digest=blake3_digest(output),
            output_bytes=len(output),
            timing=RunTiming(queue=0, infer=30),
        )
        return reply, output

    async def hear(self, delivery: Delivery) -> None:
        assert self.bus is not None
        assert delivery.message is not None
        if delivery.subject.endswith(".control"):
            self.controls.put_nowait(node_controls.decode(delivery.message))
            return
        assignment = assignments.decode(delivery.message)
        self.assigned.put_nowait(assignment)
        for reply, body in self.script(assignment, delivery.body):
            message = encode(reply)
            signature = self.signs_with.sign(REPLY_DOMAIN, message)
            await self.bus.publish(delivery.reply, body, message=message, signature=signature)


class Stand:
    """What a test asks and bends."""

    def __init__(self, server: Server, url: str, coordinator: Coordinator, http: httpx.AsyncClient) -> None:
        self.server = server
        self.url = url
        self.coordinator = coordinator
        self.http = http
        self.config: GatewayConfig

    async def detect(self, picture: bytes, kind: str = "image/jpeg", **parameters: Any) -> httpx.Response:
        return await self.http.post(
            "/v1/detect", content=picture, params=parameters, headers={"Content-Type": kind} if kind else {}
        )

    async def enrol(self, key: SigningKey, **headers: str) -> dict[str, Any]:
        challenge = (await self.http.post("/v1/nodes/challenge")).json()
        body = encode(
            EnrolNode(
                node_id=NodeId(key.public),
                operator=SigningKey.generate().public,
                nonce=challenge["nonce"],
                agent_version="test",
                cpus=2,
                memory_mib=1_024,
            )
        )
        signature = base64.b64encode(key.sign(ENROLMENT_DOMAIN, body)).decode()
        answer = await self.http.post("/v1/nodes", content=body, headers={"Gridlight-Signature": signature, **headers})
        assert answer.status_code == 200, answer.text
        enrolled: dict[str, Any] = answer.json()
        return enrolled

    async def metric(self, line: str) -> float:
        """A sample of /metrics by its name and labels, 0 where there is none."""
        text = (await self.http.get("/metrics")).text
        values = [one.rpartition(" ")[2] for one in text.splitlines() if one.startswith(line + " ")]
        return float(values[0]) if values else 0.0

    async def stored(self, job_id: JobId) -> dict[str, Any]:
        view: dict[str, Any] = msgspec.json.decode((await self.http.get(f"/v1/requests/{job_id}")).content)
        return view

    async def until_ready(self) -> None:
        async with asyncio.timeout(WAIT_S):
            while (await self.http.get("/readyz")).status_code != 200:  # noqa: ASYNC110  (asked from outside)
                await asyncio.sleep(0.02)

    async def withdrawn(self) -> JobWithdrawn:
        (event,) = await self.coordinator.heard(JobWithdrawn)
        assert isinstance(event, JobWithdrawn)
        return event


def gateway_config(server: Server, folder: Path, port: int) -> GatewayConfig:
    token = folder / "admin.token"
    token.write_text(ADMIN_TOKEN + "\n")
    return GatewayConfig(
        nats_url=server.url,
        public_nats_url=server.url,
        credentials=server.keys.creds_file("gateway"),
        node_signer_key=server.keys.node_issuer_file,
        network_key=server.keys.network_public,
        database_url=f"sqlite:///{folder}/gridlight.db",
        admin_token_file=token,
        blobs_folder=folder / "blobs",
        http_port=port,
    )


def own_key(database_url: str, limits: Limits | None = None, scopes: tuple[Scope, ...] = tuple(Scope)) -> str:
    """A key of a new account."""
    book = AccountBook(database_url)
    account = book.create("a requester", limits or Limits(), 1)
    key, _ = book.create_key(account.account_id, scopes, "key", 1)
    book.close()
    return key.text


@asynccontextmanager
async def running(gateway: Gateway) -> AsyncIterator[None]:
    """The gateway's process, within the test's."""
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(gateway.serve())
        try:
            yield
        finally:
            gateway.stop()
            async with asyncio.timeout(WAIT_S):
                await asyncio.wait([serving])


@asynccontextmanager
async def standing(
    server: Server, connections: Connections, folder: Path, *, has_started: bool = True
) -> AsyncIterator[Stand]:
    """A gateway that is ready, and a coordinator that knows of no node yet."""
    port = free_port("127.0.0.1")
    config = gateway_config(server, folder, port)
    journal = Journal(config.database_url)
    coordinator = Coordinator(journal)
    if has_started:
        coordinator.start()
    coordinator.bus = await connections.open(
        server, server.keys.creds_file("coordinator"), on_reconnected=coordinator.on_reconnected
    )
    await coordinator.bus.subscribe(subjects.control_events("s0"), coordinator.hear)
    await coordinator.bus.flush()
    url = f"http://127.0.0.1:{port}"
    async with AsyncExitStack() as stack:
        stack.callback(journal.close)
        http = await stack.enter_async_context(
            httpx.AsyncClient(
                base_url=url, timeout=WAIT_S, trust_env=False, headers={"X-Api-Key": own_key(config.database_url)}
            )
        )
        await stack.enter_async_context(running(Gateway(config)))
        stand = Stand(server, url, coordinator, http)
        stand.config = config
        await _listening(port)
        await stand.until_ready()
        yield stand


async def add_node(stand: Stand, connections: Connections) -> Node:
    """A node that enrolled over HTTP, and that the coordinator gives every job to."""
    node = Node(SigningKey.generate())
    enrolled = await stand.enrol(node.key)
    credentials = NodeCredentials(jwt=enrolled["user_jwt"], key=node.key)
    node.bus = await connections.open(stand.server, credentials, reconnect=False)
    await node.bus.subscribe(subjects.node_tasks(node.node_id), node.hear)
    await node.bus.flush()
    stand.coordinator.node_id = node.node_id
    return node


async def _listening(port: int) -> None:
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.01)
                continue
            writer.close()
            return
