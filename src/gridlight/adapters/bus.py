"""The bus: connect, publish, subscribe, over nats-py; the only file that knows NATS' client.

It translates and decides nothing. What is published while the connection is away is refused, never kept and sent
late: after a reconnect the services tell each other again what still holds.
"""

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import structlog
from msgspec import Struct
from nats.aio.client import PING_PROTO, Client, Srv
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import NoServersError, SlowConsumerError

from gridlight.adapters.credentials import NodeCredentials, read_creds
from gridlight.messages.envelope import MESSAGE_HEADER, SIGNATURE_HEADER

PENDING_BYTES_MAX: Final = 32 * 1024 * 1024
"""Unsent bytes of a connection; past it, publishers wait. At least a dozen of the largest inputs."""

QUEUE_MESSAGES_MAX: Final = 65_536
QUEUE_BYTES_MAX: Final = 64 * 1024 * 1024
"""Received and not yet handled, for each subscription that has a handler; past it, messages are dropped and counted."""

_RECONNECT_WAIT_S: Final = 0.1
_CLOSE_TIMEOUT_S: Final = 2.0
_FLUSH_TIMEOUT_S: Final = 5.0
_COPY_BYTES_MAX: Final = 4_096
_WRITTEN_BYTES_MAX: Final = 256 * 1024
"""That the system has not taken yet; past it, more waits."""

_NO_RESPONDERS: Final = b"NATS/1.0 503"
_MESSAGE_LINE: Final = f"\r\n{MESSAGE_HEADER}:".encode()
_SIGNATURE_LINE: Final = f"\r\n{SIGNATURE_HEADER}:".encode()

_log = structlog.get_logger()


class BusError(Exception):
    """The bus is away, refuses us, or does not answer in time."""


class BusRefused(BusError):
    """The bus is there, and does not take us."""


class Delivery(Struct, frozen=True, gc=False):
    """One message as it arrived. `message` and `signature` are its headers' bytes, None where there are none."""

    subject: str
    reply: str
    body: bytes
    message: bytes | None
    signature: bytes | None
    no_responders: bool
    """The server's own word to a request's inbox: nobody is subscribed to its subject."""


Handler = Callable[[Delivery], Awaitable[None]]
Listener = Callable[[Delivery], None]


class Bus:
    """One connection. Made by `Bus.connect`; every argument that matters is named there."""

    def __init__(self) -> None:
        self._client = _LeanClient()
        self._on_reconnected: Callable[[], Awaitable[None]] | None = None
        self._on_closed: Callable[[], Awaitable[None]] | None = None
        self._on_error: Callable[[Exception], None] | None = None
        self._last_error: Exception | None = None
        """Why there is no connection, which nats-py tells only on the way."""
        self.dropped = 0
        """Messages lost because handlers were slower than their arrival."""

    @classmethod
    async def connect(
        cls,
        *,
        url: str,
        name: str,
        credentials: Path | NodeCredentials,
        on_reconnected: Callable[[], Awaitable[None]] | None = None,
        on_closed: Callable[[], Awaitable[None]] | None = None,
        on_error: Callable[[Exception], None] | None = None,
        reconnect: bool = True,
        connect_timeout_s: float = 10.0,
        ping_interval_s: float = 2.0,
        pings_outstanding_max: int = 2,
    ) -> "Bus":
        """Connect, or BusError.

        With `reconnect`, a server that is not there yet is tried until the timeout, and a connection that breaks is
        made again, tried every 0.1 s, with its subscriptions; then `on_reconnected` is called. Without, there is one
        try, and a break ends the connection. `on_closed` is called once when the connection is gone for good though
        we did not close it: broken without `reconnect`, or ended by the server (expired, revoked, too slow a reader).
        `on_error` hears what handlers raise and what the server complains of; both are logged in any case.
        """
        given = read_creds(credentials) if isinstance(credentials, Path) else credentials
        options: dict[str, Any] = {
            "servers": [url],
            "name": name,
            "user_jwt_cb": given.jwt.encode,
            "signature_cb": lambda nonce: base64.b64encode(given.key.sign_bare(nonce.encode())),
            "connect_timeout": connect_timeout_s,
            "reconnect_time_wait": _RECONNECT_WAIT_S,
            "ping_interval": ping_interval_s,
            "max_outstanding_pings": pings_outstanding_max,
        }
        bus = cls()
        bus._on_error = on_error
        try:
            async with asyncio.timeout(connect_timeout_s):
                while not await bus._is_opened(options, tries_again=reconnect):  # noqa: ASYNC110  (it is elsewhere)
                    await asyncio.sleep(_RECONNECT_WAIT_S)
        except TimeoutError as error:
            await bus.close()
            raise BusError(f"no bus at {url} within {connect_timeout_s} s") from error
        bus._client.options["allow_reconnect"] = reconnect
        bus._client.options["max_reconnect_attempts"] = -1
        bus._on_reconnected = on_reconnected
        bus._on_closed = on_closed
        return bus

    @property
    def is_connected(self) -> bool:
        """Whether what is published now leaves now."""
        return self._client.is_connected

    async def publish(
        self,
        subject: str,
        body: bytes = b"",
        *,
        reply: str = "",
        message: bytes | None = None,
        signature: bytes | None = None,
    ) -> None:
        """Send. BusError where the bus is away or this is more than it carries at once. Sent is not yet received."""
        headers = b""
        if message is not None:
            assert b"\n" not in message
            headers = b"%b %b" % (_MESSAGE_LINE, message)
        if signature is not None:
            headers = b"%b%b %b" % (headers, _SIGNATURE_LINE, base64.b64encode(signature))
        await self._client.send(subject, reply, headers, body)

    async def subscribe(self, subject: str, handler: Handler) -> None:
        """Call the handler with each message of the subject, one after the other, in order.

        A handler that waits keeps back the later messages of its own subscription, and no others.
        """

        async def deliver(message: Msg) -> None:
            try:
                await handler(_delivery(message.subject, message.reply, message.data, message.headers))
            except Exception as error:  # noqa: BLE001  (what a handler raises is its service's to judge)
                _log.critical("a handler failed", subject=message.subject, exc_info=error)
                self._report(error)

        try:
            await self._client.subscribe(
                subject, cb=deliver, pending_msgs_limit=QUEUE_MESSAGES_MAX, pending_bytes_limit=QUEUE_BYTES_MAX
            )
        except NatsError as error:
            raise BusError(f"cannot subscribe to {subject}: {error}") from error

    async def listen(self, subject: str, listener: Listener) -> None:
        """Call the listener with each message of the subject, in order, and as it is read: nothing waits in between.

        It keeps back whatever comes later: for what is handled at once. A queue and a task of its own cost more.
        """

        def hear(delivery: Delivery) -> None:
            try:
                listener(delivery)
            except Exception as error:  # noqa: BLE001  (what a listener raises is its service's to judge)
                _log.critical("a listener failed", subject=delivery.subject, exc_info=error)
                self._report(error)

        try:
            await self._client.hear(subject, hear)
        except NatsError as error:
            raise BusError(f"cannot subscribe to {subject}: {error}") from error

    async def flush(self, timeout_s: float = _FLUSH_TIMEOUT_S) -> None:
        """Return when the server has taken all that was published before. BusError where it does not in time."""
        if not await self._client.is_flushed(timeout_s):
            raise BusError(f"the bus is away or did not answer within {timeout_s} s")

    async def close(self) -> None:
        """Send what is waiting, then leave; `on_closed` is not called. Takes 2 s at most."""
        self._on_closed = None
        self._on_reconnected = None
        await self._client.is_flushed(_CLOSE_TIMEOUT_S)
        self._client.abort()
        await self._client.close()

    async def _is_opened(self, options: dict[str, Any], *, tries_again: bool) -> bool:
        client = self._client = _LeanClient()
        try:
            await client.connect(
                **options,
                error_cb=self._heard_error,
                reconnected_cb=self._heard_reconnected,
                closed_cb=self._heard_closed,
                allow_reconnect=False,  # while connecting: an error shall be told, not tried again for ever
                max_reconnect_attempts=1,
                pending_size=PENDING_BYTES_MAX,
                flush_timeout=_FLUSH_TIMEOUT_S,
            )
        except (NoServersError, OSError) as error:
            await self._give_up(client)
            if tries_again:
                return False
            raise BusError(f"no bus at {options['servers'][0]}: {self._last_error or error}") from error
        except NatsError as error:
            await self._give_up(client)
            raise BusRefused(f"the bus at {options['servers'][0]} refused {options['name']}: {error}") from error
        if not client.is_connected:  # nats-py returns so where the server hangs up without a word
            await self._give_up(client)
            raise BusRefused(f"the bus at {options['servers'][0]} refused {options['name']} without a word")
        return True

    async def _give_up(self, client: "_LeanClient") -> None:
        client.abort()
        await client.close()

    def _report(self, error: Exception) -> None:
        if self._on_error is not None:
            self._on_error(error)

    async def _heard_error(self, error: Exception) -> None:
        if isinstance(error, SlowConsumerError):
            self.dropped += 1
        if not isinstance(error, NoServersError):
            self._last_error = error
        _log.warning("bus", error=repr(error))
        if isinstance(error, NatsError):  # a line that breaks is told by on_reconnected or on_closed
            self._report(error)

    async def _heard_reconnected(self) -> None:
        if self._on_reconnected is None:
            return
        try:
            await self._on_reconnected()
        except Exception as error:  # noqa: BLE001  (else it would end nats-py's own task, and be lost)
            _log.critical("what should follow a reconnect failed", exc_info=error)
            self._report(error)

    async def _heard_closed(self) -> None:
        if self._on_closed is not None:
            await self._on_closed()


class _LeanClient(Client):
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
            listener(_delivery(subject.decode(), reply.decode(), data, headers))

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


def _delivery(subject: str, reply: str, body: bytes, raw: Any) -> Delivery:
    if not raw:
        return Delivery(subject, reply, body, None, None, False)
    return Delivery(
        subject=subject,
        reply=reply,
        body=body,
        message=_header(raw, _MESSAGE_LINE),
        signature=_decoded(_header(raw, _SIGNATURE_LINE)),
        no_responders=raw.startswith(_NO_RESPONDERS),
    )


def _header(raw: bytes, line: bytes) -> bytes | None:
    start = raw.find(line)
    if start < 0:
        return None
    start += len(line)
    return raw[start : raw.index(b"\r\n", start)].strip()


def _decoded(text: bytes | None) -> bytes | None:
    if text is None:
        return None
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error:
        return None
