"""Ends nodes' connections on the server, where a node is not to have one, or not two: by its own system requests.

A node is told first, and most leave by themselves: so the cut comes a moment later, and spares whoever came since.
Which connections there are the server is asked when the node is told, since this process may be younger than they
are. They are known by the server's own numbers: no two clocks are compared, and a late answer changes nothing.
"""

import asyncio
import secrets
from collections import deque
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
"""Connections that are to be cut; the longest waiting are forgotten past it."""
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
        self._waiting: deque[_Marked] = deque(maxlen=WAITING_MAX)

    @classmethod
    async def listening(cls, system_bus: Bus) -> "Cutter":
        """One that hears the server's answers."""
        cutter = cls(system_bus)
        await system_bus.subscribe(f"{cutter._inbox}.>", cutter._heard)
        return cutter

    async def cut_soon(self, node_id: NodeId, *, spared: str | None = None) -> None:
        """End all connections that a node has now, but for the one of the session that is spared."""
        question = {"auth": True, "user": node_id, "limit": _CONNECTIONS_MAX}
        reply = f"{self._inbox}.{spared or _NOBODY}.{monotonic_ms()}"
        await self._say("$SYS.REQ.SERVER.PING.CONNZ", question, reply=reply)

    async def cut_for_ever(self) -> None:
        """Cut what is due. Never returns."""
        while True:
            await asyncio.sleep(_PAUSE_S)
            while self._waiting and self._waiting[0].told_ms + GRACE_MS <= monotonic_ms():
                one = self._waiting.popleft()
                _log.info("cut, unless it left", connection=one.name, cid=one.cid)
                kick = f"$SYS.REQ.SERVER.{one.server_id}.KICK"
                await self._say(kick, {"cid": one.cid}, reply=f"{self._inbox}.{_DONE}")  # without one it does nothing

    async def _heard(self, delivery: Delivery) -> None:
        """A server's connections of one node, as they were when it was told."""
        if not delivery.body or delivery.subject.endswith(_DONE):
            return
        _, spared, told_ms = delivery.subject.rsplit(".", 2)
        try:
            answer = _answers.decode(delivery.body)
        except ProtocolViolation as violation:
            _log.error("connections unreadable", error=str(violation))
            return
        if answer.data is None:
            return
        for one in answer.data.connections:
            if session_of(one.name) != spared:
                self._waiting.append(_Marked(int(told_ms), answer.server.id, one.cid, one.name))

    async def _say(self, subject: str, question: dict[str, Any], reply: str) -> None:
        try:
            await self._bus.publish(subject, encode(question), reply=reply)
        except BusError as error:
            _log.warning("not cut", subject=subject, error=str(error))


class _Marked(Struct, frozen=True):
    """A connection that is to be cut. A server never gives a number twice, so whoever comes since is another."""

    told_ms: int
    server_id: str
    cid: int
    name: str


class _Server(Struct, frozen=True):
    id: str


class _Connection(Struct, frozen=True):
    cid: int
    name: str = ""


class _Connections(Struct, frozen=True):
    connections: list[_Connection] = []


class _Answer(Struct, frozen=True):
    """What is read of an answer to CONNZ, or to KICK, which has no data."""

    server: _Server
    data: _Connections | None = None


_answers: Final[Decoder[_Answer]] = Decoder(_Answer, _ANSWER_BYTES_MAX)
