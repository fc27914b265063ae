"""The child program behind a worker: `gridlight.workloads.worker prepare | run NAME ARTIFACT [MANIFEST] | probe`.

It reads frames from the socket on descriptor 3, one at a time, and answers each; its first frame says that it is ready.
What is wrong with a call's content is answered as an error and the worker goes on; anything else ends it, which its
parent sees and reports. It ends when its parent closes the socket.
"""

import socket
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from hashlib import file_digest
from pathlib import Path
from typing import Any, NamedTuple

from gridlight.core.comparing import is_dithered
from gridlight.messages.codec import manifests
from gridlight.messages.frames import (
    PREFIX,
    FrameHeader,
    Tensor,
    decode_prefix,
    encode_prefix_and_header,
    headers,
)
from gridlight.messages.limits import FRAME_HEADER_BYTES_MAX
from gridlight.workloads.confinement import DESCRIPTOR, confine
from gridlight.workloads.contract import manifest_named

READY = "ready"
BENCHMARK_RUNS = 3


class Refused(Exception):
    """What a call asks for cannot be done: answered as an error, with what to change."""

    def __init__(self, code: str, message: str, hint: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.hint = hint


class Answer(NamedTuple):
    """What a handler gives back."""

    parameters: dict[str, Any]
    body: bytes = b""
    tensor: Tensor | None = None


Handler = Callable[[FrameHeader, memoryview], Answer]


class Connection:
    """Blocking frames over the inherited socket, with one buffer for all that comes in."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._buffer = bytearray(64 * 1024)

    def receive(self) -> tuple[FrameHeader, memoryview] | None:
        """The next frame, its body valid until the next call; None where the parent closed. ProtocolViolation."""
        prefix = self._read(PREFIX.size)
        if prefix is None:
            return None
        header_bytes, body_bytes = decode_prefix(bytes(prefix))
        data = self._read(header_bytes + body_bytes)
        if data is None:
            return None
        return headers.decode(bytes(data[:header_bytes])), data[header_bytes:]

    def send(self, header: FrameHeader, body: bytes = b"") -> None:
        """Send one frame, however often the socket is full."""
        head = encode_prefix_and_header(header, len(body))
        sent = self._socket.sendmsg([head, body])
        if sent < len(head):
            self._socket.sendall(head[sent:])
            sent = len(head)
        if sent < len(head) + len(body):
            self._socket.sendall(memoryview(body)[sent - len(head) :])

    def _read(self, count: int) -> memoryview | None:
        if count > len(self._buffer):
            self._buffer = bytearray(count)
        view = memoryview(self._buffer)[:count]
        received = 0
        while received < count:
            added = self._socket.recv_into(view[received:], count - received, socket.MSG_WAITALL)
            if added == 0:
                return None
            received += added
        return view


def serve(connection: Connection, handler: Handler, ready: dict[str, Any]) -> None:
    """Answer calls until the parent closes the socket."""
    connection.send(FrameHeader(id=READY, parameters=ready))
    while (frame := connection.receive()) is not None:
        header, body = frame
        try:
            answer = handler(header, body)
        except Refused as refused:
            # A message may quote what the requester sent, so it is cut to what surely fits a header.
            message = refused.message[: FRAME_HEADER_BYTES_MAX // 64]
            connection.send(
                FrameHeader(id=header.id, error=message, error_code=refused.code, parameters={"hint": refused.hint})
            )
            continue
        connection.send(FrameHeader(id=header.id, tensor=answer.tensor, parameters=answer.parameters), answer.body)


def prepare_handler() -> Handler:
    """Pictures to tensors; call parameters {"prepare": name, "parameters": {...}}."""
    from gridlight.workloads.prepare import PREPARES, PictureRefused, prepare

    def handle(header: FrameHeader, body: memoryview) -> Answer:
        name, parameters = header.parameters.get("prepare"), header.parameters.get("parameters")
        if name not in PREPARES or not isinstance(parameters, dict):
            raise Refused("BAD_CALL", f"no prepare is named {name!r}", f"use one of {', '.join(PREPARES)}")
        try:
            prepared = prepare(name, parameters, body)
        except PictureRefused as refused:
            raise Refused(refused.code, refused.message, refused.hint) from refused
        size = {"width": prepared.width, "height": prepared.height}
        return Answer(size, prepared.tensor, Tensor(name="image", shape=prepared.shape, datatype="UINT8"))

    return handle


def run_handler(name: str, artifact: Path, manifest_file: Path | None = None) -> tuple[Handler, dict[str, Any]]:
    """A workload's `run`; call parameters {"probe_seed": int}. Loads the model and times it before it is ready."""
    from gridlight.workloads.detection.run import Detector

    # Whoever started this worker has checked the manifest's digest and signatures.
    manifest = manifest_named(name) if manifest_file is None else manifests.decode(manifest_file.read_bytes())
    with artifact.open("rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
    if digest not in manifest.artifacts.values():
        raise SystemExit(f"{artifact} has SHA-256 {digest}, none of {name}'s; delete it and fetch it again")
    detector = Detector(artifact, manifest.run.parameters, is_dithered=is_dithered(manifest.compare))

    def handle(header: FrameHeader, body: memoryview) -> Answer:
        seed = header.parameters.get("probe_seed")
        if not isinstance(seed, int) or not 0 <= seed < 2**53:
            raise Refused("BAD_CALL", f"probe_seed is {seed!r}", "send an integer from 0 to 2^53 - 1")
        if len(body) != detector.input_bytes:
            raise Refused("BAD_INPUT", f"{len(body)} bytes of input", f"{name} takes exactly {detector.input_bytes}")
        started = time.perf_counter()
        output = detector.run(body, seed)
        return Answer(
            {"infer_ms": _milliseconds(time.perf_counter() - started), "probes": output.probes}, output.canonical
        )

    return handle, {"benchmark_ms": _benchmark(lambda: detector.run(bytes(detector.input_bytes), 0))}


def probe_handler() -> Handler:
    """Answers a call that lays out bait with what could be reached of it, and what could not."""
    from gridlight.workloads.escapes.every import attempt_all, bait_of

    def handle(header: FrameHeader, _body: memoryview) -> Answer:
        try:
            bait = bait_of(header.parameters)
        except TypeError as error:
            raise Refused("BAD_CALL", str(error), "say all that a Bait has") from error
        return Answer(dict(attempt_all(bait)))

    return handle


def _benchmark(run: Callable[[], object]) -> int:
    """The median of a few runs after one that warms up; at least 1."""
    run()
    seconds: list[float] = []
    for _ in range(BENCHMARK_RUNS):
        started = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started)
    return max(1, _milliseconds(statistics.median(seconds)))


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def main(arguments: Sequence[str]) -> int:
    """Confine this process, load what is asked for, and serve."""
    confine()
    ready: dict[str, Any] = {}
    match arguments:
        case ["prepare"]:
            handler = prepare_handler()
        case ["run", name, artifact]:
            handler, ready = run_handler(name, Path(artifact))
        case ["run", name, artifact, manifest]:
            handler, ready = run_handler(name, Path(artifact), Path(manifest))
        case ["probe"]:
            handler = probe_handler()
        case _:
            sys.stderr.write(f"{__doc__}\n")
            return 2
    with socket.socket(fileno=DESCRIPTOR) as connected:
        try:
            serve(Connection(connected), handler, ready)
        except ConnectionError:
            return 0  # the parent is gone, and with it whoever would read an answer
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
