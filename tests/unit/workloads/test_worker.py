"""The worker's loop over a real socketpair, in this process."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.pictures.making import GOOD, encoded, photo

from gridlight.messages.codec import ProtocolViolation
from gridlight.messages.frames import PREFIX, FrameHeader, decode_prefix, encode_prefix_and_header, headers
from gridlight.messages.limits import FRAME_BODY_BYTES_MAX
from gridlight.workloads.worker import Answer, Connection, Handler, Refused, prepare_handler, run_handler, serve

RESIZE = {"prepare": "resize_rgb_uint8", "parameters": {"width": 30, "height": 20}}


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def frames_in(data: bytes) -> list[tuple[FrameHeader, bytes]]:
    found = []
    while data:
        header_bytes, body_bytes = decode_prefix(data[: PREFIX.size])
        end = PREFIX.size + header_bytes
        found.append((headers.decode(data[PREFIX.size : end]), data[end : end + body_bytes]))
        data = data[end + body_bytes :]
    return found


def answers(
    ends: tuple[socket.socket, socket.socket], handler: Handler, *calls: tuple[FrameHeader, bytes]
) -> list[tuple[FrameHeader, bytes]]:
    """What a worker says to these calls, from its ready frame to the parent's end of file."""
    ours, theirs = ends
    for header, body in calls:
        ours.sendall(encode_prefix_and_header(header, len(body)) + body)
    ours.shutdown(socket.SHUT_WR)
    serve(Connection(theirs), handler, {"benchmark_ms": 3})
    theirs.shutdown(socket.SHUT_WR)
    data = b""
    while piece := ours.recv(1 << 20):
        data += piece
    return frames_in(data)


def echo(header: FrameHeader, body: memoryview) -> Answer:
    return Answer(dict(header.parameters), bytes(body))


def test_a_worker_says_that_it_is_ready_and_answers_in_order(ends: tuple[socket.socket, socket.socket]) -> None:
    calls = [(FrameHeader(id=str(n), parameters={"n": n}), bytes([n]) * n) for n in range(5)]
    ready, *rest = answers(ends, echo, *calls)
    assert ready == (FrameHeader(id="ready", parameters={"benchmark_ms": 3}), b"")
    assert rest == calls


def test_a_refused_call_is_answered_and_the_next_one_served(ends: tuple[socket.socket, socket.socket]) -> None:
    def refuse_first(header: FrameHeader, body: memoryview) -> Answer:
        if header.id == "1":
            raise Refused("NO", "not " + "this" * 10_000, "another")
        return echo(header, body)

    _, first, second = answers(ends, refuse_first, (FrameHeader(id="1"), b""), (FrameHeader(id="2"), b"x"))
    assert (first[0].id, first[0].error_code, first[0].parameters) == ("1", "NO", {"hint": "another"})
    assert first[0].error is not None
    assert len(first[0].error) < 2_000
    assert second == (FrameHeader(id="2"), b"x")


def test_a_parent_that_breaks_off_inside_a_frame_ends_the_worker(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    ours.sendall(encode_prefix_and_header(FrameHeader(id="1"), 100) + b"only a part")
    ours.shutdown(socket.SHUT_WR)
    serve(Connection(theirs), echo, {})
    assert ours.recv(1000)


def test_a_frame_past_its_bounds_is_refused(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    ours.sendall(PREFIX.pack(2, FRAME_BODY_BYTES_MAX + 1))
    with pytest.raises(ProtocolViolation, match="too_large"):
        Connection(theirs).receive()


def test_a_picture_is_answered_with_its_tensor_and_size(ends: tuple[socket.socket, socket.socket]) -> None:
    _, (header, body) = answers(ends, prepare_handler(), (FrameHeader(id="1", parameters=RESIZE), GOOD["jpeg"]()))
    assert header.parameters == {"width": 400, "height": 240}
    assert header.tensor is not None
    assert header.tensor.shape == (1, 20, 30, 3)
    assert header.tensor.datatype == "UINT8"
    assert len(body) == 1800


def test_a_refused_picture_is_answered_with_code_and_hint(ends: tuple[socket.socket, socket.socket]) -> None:
    _, (header, _) = answers(ends, prepare_handler(), (FrameHeader(id="1", parameters=RESIZE), b"junk"))
    assert header.error_code == "NOT_A_PICTURE"
    assert header.parameters["hint"]


@pytest.mark.parametrize("parameters", [{}, {"prepare": "resize_rgb_uint8"}, {**RESIZE, "prepare": "shell"}])
def test_an_unknown_prepare_is_refused(
    ends: tuple[socket.socket, socket.socket], parameters: dict[str, object]
) -> None:
    picture = encoded(photo(9, 9), "PNG")
    _, (header, _) = answers(ends, prepare_handler(), (FrameHeader(id="1", parameters=parameters), picture))
    assert header.error_code == "BAD_CALL"


def test_an_artifact_that_is_not_the_manifests_is_never_loaded(tmp_path: Path) -> None:
    other = tmp_path / "model.onnx"
    other.write_bytes(b"something else")
    with pytest.raises(SystemExit, match="fetch it again"):
        run_handler("coco-ssd", other)


def test_a_workload_of_no_catalogue_is_never_run(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match="no first-party workload"):
        run_handler("miner", tmp_path / "model.onnx")
