"""Callers in a closed loop over plain sockets, so that they take as little as can be of the machine they share."""

import asyncio
from dataclasses import dataclass, field
from time import perf_counter
from urllib.parse import urlsplit

from gridlight.adapters.api_keys import find_api_key


@dataclass
class Load:
    """What came of a stretch of calling."""

    seconds: float = 0.0
    answered: int = 0
    failed: int = 0
    latencies_s: list[float] = field(default_factory=list)

    def quantile_ms(self, share: float) -> float:
        """A quantile of the latencies of answered calls."""
        ordered = sorted(self.latencies_s)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1e3


async def call_for(url: str, body: bytes, *, callers: int, seconds: float, verify: str) -> Load:
    """That many callers, each sending the photo again as soon as it is answered; with the key of the network there.

    `verify` is how far an answer is to be checked: what is sampled is run by another node, too, now and then.
    """
    host, port = urlsplit(url).hostname, urlsplit(url).port
    head = (
        f"POST /v1/detect?verify={verify} HTTP/1.1\r\nHost: {host}\r\nX-Api-Key: {find_api_key(url)}\r\n"
        f"Content-Type: image/jpeg\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    load = Load()
    started = perf_counter()

    async def call() -> None:
        reader, writer = await asyncio.open_connection(host, port)
        while perf_counter() - started < seconds:
            sent = perf_counter()
            writer.write(head.encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            length = next(line for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(length.split(b":")[1]))
            if answer.startswith(b"HTTP/1.1 200"):
                load.answered += 1
                load.latencies_s.append(perf_counter() - sent)
            else:
                load.failed += 1
        writer.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(callers):
            group.create_task(call())
    load.seconds = perf_counter() - started
    return load
