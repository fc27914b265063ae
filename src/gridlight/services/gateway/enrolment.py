"""How a node joins: a nonce that needs no memory, proof of the node's key over it, and the coordinator's admission."""

import asyncio
import base64
import binascii
import hmac
import secrets
from collections import defaultdict
from collections.abc import Sequence
from hashlib import blake2b, sha256
from typing import Final

from msgspec import UNSET, UnsetType

from gridlight.adapters.certificates import check_certificate
from gridlight.adapters.credentials import NodeIssuer
from gridlight.adapters.endorsements import endorsed_tier
from gridlight.adapters.signatures import is_public_key, verify
from gridlight.adapters.successions import predecessors
from gridlight.core.versions import is_older
from gridlight.messages.api import ChallengeResponse, EnrolmentResponse, NetworkResponse
from gridlight.messages.codec import ProtocolViolation, enrolments
from gridlight.messages.envelope import ENROLMENT_DOMAIN, REASONS_DOMAIN
from gridlight.messages.ids import GatewayId, NodeId, WorkloadId
from gridlight.messages.nodes import EnrolNode, NodeEnrolled
from gridlight.messages.operators import AttestationsHeld, AttestationsRevoked, Attested, NodeCertificate, RefuseNode
from gridlight.messages.trust import Tier
from gridlight.services.gateway.attesting import Attestations
from gridlight.services.gateway.config import GatewayConfig
from gridlight.services.gateway.errors import KINDS, Refusal
from gridlight.services.gateway.metrics import Metrics
from gridlight.services.gateway.outbox import Outbox
from gridlight.services.gateway.peers import peer_of, prefix_of, read_networks

NONCE_TTL_S: Final = 60
ADMISSION_S_MAX: Final = 5.0
WAITING_MAX: Final = 1_024
_TIME_BYTES: Final = 8
_RANDOM_BYTES: Final = 16
_MAC_BYTES: Final = 16
_ADMITTED: Final = "ADMITTED"
"""Stands among the refusals' codes in the count of enrolments."""


class Nonces:
    """A nonce is its own expiry, random bytes and a MAC over both, so any gateway with the key can check it.

    It may be used twice within its minute. That gains nobody anything: the answer, a JWT, only serves the key's holder.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def make(self, now_ms: int) -> str:
        """Valid for NONCE_TTL_S."""
        expires_ms = now_ms + NONCE_TTL_S * 1_000
        text = expires_ms.to_bytes(_TIME_BYTES, "big") + secrets.token_bytes(_RANDOM_BYTES)
        return base64.urlsafe_b64encode(text + self._mac(text)).decode()

    def is_valid(self, nonce: str, now_ms: int) -> bool:
        """Whether we made it, and not too long ago."""
        try:
            raw = base64.b64decode(nonce.encode("ascii"), altchars=b"-_", validate=True)
        except (binascii.Error, UnicodeEncodeError):
            return False
        text, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
        if len(text) != _TIME_BYTES + _RANDOM_BYTES or not hmac.compare_digest(mac, self._mac(text)):
            return False
        return now_ms < int.from_bytes(text[:_TIME_BYTES], "big")

    def _mac(self, text: bytes) -> bytes:
        return hmac.digest(self._key, text, sha256)[:_MAC_BYTES]


class Enrolments:
    """Checks who asks to join, tells the coordinator, and waits until its journal holds the node."""

    def __init__(
        self,
        config: GatewayConfig,
        gateway_id: GatewayId,
        *,
        outbox: Outbox,
        workloads: list[WorkloadId],
        metrics: Metrics,
        admission_s_max: float = ADMISSION_S_MAX,
    ) -> None:
        self._config = config
        self._gateway_id = gateway_id
        self._outbox = outbox
        self._workloads = workloads
        self._counted = metrics.enrolments
        self._admission_s_max = admission_s_max
        self._trusted_proxies = read_networks(config.trusted_proxies)
        self._issuer = NodeIssuer.load(config.node_signer_key)
        # Derived, so that every gateway of the network checks the others' nonces and no further secret is kept.
        self._nonces = Nonces(blake2b(config.node_signer_key.read_bytes(), person=b"gridlight.nonce").digest())
        self.attestations: Final = Attestations(
            config.issuers,
            network=config.network_key,
            is_required=config.are_attestations_required,
            refresh_s=config.status_refresh_s,
            outbox=outbox,
        )
        self._waiting: dict[NodeId, list[asyncio.Future[None]]] = defaultdict(list)
        self._announced: dict[NodeId, NodeEnrolled] = {}

    def challenge(self, now_ms: int) -> ChallengeResponse:
        """What the node must sign."""
        return ChallengeResponse(nonce=self._nonces.make(now_ms), expires_s=NONCE_TTL_S)

    def network(self, version: str) -> NetworkResponse:
        """What whoever thinks of joining may know."""
        return NetworkResponse(
            version=version,
            agent_version_min=self._config.agent_version_min,
            nats_url=self._config.public_nats_url,
            websocket_url=self._config.public_websocket_url,
        )

    async def enrol(
        self, now_ms: int, body: bytes, signature: bytes | None, *, connected: str, forwarded: Sequence[bytes] = ()
    ) -> EnrolmentResponse:
        """The node's credentials, once the coordinator has admitted it. Refusal else.

        `connected` is the address at the other end, `forwarded` what the request says of others before it.
        """
        prefix = prefix_of(peer_of(connected, forwarded, self._trusted_proxies))
        try:
            enrolment = self._check(now_ms, body, signature)
            certificate = self._certificate(now_ms, enrolment)
            before = self._predecessors(enrolment, certificate)
            # An issuer's word on an earlier key holds on: who had it said whose the next one is.
            keys = () if certificate is None else (*before, certificate.operator)
            attested = self.attestations.checked(enrolment.attestation, keys, now_ms // 1_000)
            event = self._event(enrolment, certificate, before, attested, prefix)
            await self._admission(event)
        except Refusal as refusal:
            self._counted.labels(refusal.code).inc()
            raise
        self._counted.labels(_ADMITTED).inc()
        ttl_s = self._config.node_jwt_ttl_s
        if certificate is not None:  # whoever's certificate expires is off the bus by then
            ttl_s = min(ttl_s, max(1, (certificate.not_after_ms - now_ms) // 1_000))
        if isinstance(attested, Attested):
            ttl_s = min(ttl_s, max(1, (attested.expires_ms - now_ms) // 1_000))
        return EnrolmentResponse(
            node_id=enrolment.node_id,
            user_jwt=self._issuer.issue_node_jwt(enrolment.node_id, ttl_s=ttl_s),
            nats_url=self._config.public_nats_url,
            expires_s=ttl_s,
            workloads=list(self._workloads),
            reconnect_jitter_s=self._config.reconnect_jitter_s,
            websocket_url=self._config.public_websocket_url,
            network_key=self._config.network_key,
        )

    def admitted(self, node_id: NodeId) -> None:
        """The coordinator's journal holds the node."""
        for waiter in self._waiting.get(node_id, ()):
            if not waiter.done():
                waiter.set_result(None)

    def refused(self, effect: RefuseNode) -> None:
        """The coordinator does not take the node."""
        said = None if not effect.reason else f"{KINDS[effect.code].message} {effect.reason}"
        for waiter in self._waiting.get(effect.node_id, ()):
            if not waiter.done():
                waiter.set_exception(Refusal(effect.code, said))

    def demand_node(
        self, now_ms: int, node_id: NodeId, nonce: bytes | None, signature: bytes | None, domain: bytes = REASONS_DOMAIN
    ) -> None:
        """Refusal where it is not the node itself that asks: it signs a nonce of ours, so no old proof serves again."""
        if nonce is None or signature is None:
            raise Refusal("NOT_THE_NODE")
        self._demand_key(now_ms, node_id, nonce, signature, domain, "node")

    def demand_operator(
        self, now_ms: int, operator: str, nonce: bytes | None, signature: bytes | None, domain: bytes
    ) -> None:
        """The same of an operator."""
        if nonce is None or signature is None:
            raise Refusal("NOT_THE_OPERATOR")
        self._demand_key(now_ms, operator, nonce, signature, domain, "operator")

    def _demand_key(self, now_ms: int, key: str, nonce: bytes, signature: bytes, domain: bytes, whose: str) -> None:
        if not self._nonces.is_valid(nonce.decode("latin-1"), now_ms):
            raise Refusal("BAD_NONCE")
        if not verify(key, domain, nonce, signature):
            raise Refusal("BAD_SIGNATURE", f"The signature is not the {whose}'s over the nonce.")

    def announcements(self) -> list[NodeEnrolled | AttestationsRevoked | AttestationsHeld]:
        """Enrolments that wait, and what is revoked or held, for a coordinator that may not know of them."""
        return [*self._announced.values(), *self.attestations.announcements()]

    def _check(self, now_ms: int, body: bytes, signature: bytes | None) -> EnrolNode:
        try:
            enrolment = enrolments.decode(body)
        except ProtocolViolation as violation:
            raise Refusal("BAD_ENROLMENT", f"The enrolment cannot be read: {str(violation)[:200]}.") from None
        if not (is_public_key(enrolment.node_id) and is_public_key(enrolment.operator)):
            raise Refusal("BAD_ENROLMENT", "node_id and operator must be public nkeys of users.")
        if not self._nonces.is_valid(enrolment.nonce, now_ms):
            raise Refusal("BAD_NONCE")
        if signature is None or not verify(enrolment.node_id, ENROLMENT_DOMAIN, body, signature):
            raise Refusal("BAD_SIGNATURE")
        oldest = self._config.agent_version_min
        if is_older(enrolment.agent_version, oldest):
            raise Refusal("AGENT_TOO_OLD", f"This agent is {enrolment.agent_version}, the network takes {oldest} on.")
        return enrolment

    def _endorsed(self, enrolment: EnrolNode) -> Tier | None:
        """What the network says of the node. A false word is refused: passed over, it would cost nothing to try."""
        if enrolment.endorsement is None:
            return None
        try:
            return endorsed_tier(enrolment.endorsement, enrolment.node_id, self._config.network_key)
        except ProtocolViolation as violation:
            raise Refusal("BAD_ENDORSEMENT", f"The endorsement does not hold: {str(violation)[:200]}.") from None

    def _certificate(self, now_ms: int, enrolment: EnrolNode) -> NodeCertificate | None:
        """Whose the node is, where its operator says so; a false word is refused, as with endorsements."""
        if enrolment.certificate is None:
            return None
        try:
            certificate = check_certificate(enrolment.certificate, enrolment.node_id, now_ms=now_ms)
        except ProtocolViolation as violation:
            raise Refusal("BAD_CERTIFICATE", f"The certificate does not hold: {str(violation)[:200]}.") from None
        if certificate.operator != enrolment.operator:
            raise Refusal("BAD_CERTIFICATE", "The certificate is another operator's than the enrolment names.")
        return certificate

    def _predecessors(self, enrolment: EnrolNode, certificate: NodeCertificate | None) -> tuple[str, ...]:
        """The operator's keys before the certificate's; what does not lead to it is refused, as all that is false."""
        if certificate is None:
            return ()
        try:
            return predecessors(certificate, enrolment.successions or ())
        except ProtocolViolation as violation:
            raise Refusal("BAD_SUCCESSION", f"The successions do not hold: {str(violation)[:200]}.") from None

    def _event(
        self,
        enrolment: EnrolNode,
        certificate: NodeCertificate | None,
        before: tuple[str, ...],
        attested: Attested | UnsetType,
        prefix: str,
    ) -> NodeEnrolled:
        """All that was proved."""
        return NodeEnrolled(
            gateway_id=self._gateway_id,
            node_id=enrolment.node_id,
            operator=enrolment.node_id if certificate is None else certificate.operator,
            agent_version=enrolment.agent_version,
            cpus=enrolment.cpus,
            memory_mib=enrolment.memory_mib,
            endorsed=self._endorsed(enrolment),
            prefix=prefix,
            certificate_serial=UNSET if certificate is None else certificate.serial,
            attested=attested,
            predecessors=before or UNSET,
        )

    async def _admission(self, event: NodeEnrolled) -> None:
        if len(self._announced) >= WAITING_MAX:
            raise Refusal("BUSY", "Too many nodes are joining at once.")
        node_id = event.node_id
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[node_id].append(waiter)
        self._announced[node_id] = event
        self._outbox.add(event)
        try:
            async with asyncio.timeout(self._admission_s_max):
                await waiter
        except TimeoutError:
            raise Refusal("NO_COORDINATOR") from None
        finally:
            self._waiting[node_id].remove(waiter)
            if not self._waiting[node_id]:
                del self._waiting[node_id]
                del self._announced[node_id]
