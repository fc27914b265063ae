"""Nodes: how one joins, what it offers, and what the coordinator learns of its connection."""

from enum import StrEnum
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from gridlight.messages.ids import AssignmentIdField, GatewayIdField, NodeIdField, WorkloadIdField
from gridlight.messages.limits import SLOTS_PER_OFFER_MAX, WORKLOADS_PER_OFFER_MAX
from gridlight.messages.operators import SUCCESSIONS_MAX, Attested, OperatorKeyField, TimeField
from gridlight.messages.trust import Tier

ShortText = Annotated[str, Meta(pattern=r"^[ -~]{0,64}$(?!\n)")]
"""Printable: it is stored and shown."""

PrefixField = Annotated[str, Meta(pattern=r"^[0-9a-f.:/]{0,43}$(?!\n)")]
"""An address' /24 (IPv4) or /48 (IPv6)."""

SessionField = Annotated[str, Meta(pattern=r"^[0-9a-f]{16}$(?!\n)")]
"""Random bytes: one connection of a node."""

SuccessionField = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_=.-]{1,1024}$(?!\n)")]
"""`base64url(OperatorSuccession).base64url(signature with the old key).base64url(signature with the new key)`."""

CpusField = Annotated[int, Meta(ge=1, le=4096)]
MemoryField = Annotated[int, Meta(ge=1, le=64 * 1024 * 1024)]


class EnrolNode(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="node.enrol.v1"):
    """The node's signed request to join; the HTTP body of `POST /v1/nodes`."""

    node_id: NodeIdField
    operator: OperatorKeyField
    """The operator's public nkey; counts where `certificate` proves it, else the node is its own operator."""
    nonce: Annotated[str, Meta(min_length=16, max_length=256)]
    """As given by `POST /v1/nodes/challenge`, so that an old enrolment cannot be replayed."""
    agent_version: ShortText
    cpus: CpusField
    memory_mib: MemoryField
    endorsement: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_=.-]{1,1024}$(?!\n)")] | None = None
    """`base64url(NodeEndorsement).base64url(signature)`: the network's word that it is one of its founder's nodes."""
    certificate: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_=.-]{1,1024}$(?!\n)")] | None = None
    """`base64url(NodeCertificate).base64url(signature)`: the operator's word that it is theirs."""
    attestation: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,2048}$(?!\n)")] | UnsetType = UNSET
    """A compact JWS: an issuer's word on the operator."""
    successions: Annotated[tuple[SuccessionField, ...], Meta(max_length=SUCCESSIONS_MAX)] | UnsetType = UNSET
    """How the key of the certificate followed on the operator's first one, the oldest first."""


class NodeEnrolled(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="node.enrolled.v1"):
    """A gateway checked the node's proof of key."""

    gateway_id: GatewayIdField
    node_id: NodeIdField
    operator: OperatorKeyField
    """Who proved to be; the node's own key where nobody did."""
    agent_version: ShortText
    cpus: CpusField
    memory_mib: MemoryField
    endorsed: Tier | None = None
    """What the network's own signature says it is; a newcomer where there is none."""
    prefix: PrefixField = ""
    """Of the address that it enrolled from; empty where that is unknown."""
    certificate_serial: TimeField | UnsetType = UNSET
    """Of the operator's certificate, where there was one."""
    attested: Attested | UnsetType = UNSET
    """Of the operator, where an issuer that the network believes says so."""
    predecessors: Annotated[tuple[OperatorKeyField, ...], Meta(max_length=SUCCESSIONS_MAX)] | UnsetType = UNSET
    """The operator's keys before this one, the first one first, each of which handed over to the next."""


class AdmitNode(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="node.admit.v1"):
    """To the gateway: the enrolment is in the journal, give the node its credentials."""

    gateway_id: GatewayIdField
    node_id: NodeIdField


class SlotOffer(Struct, frozen=True, gc=False, kw_only=True):
    """How many tasks of a workload a node runs at once, how many more it holds, and what its benchmark took."""

    workload: WorkloadIdField
    slots: Annotated[int, Meta(ge=0, le=SLOTS_PER_OFFER_MAX)]
    lookahead: Annotated[int, Meta(ge=0, le=SLOTS_PER_OFFER_MAX)] = 0
    """Tasks it holds in readiness beyond those it runs, so that its workers need not wait for a round trip."""
    benchmark_ms: Annotated[int, Meta(ge=1, le=600_000)] | None = None


class OwnerState(StrEnum):
    """Whether the operator lends the machine, and why not; no more of it than the network needs to count."""

    AVAILABLE = "available"
    PAUSED = "paused"
    FINISHING = "finishing"
    IN_USE = "in_use"
    ON_BATTERY = "on_battery"
    OUT_OF_HOURS = "out_of_hours"
    PRICE_HIGH = "price_high"
    BUSY = "busy"
    AT_LIMIT = "at_limit"


class OfferChanged(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="offer.changed.v1"):
    """The slots a node lends, standing until its connection closes. `session` is new with each connection."""

    node_id: NodeIdField
    session: SessionField
    offers: Annotated[tuple[SlotOffer, ...], Meta(max_length=WORKLOADS_PER_OFFER_MAX)]
    owner_state: OwnerState = OwnerState.AVAILABLE
    """Why the slots are 0, where it is the operator's doing."""
    process: SessionField | UnsetType = UNSET
    """New with each start of the agent, so that two agents with one key are told from one that comes back."""


class NodeDisconnected(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="node.disconnected.v1"):
    """The bus saw the node's connection close."""

    node_id: NodeIdField
    session: SessionField | UnsetType = UNSET
    """Of that connection, where it said so; that of another one concerns nobody."""


class RequestOffer(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="node.request_offer.v1"):
    """To a node on its control subject: publish your offer again."""

    node_id: NodeIdField


class CancelWork(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="node.cancel.v1"):
    """To a node on its control subject: the result of this assignment is no longer wanted."""

    assignment_id: AssignmentIdField


class DrainNode(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="node.drain.v1"):
    """To a node on its control subject: finish what you have and take nothing more."""


class SessionStands(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="node.session_stands.v1"):
    """To a node on its control subject: the session whose offers count, and which alone answers assignments.

    Whoever else holds the node's key hears it, too.
    """

    node_id: NodeIdField
    session: SessionField
    refused: SessionField | None = None
    """Of another process with the same key, whose offer is not taken: the node runs in two places."""
