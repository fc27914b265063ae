"""The outermost layer of every request: counts it, and sees that a refused upload's answer is really read."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from gridlight.adapters.clock import monotonic_ms
from gridlight.services.gateway.metrics import Metrics

LINGER_BYTES_MAX: Final = 16 * 1024 * 1024
LINGER_S_MAX: Final = 2.0

_NO_ROUTE: Final = "none"
_CLOSES: Final = (b"connection", b"close")


class Edge:
    """The ASGI application around the API. Addresses that are no route share one label."""

    def __init__(self, app: Callable[[Any, Any, Any], Awaitable[None]], metrics: Metrics) -> None:
        self._app = app
        self._requests = metrics.requests
        self._seconds = metrics.request_seconds

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI."""
        started_ms = monotonic_ms()
        status, is_last = "none", False

        async def send_on(message: Any) -> None:
            nonlocal status, is_last
            if message["type"] == "http.response.start":
                status = str(message["status"])
                is_last = _CLOSES in message["headers"]
            elif is_last and not message.get("more_body", False):
                await send({**message, "more_body": True})
                await _linger(receive)
                message = {"type": "http.response.body", "body": b""}
            await send(message)

        try:
            await self._app(scope, receive, send_on)
        finally:
            self._requests.labels(scope.get("path_template", _NO_ROUTE), status).inc()
            self._seconds.observe((monotonic_ms() - started_ms) / 1_000)


async def _linger(receive: Any) -> None:
    """Read on for a while after an answer that came before the body's end.

    Closing at once would reset the connection, and a requester who is still sending would lose the answer. One who
    sends without end is cut off.
    """
    size = 0
    try:
        async with asyncio.timeout(LINGER_S_MAX):
            while size <= LINGER_BYTES_MAX:
                message = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return
                size += len(message.get("body", b""))
    except TimeoutError:
        return
