"""Made-up requests and photos for the SDK, the case study and its report."""

import io
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from PIL import Image

from gridlight.client.casestudy.claims import weigh_claims
from gridlight.client.casestudy.findings import (
    CaseStudy,
    DisturbedNode,
    Environment,
    Observation,
    find_node,
    find_photo,
    find_requests,
)
from gridlight.client.casestudy.study import Outcome
from gridlight.client.network_file import NetworkFile, NetworkProcess
from gridlight.messages.api import (
    Box,
    DetectionView,
    DetectResponse,
    ErrorResponse,
    ErrorView,
    ImageView,
    NodesResponse,
    NodeView,
    TimingView,
)
from gridlight.messages.codec import encode
from gridlight.messages.ids import JobId, NodeId
from gridlight.messages.trust import Assurance, Verification

NODES = tuple(NodeId("U" + letter * 55) for letter in "ABCDEFG")

Answer = tuple[int, dict[str, str], bytes]
MakeResponse = Callable[..., DetectResponse]
MakeObservation = Callable[..., Observation]
MakeOutcome = Callable[..., Outcome]


def detection(label: str, class_id: int, score: float, box: tuple[int, int, int, int]) -> DetectionView:
    return DetectionView(
        label=label,
        class_name=label,
        class_id=class_id,
        score=score,
        confidence=score,
        bbox=box,
        box=Box(xmin=box[0], ymin=box[1], xmax=box[2], ymax=box[3]),
    )


BUS = detection("bus", 6, 0.82, (4, 40, 300, 180))
PERSON = detection("person", 1, 0.99, (20, 60, 70, 190))


class Received(msgspec.Struct):
    """One request that the stand-in gateway got."""

    method: str
    path: str
    parameters: dict[str, str]
    headers: dict[str, str]
    body: bytes


class QuietServer(ThreadingHTTPServer):
    """Prints nothing where a requester closes its connection in the middle."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Stay silent: the test sees what its requester made of it."""


class StandInGateway:
    """A real HTTP server on the loopback that answers with what a test put there, and keeps what it got.

    `answers` holds, for each path, the status, headers and body to send; where there is none, it answers as a network
    of `nodes` would: a pinned task from its node, others in turn. None breaks the connection. A list is answered with
    one after the other, and with the last one for ever.
    """

    def __init__(self, answer_detect: Callable[[NodeId], DetectResponse]) -> None:
        self.received: list[Received] = []
        self.answers: dict[str, Answer | list[Answer | None] | None] = {}
        self.nodes: list[NodeId] = list(NODES)
        self.token = "the administrator's token"
        self.hold_after: int | None = None
        """Answer so many requests, and let all others wait until the end."""
        self._released = threading.Event()
        self._answer_detect = answer_detect
        self._lock = threading.Lock()
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_exchange(self) -> None:
                url = urlsplit(self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                parameters = {name: values[0] for name, values in parse_qs(url.query).items()}
                request = Received(self.command, url.path, parameters, headers, body)
                answered = gateway.answer(request)
                if answered is None:
                    self.close_connection = True
                    return
                status, extra, answer = answered
                self.send_response(status)
                for name, value in extra.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = handle_one_exchange  # noqa: N815 the names that http.server calls

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 http.server's own name
                """Stay silent."""

        self._server = QuietServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, request: Received) -> Answer | None:
        with self._lock:
            self.received.append(request)
            turn = len(self.received)
        if self.hold_after is not None and turn > self.hold_after:
            self._released.wait(timeout=60)
        if request.path in self.answers:
            answer = self.answers[request.path]
            if isinstance(answer, list):
                return answer.pop(0) if len(answer) > 1 else answer[0]
            return answer
        if request.path == "/v1/nodes":
            return 200, {}, encode(self.nodes_response())
        node_id = NodeId(request.headers.get("x-gridlight-node", self.nodes[turn % len(self.nodes)]))
        if "x-gridlight-node" in request.headers and request.headers.get("authorization") != f"Bearer {self.token}":
            return encoded_refusal(401, "UNAUTHORIZED")
        return 200, {}, encode(self._answer_detect(node_id))

    def nodes_response(self) -> NodesResponse:
        views = [
            NodeView(
                node_id=node_id,
                online=True,
                operator=node_id,
                agent_version="0.1.0",
                cpus=2,
                memory_mib=1024,
                slots=1,
                workloads=[],
                tasks_answered=0,
            )
            for node_id in self.nodes
        ]
        return NodesResponse(online=len(views), enrolled=len(views), nodes=views)

    def close(self) -> None:
        self._released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def encoded_refusal(status: int, code: str, retry_after: str | None = None) -> Answer:
    error = ErrorView(code=code, message="It was refused.", hint="Do otherwise.", request_id="req_1")
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return status, headers, encode(ErrorResponse(error=error, rc="Refused"))


@pytest.fixture
def refusal() -> Callable[..., Answer]:
    return encoded_refusal


@pytest.fixture
def stand_in(make_response: MakeResponse) -> Iterator[StandInGateway]:
    gateway = StandInGateway(make_response)
    yield gateway
    gateway.close()


@pytest.fixture
def network_path(stand_in: StandInGateway, tmp_path: Path) -> Path:
    """The network file of the stand-in, with its administrator's token beside it."""
    agents = [
        NetworkProcess(role="agent", pid=2**22 + row, node_id=node_id, data=str(tmp_path / "agents" / str(row)))
        for row, node_id in enumerate(NODES)
    ]
    gateway = NetworkProcess(role="gateway", pid=1)
    path = tmp_path / "network" / "network.json"
    (path.parent / "keys").mkdir(parents=True)
    path.write_bytes(encode(NetworkFile(url=stand_in.url, nats_url="", processes=[gateway, *agents])))
    (path.parent / "keys" / "admin.token").write_text(stand_in.token + "\n")
    return path


@pytest.fixture
def sleepers(tmp_path: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Seven processes that look like agents to whoever reads their command line."""
    sleep = "import sys, time; sys.stdout.write('ready'); sys.stdout.flush(); time.sleep(60)"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", sleep, "gridlight", "node", "start", "--data", str(tmp_path / "agents" / str(row))],
            stdout=subprocess.PIPE,
        )
        for row in range(7)
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.read(5) == b"ready"
    yield started
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def photo_path(photo_jpeg: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "bus.jpg"
    path.write_bytes(photo_jpeg)
    return path


@pytest.fixture
def photo_jpeg() -> bytes:
    out = io.BytesIO()
    Image.linear_gradient("L").resize((320, 200)).convert("RGB").save(out, format="JPEG")
    return out.getvalue()


@pytest.fixture
def make_response() -> MakeResponse:
    def make(
        node_id: NodeId = NODES[0],
        *,
        ack: int = 20,
        total: int = 120,
        attempts: int = 1,
        hedged: bool = False,
        detections: tuple[DetectionView, ...] = (BUS, PERSON),
        verification: Verification = Verification.UNVERIFIED,
    ) -> DetectResponse:
        return DetectResponse(
            id=JobId("req_" + "0" * 26),
            state="done",
            verification=verification,
            verify=Assurance.SAMPLED,
            model="detector-coco-s@sha256:" + "0" * 64,
            image=ImageView(width=320, height=200),
            detections=[msgspec.structs.replace(one) for one in detections],
            timing_ms=TimingView(picture=5, queue=1, ack=ack, infer=60, total=total, deadline=4000),
            attempts=attempts,
            hedged=hedged,
            node_id=node_id,
        )

    return make


@pytest.fixture
def make_observation() -> MakeObservation:
    def make(
        response: DetectResponse | None = None,
        *,
        file: str = "bus.jpg",
        pinned_node: NodeId | None = None,
        started_ms: int = 0,
        latency_ms: int = 130,
        code: str | None = None,
    ) -> Observation:
        return Observation(
            file=file,
            pinned_node=pinned_node,
            started_ms=started_ms,
            latency_ms=latency_ms,
            response=response,
            code=code,
        )

    return make


@pytest.fixture
def environment() -> Environment:
    return Environment(
        measured_at="2026-11-22T12:00:00+00:00",
        cores=2,
        cpu="A processor <of some kind>",
        memory_mib=24_000,
        system="Linux 6.1 x86_64",
        load_start=0.5,
        load_end=1.5,
        versions={"python": "3.11.2", "gridlight": "0.1.0"},
        commit="0123456789ab",
        command="gridlight casestudy bus.jpg",
    )


@pytest.fixture
def make_outcome(
    photo_jpeg: bytes, make_response: MakeResponse, make_observation: MakeObservation, environment: Environment
) -> MakeOutcome:
    """Seven nodes, one photo, a few ordinary requests; with `is_disturbed` one was lost and one reassigned."""

    def make(*, is_disturbed: bool = False, file: str = "bus.jpg") -> Outcome:
        pinned = [
            make_observation(make_response(node, ack=10 + row, total=100 + row), file=file, pinned_node=node)
            for row, node in enumerate(NODES)
        ]
        ordinary = [
            make_observation(make_response(NODES[row % 7]), file=file, started_ms=500 + 20 * row) for row in range(20)
        ]
        if is_disturbed:
            ordinary[11] = make_observation(
                make_response(NODES[1], attempts=2, total=710), file=file, started_ms=720, latency_ms=730
            )
            ordinary[12] = make_observation(file=file, started_ms=740, latency_ms=3990, code="DEADLINE_EXCEEDED")
        nodes = [find_node(node, pinned + ordinary) for node in NODES]
        requests, photos = find_requests(ordinary), [find_photo(file, pinned)]
        study = CaseStudy(
            nodes=nodes,
            requests=requests,
            photos=photos,
            claims=weigh_claims(nodes, requests, photos, is_disturbed=is_disturbed),
            disturbed=[
                DisturbedNode(node_id=NODES[2], action="killed", at_ms=700, serving_again_ms=2500),
                DisturbedNode(node_id=NODES[4], action="frozen", at_ms=700, serving_again_ms=None),
            ]
            if is_disturbed
            else [],
            environment=environment,
            model="detector-coco-s@sha256:" + "0" * 64,
            concurrency=8,
        )
        return Outcome(study=study, observations=pinned + ordinary, photos={file: photo_jpeg})

    return make
