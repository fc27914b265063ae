"""The bus over WebSocket, for machines whose only way out is HTTPS: what nats-py's client reads and writes through.

Imported only where a bus is reached by `ws://` or `wss://`, since most nodes are to be spared the memory. The machine's
HTTP proxy is asked to connect, if it has one; TLS goes through it from end to end.
"""

import ssl
from collections.abc import Sequence
from typing import Final
from urllib.parse import ParseResult

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from gridlight.adapters.proxies import proxy_for

FRAME_BYTES_MAX: Final = 32 * 1024 * 1024
"""The server puts what waits for us into one frame: at most its `max_pending` and a message."""

_CLOSE_S_MAX: Final = 1.0


class WebSocketTransport:
    """One connection, made again by the same object after a break, as nats-py does with its own transports."""

    def __init__(self) -> None:
        # Named as in nats-py's TCP transport: whoever aborts a connection looks for its asyncio transport there.
        self._io_writer: ClientConnection | None = None
        self._unsent: list[bytes] = []
        self._received = bytearray()
        self._is_at_end = False

    def __bool__(self) -> bool:
        return True

    async def connect(self, uri: ParseResult, buffer_size: int, connect_timeout: float) -> None:
        """Open `ws://`. ConnectionError says who refused."""
        await self._open(uri, None, connect_timeout)

    async def connect_tls(
        self, uri: str | ParseResult, ssl_context: ssl.SSLContext, buffer_size: int, connect_timeout: float
    ) -> None:
        """Open `wss://`. A server that asks for TLS once more, by its host's name alone, has it already."""
        if isinstance(uri, ParseResult):
            await self._open(uri, ssl_context, connect_timeout)

    async def _open(self, uri: ParseResult, tls: ssl.SSLContext | None, timeout_s: float) -> None:
        self._unsent, self._received, self._is_at_end = [], bytearray(), False
        try:
            self._io_writer = await connect(
                uri.geturl(),
                ssl=tls,
                proxy=proxy_for(uri.geturl()),
                open_timeout=timeout_s,
                close_timeout=_CLOSE_S_MAX,
                ping_interval=None,  # the bus has pings of its own
                max_size=FRAME_BYTES_MAX,
                compression=None,
            )
        except (WebSocketException, ImportError) as error:  # what is missing is support for SOCKS
            raise ConnectionError(f"no WebSocket at {uri.geturl()}: {error}") from error

    def write(self, payload: bytes) -> None:
        """Sent by the next `drain`."""
        self._unsent.append(payload)

    def writelines(self, payload: Sequence[bytes]) -> None:
        """Sent by the next `drain`."""
        self._unsent += payload

    async def drain(self) -> None:
        """Send what was written, as one frame."""
        payload, self._unsent = b"".join(self._unsent), []
        if self._io_writer is None or not payload:
            return
        try:
            await self._io_writer.send(payload)
        except ConnectionClosed as error:
            raise ConnectionError(f"the WebSocket is closed: {error}") from error

    async def read(self, buffer_size: int) -> bytes:
        """What has come, of any length; nothing at the end."""
        if not self._received:
            return await self._next_frame()
        received, self._received = bytes(self._received), bytearray()
        return received

    async def readline(self) -> bytes:
        """Up to and with the next line feed: frames know nothing of lines."""
        while (end := self._received.find(b"\n") + 1) == 0:
            if not (frame := await self._next_frame()):
                break
            self._received += frame
        end = end or len(self._received)
        line = bytes(self._received[:end])
        del self._received[:end]
        return line

    async def _next_frame(self) -> bytes:
        assert self._io_writer is not None
        try:
            return await self._io_writer.recv(decode=False)
        except ConnectionClosed:
            self._is_at_end = True
            return b""

    def at_eof(self) -> bool:
        """Whether nothing more will come."""
        return self._is_at_end and not self._received

    def close(self) -> None:
        """Nothing of its own: the goodbye is said by `wait_closed`."""

    async def wait_closed(self) -> None:
        """Say goodbye, and wait for the answer for a second at most."""
        if self._io_writer is not None:
            await self._io_writer.close()
