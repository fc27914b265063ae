"""What an agent makes of a gateway's answers: joined, refused, or to be asked again."""

import asyncio
import base64
import threading
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from msgspec import UNSET

from gridlight.adapters.blobs import Blobs
from gridlight.adapters.bus_server import free_port
from gridlight.adapters.certificates import certify, check_certificate
from gridlight.adapters.clock import wall_s
from gridlight.adapters.endorsements import endorse
from gridlight.adapters.signatures import SigningKey, verify
from gridlight.adapters.successions import succession
from gridlight.messages.api import (
    ChallengeResponse,
    EnrolmentResponse,
    ErrorResponse,
    ErrorView,
    NetworkResponse,
    WhyResponse,
)
from gridlight.messages.codec import encode, enrolments
from gridlight.messages.envelope import ENROLMENT_DOMAIN, REASONS_DOMAIN, SIGNATURE_HEADER
from gridlight.messages.ids import NodeId
from gridlight.services.agent.gateway_api import GatewayApi, GatewayRefused, GatewayUnreachable, NotAGateway, apart

NODE, OPERATOR = SigningKey.generate(), SigningKey.generate()
OWN = certify(OPERATOR, NodeId(NODE.public), now_ms=wall_s() * 1_000)
CHALLENGE = encode(ChallengeResponse(nonce="a nonce of some length", expires_s=60))
ENROLMENT = EnrolmentResponse(
    node_id=NodeId(NODE.public),
    user_jwt="header.claims.signature",
    nats_url="nats://127.0.0.1:4222",
    expires_s=86_400,
    workloads=["w"],
    reconnect_jitter_s=2.0,
)
BLOB = b"weights" * 1_000
DIGEST = sha256(BLOB).hexdigest()
REFUSAL = ErrorView(code="RANGE_NOT_SATISFIABLE", message="It ends before that.", hint="", request_id="r")


class Gateway:
    """A real HTTP server that answers each path as the test says: status, body, and how much of it is sent."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, bytes]] = {
            "/v1/nodes/challenge": (200, CHALLENGE),
            "/v1/nodes": (200, encode(ENROLMENT)),
        }
        self.sent_bytes_max = 2**31
        self.knows_ranges = True
        self.ranges: list[str | None] = []
        self.received: list[tuple[str, bytes, str | None]] = []
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                gateway.received.append((self.path, body, self.headers.get(SIGNATURE_HEADER)))
                status, said = gateway.answers[self.path]
                begins = self.headers.get("Range")
                gateway.ranges.append(begins)
                if status == 200 and begins is not None and gateway.knows_ranges:
                    status, said = 206, said[int(begins.removeprefix("bytes=").removesuffix("-")) :]
                self.send_response(status)
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said[: gateway.sent_bytes_max])

            def do_GET(self) -> None:
                self.do_POST()

            def log_message(self, *arguments: object) -> None:
                """Stay silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    gateway = Gateway()
    yield gateway
    gateway.close()


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs")


def test_a_node_proves_its_key_over_the_gateways_nonce(gateway: Gateway) -> None:
    enrolled = GatewayApi(gateway.url + "/").enrol(NODE, OWN)

    assert enrolled == ENROLMENT
    path, body, signature = gateway.received[-1]
    enrolment = enrolments.decode(body)
    assert path == "/v1/nodes"
    assert (enrolment.node_id, enrolment.operator) == (NODE.public, OPERATOR.public)
    assert enrolment.nonce == "a nonce of some length"
    assert signature is not None
    assert verify(NODE.public, ENROLMENT_DOMAIN, body, base64.b64decode(signature))


def test_the_certificate_is_shown_with_the_successions_below_it(gateway: Gateway) -> None:
    new, now_ms = SigningKey.generate(), wall_s() * 1_000
    chain = (succession(OPERATOR, new, now_ms=now_ms),)

    GatewayApi(gateway.url).enrol(NODE, OWN)
    GatewayApi(gateway.url).enrol(NODE, certify(new, NodeId(NODE.public), now_ms=now_ms, successions=chain))

    before, after = (enrolments.decode(body) for _, body, _ in gateway.received[1::2])
    assert (before.operator, before.certificate, before.successions) == (OPERATOR.public, OWN, UNSET)
    assert (after.operator, after.successions) == (new.public, chain)
    proven = check_certificate(after.certificate or "", NodeId(NODE.public), now_ms=now_ms)
    assert (proven.operator, proven.lineage) == (new.public, OPERATOR.public)


def test_a_node_that_asks_why_signs_the_gateways_nonce(gateway: Gateway) -> None:
    path = f"/v1/nodes/{NODE.public}/why"
    why = WhyResponse(node_id=NodeId(NODE.public), at_ms=5, workloads=[])
    gateway.answers[path] = (200, encode(why))

    assert GatewayApi(gateway.url).why(NODE) == why

    asked, body, signature = gateway.received[-1]
    assert (asked, body) == (path, b"")
    assert signature is not None
    assert verify(NODE.public, REASONS_DOMAIN, b"a nonce of some length", base64.b64decode(signature))


def test_a_node_brings_its_endorsement_under_its_own_signature(gateway: Gateway) -> None:
    endorsement = endorse(SigningKey.generate(), NodeId(NODE.public), "trusted")

    GatewayApi(gateway.url).enrol(NODE, OWN, endorsement)

    _, body, signature = gateway.received[-1]
    assert enrolments.decode(body).endorsement == endorsement
    assert verify(NODE.public, ENROLMENT_DOMAIN, body, base64.b64decode(signature or ""))


@pytest.mark.parametrize("path", ["/v1/nodes/challenge", "/v1/nodes"])
def test_a_refusal_is_told_in_the_gateways_words(gateway: Gateway, path: str) -> None:
    view = ErrorView(code="BAD_SIGNATURE", message="It is not yours.", hint="Sign it.", request_id="r")
    gateway.answers[path] = (403, encode(ErrorResponse(error=view, rc="BadSignature")))

    with pytest.raises(GatewayRefused, match=f"{path}: BAD_SIGNATURE: It is not yours. Sign it."):
        GatewayApi(gateway.url).enrol(NODE, OWN)


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff\xfe", b'{"error": 7}'])
def test_a_refusal_without_words_is_told_by_its_number(gateway: Gateway, body: bytes) -> None:
    gateway.answers["/v1/nodes"] = (404, body)

    with pytest.raises(GatewayRefused, match="HTTP 404"):
        GatewayApi(gateway.url).enrol(NODE, OWN)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_gateway_that_cannot_now_is_asked_again(gateway: Gateway, status: int) -> None:
    gateway.answers["/v1/nodes"] = (status, b"")

    with pytest.raises(GatewayUnreachable, match=f"HTTP {status}"):
        GatewayApi(gateway.url).enrol(NODE, OWN)


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff\xfe", b"{}", b'{"nonce": 7, "expires_s": 60}'])
def test_what_is_no_gateways_answer_is_asked_for_again(gateway: Gateway, body: bytes) -> None:
    gateway.answers["/v1/nodes/challenge"] = (200, body)

    with pytest.raises(GatewayUnreachable, match="is no gateway"):
        GatewayApi(gateway.url).enrol(NODE, OWN)


def test_an_answer_that_breaks_off_is_asked_for_again(gateway: Gateway) -> None:
    gateway.sent_bytes_max = 10

    with pytest.raises(GatewayUnreachable):
        GatewayApi(gateway.url).enrol(NODE, OWN)


def test_an_answer_without_end_is_refused(gateway: Gateway) -> None:
    gateway.answers["/v1/nodes/challenge"] = (200, b" " * (1024 * 1024 + 1))

    with pytest.raises(GatewayRefused, match="more than 1048576 bytes"):
        GatewayApi(gateway.url).enrol(NODE, OWN)


def test_where_nobody_answers_it_is_asked_again() -> None:
    url = f"http://127.0.0.1:{free_port('127.0.0.1')}"

    with pytest.raises(GatewayUnreachable, match=f"no gateway answers at {url}"):
        GatewayApi(url).enrol(NODE, OWN)


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "ftp://127.0.0.1", ""])
def test_what_is_no_url_is_refused_at_the_start(url: str) -> None:
    with pytest.raises(ValueError, match="is not a URL: write it as http://HOST:PORT"):
        GatewayApi(url)


def test_a_gateway_on_this_machine_is_asked_directly_whatever_proxy_there_is(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port('127.0.0.1')}")

    assert GatewayApi(gateway.url).enrol(NODE, OWN) == ENROLMENT


def test_an_artifact_comes_into_the_cache_by_its_digest(gateway: Gateway, blobs: Blobs) -> None:
    gateway.answers[f"/v1/blobs/sha256:{DIGEST}"] = (200, BLOB)
    GatewayApi(gateway.url).fetch(DIGEST, blobs, bytes_max=len(BLOB))

    path = blobs.verified_path(DIGEST)
    assert path is not None
    assert path.read_bytes() == BLOB


@pytest.mark.parametrize("said", [BLOB[:-1], BLOB + b" ", b""])
def test_an_artifact_that_is_not_what_its_digest_says_is_asked_for_again(
    gateway: Gateway, blobs: Blobs, said: bytes
) -> None:
    gateway.answers[f"/v1/blobs/sha256:{DIGEST}"] = (200, said)

    with pytest.raises(GatewayUnreachable, match="has SHA-256"):
        GatewayApi(gateway.url).fetch(DIGEST, blobs, bytes_max=2 * len(BLOB))
    assert blobs.path(DIGEST) is None


def test_an_artifact_that_breaks_off_is_asked_for_again(gateway: Gateway, blobs: Blobs) -> None:
    gateway.answers[f"/v1/blobs/sha256:{DIGEST}"] = (200, BLOB)
    gateway.sent_bytes_max = 100

    with pytest.raises(GatewayUnreachable):
        GatewayApi(gateway.url).fetch(DIGEST, blobs, bytes_max=2 * len(BLOB))


def test_an_artifact_past_its_bound_is_refused(gateway: Gateway, blobs: Blobs) -> None:
    gateway.answers[f"/v1/blobs/sha256:{DIGEST}"] = (200, BLOB)

    with pytest.raises(GatewayRefused, match=f"more than {len(BLOB) - 1} bytes"):
        GatewayApi(gateway.url).fetch(DIGEST, blobs, bytes_max=len(BLOB) - 1)
    assert blobs.part_bytes(DIGEST) == 0


def test_an_artifact_that_broke_off_goes_on_where_it_did(gateway: Gateway, blobs: Blobs) -> None:
    gateway.answers[f"/v1/blobs/sha256:{DIGEST}"] = (200, BLOB)
    gateway.sent_bytes_max = 3_000
    with pytest.raises(GatewayUnreachable, match="broke off after 3000 bytes"):
        GatewayApi(gateway.url).fetch(DIGEST, blobs, bytes_max=len(BLOB))

    gateway.sent_bytes_max = 4_000
    GatewayApi(gateway.url).fetch(DIGEST, blobs, bytes_max=len(BLOB))

    assert gateway.ranges == [None, "bytes=3000-"]
    path = blobs.path(DIGEST)
    assert path is not None
    assert path.read_bytes() == BLOB


def test_a_damaged_beginning_is_dropped_and_all_of_it_fetched_anew(gateway: Gateway, blobs: Blobs) -> None:
    gateway.answers[f"/v1/blobs/sha256:{DIGEST}"] = (200, BLOB)
    blobs.append(DIGEST, b"X" * 3_000, bytes_max=len(BLOB))

    with pytest.raises(GatewayUnreachable, match="has SHA-256"):
        GatewayApi(gateway.url).fetch(DIGEST, blobs, bytes_max=len(BLOB))
    GatewayApi(gateway.url).fetch(DIGEST, blobs, bytes_max=len(BLOB))

    assert gateway.ranges == ["bytes=3000-", None]
    assert blobs.verified_path(DIGEST) is not None


def test_a_gateway_that_knows_no_ranges_sends_all_of_it(gateway: Gateway, blobs: Blobs) -> None:
    gateway.answers[f"/v1/blobs/sha256:{DIGEST}"] = (200, BLOB)
    gateway.knows_ranges = False
    blobs.append(DIGEST, BLOB[:3_000], bytes_max=len(BLOB))

    GatewayApi(gateway.url).fetch(DIGEST, blobs, bytes_max=len(BLOB))

    assert blobs.verified_path(DIGEST) is not None


def test_what_came_whole_before_the_process_was_ended_is_not_fetched_again(gateway: Gateway, blobs: Blobs) -> None:
    gateway.answers[f"/v1/blobs/sha256:{DIGEST}"] = (416, encode(ErrorResponse(REFUSAL, "RangeNotSatisfiable")))
    blobs.append(DIGEST, BLOB, bytes_max=len(BLOB))

    GatewayApi(gateway.url).fetch(DIGEST, blobs, bytes_max=len(BLOB))

    assert blobs.verified_path(DIGEST) is not None


def test_one_process_fetches_and_the_other_waits_for_it(gateway: Gateway, blobs: Blobs) -> None:
    gateway.answers[f"/v1/blobs/sha256:{DIGEST}"] = (200, BLOB)

    with blobs.held(DIGEST), pytest.raises(BlockingIOError):
        GatewayApi(gateway.url).fetch(DIGEST, blobs, bytes_max=len(BLOB))


def test_a_fetch_that_nobody_wants_any_more_ends(gateway: Gateway, blobs: Blobs) -> None:
    gateway.answers[f"/v1/blobs/sha256:{DIGEST}"] = (200, BLOB)

    with pytest.raises(GatewayUnreachable, match="broke off after 0 bytes"):
        GatewayApi(gateway.url).fetch(DIGEST, blobs, bytes_max=len(BLOB), is_wanted=lambda: False)


async def test_a_call_apart_gives_its_result_or_its_error() -> None:
    def fail() -> None:
        raise GatewayUnreachable("nobody")

    assert await apart(lambda: 7) == 7
    with pytest.raises(GatewayUnreachable, match="nobody"):
        await apart(fail)


async def test_a_call_apart_may_be_left_to_itself() -> None:
    go_on, is_over = threading.Event(), threading.Event()

    def wait() -> None:
        go_on.wait()
        is_over.set()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await apart(wait)
    go_on.set()
    assert is_over.wait(10)


def test_a_network_says_of_itself_what_a_node_wants_to_know_and_what_time_it_is(gateway: Gateway) -> None:
    told = NetworkResponse(
        version="1", agent_version_min="0.1.0", nats_url="", websocket_url="wss://network.example/bus"
    )
    gateway.answers["/v1/network"] = (200, encode(told))
    api = GatewayApi(gateway.url)

    assert api.network() == told
    assert api.date.endswith("GMT")


def test_what_answers_as_no_gateway_does_is_told_apart_from_silence(gateway: Gateway) -> None:
    gateway.answers["/v1/network"] = (200, b"<html>Please log in.</html>")

    with pytest.raises(NotAGateway):
        GatewayApi(gateway.url).network()


def test_a_node_that_the_network_does_not_know_is_a_refusal(gateway: Gateway) -> None:
    node_id = NodeId(NODE.public)
    gateway.answers[f"/v1/nodes/{node_id}"] = (404, b"")

    with pytest.raises(GatewayRefused, match="HTTP 404"):
        GatewayApi(gateway.url).node(node_id)
