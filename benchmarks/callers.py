"""Callers in a closed loop over plain sockets, so that they take as little as can be of the machine they share."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Final
from urllib.parse import urlsplit

from gridlight.adapters.api_keys import find_api_key

LEAD_S: Final = 0.5
"""Before counting begins: until then the network's queues fill. What is answered after the end is not counted."""


@dataclass
class Load:
    """What came of a stretch of calling."""

    seconds: float = 0.0
    answered: int = 0
    failed: int = 0
    latencies_s: list[float] = field(default_factory=list)

    def add(self, other: "Load") -> None:
        """Take another stretch in."""
        self.seconds += other.seconds
        self.answered += other.answered
        self.failed += other.failed
        self.latencies_s += other.latencies_s

    def quantile_ms(self, share: float) -> float:
        """A quantile of the latencies of answered calls."""
        ordered = sorted(self.latencies_s)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1e3


async def call_for(
    url: str, body: bytes, *, callers: int, seconds: float, verify: str, on_edge: Callable[[], None] = lambda: None
) -> Load:
    """That many callers, each sending the photo again as soon as it is answered; with the key of the network there.

    `verify` is how far an answer is to be checked: what is sampled is run by another node, too, now and then. `on_edge`
    is called as counting begins and as it ends, with all callers at work.
    """
    host, port = urlsplit(url).hostname, urlsplit(url).port
    head = (
        f"POST /v1/detect?verify={verify} HTTP/1.1\r\nHost: {host}\r\nX-Api-Key: {find_api_key(url)}\r\n"
        f"Content-Type: image/jpeg\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    request = head.encode() + body
    load = Load()
    is_counting, is_over = False, False

    async def call() -> None:
        reader, writer = await asyncio.open_connection(host, port)
        while not is_over:
            sent = perf_counter()
            writer.write(request)
            answer = await reader.readuntil(b"\r\n\r\n")
            length = next(line for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(length.split(b":")[1]))
            if not is_counting:
                continue
            if answer.startswith(b"HTTP/1.1 200"):
                load.answered += 1
                load.latencies_s.append(perf_counter() - sent)
            else:
                load.failed += 1
        writer.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(callers):
            group.create_task(call())
        await asyncio.sleep(LEAD_S)
        on_edge()
        is_counting, started = True, perf_counter()
        await asyncio.sleep(seconds)
        is_counting, is_over, load.seconds = False, True, perf_counter() - started
        on_edge()
    return load
