"""The bus: connect, publish, subscribe, over nats-py, which only this and `bus_client` know.

It translates and decides nothing. What is published while the connection is away is refused, never kept and sent
late: after a reconnect the services tell each other again what still holds.
"""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, cast

import structlog
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import NoServersError, SlowConsumerError

from gridlight.adapters.bus_client import PENDING_BYTES_MAX, LeanClient
from gridlight.adapters.bus_delivery import BusError, BusRefused, Delivery, Listener, delivered, header_lines
from gridlight.adapters.credentials import NodeCredentials, read_creds

__all__ = ["Bus", "BusError", "BusRefused", "Delivery", "Listener"]

QUEUE_MESSAGES_MAX: Final = 65_536
QUEUE_BYTES_MAX: Final = 64 * 1024 * 1024
"""Received and not yet handled, for each subscription that has a handler; past it, messages are dropped and counted."""

_RECONNECT_WAIT_S: Final = 0.1
_CLOSE_TIMEOUT_S: Final = 2.0
_FLUSH_TIMEOUT_S: Final = 5.0

_log = structlog.get_logger()

Handler = Callable[[Delivery], Awaitable[None]]


class Bus:
    """One connection. Made by `Bus.connect`; every argument that matters is named there."""

    def __init__(self) -> None:
        self._client = LeanClient()
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
        await self._client.send(subject, reply, header_lines(message, signature), body)

    async def subscribe(self, subject: str, handler: Handler) -> None:
        """Call the handler with each message of the subject, one after the other, in order.

        A handler that waits keeps back the later messages of its own subscription, and no others.
        """

        async def deliver(message: Msg) -> None:
            try:
                headers = cast("bytes | None", message.headers)  # as LeanClient leaves them
                await handler(delivered(message.subject, message.reply, headers, message.data))
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
        client = self._client = LeanClient()
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

    async def _give_up(self, client: "LeanClient") -> None:
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
