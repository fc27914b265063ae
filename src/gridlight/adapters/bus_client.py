"""nats-py's client as the bus uses it: leaner on each message, and never left hanging."""

import asyncio
from typing import Final, cast

from nats.aio.client import PING_PROTO, Client, Srv

from gridlight.adapters.bus_delivery import BusError, Listener, delivered
from gridlight.adapters.bus_listening import Listening

PENDING_BYTES_MAX: Final = 32 * 1024 * 1024
"""Unsent bytes of a connection; past it, publishers wait. At least a dozen of the largest inputs."""

_COPY_BYTES_MAX: Final = 4_096
_WRITTEN_BYTES_MAX: Final = 256 * 1024
"""That the system has not taken yet; past it, more waits."""


class LeanClient(Client):
    """nats-py's client, with the steps of each message that cost most, and those that can hang, replaced.

    They are not public: the version is pinned by the lock file and tests/integration/test_bus.py notices a change.
    Sending 270,000 bytes took 0.36 ms of CPU, mostly in copies; it takes 0.12 ms. Writing at once, and not by a task of
    nats-py's, takes 0.82 of the CPU of a short message that is sent and received (median of five pairs).
    """

    def __init__(self) -> None:
        super().__init__()
        self._listeners: dict[int, Listener] = {}

    async def hear(self, subject: str, listener: Listener) -> None:
        """As `subscribe`, but without a queue and a task of its own."""
        subscription = await self.subscribe(subject)
        assert not subscription.pending_msgs, "nothing is read before this turn of the loop ends"
        self._listeners[subscription._id] = listener

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        listener = self._listeners.get(sid)
        if listener is None:
            await super()._process_msg(sid, subject, reply, data, headers)
        else:
            listener(delivered(subject.decode(), reply.decode(), headers, data))

    async def _read_loop(self) -> None:
        try:
            self._begin_listening()
        except ConnectionError as error:
            await self._process_op_err(error)
            return
        await super()._read_loop()

    def _begin_listening(self) -> None:
        # Gone where the connection was closed before this began; a WebSocket has frames, and no reader.
        writer, reader = (getattr(self._transport, name, None) for name in ("_io_writer", "_io_reader"))
        if isinstance(writer, asyncio.StreamWriter) and reader is not None:
            unread: bytearray = reader._buffer
            came = bytes(unread)
            unread.clear()
            Listening.begin(cast("asyncio.Transport", writer.transport), came, self._listeners)

    async def send(self, subject: str, reply: str, headers: bytes, body: bytes) -> None:
        """As `publish`, with header lines as bytes, each begun by CRLF, and without copying a large body."""
        if not self.is_connected:
            raise BusError(f"{subject} is not sent: the bus is away")
        if headers:
            headers = b"NATS/1.0%b\r\n\r\n" % headers
            command = f"HPUB {subject} {reply} {len(headers)} {len(headers) + len(body)}\r\n".encode() + headers
        else:
            command = f"PUB {subject} {reply} {len(body)}\r\n".encode()
        if len(headers) + len(body) > self.max_payload:
            raise BusError(f"{subject} is not sent: {len(headers) + len(body)} bytes, at most {self.max_payload}")
        if len(body) > _COPY_BYTES_MAX:
            self._pending += (command, body, b"\r\n")
        else:
            self._pending.append(b"%b%b\r\n" % (command, body))
        self._pending_data_size += len(command) + len(body) + 2
        if self._transport is not None and self._may_write():
            self._transport.writelines(self._pending)
            self._pending = []
            self._pending_data_size = 0
        elif self._pending_data_size > PENDING_BYTES_MAX:
            await self._flush_pending(force_flush=True)
        elif self._flush_queue is None or self._flush_queue.empty():
            await self._flush_pending()

    def _may_write(self) -> bool:
        """Whether what is pending need not wait for a task of nats-py's that writes and waits until it has left."""
        writer = getattr(self._transport, "_io_writer", None)
        if not isinstance(writer, asyncio.StreamWriter):  # a WebSocket sends a frame at a time
            return False
        return writer.transport.get_write_buffer_size() <= _WRITTEN_BYTES_MAX

    async def is_flushed(self, timeout_s: float) -> bool:
        """Whether the server answers in time that it has taken what was sent before.

        Not nats-py's `flush`: where that gives up, the PONG that comes late ends the reading of the connection.
        """
        if not self.is_connected:
            return False
        pong: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        await self._send_ping(pong)
        await asyncio.wait({pong}, timeout=timeout_s)
        return pong.done() and pong.result()

    async def _connect_to_server(self, s: Srv) -> None:
        if self._transport is None and s.uri.scheme in ("ws", "wss"):
            from gridlight.adapters.websocket import WebSocketTransport

            self._transport = WebSocketTransport()  # type: ignore[assignment]  # one by its shape, not by its class
        await super()._connect_to_server(s)

    def abort(self) -> None:
        """Cut the connection without waiting for anything."""
        self._drop_pending()
        writer = getattr(self._transport, "_io_writer", None)
        if writer is not None:
            writer.transport.abort()

    async def _process_headers(self, headers: bytes) -> bytes:  # type: ignore[override]  # bytes, as they came
        return headers  # read by _delivery, which knows what it looks for

    async def _send_ping(self, future: asyncio.Future[bool] | None = None) -> None:
        # In its place after what was published before; nats-py's own goes ahead of it, and so proves nothing.
        self._pongs.append(future or asyncio.get_running_loop().create_future())
        await self._send_command(PING_PROTO)
        await self._flush_pending()

    async def _process_op_err(self, e: Exception) -> None:
        if self.is_connected:
            # A frozen server does not read, so a close that first sends what is waiting would never end.
            self.abort()
        await super()._process_op_err(e)

    async def _close(self, status: int, do_cbs: bool = True) -> None:
        self._drop_pending()  # which else is written into a dead connection, and its error keeps callbacks from us
        await super()._close(status, do_cbs)

    def _drop_pending(self) -> None:
        self._pending = []
        self._pending_data_size = 0
        for pong in self._pongs:
            if not pong.done():
                pong.set_result(False)
        self._pongs = []
