"""What an operator signs, what others vouch for of an operator, and what the network rules of nodes and operators."""

from enum import StrEnum
from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from gridlight.messages.ids import GatewayIdField, NodeIdField
from gridlight.messages.ledger import AMOUNT_MAX

CERTIFICATE_DAYS_MAX = 14
SUCCESSIONS_MAX = 16
"""Of one lineage."""

REASON_CHARACTERS_MAX = 200
OperatorKeyField = Annotated[str, Meta(pattern=r"^U[A-Z2-7]{55}$(?!\n)")]
AddressField = Annotated[str, Meta(pattern=r"^(G[A-Z2-7]{55}|M[A-Z2-7]{68})$(?!\n)")]
"""Of the chain, by its form; `adapters.chain.addresses` checks the sum within."""
TimeField = Annotated[int, Meta(ge=0, le=2**53 - 1)]
ReasonText = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]{0,200}$(?!\n)")]
"""One line for people."""

DEVICES_MAX = 64
INDICES_MAX = 200
STATUS_INDEX_MAX = 2**23 - 1
IndexField = Annotated[int, Meta(ge=0, le=STATUS_INDEX_MAX)]
"""Of an attestation, in its issuer's status list."""
NullifierField = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]
"""One person in one network, and nothing else of the person."""


class NodeCertificate(Struct, frozen=True, kw_only=True, tag_field="type", tag="node.certificate.v1"):
    """The operator's word that a node is theirs, signed with the operator's key and carried by the node."""

    node_id: NodeIdField
    operator: OperatorKeyField
    not_after_ms: TimeField
    """Since 1970; at most CERTIFICATE_DAYS_MAX from when it is shown."""
    serial: TimeField
    """Of two certificates of one node the later one has the higher."""
    lineage: OperatorKeyField | UnsetType = UNSET
    """The operator's first key, where `operator` is a later one: without its successions the certificate is worth
    nothing, so that a node that forgot them does not begin as another operator's.
    """


class OperatorSuccession(Struct, frozen=True, kw_only=True, tag_field="type", tag="operator.succession.v1"):
    """An operator's word that a new key takes the place of the old one, signed with both and carried by the nodes."""

    old_key: OperatorKeyField
    new_key: OperatorKeyField
    serial: TimeField
    """When it was signed, by the signer's clock, in milliseconds since 1970."""


class PayoutStatement(Struct, frozen=True, kw_only=True, tag_field="type", tag="payout.statement.v1"):
    """The operator's word on where they are paid, and from what amount on; signed with the operator's key."""

    operator: OperatorKeyField
    address: AddressField | None
    """Nothing is paid while there is none."""
    threshold: Annotated[int, Meta(ge=1, le=AMOUNT_MAX)]
    """Units of 1e-7 coin; less is not paid."""
    serial: TimeField
    """When it was signed, in milliseconds since 1970; of two statements the one with the higher serial stands."""


class Verdict(StrEnum):
    """What an administrator rules of a node or an operator."""

    BANNED = "banned"
    """It may not join, nor may any node of the operator."""
    ALLOWED = "allowed"
    """A ban is lifted."""
    REVOKED = "revoked"
    """Its certificates of until now do not hold any more; later ones do."""


class BarCode(StrEnum):
    """Why the network does not take a node; the code of its refusal, too."""

    BANNED = "NODE_BANNED"
    CERTIFICATE_REVOKED = "CERTIFICATE_REVOKED"
    ATTESTATION_REVOKED = "ATTESTATION_REVOKED"
    PERSON_TAKEN = "PERSON_TAKEN"
    """Nodes of another operator, who is the same person, are online."""
    TOO_MANY_DEVICES = "TOO_MANY_DEVICES"
    KEY_SUCCEEDED = "KEY_SUCCEEDED"
    """The certificate is signed with a key whose successor the network has known for longer than both may hold."""
    SUCCESSION_REFUSED = "SUCCESSION_REFUSED"
    """The old key has another successor, or the new one is known already."""
    SUCCESSION_TOO_SOON = "SUCCESSION_TOO_SOON"
    """The operator's last succession is less than a fortnight old."""


class Hold(StrEnum):
    """Why a node of an attested operator is not trusted, whatever its clean run says."""

    LEVEL_0 = "level_0"
    """The issuer knows nothing of the person: its nodes run in shadow alone, and unpaid."""
    STATUS_STALE = "status_stale"
    """The issuer's status list was not read for an hour: nobody becomes trusted meanwhile."""
    STATUS_LOST = "status_lost"
    """Nor for a day: as with level 0, until it is read again."""


SHADOW_ONLY: Final = frozenset((Hold.LEVEL_0, Hold.STATUS_LOST))
"""Those that keep a node in shadow, and unpaid."""


class Attested(Struct, frozen=True, gc=False, kw_only=True):
    """What a gateway checked of an attestation: no more of a person than the network has to know."""

    issuer: Annotated[str, Meta(pattern=r"^[!-~]{1,200}$(?!\n)")]
    nullifier: NullifierField
    level: Annotated[int, Meta(ge=0, le=2)]
    devices_max: Annotated[int, Meta(ge=1, le=DEVICES_MAX)]
    index: IndexField
    expires_ms: TimeField
    hold: Hold | UnsetType = UNSET
    """What follows from its level alone, in a network that requires attestations."""


class AttestationsRevoked(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="attestations.revoked.v1"):
    """An issuer's status list says so, as a gateway saw; those of nodes that are there hold no longer."""

    issuer: Annotated[str, Meta(pattern=r"^[!-~]{1,200}$(?!\n)")]
    indices: Annotated[tuple[IndexField, ...], Meta(max_length=INDICES_MAX)]


class AttestationsHeld(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="attestations.held.v1"):
    """How old an issuer's status list is, as a gateway saw, and what follows for the nodes that it attests."""

    issuer: Annotated[str, Meta(pattern=r"^[!-~]{1,200}$(?!\n)")]
    hold: Hold | None
    """Nothing where the list is of the last hour."""


class KeyRuled(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="key.ruled.v1"):
    """An administrator ruled of a key: a node's, or an operator's and so of all the operator's nodes."""

    gateway_id: GatewayIdField
    key: OperatorKeyField
    verdict: Verdict
    reason: ReasonText
    revoked_until: TimeField = 0
    """With `revoked`: the highest serial of a certificate that does not hold any more."""


class TellRuling(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="ruling.tell.v1"):
    """To the gateway that asked: the ruling is in the journal, and so many known nodes are concerned."""

    gateway_id: GatewayIdField
    key: OperatorKeyField
    verdict: Verdict
    nodes: Annotated[int, Meta(ge=0)]


class RecordRuling(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="ruling.record.v1"):
    """For the audit log: a ruling, and how many known nodes it concerned."""

    ruled: KeyRuled
    nodes: Annotated[int, Meta(ge=0)]


class RefuseNode(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="node.refuse.v1"):
    """To the gateway: the node may not join."""

    gateway_id: GatewayIdField
    node_id: NodeIdField
    code: BarCode
    reason: ReasonText = ""


class NodeBarred(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="node.barred.v1"):
    """To a node on its control subject: you get nothing any more, and your connection ends; this is why."""

    node_id: NodeIdField
    code: BarCode
    reason: ReasonText = ""
