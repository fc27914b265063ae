"""One HTTP connection: uvicorn's own, with bounds on a request's head and refusals in the API's one shape.

A head without end, in bytes or in time, would otherwise cost memory or a connection for nothing.
"""

import asyncio
from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gridlight.services.gateway.errors import Refusal, encode_refusal
from gridlight.services.gateway.jobs import new_job_id

HEAD_BYTES_MAX: Final = 64 * 1024
HEAD_S_MAX: Final = 10.0
"""From the first byte of a request, or from connecting, to the end of its head."""

LINGER_S: Final = 0.5

_REASONS: Final = {400: b"Bad Request", 408: b"Request Timeout", 431: b"Request Header Fields Too Large"}


class BoundedConnection(HttpToolsProtocol):
    """What uvicorn makes of each connection; its parser's callbacks tell where in a request it stands."""

    _is_in_head = False
    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None
    _is_refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(cast("asyncio.Transport", _Together(transport, self.loop)))
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_came()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_in_head = True
        self._head_bytes = 0
        self._await_head()

    def on_headers_complete(self) -> None:
        self._head_came()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        if self._is_refused:
            return
        # What came in the same read as the head's first byte is not counted: it may belong to the body before.
        continues_head = self._is_in_head
        super().data_received(data)
        if continues_head and self._is_in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                self._refuse(Refusal("HEAD_TOO_LARGE"))

    def send_400_response(self, msg: str) -> None:
        """What uvicorn says of bytes that are no HTTP."""
        self._refuse(Refusal("BAD_REQUEST", msg))

    def _await_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_S_MAX, self._refuse, Refusal("HEAD_TOO_SLOW"))

    def _head_came(self) -> None:
        self._is_in_head = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self, refusal: Refusal) -> None:
        """Answer without the application, and hang up."""
        if self._is_refused or self.transport.is_closing():
            return
        self._head_came()
        body = encode_refusal(refusal, new_job_id())
        head = [
            b"HTTP/1.1 %d %b\r\n" % (refusal.status, _REASONS[refusal.status]),
            b"content-type: application/json\r\n",
            b"content-length: %d\r\n" % len(body),
            b"connection: close\r\n\r\n",
        ]
        self.transport.write(b"".join(head) + body)
        self.transport.write_eof()
        # Closing at once would reset the connection, and one who is still sending would lose the answer.
        self._is_refused = True
        self.loop.call_later(LINGER_S, self.transport.close)


class _Together:
    """A connection, but that what is written in one turn of the loop leaves together.

    uvicorn writes an answer's head and its body apart, and each would be sent and wake its reader.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._unsent: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._unsent:
            self._loop.call_soon(self._send)
        self._unsent.append(data)

    def write_eof(self) -> None:
        self._send()
        self._transport.write_eof()

    def close(self) -> None:
        self._send()
        self._transport.close()

    def _send(self) -> None:
        if self._unsent and not self._transport.is_closing():
            self._transport.write(b"".join(self._unsent))
        self._unsent.clear()
