"""Real agent processes on a real bus; the gateway's HTTP and the assignments are in the test's hands.

Credentials come from the real issuer. Workers are the real ones: they are frozen and killed where a test needs time.
"""

import asyncio
import base64
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
from tests.integration.conftest import WAIT_S, Connections, Server

from gridlight.adapters.blobs import Blobs, cache_folder
from gridlight.adapters.bus import Bus, Delivery
from gridlight.adapters.signatures import SigningKey, blake3_digest, verify
from gridlight.messages import subjects
from gridlight.messages.api import ChallengeResponse, EnrolmentResponse, ErrorResponse, ErrorView
from gridlight.messages.codec import NodeReply, encode, enrolments, node_offers, node_replies
from gridlight.messages.envelope import ENROLMENT_DOMAIN, REPLY_DOMAIN, SIGNATURE_HEADER
from gridlight.messages.ids import AssignmentId, GatewayId, NodeId
from gridlight.messages.nodes import EnrolNode, OfferChanged, RequestOffer, SessionStands
from gridlight.messages.tasks import Assignment, AssignmentAcknowledged
from gridlight.services.agent.ownership import SENSORS_ROOT
from gridlight.workloads.contract import catalogue

WORKLOAD = next(iter(catalogue()))
GATEWAYS = (GatewayId("gateway1"), GatewayId("gateway2"))
TENSOR = bytes(270_000)
Answer = tuple[int, bytes]


async def eventually(what: str, is_so: Callable[[], object], within_s: float = WAIT_S) -> None:
    """Wait for what shows in a file or a process."""
    try:
        async with asyncio.timeout(within_s):
            while not is_so():  # noqa: ASYNC110  (no event tells of it)
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"{what}: not within {within_s} s") from None


def refusal(status: int, code: str) -> Answer:
    """What a gateway says that does not take a node."""
    view = ErrorView(code=code, message="This network is full.", hint="Ask its owner.", request_id="r1")
    return status, encode(ErrorResponse(error=view, rc=code))


class Door:
    """The gateway's HTTP: takes every node that proves its key, unless a test put other answers there."""

    def __init__(self, server: Server, *, workloads: tuple[str, ...] = ()) -> None:
        self.answers: list[Answer | None] = []
        """What the next enrolments are answered with instead; None lets them wait for ever."""
        self.enrolments: list[EnrolNode] = []
        self.fetched: list[str] = []
        """Digests of the artifacts that were asked for."""
        self.offsets: list[int] = []
        """From which byte on each of them was."""
        self.sent_bytes_max: int | None = None
        """So much of an artifact is sent, and then nothing more."""
        self.ttl_s = 3_600
        self.jitter_s = 0.2
        self.nats_url = server.url
        self.websocket_url: str | None = None
        self.issues_to: list[str] = []
        """Whose credentials the next nodes are given instead of their own."""
        self._server = server
        self._workloads = list(workloads)
        self._released = threading.Event()
        door = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if self.path == "/v1/nodes/challenge":
                    answered: Answer | None = (200, encode(ChallengeResponse(nonce="n" * 32, expires_s=60)))
                else:
                    answered = door.enrol(body, self.headers[SIGNATURE_HEADER])
                if answered is None:
                    door._released.wait()
                    return
                self.send_response(answered[0])
                self.send_header("Content-Length", str(len(answered[1])))
                self.end_headers()
                self.wfile.write(answered[1])

            def do_GET(self) -> None:
                if not self.path.startswith(
                    "/v1/blobs/"
                ):  # what is counted for a node, which this gateway does not tell
                    self.send_error(404)
                    return
                door.send_artifact(self)

            def log_message(self, *arguments: object) -> None:
                """Stay silent."""

        self._handler = Handler
        self._http: ThreadingHTTPServer | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def open(self) -> None:
        ThreadingHTTPServer.daemon_threads = True
        self._http = ThreadingHTTPServer(("127.0.0.1", self.port), self._handler)
        self.port = self._http.server_port
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._released.set()
        if self._http is not None:
            self._http.shutdown()
            self._http.server_close()

    def send_artifact(self, handler: BaseHTTPRequestHandler) -> None:
        """From the byte on that is asked for."""
        digest = handler.path.removeprefix("/v1/blobs/sha256:")
        path = Blobs(cache_folder() / "blobs").verified_path(digest)
        assert path is not None
        begins = int((handler.headers.get("Range") or "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        data = path.read_bytes()[begins:]
        self.fetched.append(digest)
        self.offsets.append(begins)
        handler.send_response(206 if begins else 200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data[: self.sent_bytes_max])
        if self.sent_bytes_max is not None:
            self._released.wait()

    def enrol(self, body: bytes, signature: str) -> Answer | None:
        enrolment = enrolments.decode(body)
        assert verify(enrolment.node_id, ENROLMENT_DOMAIN, body, base64.b64decode(signature))
        assert enrolment.nonce == "n" * 32
        self.enrolments.append(enrolment)
        if self.answers:
            return self.answers.pop(0)
        holder = self.issues_to.pop() if self.issues_to else enrolment.node_id
        response = EnrolmentResponse(
            node_id=enrolment.node_id,
            user_jwt=self._server.keys.issue_node_jwt(holder, ttl_s=self.ttl_s),
            nats_url=self.nats_url,
            websocket_url=self.websocket_url,
            expires_s=self.ttl_s,
            workloads=self._workloads,
            reconnect_jitter_s=self.jitter_s,
        )
        return 200, encode(response)


class Agent:
    """An agent as `gridlight node start` becomes one."""

    def __init__(self, url: str, folder: Path, *options: str, **environment: str) -> None:
        command = [sys.executable, "-m", "gridlight.services.agent"]
        told = ["--network", url, "--data", str(folder), "--slots", "1", "--engine", "subprocess", *options]
        # What happens on this machine meanwhile is no part of a test, unless it brings a machine of its own.
        told += [] if SENSORS_ROOT in environment else ["--always"]
        folder.mkdir(parents=True, exist_ok=True)
        self._errors_file = folder / "stderr"
        with self._errors_file.open("wb") as errors:
            whole = {**os.environ, "MALLOC_ARENA_MAX": "1", **environment}
            self._process = subprocess.Popen([*command, *told], stderr=errors, env=whole)
        self.process = psutil.Process(self._process.pid)
        self._folder = folder

    @property
    def node_id(self) -> NodeId:
        return NodeId(SigningKey.load_or_create(self._folder / "node.nk").public)

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    @property
    def errors(self) -> str:
        return self._errors_file.read_text()

    def log(self, event: str) -> list[dict[str, Any]]:
        """Lines of its log that tell of this."""
        return [line for line in self.lines() if line["event"] == event]

    def lines(self) -> list[dict[str, Any]]:
        """Its log."""
        return [json.loads(line) for line in self.errors.splitlines() if line.startswith("{")]

    def worker(self) -> psutil.Process:
        [child] = self.process.children()
        return child

    @contextmanager
    def frozen_worker(self) -> Iterator[psutil.Process]:
        """Its worker stands still, so that what runs goes on running."""
        worker = self.worker()
        worker.suspend()
        try:
            yield worker
        finally:
            if worker.is_running():
                worker.resume()

    def terminate(self) -> None:
        self._process.send_signal(signal.SIGTERM)

    async def ended(self, within_s: float = WAIT_S) -> int:
        """Wait for its end; the exit code."""
        await eventually("the agent ends", lambda: not self.is_running, within_s)
        return self._process.returncode

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


class Said:
    """A reply as a gateway has it once it is checked."""

    def __init__(self, reply: NodeReply, body: bytes) -> None:
        self.reply = reply
        self.body = body


class Dispatcher:
    """Gives one node assignments as a gateway does, and hears its offers as a coordinator does."""

    def __init__(self, bus: Bus, node_id: NodeId) -> None:
        self.node_id = node_id
        self.offers: list[OfferChanged] = []
        self._bus = bus
        self._replies: dict[AssignmentId, list[Said]] = {}
        self._heard = asyncio.Condition()

    async def follow(self) -> None:
        for gateway in GATEWAYS:
            await self._bus.subscribe(subjects.inboxes(gateway), self._hear_reply)
        await self._bus.subscribe(subjects.offer(self.node_id), self._hear_offer)
        await self._bus.flush()

    async def assign(
        self,
        *,
        body: bytes = TENSOR,
        deadline_ms: int = 20_000,
        workload: str = WORKLOAD,
        digest: str | None = None,
        times: int = 1,
    ) -> AssignmentId:
        """Send the node an assignment, each time from another inbox: the server grants two replies to each."""
        assignment = Assignment(
            assignment_id=AssignmentId(os.urandom(8).hex()),
            workload=workload,  # type: ignore[arg-type]  # a test may name one that is none
            deadline_ms=deadline_ms,
            input_digest=digest or blake3_digest(body),  # type: ignore[arg-type]  # as above
            input_bytes=len(body),
            probe_seed=7,
        )
        for number in range(times):
            await self.send(assignment.assignment_id, encode(assignment), body, gateway=GATEWAYS[number])
        return assignment.assignment_id

    async def send(
        self, assignment_id: AssignmentId, message: bytes | None, body: bytes = b"", gateway: GatewayId = GATEWAYS[0]
    ) -> None:
        """Anything at all, on the subject of an assignment."""
        reply = subjects.inbox(gateway, assignment_id)
        await self._bus.publish(subjects.task(self.node_id, assignment_id), body, reply=reply, message=message)

    async def control(self, message: bytes | None) -> None:
        """Anything at all, on the node's control subject."""
        await self._bus.publish(subjects.node_control(self.node_id), message=message)

    async def ask_again(self) -> None:
        """Ask for the node's offer, when the bus is there."""
        await eventually("the bus is back", lambda: self._bus.is_connected)
        await self.control(encode(RequestOffer(node_id=self.node_id)))

    async def replies(self, assignment_id: AssignmentId, count: int) -> list[Said]:
        """The first replies to an assignment."""
        await self.until(f"{count} replies", lambda: len(self._replies.get(assignment_id, [])) >= count)
        return self._replies[assignment_id]

    async def last_reply(self, assignment_id: AssignmentId) -> Said:
        """What ends the assignment, whether or not an acknowledgement came before."""

        def last() -> list[Said]:
            said = self._replies.get(assignment_id, [])
            return [one for one in said if not isinstance(one.reply, AssignmentAcknowledged)]

        await self.until("a last reply", last)
        return last()[-1]

    def heard(self, assignment_id: AssignmentId) -> list[NodeReply]:
        return [said.reply for said in self._replies.get(assignment_id, [])]

    async def lent(self, slots: int) -> OfferChanged:
        """Wait until the node lends so many slots of the workload."""
        await self.until(f"{slots} slots are lent", lambda: self.offers and self._slots(self.offers[-1]) == slots)
        return self.offers[-1]

    async def until(self, what: str, is_so: Callable[[], object]) -> None:
        try:
            async with asyncio.timeout(WAIT_S), self._heard:
                await self._heard.wait_for(lambda: bool(is_so()))
        except TimeoutError:
            raise AssertionError(f"{what}: not within {WAIT_S} s") from None

    def _slots(self, offer: OfferChanged) -> int:
        return sum(one.slots for one in offer.offers)

    async def _hear_reply(self, delivery: Delivery) -> None:
        assert delivery.message is not None
        assert delivery.signature is not None
        assert verify(self.node_id, REPLY_DOMAIN, delivery.message, delivery.signature)
        reply = node_replies.decode(delivery.message)
        assert reply.node_id == self.node_id
        assert delivery.subject in [subjects.inbox(gateway, reply.assignment_id) for gateway in GATEWAYS]
        self._replies.setdefault(reply.assignment_id, []).append(Said(reply, delivery.body))
        await self._tell()

    async def _hear_offer(self, delivery: Delivery) -> None:
        offer = node_offers.decode(delivery.message or b"")
        assert offer.node_id == self.node_id
        self.offers.append(offer)
        await self.control(encode(SessionStands(node_id=self.node_id, session=offer.session)))
        await self._tell()

    async def _tell(self) -> None:
        async with self._heard:
            self._heard.notify_all()


async def connected(agent: Agent, times: int = 1) -> None:
    await eventually("the agent connects", lambda: len(agent.log("connected")) >= times)


async def dispatcher_to(server: Server, agent: Agent, connections: Connections) -> Dispatcher:
    """To a node that lends its slot."""
    dispatcher = Dispatcher(await connections.open(server, server.privileged()), agent.node_id)
    await dispatcher.follow()
    await dispatcher.ask_again()
    await dispatcher.lent(1)
    return dispatcher
