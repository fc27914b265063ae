"""Text recognition in pictures, as a worker of Gridlight: frames on descriptor 3 in, lines of text out.

A frame is `u32 header bytes, u32 body bytes` (little-endian), a JSON header, raw bytes. Nothing of Gridlight is needed
here; the models and the steps around them are those of RapidOCR.
"""

import hashlib
import json
import os
import re
import socket
import struct
import sys
import time
import unicodedata
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
# In the image the packages lie beside this file; on the publisher's machine they are in the root that build.py made.
sys.path[:0] = [str(HERE / "packages"), str(HERE / "root" / "app" / "packages")]

WIDTH, HEIGHT = 832, 832
"""As in workload.toml: one byte for each of red, green and blue, rows first."""

PROBES = 16
LINES_MAX, CHARACTERS_MAX, OUTPUT_BYTES_MAX = 300, 256, 64 * 1024
SCORE_MIN = 2_000
"""Lines are reported from this score on, in 1e-4."""

PREFIX = struct.Struct("<II")
LINE = struct.Struct("<H8HH")
"""Score in 1e-4, four corners as x and y in 1/16 px, and how many bytes of UTF-8 follow."""

UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


class Reader:
    """The models, and what the last of their runs saw."""

    def __init__(self) -> None:
        import numpy as np
        from rapidocr_onnxruntime import RapidOCR

        self._numpy = np
        # A worker is lent one processor, and the same order of additions gives the same bits again.
        self._engine = RapidOCR(
            text_score=SCORE_MIN / 10_000, use_cls=False, intra_op_num_threads=1, inter_op_num_threads=1
        )
        self._infer = self._engine.text_det.infer
        self._engine.text_det.infer = self._noted
        self._map = np.zeros(1)

    def _noted(self, picture: Any) -> Any:
        seen = self._infer(picture)
        self._map = seen[0]
        return seen

    def run(self, tensor: bytes, seed: int) -> tuple[bytes, list[int]]:
        """The canonical output, and raw values of the detector's map at places that the seed draws."""
        rgb = self._numpy.frombuffer(tensor, self._numpy.uint8).reshape(HEIGHT, WIDTH, 3)
        found, _ = self._engine(self._numpy.ascontiguousarray(rgb[:, :, ::-1]))
        return canonical([read(*one) for one in found or []]), self._probes(seed)

    def _probes(self, seed: int) -> list[int]:
        values = self._map.ravel()
        drawn = hashlib.blake2b(digest_size=4 * PROBES, key=seed.to_bytes(8, "little")).digest()
        return [round(float(values[place % len(values)]) * 1_000_000) for place in struct.unpack(f"<{PROBES}I", drawn)]


def read(corners: list[list[float]], text: str, score: float) -> tuple[int, tuple[int, ...], str]:
    """One line in whole numbers: score, corners, text."""
    sides = ((WIDTH, x) if axis == 0 else (HEIGHT, x) for corner in corners for axis, x in enumerate(corner))
    quad = tuple(max(0, min(round(place * 16), side * 16)) for side, place in sides)
    text = unicodedata.normalize("NFC", UNSEEN.sub("", text))[:CHARACTERS_MAX].strip()
    return round(float(score) * 10_000), quad, unicodedata.normalize("NFC", text)


def canonical(lines: list[tuple[int, tuple[int, ...], str]]) -> bytes:
    """Each line once, from top to bottom and from left to right; the surest where there are too many."""
    kept: set[tuple[int, tuple[int, ...], str]] = set()
    size = 0
    for line in sorted(lines, reverse=True):
        needed = LINE.size + len(line[2].encode())
        if line[0] >= SCORE_MIN and line[2] and len(kept) < LINES_MAX and size + needed <= OUTPUT_BYTES_MAX:
            size += 0 if line in kept else needed
            kept.add(line)
    return b"".join(packed(*line) for line in sorted(kept, key=place))


def place(line: tuple[int, tuple[int, ...], str]) -> tuple[Any, ...]:
    """The canonical order."""
    score, quad, text = line
    return min(quad[1::2]), min(quad[::2]), quad, text, -score


def packed(score: int, quad: tuple[int, ...], text: str) -> bytes:
    """One line's bytes."""
    data = text.encode()
    return LINE.pack(score, *quad, len(data)) + data


def answer(reader: Reader, header: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
    """The header and the body of the answer to one call."""
    seed = header.get("parameters", {}).get("probe_seed")
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**53:
        return refused("BAD_CALL", "probe_seed must be an integer from 0 to 2^53 - 1"), b""
    if len(body) != WIDTH * HEIGHT * 3:
        return refused("BAD_INPUT", f"{len(body)} bytes of input, and this takes {WIDTH * HEIGHT * 3}"), b""
    started = time.perf_counter()
    output, probes = reader.run(body, seed)
    return {"parameters": {"infer_ms": round((time.perf_counter() - started) * 1000), "probes": probes}}, output


def refused(code: str, message: str) -> dict[str, Any]:
    """What cannot be done is said, and the next call is awaited."""
    return {"error": message, "error_code": code, "parameters": {"hint": "see the manifest's `prepare`"}}


def receive(connection: socket.socket, count: int) -> bytes | None:
    """Exactly so many bytes; None where the parent closed the socket."""
    data = bytearray()
    while len(data) < count:
        chunk = connection.recv(count - len(data))
        if not chunk:
            return None
        data += chunk
    return bytes(data)


def send(connection: socket.socket, header: dict[str, Any], body: bytes = b"") -> None:
    """One frame."""
    head = json.dumps(header).encode()
    connection.sendall(PREFIX.pack(len(head), len(body)) + head + body)


def main() -> None:
    """Load, warm up, say that we are ready with what a run takes here, and serve."""
    with socket.socket(fileno=3) as connection:
        reader = Reader()
        blank = bytes([255]) * (WIDTH * HEIGHT * 3)
        reader.run(blank, 0)
        started = time.perf_counter()
        reader.run(blank, 0)
        benchmark_ms = max(1, round((time.perf_counter() - started) * 1000))
        send(connection, {"id": "ready", "parameters": {"benchmark_ms": benchmark_ms}})
        while (prefix := receive(connection, PREFIX.size)) is not None:
            header_bytes, body_bytes = PREFIX.unpack(prefix)
            header = json.loads(receive(connection, header_bytes) or b"{}")
            body = receive(connection, body_bytes) or b""
            said, output = answer(reader, header, body)
            send(connection, {"id": header["id"], **said}, output)


if __name__ == "__main__":
    main()
    os._exit(0)  # the runtime's own threads would be waited for
