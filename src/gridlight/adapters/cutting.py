"""Ends nodes' connections on the server, where a node is not to have one, or not two: by its own system requests.

A node is told first, and most leave by themselves: so the cut comes a moment later, and spares whoever came since.
Which connections there are the server is asked each time, since this process may be younger than they are.
"""

import asyncio
import secrets
from collections import deque
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from msgspec import Struct

from gridlight.adapters.bus import Bus, BusError, Delivery
from gridlight.adapters.clock import monotonic_ms
from gridlight.messages.codec import Decoder, ProtocolViolation, encode
from gridlight.messages.ids import NodeId
from gridlight.messages.subjects import session_of

GRACE_MS: Final = 500
WAITING_MAX: Final = 10_000
_NOBODY: Final = "none"
_DONE: Final = "done"
_PAUSE_S: Final = 0.1
_ANSWER_BYTES_MAX: Final = 8 * 1024 * 1024
_CONNECTIONS_MAX: Final = 64
"""Of one node, at once; whoever has more is cut again."""

_log = structlog.get_logger()


class Cutter:
    """Cuts what it is told to, after a moment."""

    def __init__(self, system_bus: Bus) -> None:
        self._bus = system_bus
        self._inbox = f"_INBOX.{secrets.token_hex(8)}"
        self._waiting: deque[tuple[int, NodeId, str | None]] = deque(maxlen=WAITING_MAX)

    @classmethod
    async def listening(cls, system_bus: Bus) -> "Cutter":
        """One that hears the server's answers."""
        cutter = cls(system_bus)
        await system_bus.subscribe(f"{cutter._inbox}.>", cutter._heard)
        return cutter

    def cut_soon(self, node_id: NodeId, *, spared: str | None = None) -> None:
        """End all connections that a node has now, but for the one of the session that is spared."""
        self._waiting.append((monotonic_ms(), node_id, spared))

    async def cut_for_ever(self) -> None:
        """Cut what is due. Never returns."""
        while True:
            await asyncio.sleep(_PAUSE_S)
            while self._waiting and self._waiting[0][0] + GRACE_MS <= monotonic_ms():
                told_ms, node_id, spared = self._waiting.popleft()
                question = {"auth": True, "user": node_id, "limit": _CONNECTIONS_MAX}
                reply = f"{self._inbox}.{spared or _NOBODY}.{told_ms}"
                await self._say("$SYS.REQ.SERVER.PING.CONNZ", question, reply=reply)

    async def _heard(self, delivery: Delivery) -> None:
        """A server's connections of one node."""
        if not delivery.body or delivery.subject.endswith(_DONE):
            return
        _, spared, told_ms = delivery.subject.rsplit(".", 2)
        since_told = timedelta(milliseconds=monotonic_ms() - int(told_ms))
        try:
            answer = _answers.decode(delivery.body)
        except ProtocolViolation as violation:
            _log.error("connections unreadable", error=str(violation))
            return
        if answer.data is None:
            return
        for one in answer.data.connections:
            if session_of(one.name) == spared or answer.data.now - one.start < since_told:
                continue
            _log.info("cut", connection=one.name, cid=one.cid)
            kick = f"$SYS.REQ.SERVER.{answer.server.id}.KICK"
            await self._say(kick, {"cid": one.cid}, reply=f"{self._inbox}.{_DONE}")  # without one it does nothing

    async def _say(self, subject: str, question: dict[str, Any], reply: str) -> None:
        try:
            await self._bus.publish(subject, encode(question), reply=reply)
        except BusError as error:
            _log.warning("not cut", subject=subject, error=str(error))


class _Server(Struct, frozen=True):
    id: str


class _Connection(Struct, frozen=True):
    cid: int
    start: datetime
    name: str = ""


class _Connections(Struct, frozen=True):
    now: datetime
    """By the server's clock, as `start` is."""
    connections: list[_Connection] = []


class _Answer(Struct, frozen=True):
    """What is read of an answer to CONNZ, or to KICK, which has no data."""

    server: _Server
    data: _Connections | None = None


_answers: Final[Decoder[_Answer]] = Decoder(_Answer, _ANSWER_BYTES_MAX)
