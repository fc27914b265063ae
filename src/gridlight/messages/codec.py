"""Bytes to message and back: the one place that decodes what others sent, with limits and counted reasons.

JSON on the bus and HTTP, MessagePack in the journal. Past `decode`, data is typed and trusted to its type only.
"""

from enum import StrEnum
from typing import Annotated, Any, Final, Generic, TypeVar

import msgspec

from gridlight.messages.funds import EarningsAsked, FundsAsked, TellEarnings, TellFunds
from gridlight.messages.host import (
    AnnounceCoordinator,
    BusReconnected,
    CoordinatorStarted,
    RecordNode,
    RequestAllOffers,
    TimePassed,
)
from gridlight.messages.jobs import CancelAssignment, EndJob, JobSubmitted, JobWithdrawn, SendAssignment
from gridlight.messages.ledger import (
    AccountCredited,
    PayoutsEnded,
    PayoutsWanted,
    PricesSet,
    RecordEntry,
    TellPayouts,
)
from gridlight.messages.limits import BATCH_BYTES_MAX, BATCH_MESSAGES_MAX, MESSAGE_BYTES_MAX
from gridlight.messages.manifests import (
    MANIFEST_BYTES_MAX,
    STATEMENT_CHARACTERS_MAX,
    Countersignature,
    Manifest,
    Publication,
    StopOrder,
)
from gridlight.messages.nodes import (
    AdmitNode,
    CancelWork,
    DrainNode,
    EnrolNode,
    NodeDisconnected,
    NodeEnrolled,
    OfferChanged,
    RequestOffer,
    SessionStands,
)
from gridlight.messages.operators import (
    AttestationsHeld,
    AttestationsRevoked,
    KeyRuled,
    NodeBarred,
    NodeCertificate,
    OperatorSuccession,
    PayoutStatement,
    RecordRuling,
    RefuseNode,
    TellRuling,
)
from gridlight.messages.reasons import ReasonsAsked, ReasonsSample, TellReasons
from gridlight.messages.receipts import RecordSheet
from gridlight.messages.results import ResultSubmitted
from gridlight.messages.tasks import (
    Assignment,
    AssignmentAcknowledged,
    AssignmentDeclined,
    AssignmentFailed,
    AssignmentUndeliverable,
)
from gridlight.messages.trust import (
    EpochBegan,
    KeepInput,
    NodeEndorsement,
    RecordCheck,
    RecordCommit,
    RecordEpoch,
    RecordFault,
    RecordStanding,
    RecordVerification,
    ReleaseInput,
    SettleCommits,
)
from gridlight.messages.words import RecordWords
from gridlight.messages.workloads import (
    AnnounceWorkloads,
    RecordWorkload,
    StopWorkload,
    WorkloadApproved,
    WorkloadStopped,
)

NodeReply = AssignmentAcknowledged | AssignmentDeclined | AssignmentFailed | ResultSubmitted
"""What a node answers to an assignment."""

NodeControl = CancelWork | DrainNode | RequestOffer | StopWorkload | SessionStands | NodeBarred
"""What a node hears on its control subject."""

GatewayEvent = (
    JobSubmitted
    | JobWithdrawn
    | NodeEnrolled
    | AssignmentAcknowledged
    | AssignmentDeclined
    | AssignmentFailed
    | AssignmentUndeliverable
    | ResultSubmitted
    | WorkloadApproved
    | WorkloadStopped
    | AccountCredited
    | KeyRuled
    | AttestationsRevoked
    | AttestationsHeld
)
"""What a gateway tells the coordinator."""

GatewayQuestion = ReasonsAsked | FundsAsked | EarningsAsked

GatewayWord = GatewayEvent | GatewayQuestion
"""The same, and what it asks: that changes nothing, so it is answered at once and is in no journal."""

HostEvent = CoordinatorStarted | BusReconnected | TimePassed | EpochBegan | PricesSet
"""What the host tells the core of itself, and of the world beside the bus."""

PayerQuestion = PayoutsWanted | PayoutsEnded

PayerWord = PayerQuestion | AccountCredited
"""What the payer tells the coordinator. Of credits it tells deposits alone, and gateways tell grants alone."""

Event = GatewayEvent | OfferChanged | NodeDisconnected | HostEvent | PayerWord
"""All that enters the core, and so all that the journal holds."""

GatewayEffect = (
    SendAssignment
    | CancelAssignment
    | EndJob
    | AdmitNode
    | AnnounceCoordinator
    | KeepInput
    | ReleaseInput
    | AnnounceWorkloads
    | RefuseNode
    | TellRuling
)
"""What the coordinator tells a gateway."""

CoordinatorAnswer = TellReasons | TellFunds | TellEarnings

CoordinatorWord = GatewayEffect | CoordinatorAnswer
"""The same, and what it answers."""

TrustRecord = (
    RecordCommit | RecordVerification | SettleCommits | RecordCheck | RecordStanding | RecordFault | RecordEpoch
)
"""What the read models shall say of answers and nodes, in the same transaction as the journal."""

MoneyRecord = RecordEntry | RecordSheet | RecordWords
"""What the ledger's tables shall hold, in the same transaction as the journal."""

Effect = (
    GatewayEffect
    | RequestOffer
    | SessionStands
    | NodeBarred
    | StopWorkload
    | RequestAllOffers
    | RecordNode
    | RecordRuling
    | RecordWorkload
    | TrustRecord
    | MoneyRecord
    | TellPayouts
)
"""All that leaves the core."""

MESSAGE_TYPES: Final[tuple[type[msgspec.Struct], ...]] = (
    Assignment,
    AssignmentAcknowledged,
    AssignmentDeclined,
    AssignmentFailed,
    ResultSubmitted,
    OfferChanged,
    CancelWork,
    DrainNode,
    RequestOffer,
    EnrolNode,
    JobSubmitted,
    JobWithdrawn,
    NodeEnrolled,
    AssignmentUndeliverable,
    NodeDisconnected,
    CoordinatorStarted,
    BusReconnected,
    TimePassed,
    SendAssignment,
    CancelAssignment,
    EndJob,
    AdmitNode,
    AnnounceCoordinator,
    RequestAllOffers,
    RecordNode,
    NodeEndorsement,
    EpochBegan,
    KeepInput,
    ReleaseInput,
    RecordCommit,
    RecordVerification,
    SettleCommits,
    RecordCheck,
    RecordStanding,
    RecordFault,
    RecordEpoch,
    ReasonsAsked,
    TellReasons,
    Publication,
    Countersignature,
    StopOrder,
    WorkloadApproved,
    WorkloadStopped,
    StopWorkload,
    AnnounceWorkloads,
    RecordWorkload,
    PricesSet,
    AccountCredited,
    RecordEntry,
    RecordSheet,
    NodeCertificate,
    PayoutsWanted,
    PayoutsEnded,
    TellPayouts,
    FundsAsked,
    TellFunds,
    EarningsAsked,
    TellEarnings,
    SessionStands,
    KeyRuled,
    TellRuling,
    RecordRuling,
    RefuseNode,
    NodeBarred,
    AttestationsRevoked,
    OperatorSuccession,
    PayoutStatement,
    AttestationsHeld,
    RecordWords,
)
"""Every message with a type and version of its own; docs/protocol.md and schemas/ are drawn from this."""


class ViolationReason(StrEnum):
    """How a peer broke the protocol; counted, never raised past the edge."""

    TOO_LARGE = "too_large"
    MALFORMED = "malformed"
    WRONG_SENDER = "wrong_sender"
    BAD_SIGNATURE = "bad_signature"
    DIGEST_MISMATCH = "digest_mismatch"
    UNKNOWN_ASSIGNMENT = "unknown_assignment"
    OUT_OF_TURN = "out_of_turn"
    BAD_OUTPUT = "bad_output"


class ProtocolViolation(Exception):
    """The peer's mistake: refuse, count the reason, go on."""

    def __init__(self, reason: ViolationReason, detail: str) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason


T = TypeVar("T")


class Decoder(Generic[T]):
    """Decodes one type or union from JSON of at most `bytes_max` bytes."""

    def __init__(self, kind: Any, bytes_max: int = MESSAGE_BYTES_MAX) -> None:
        self._decoder: msgspec.json.Decoder[T] = msgspec.json.Decoder(kind)
        self._bytes_max = bytes_max

    def decode(self, data: bytes) -> T:
        """The message, or ProtocolViolation with the reason."""
        if len(data) > self._bytes_max:
            raise ProtocolViolation(ViolationReason.TOO_LARGE, f"{len(data)} bytes, at most {self._bytes_max}")
        try:
            return self._decoder.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ProtocolViolation(ViolationReason.MALFORMED, str(error)) from error


def shaped(value: object, kind: type[T]) -> T:
    """A part that a message left open, once it is known what it should be; or ProtocolViolation."""
    try:
        return msgspec.convert(value, kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ProtocolViolation(ViolationReason.MALFORMED, str(error)) from error


assignments: Final[Decoder[Assignment]] = Decoder(Assignment)
node_replies: Final[Decoder[NodeReply]] = Decoder(NodeReply)
node_controls: Final[Decoder[NodeControl]] = Decoder(NodeControl)
node_offers: Final[Decoder[OfferChanged]] = Decoder(OfferChanged)
enrolments: Final[Decoder[EnrolNode]] = Decoder(EnrolNode)
endorsements: Final[Decoder[NodeEndorsement]] = Decoder(NodeEndorsement)
certificates: Final[Decoder[NodeCertificate]] = Decoder(NodeCertificate)
successions: Final[Decoder[OperatorSuccession]] = Decoder(OperatorSuccession)
payout_statements: Final[Decoder[PayoutStatement]] = Decoder(PayoutStatement, STATEMENT_CHARACTERS_MAX)
reasons_samples: Final[Decoder[ReasonsSample]] = Decoder(ReasonsSample)
manifests: Final[Decoder[Manifest]] = Decoder(Manifest, MANIFEST_BYTES_MAX)
publications: Final[Decoder[Publication]] = Decoder(Publication, STATEMENT_CHARACTERS_MAX)
countersignatures: Final[Decoder[Countersignature]] = Decoder(Countersignature, STATEMENT_CHARACTERS_MAX)
stop_orders: Final[Decoder[StopOrder]] = Decoder(StopOrder, STATEMENT_CHARACTERS_MAX)
gateway_events: Final[Decoder[list[GatewayEvent]]] = Decoder(
    Annotated[list[GatewayEvent], msgspec.Meta(max_length=BATCH_MESSAGES_MAX)], BATCH_BYTES_MAX
)
gateway_effects: Final[Decoder[list[GatewayEffect]]] = Decoder(
    Annotated[list[GatewayEffect], msgspec.Meta(max_length=BATCH_MESSAGES_MAX)], BATCH_BYTES_MAX
)
gateway_words: Final[Decoder[list[GatewayWord]]] = Decoder(
    Annotated[list[GatewayWord], msgspec.Meta(max_length=BATCH_MESSAGES_MAX)], BATCH_BYTES_MAX
)
coordinator_words: Final[Decoder[list[CoordinatorWord]]] = Decoder(
    Annotated[list[CoordinatorWord], msgspec.Meta(max_length=BATCH_MESSAGES_MAX)], BATCH_BYTES_MAX
)
payer_words: Final[Decoder[PayerWord]] = Decoder(PayerWord, BATCH_BYTES_MAX)
payer_answers: Final[Decoder[TellPayouts]] = Decoder(TellPayouts, BATCH_BYTES_MAX)

_encoder = msgspec.json.Encoder()
_record_encoder = msgspec.msgpack.Encoder()
_record_decoder: msgspec.msgpack.Decoder[list[Event]] = msgspec.msgpack.Decoder(list[Event])


def encode(message: Any) -> bytes:
    """One message, or a list of them, as compact JSON: one line, so that it fits a header."""
    return _encoder.encode(message)


def encode_record(events: list[Event]) -> bytes:
    """One journal record: a batch of events as MessagePack."""
    return _record_encoder.encode(events)


def decode_record(record: bytes) -> list[Event]:
    """Read back what `encode_record` wrote; ours, so an error stops the process."""
    return _record_decoder.decode(record)
