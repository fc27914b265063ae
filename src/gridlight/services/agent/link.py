"""The agent's link to the bus: enrols, connects, and comes back after a break, with a jitter that grows.

nats-py would reconnect at once; a whole fleet that does so comes back as one storm.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from random import SystemRandom
from typing import Final

import structlog

from gridlight.adapters.bus import Bus, BusError, BusRefused, Listener
from gridlight.adapters.certificates import BadCertificate
from gridlight.adapters.clock import monotonic_ms
from gridlight.adapters.credentials import NodeCredentials
from gridlight.adapters.signatures import SigningKey
from gridlight.core.sessions import Sessions, Twin
from gridlight.messages import subjects
from gridlight.messages.api import EnrolmentResponse
from gridlight.messages.ids import NodeId
from gridlight.messages.nodes import SessionStands
from gridlight.messages.operators import BarCode, NodeBarred
from gridlight.services.agent.gateway_api import GatewayApi, GatewayRefused, GatewayUnreachable, apart
from gridlight.services.agent.ways import LastWay, Way, ways_to

JITTER_S_MAX: Final = 60.0
JITTER_S_MIN: Final = 0.05
"""Whatever the network says: a bus that is not there is not asked without a pause."""

CONNECT_S_MAX: Final = 10.0
CONNECT_S_MAX_WITH_ANOTHER_WAY: Final = 4.0
"""A firewall that swallows what it does not like says nothing: so long is waited before the next way is tried."""

TWINS: Final = {
    Twin.REFUSED: (
        "this node's key is in use by another agent, which goes on working; this one does not work. "
        "Stop one of the two, or give this one a folder of its own (--data), and with it a key of its own"
    ),
    Twin.KEPT: (
        "another agent was started with this node's key; it is refused, and this one goes on working. "
        "If it is not yours, whoever runs it has a copy of this folder: start anew with another folder"
    ),
}
"""To the operator of either."""

BARS: Final = {
    BarCode.BANNED: "Ask the network's founder; until a ban is lifted there is nothing to do here.",
    BarCode.ATTESTATION_REVOKED: "Ask the issuer of your attestation for the reason.",
    BarCode.PERSON_TAKEN: "Use one operator key for all your nodes, or stop those of the other.",
    BarCode.TOO_MANY_DEVICES: "Stop another of your nodes, or ask the issuer for a higher level.",
    BarCode.KEY_SUCCEEDED: (
        "Sign another certificate with the operator's new key: `gridlight operator bind`; and start the node again."
    ),
    BarCode.SUCCESSION_REFUSED: "If it was not you who rotated the key, ask the network's founder to ban the thief's.",
    BarCode.SUCCESSION_TOO_SOON: "Until then sign with the key before: `gridlight operator bind --key`, the file kept.",
    BarCode.CERTIFICATE_REVOKED: "Sign another certificate with `gridlight operator bind`, and start the node again.",
}
"""What can be done."""

_ENROL_RETRY_S: Final = (0.2, 0.5, 1.0, 2.0, 5.0)

_log = structlog.get_logger()
_random = SystemRandom()


class Link:
    """One node's connection, made again for as long as the agent runs."""

    def __init__(
        self,
        api: GatewayApi,
        node: SigningKey,
        endorsement: str | None,
        last_way: LastWay,
        *,
        certificate: Callable[[], str],
        attestation: Callable[[], str | None] = lambda: None,
        own_bus_url: str | None = None,
        on_opened: Callable[[str, str], Awaitable[None]],
        on_delivery: Listener,
    ) -> None:
        self.bus: Bus | None = None
        """None while there is no connection."""
        self._api = api
        self._node = node
        self._endorsement = endorsement
        self._certificate = certificate
        """What the operator signed, read or signed anew each time: it may have been renewed, and the key rotated."""
        self._attestation = attestation
        """What an issuer says of the operator; the same."""
        self._last_way = last_way
        self._own_bus_url = own_bus_url
        self._on_opened = on_opened
        self._on_delivery = on_delivery
        self._enrolment: EnrolmentResponse | None = None
        self._enrolled_ms = 0
        self._broken = asyncio.Event()
        self._process = secrets.token_hex(8)
        self._sessions = Sessions()
        self._bar = ""

    @property
    def is_taken(self) -> bool:
        """Whether the network counts what this agent says: it may be that another one has its key."""
        return self._sessions.is_taken

    @property
    def twin(self) -> str:
        """Of another agent with this node's key, in words for the operator; nothing where there is none."""
        twin = self._sessions.twin(monotonic_ms())
        return "" if twin is None else TWINS[twin]

    def heard(self, said: SessionStands) -> None:
        """The network's word on whose session stands. Whoever is not the one leaves, and tries again later."""
        twin = self._sessions.hear(monotonic_ms(), said)
        if twin is None:
            return
        _log.warning(TWINS[twin], node_id=said.node_id, stands=said.session, refused=said.refused)
        if twin is Twin.REFUSED:
            self._broken.set()

    def barred(self, said: NodeBarred) -> None:
        """The network takes this node no longer: `keep` ends with its reason. Where the operator has another key by
        now, its certificate may be here already: the node joins anew, and ends where it is refused.
        """
        if said.code is BarCode.KEY_SUCCEEDED:
            _log.warning("the operator's key was succeeded: joining anew")
            self._enrolment = None
            self._broken.set()
            return
        reason = f": {said.reason}" if said.reason else ""
        self._bar = f"{said.code}: the network takes this node no longer{reason}. {BARS[said.code]}"
        _log.error("barred", code=said.code, reason=said.reason)
        self._broken.set()

    async def enrol(self) -> EnrolmentResponse:
        """Get credentials, however long the gateway is away. GatewayRefused where it says no."""
        for attempt in range(2**31):
            try:
                self._enrolment = await apart(self._enrol)
            except GatewayUnreachable as error:
                pause_s = _ENROL_RETRY_S[min(attempt, len(_ENROL_RETRY_S) - 1)]
                _log.warning("cannot join yet", error=str(error), again_in_s=pause_s)
                await asyncio.sleep(pause_s * _random.uniform(0.5, 1.0))
                continue
            self._enrolled_ms = monotonic_ms()
            break
        assert self._enrolment is not None
        return self._enrolment

    def _enrol(self) -> EnrolmentResponse:
        try:
            certificate, attestation = self._certificate(), self._attestation()
        except BadCertificate as bad:  # no network would take it
            raise GatewayRefused(f"{bad}; {bad.hint}") from bad
        return self._api.enrol(self._node, certificate, self._endorsement, attestation)

    async def keep(self) -> None:
        """Connect, and again whenever the connection breaks. Never returns; GatewayRefused ends it."""
        attempt = 0
        while True:
            enrolment = await self._fresh_enrolment()
            if attempt:
                jitter_s = max(JITTER_S_MIN, enrolment.reconnect_jitter_s) * 2 ** (attempt - 1)
                await asyncio.sleep(_random.uniform(0, min(JITTER_S_MAX, jitter_s)))
            attempt = min(attempt + 1, 16)
            try:
                await self._connect_by_some_way(enrolment)
            except BusError as error:
                _log.warning("no connection", error=str(error), attempt=attempt)
                # Refused credentials are not tried for ever: the next attempt brings new ones.
                self._enrolled_ms -= enrolment.expires_s * 1_000 if isinstance(error, BusRefused) else 0
                continue
            await self._broken.wait()
            if self._bar:
                raise GatewayRefused(self._bar)
            _log.warning("the connection broke")
            bus, self.bus = self.bus, None
            attempt = 1
            if bus is not None and bus.is_connected:  # it is us who leave
                await bus.close()
                await asyncio.sleep(self._sessions.pause_ms() / 1_000)

    async def close(self) -> None:
        """Leave the bus."""
        if self.bus is not None:
            await self.bus.close()

    async def _fresh_enrolment(self) -> EnrolmentResponse:
        """The credentials in hand while half their life is left, else new ones."""
        enrolment = self._enrolment
        if enrolment is not None and monotonic_ms() - self._enrolled_ms < enrolment.expires_s * 500:
            return enrolment
        return await self.enrol()

    async def _connect_by_some_way(self, enrolment: EnrolmentResponse) -> None:
        """By the first way that leads there. BusError where none does, BusRefused where the bus does not take us."""
        ways = ways_to(enrolment, last=self._last_way.kind, own_url=self._own_bus_url)
        if not ways:
            raise BusError("the network names no address of its bus")
        *others, last = ways
        for way in others:
            try:
                return await self._connect(enrolment, way, CONNECT_S_MAX_WITH_ANOTHER_WAY)
            except BusRefused:
                raise
            except BusError as error:
                _log.info("no connection this way", error=str(error), way=way.kind)
        return await self._connect(enrolment, last, CONNECT_S_MAX)

    async def _connect(self, enrolment: EnrolmentResponse, way: Way, timeout_s: float) -> None:
        self._broken.clear()
        node_id = NodeId(self._node.public)
        session = secrets.token_hex(8)
        self._sessions.opened(session)
        bus = await Bus.connect(
            url=way.url,
            name=subjects.node_connection(node_id, session),
            credentials=NodeCredentials(jwt=enrolment.user_jwt, key=self._node),
            on_closed=self._closed,
            reconnect=False,
            connect_timeout_s=timeout_s,
            ping_interval_s=10.0,
        )
        for subject in (subjects.node_tasks(node_id), subjects.EVERY_NODE):
            await bus.listen(subject, self._on_delivery)
        self.bus = bus
        self._last_way.keep(way.kind)
        _log.info("connected", nats_url=way.url, way=way.kind)
        await self._on_opened(session, self._process)

    async def _closed(self) -> None:
        self._broken.set()
