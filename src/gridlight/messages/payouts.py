"""What is said of payouts: lines, batches, channels, and what the payer's core and its host tell each other.

All amounts are whole units, 1e-7 coin. None of this goes over the bus: the core hears it from its host, and the
database keeps it.
"""

from enum import StrEnum
from typing import Final

from msgspec import Struct

from gridlight.messages.ledger import UNITS_PER_COIN

LINES_MAX: Final = 100
"""Operations that a transaction holds; a limit of the protocol of Stellar."""


class Rail(StrEnum):
    """By which way an operator is paid."""

    CHAIN = "chain"
    """A transaction that pays up to 100 addresses."""
    PI = "pi"
    """Pi's platform: announced there first, one payment a transaction."""


class BatchState(StrEnum):
    """Where a batch stands. A draft is in no database, and an expired batch is sealed again at once."""

    SEALED = "sealed"
    SUBMITTED = "submitted"
    CONFIRMED = "confirmed"
    FAILED = "failed"


class HaltReason(StrEnum):
    """Why a channel seals and submits nothing more until somebody has looked."""

    FOREIGN_USE = "foreign_use"
    """The account's sequence moved on, and not by a transaction of ours: somebody else has its key."""
    REFUSED = "refused"
    """The chain refuses what only we can mend: signatures, or money for the fee."""
    OUR_FAULT = "our_fault"
    """A transaction failed for what is wrong with the paying account."""
    SEALED_TOO_OFTEN = "sealed_too_often"
    """It expired again and again."""


class Answer(StrEnum):
    """How a submission was answered. Only a look at the chain decides anything about money."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNKNOWN = "unknown"


class PayoutLine(Struct, frozen=True, kw_only=True):
    """One operator's payment: all that was available to it when the batch was sealed."""

    operator: str
    destination: str
    """An address (`G…` or `M…`); of Pi, the platform's uid until the payment is announced."""
    units: int
    rail: Rail = Rail.CHAIN
    least_units: int = 0
    """The operator's own threshold: with less the line is not drafted."""


class PayoutBatch(Struct, frozen=True, kw_only=True):
    """Lines that are paid by one transaction, or not at all; a transaction is made of this and nothing else."""

    batch_id: str
    channel: str
    """The account whose sequence numbers fence it."""
    state: BatchState
    lines: tuple[PayoutLine, ...]
    sequence: int
    seal: int
    """Counts how often it was sealed."""
    closed_s: int
    """When the ledger closed that it was sealed after, in seconds since 1970 on the chain's clock."""
    max_time_s: int
    """No ledger that closes later takes it."""
    fee_units: int
    """The most that is paid for each operation."""
    day: int
    """Days since 1970 on the chain's clock, of the first seal; the daily cap counts by it."""
    drawn_units: int
    """What it took of that day's cap."""
    bump_units: int = 0
    """The same of the fee bump around it; 0 where there is none."""
    memo: str = ""
    """Pi's identifier of the payment, as text."""
    root: str = ""
    """64 hex digits that anchor the books, where there is no text."""
    hash: str = ""
    """Of the transaction that settled it."""
    ledger: int = 0
    reason: str = ""
    """Why it failed."""
    is_closed: bool = True
    """Whether the platform was told how it ended; always so where there is no platform."""

    @property
    def is_open(self) -> bool:
        """Whether its lines are in flight."""
        return self.state in (BatchState.SEALED, BatchState.SUBMITTED)

    @property
    def units(self) -> int:
        """The sum of its lines."""
        return sum(line.units for line in self.lines)


class ChannelRecord(Struct, frozen=True, kw_only=True):
    """An account with its fence, as the database keeps it."""

    account: str
    rail: Rail = Rail.CHAIN
    sequence: int | None = None
    """The newest that a transaction of ours used, or that somebody said is right; none before the first look."""
    batches: int = 0
    """Counts its batches, for their ids."""
    halted: HaltReason | None = None
    is_resumed: bool = False
    """Somebody has looked: the sequence found next is right, whoever used it."""
    is_given_up: bool = False
    """Somebody has looked: the open batch was not paid and never can be."""


class PayoutParameters(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What payouts are held to."""

    daily_cap_units: int = 100_000 * UNITS_PER_COIN
    threshold_units: int = 0
    """An operator is paid once this much is available, and once it is `threshold_fees` times the fee."""
    threshold_fees: int = 100
    fee_units_max: int = 1_000_000
    """For one operation; above it nothing is sealed."""
    valid_s: int = 600
    """How long a sealed transaction can be taken."""


# Into the core.


class PayoutsDue(Struct, frozen=True, kw_only=True):
    """What every operator with an address has available now; takes the place of what was said before."""

    lines: tuple[PayoutLine, ...]
    fees_units: int
    """What the network has for the chain's fees; no batch is sealed that could cost more."""
    root: str = ""
    """64 hex digits that anchor the books, or nothing."""


class TransactionFound(Struct, frozen=True, kw_only=True):
    """A transaction of ours stands in a closed ledger."""

    hash: str
    ledger: int
    is_successful: bool
    fee_units: int
    code: str = ""
    """Of a failed transaction as a whole."""
    codes: tuple[str, ...] = ()
    """Of a failed transaction's operations, in their order."""


class ChannelSeen(Struct, frozen=True, kw_only=True):
    """How the chain stands: first the newest closed ledger was read, then the account, then the open batch's hashes.

    In this order a transaction that the account's sequence speaks of was to be found when it was looked for.
    """

    channel: str
    closed_s: int
    base_fee_units: int
    sequence: int
    found: TransactionFound | None = None


class ChannelUnseen(Struct, frozen=True, kw_only=True):
    """A look came to nothing: no answer in time, or none that can be read."""

    channel: str


class SubmissionAnswered(Struct, frozen=True, kw_only=True):
    """What came back on a submission, if anything."""

    channel: str
    answer: Answer
    code: str = ""


class PaymentAnnounced(Struct, frozen=True, kw_only=True):
    """The platform knows of a payment that is to come. Nothing is held or signed yet."""

    channel: str
    identifier: str
    destination: str


class PaymentNotAnnounced(Struct, frozen=True, kw_only=True):
    """The platform did not take it; it is cancelled there if it did after all."""

    channel: str
    reason: str


class PaymentClosed(Struct, frozen=True, kw_only=True):
    """The platform knows how the payment ended."""

    channel: str


class ChannelResumed(Struct, frozen=True, kw_only=True):
    """Somebody has looked at a halted channel, and takes responsibility."""

    channel: str
    is_given_up: bool = False


class TimeCame(Struct, frozen=True):
    """What the core wanted to be called for."""


ChannelEvent = (
    ChannelSeen
    | ChannelUnseen
    | SubmissionAnswered
    | PaymentAnnounced
    | PaymentNotAnnounced
    | PaymentClosed
    | ChannelResumed
)
"""What one channel hears."""

PayoutEvent = PayoutsDue | ChannelEvent | TimeCame

# Out of the core: first what one transaction of the database takes, in order; then, once that is durable, the rest.


class SealBatch(Struct, frozen=True, kw_only=True):
    """Write the batch, and the unsigned transaction that it makes, with its hash."""

    batch: PayoutBatch


class RecordBatch(Struct, frozen=True, kw_only=True):
    """Write the batch; its transaction is as it was."""

    batch: PayoutBatch


class RecordChannel(Struct, frozen=True, kw_only=True):
    """Write the channel."""

    channel: ChannelRecord


class HoldLines(Struct, frozen=True, kw_only=True):
    """Ledger: what is available becomes in flight."""

    batch: PayoutBatch


class PayLines(Struct, frozen=True, kw_only=True):
    """Ledger: what was in flight left for the chain, which took its fee."""

    batch: PayoutBatch
    fee_units: int


class PayFee(Struct, frozen=True, kw_only=True):
    """Ledger: the chain took its fee for a transaction that failed."""

    hash: str
    units: int


class ReleaseLines(Struct, frozen=True, kw_only=True):
    """Ledger: what was in flight is available again."""

    batch_id: str
    seal: int
    lines: tuple[PayoutLine, ...]


class RefuseAddress(Struct, frozen=True, kw_only=True):
    """Pay nothing more to this address until its operator names one anew."""

    operator: str
    destination: str
    reason: str
    rail: Rail = Rail.CHAIN


class RecordAction(Struct, frozen=True, kw_only=True):
    """One line of the audit log."""

    action: str
    channel: str
    batch_id: str = ""
    detail: str = ""


class LookAtChannel(Struct, frozen=True, kw_only=True):
    """Read ledger, account and the open batch's hashes, in this order; answered by ChannelSeen or ChannelUnseen."""

    channel: str


class SubmitBatch(Struct, frozen=True, kw_only=True):
    """Have the sealed transaction signed, and submit it; answered by SubmissionAnswered."""

    batch: PayoutBatch


class AnnouncePayment(Struct, frozen=True, kw_only=True):
    """Tell the platform; answered by PaymentAnnounced or PaymentNotAnnounced."""

    channel: str
    line: PayoutLine


class ClosePayment(Struct, frozen=True, kw_only=True):
    """Tell the platform how it ended: completed by this hash, or cancelled; answered by PaymentClosed."""

    channel: str
    identifier: str
    hash: str


DurableEffect = (
    SealBatch
    | RecordBatch
    | RecordChannel
    | HoldLines
    | PayLines
    | PayFee
    | ReleaseLines
    | RefuseAddress
    | RecordAction
)
OutsideEffect = LookAtChannel | SubmitBatch | AnnouncePayment | ClosePayment
PayoutEffect = DurableEffect | OutsideEffect
