"""Performs effects: sends gateways and nodes what the core decided, in order, a list a gateway."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

import structlog
from msgspec import UnsetType

from gridlight.adapters.bus import Bus, BusError
from gridlight.adapters.cutting import Cutter
from gridlight.messages import codec, subjects
from gridlight.messages.codec import CoordinatorAnswer, Effect, GatewayEffect
from gridlight.messages.host import AnnounceCoordinator, RecordNode, RequestAllOffers
from gridlight.messages.ids import GatewayId, NodeId
from gridlight.messages.ledger import RecordEntry, TellPayouts
from gridlight.messages.limits import BATCH_BYTES_MAX
from gridlight.messages.nodes import RequestOffer, SessionStands
from gridlight.messages.operators import NodeBarred, RecordRuling
from gridlight.messages.receipts import RecordSheet
from gridlight.messages.trust import (
    CheckOutcome,
    RecordCheck,
    RecordCommit,
    RecordEpoch,
    RecordFault,
    RecordStanding,
    RecordVerification,
    Role,
    SettleCommits,
)
from gridlight.messages.words import RecordWords
from gridlight.messages.workloads import AnnounceWorkloads, RecordWorkload, StopWorkload

OFFERS_REQUESTED_AT_ONCE: Final = 500
OFFERS_REQUESTED_PAUSE_S: Final = 0.05
"""Ten thousand nodes a second: what a bus and this process bear beside their work."""

_EFFECTS_A_MESSAGE_MAX: Final = 200

_log = structlog.get_logger()


class Performer:
    """Sends effects over the bus. What cannot be sent is not kept: after a reconnect gateways announce again."""

    def __init__(
        self, bus: Bus, shard: str, known_nodes: Callable[[], Iterable[NodeId]], cutter: Cutter | None = None
    ) -> None:
        self._bus = bus
        self._cutter = cutter
        self._shard = shard
        self.checks: Counter[tuple[Role, CheckOutcome]] = Counter()
        """Checks that were over since this process began, for figures."""
        self._known_nodes = known_nodes
        self._nodes_to_ask: list[NodeId] = []
        self._has_nodes_to_ask = asyncio.Event()

    async def perform(self, effects: list[Effect]) -> None:
        """All effects of one committed batch."""
        to_gateways: dict[GatewayId, list[GatewayEffect]] = {}
        for effect in effects:
            match effect:
                case RequestOffer(node_id=node_id):
                    await self._tell_node(node_id, effect)
                case StopWorkload(node_id=node_id):
                    await self._tell_node(None if isinstance(node_id, UnsetType) else node_id, effect)
                case SessionStands() | NodeBarred():
                    await self._keep_out(effect)
                case AnnounceCoordinator() | AnnounceWorkloads():
                    await self._publish(subjects.control_announcements(self._shard), [effect])
                case TellPayouts():
                    await self._publish(subjects.payer_answers(self._shard), effect)
                case RequestAllOffers():
                    self._nodes_to_ask = list(self._known_nodes())
                    self._has_nodes_to_ask.set()
                case RecordCheck(role=role, outcome=outcome):
                    self.checks[role, outcome] += 1
                case (
                    RecordNode()
                    | RecordCommit()
                    | RecordVerification()
                    | SettleCommits()
                    | RecordStanding()
                    | RecordFault()
                    | RecordEpoch()
                    | RecordWorkload()
                    | RecordEntry()
                    | RecordSheet()
                    | RecordWords()
                    | RecordRuling()
                ):
                    pass  # a read model's; written with the record
                case _:
                    to_gateways.setdefault(effect.gateway_id, []).append(effect)
        for gateway_id, orders in to_gateways.items():
            subject = subjects.control_effects(self._shard, gateway_id)
            for start in range(0, len(orders), _EFFECTS_A_MESSAGE_MAX):
                await self._publish(subject, orders[start : start + _EFFECTS_A_MESSAGE_MAX])

    async def tell(self, gateway_id: GatewayId, answer: CoordinatorAnswer) -> None:
        """What a gateway asked, which follows from no event."""
        await self._publish(subjects.control_effects(self._shard, gateway_id), [answer])

    async def ask_nodes(self) -> None:
        """Ask all known nodes for their offers, at a pace, whenever `RequestAllOffers` was performed. Never returns."""
        while True:
            await self._has_nodes_to_ask.wait()
            self._has_nodes_to_ask.clear()
            while self._nodes_to_ask:
                node_ids = self._nodes_to_ask[:OFFERS_REQUESTED_AT_ONCE]
                del self._nodes_to_ask[:OFFERS_REQUESTED_AT_ONCE]
                for node_id in node_ids:
                    await self._tell_node(node_id, RequestOffer(node_id=node_id))
                await asyncio.sleep(OFFERS_REQUESTED_PAUSE_S)

    async def _keep_out(self, said: SessionStands | NodeBarred) -> None:
        """The node hears it; whoever may not be there as that node is cut off."""
        await self._tell_node(said.node_id, said)
        if isinstance(said, NodeBarred):
            _log.warning("a node is barred", node_id=said.node_id, code=said.code, reason=said.reason)
            await self._cut(said.node_id, spared=None)
        elif said.refused is not None:
            _log.warning("a node runs in two places", node_id=said.node_id, refused=said.refused)
            await self._cut(said.node_id, spared=said.session)

    async def _cut(self, node_id: NodeId, spared: str | None) -> None:
        if self._cutter is not None:
            await self._cutter.cut_soon(node_id, spared=spared)

    async def _tell_node(
        self, node_id: NodeId | None, said: RequestOffer | SessionStands | NodeBarred | StopWorkload
    ) -> None:
        """None is all of them: the bus tells hundreds of thousands sooner than we could one after the other."""
        subject = subjects.EVERY_NODE if node_id is None else subjects.node_control(node_id)
        try:
            await self._bus.publish(subject, message=codec.encode(said))
        except BusError as error:
            _log.warning("not sent", node_id=node_id, error=str(error))

    async def _publish(self, subject: str, message: object) -> None:
        data = codec.encode(message)
        assert len(data) <= BATCH_BYTES_MAX
        try:
            await self._bus.publish(subject, data)
        except BusError as error:
            _log.warning("not sent", subject=subject, error=str(error))
