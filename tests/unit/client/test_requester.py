"""The SDK against a real HTTP server: what it sends, the types it gives back, and its errors."""

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import UNSET

from gridlight.client import requester as module
from gridlight.client.errors import (
    AnswerOverdue,
    AnswerUnreadable,
    BadInput,
    DeadlineExceeded,
    RequestRefused,
    Unreachable,
)
from gridlight.client.exchange import Call, detect_responses, is_loopback, media_type
from gridlight.client.requester import AsyncGridlight, Gridlight
from gridlight.messages.api import DetectResponse, ErrorView, LineView, ModelsResponse, ModelView, RequestView
from gridlight.messages.codec import encode
from gridlight.messages.ids import JobId, NodeId

JOB = JobId("req_" + "0" * 26)
NODE = NodeId("U" + "A" * 55)


@pytest.fixture
def silent_url() -> Iterator[str]:
    """Takes connections and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def trickling_url() -> Iterator[str]:
    """Sends one byte of a long answer every few milliseconds, so that no single read is ever late."""
    stopped = threading.Event()
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()

    def trickle() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            while not stopped.wait(0.01):
                try:
                    connection.sendall(b" ")
                except OSError:
                    return

    thread = threading.Thread(target=trickle)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    stopped.set()
    thread.join()
    listener.close()


def test_a_photo_is_sent_as_it_is_with_its_options(stand_in: Any, photo_jpeg: bytes, make_response: Any) -> None:
    with Gridlight(stand_in.url + "/", token=stand_in.token) as requester:
        response = requester.detect(photo_jpeg, threshold=0.4, deadline_ms=2500, model="a-model", node=NODE)

    assert response == make_response(NODE)
    (request,) = stand_in.received
    assert (request.method, request.path, request.body) == ("POST", "/v1/detect", photo_jpeg)
    assert request.parameters == {"threshold": "0.4", "deadline_ms": "2500", "model": "a-model"}
    assert request.headers["content-type"] == "image/jpeg"
    assert request.headers["x-gridlight-node"] == NODE


def test_what_is_left_out_is_not_sent(stand_in: Any, photo_path: Path, photo_jpeg: bytes) -> None:
    with Gridlight(stand_in.url) as requester:
        requester.detect(photo_path)

    (request,) = stand_in.received
    assert request.parameters == {}
    assert request.body == photo_jpeg
    assert "authorization" not in request.headers
    assert "x-gridlight-node" not in request.headers


async def test_the_async_requester_sends_and_reads_the_same(
    stand_in: Any, photo_jpeg: bytes, make_response: Any
) -> None:
    async with AsyncGridlight(stand_in.url, token=stand_in.token) as requester:
        response = await requester.detect(photo_jpeg, threshold=0.4, node=NODE)
        nodes = await requester.nodes()

    assert response == make_response(NODE)
    assert isinstance(response, DetectResponse)
    assert nodes == stand_in.nodes_response()
    assert stand_in.received[0].parameters == {"threshold": "0.4"}


def test_other_answers_are_typed_too(stand_in: Any) -> None:
    view = RequestView(id=JOB, state="refused", error=ErrorView("BUSY", "Busy.", "Later.", JOB))
    model = ModelView("m@sha256:0", "m", "detection", "a picture", "Apache-2.0", ["bus"], {})
    stand_in.answers[f"/v1/requests/{JOB}"] = (200, {}, encode(view))
    stand_in.answers["/v1/models"] = (200, {}, encode(ModelsResponse(data=[model])))

    with Gridlight(stand_in.url) as requester:
        assert requester.request(JOB) == view
        assert requester.models().data == [model]


async def test_async_reads_of_requests_and_models(stand_in: Any) -> None:
    view = RequestView(id=JOB, state="open")
    stand_in.answers[f"/v1/requests/{JOB}"] = (200, {}, encode(view))
    stand_in.answers["/v1/models"] = (200, {}, encode(ModelsResponse(data=[])))

    async with AsyncGridlight(stand_in.url) as requester:
        assert await requester.request(JOB) == view
        assert (await requester.models()).data == []


def test_a_refusal_carries_all_that_the_network_said(stand_in: Any, photo_jpeg: bytes, refusal: Any) -> None:
    stand_in.answers["/v1/detect"] = refusal(503, "BUSY", retry_after="2")

    with Gridlight(stand_in.url) as requester, pytest.raises(RequestRefused) as caught:
        requester.detect(photo_jpeg)

    error = caught.value
    assert (error.code, error.message, error.hint) == ("BUSY", "It was refused.", "Do otherwise.")
    assert (error.request_id, error.status, error.retry_after_s) == ("req_1", 503, 2.0)
    assert str(error) == "BUSY: It was refused."


def test_a_missed_deadline_has_its_own_exception(stand_in: Any, photo_jpeg: bytes, refusal: Any) -> None:
    stand_in.answers["/v1/detect"] = refusal(504, "DEADLINE_EXCEEDED", retry_after="Wed, 21 Oct 2026 07:28:00 GMT")

    with Gridlight(stand_in.url) as requester, pytest.raises(DeadlineExceeded) as caught:
        requester.detect(photo_jpeg)

    assert caught.value.retry_after_s is None


@pytest.mark.parametrize("answer", [(200, {}, b"<html>"), (502, {}, b"Bad Gateway"), (200, {}, b'{"id":1}')])
def test_an_answer_of_someone_else_is_said_to_be_one(
    stand_in: Any, photo_jpeg: bytes, answer: tuple[int, dict[str, str], bytes]
) -> None:
    stand_in.answers["/v1/detect"] = answer

    with Gridlight(stand_in.url) as requester, pytest.raises(AnswerUnreadable, match="no Gridlight answer"):
        requester.detect(photo_jpeg)


async def test_a_too_long_answer_is_cut_off(stand_in: Any, photo_jpeg: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_BYTES_MAX", 10)

    with Gridlight(stand_in.url) as requester, pytest.raises(AnswerUnreadable, match="more than 10 bytes"):
        requester.detect(photo_jpeg)
    async with AsyncGridlight(stand_in.url) as patient:
        with pytest.raises(AnswerUnreadable, match="more than 10 bytes"):
            await patient.detect(photo_jpeg)


async def test_nobody_listening_is_unreachable(photo_jpeg: bytes) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with Gridlight(url) as requester, pytest.raises(Unreachable, match="cannot reach"):
            requester.detect(photo_jpeg)
        async with AsyncGridlight(url) as patient:
            with pytest.raises(Unreachable):
                await patient.nodes()


async def test_silence_ends_at_the_deadline(silent_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    call = Call(method="GET", path="/v1/nodes", timeout_s=0.1)
    monkeypatch.setattr(module, "NODES_CALL", call)

    with Gridlight(silent_url) as requester, pytest.raises(AnswerOverdue, match=r"within 0\.1 s"):
        requester.nodes()
    async with AsyncGridlight(silent_url) as patient:
        with pytest.raises(AnswerOverdue):
            await patient.nodes()


def test_an_answer_that_trickles_ends_at_the_deadline_too(trickling_url: str) -> None:
    with Gridlight(trickling_url) as requester, pytest.raises(AnswerOverdue):
        requester.exchange(Call(method="GET", path="/", timeout_s=0.2), detect_responses)


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "ftp://host", "http://", ""])
def test_a_url_that_is_none_is_refused_before_anything_is_sent(url: str) -> None:
    with pytest.raises(BadInput, match="not the URL of a gateway"):
        Gridlight(url)


def test_a_missing_photo_is_named(tmp_path: Path) -> None:
    with Gridlight() as requester, pytest.raises(BadInput, match=r"nothing\.jpg"):
        requester.detect(tmp_path / "nothing.jpg")


def test_the_media_type_is_read_from_the_bytes() -> None:
    assert media_type(b"\xff\xd8\xff\xe0") == "image/jpeg"
    assert media_type(b"\x89PNG\r\n\x1a\n....") == "image/png"
    assert media_type(b"RIFF\0\0\0\0WEBPVP8 ") == "image/webp"
    assert media_type(b"hello") == "image/x-unknown", "so that it is refused as no picture, not as a wrong header"


def test_only_this_machine_is_spoken_to_past_a_proxy() -> None:
    assert is_loopback("http://127.0.0.1:8080")
    assert is_loopback("http://localhost")
    assert is_loopback("http://[::1]:80")
    assert not is_loopback("https://example.org")


async def test_a_workload_is_run_by_its_name_sync_and_async(stand_in: Any, photo_jpeg: bytes) -> None:
    workload = "ocr@sha256:" + "0" * 64
    quad = [(1, 2), (9, 2), (9, 5), (1, 5)]
    read = {"text": "Open", "score": 0.9, "bbox": [1, 2, 9, 5], "quad": quad}
    with Gridlight(stand_in.url) as requester:
        plain = requester.detect(photo_jpeg)
        answer = json.loads(encode(plain)) | {"lines": [read], "detections": []}
        stand_in.answers[f"/v1/run/{workload}"] = stand_in.answers["/v1/run/a%2Fb"] = (200, {}, encode(answer))
        response = requester.run(workload, photo_jpeg, threshold=0.4, node=NODE)
        assert requester.run("a/b", photo_jpeg) == response
    async with AsyncGridlight(stand_in.url) as patient:
        assert await patient.run(workload, photo_jpeg, deadline_ms=9_000) == response

    assert plain.lines is UNSET
    assert response.lines == [LineView(text="Open", score=0.9, bbox=(1, 2, 9, 5), quad=quad)]
    assert stand_in.received[1].parameters == {"threshold": "0.4"}
    assert stand_in.received[1].headers["x-gridlight-node"] == NODE
    assert stand_in.received[3].parameters == {"deadline_ms": "9000"}
