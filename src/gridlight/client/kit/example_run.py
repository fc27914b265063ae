"""An example of a workload's program, in nothing but the standard library: the brightest region of a picture.

It speaks frames over descriptor 3: `u32 header bytes, u32 body bytes` (little-endian), a JSON header, raw bytes. Its
first frame says that it is ready; then it answers one call after the other, until its parent closes the socket.
"""

import hashlib
import json
import socket
import struct
import time
from typing import Any

WIDTH, HEIGHT = 96, 96
"""As in workload.toml: one byte for each of red, green and blue, rows first."""

PROBES = 16
PREFIX = struct.Struct("<II")
DETECTION = struct.Struct("<HHHHHH")
"""Class id, score in 1e-4, and the box xyxy in 1/16 px: the canonical form of detections, best first."""


def brightness(picture: bytes) -> list[int]:
    """One integer a pixel."""
    return [picture[at] + picture[at + 1] + picture[at + 2] for at in range(0, len(picture), 3)]


def run(picture: bytes) -> bytes:
    """The smallest box around all pixels that are nearly as bright as the brightest; nothing in an even picture."""
    levels = brightness(picture)
    brightest, mean = max(levels), sum(levels) // len(levels)
    score = (brightest - mean) * 10_000 // 765
    if score < 2_000:  # what a node reports starts at a score of 0.2
        return b""
    limit = brightest - brightest // 10
    at = [place for place, level in enumerate(levels) if level >= limit]
    columns, rows = [place % WIDTH for place in at], [place // WIDTH for place in at]
    box = (min(columns) * 16, min(rows) * 16, (max(columns) + 1) * 16, (max(rows) + 1) * 16)
    return DETECTION.pack(1, min(score, 10_000), *box)


def probes(picture: bytes, seed: int) -> list[int]:
    """Raw values at places that nobody knows before the seed: whoever did not do the work cannot guess them."""
    levels = brightness(picture)
    drawn = hashlib.blake2b(digest_size=4 * PROBES, key=seed.to_bytes(8, "little")).digest()
    return [levels[place % len(levels)] * 1_000_000 for place in struct.unpack(f"<{PROBES}I", drawn)]


def answer(header: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
    """The header and the body of the answer to one call."""
    seed = header.get("parameters", {}).get("probe_seed")
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**53:
        return refused("BAD_CALL", "probe_seed must be an integer from 0 to 2^53 - 1"), b""
    if len(body) != WIDTH * HEIGHT * 3:
        return refused("BAD_INPUT", f"{len(body)} bytes of input, and this takes {WIDTH * HEIGHT * 3}"), b""
    started = time.perf_counter()
    found, raw = run(body), probes(body, seed)
    return {"parameters": {"infer_ms": round((time.perf_counter() - started) * 1000), "probes": raw}}, found


def refused(code: str, message: str) -> dict[str, Any]:
    """What cannot be done is said, and the next call is awaited."""
    return {"error": message, "error_code": code, "parameters": {"hint": "see docs/how_to/write_a_workload.md"}}


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
    """Say that we are ready, with what a run takes here, and serve."""
    with socket.socket(fileno=3) as connection:
        started = time.perf_counter()
        run(bytes(WIDTH * HEIGHT * 3))
        benchmark_ms = max(1, round((time.perf_counter() - started) * 1000))
        send(connection, {"id": "ready", "parameters": {"benchmark_ms": benchmark_ms}})
        while (prefix := receive(connection, PREFIX.size)) is not None:
            header_bytes, body_bytes = PREFIX.unpack(prefix)
            header = json.loads(receive(connection, header_bytes) or b"{}")
            body = receive(connection, body_bytes) or b""
            said, output = answer(header, body)
            send(connection, {"id": header["id"], **said}, output)


if __name__ == "__main__":
    main()
