"""The ledger's words: postings, entries, and the names of accounts. Amounts are integers, in 1e-7 coin.

An entry's hash is SHA-256 over the tag `led1`, the hash of the entry before it, and the entry's canonical bytes: the
compact JSON `[seq,"key",[["account",amount],...]]`. Names hold neither quotes nor anything beyond ASCII, so there is
one such form, and whoever has SHA-256 and JSON can check the books in any language.
"""

import re
from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from gridlight.messages.ids import WorkloadIdField
from gridlight.messages.reasons import QuestionField

UNITS_PER_COIN: Final = 10_000_000
AMOUNT_MAX: Final = 10**18
"""Of one posting, and of all that is on the books: a hundred billion coins, and well within 64 bits."""

KEY_CHARACTERS_MAX: Final = 160
POSTINGS_MAX: Final = 4_096
"""Of one entry."""

PAYEES_MAX: Final = 1_000
"""Whose payouts are held, or end, at once."""

_ID = r"[A-Za-z0-9_.=-]{1,80}"
_KEY = r"[A-Za-z0-9_.:=@-]{1,160}"
_ACCOUNT = (
    rf"(?:ext:chain|req:{_ID}:(?:avail|escrow)|op:{_ID}:(?:pending|avail|stake|inflight)"
    r"|net:(?:fee|verify|slash|chainfee))"
)
_IS_ACCOUNT = re.compile(_ACCOUNT).fullmatch
_IS_KEY = re.compile(_KEY).fullmatch

AccountField = Annotated[str, Meta(pattern=rf"^{_ACCOUNT}$(?!\n)")]
AccountIdField = Annotated[str, Meta(pattern=rf"^{_ID}$(?!\n)")]
"""What stands in the middle of an account's name: a requester's or an operator's."""

KeyField = Annotated[str, Meta(pattern=rf"^{_KEY}$(?!\n)")]
Amount = Annotated[int, Meta(ge=-AMOUNT_MAX, le=AMOUNT_MAX)]
Price = Annotated[int, Meta(ge=0, le=AMOUNT_MAX)]
HashField = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]

GENESIS: Final = "0" * 64
"""The hash before the first entry."""

_DOMAIN: Final = b"led1"
_encode = msgspec.json.Encoder().encode


class Posting(Struct, frozen=True, gc=False, array_like=True):
    """What an entry does to one account: a positive amount credits it, a negative one debits it."""

    account: AccountField
    amount: Amount


class Entry(Struct, frozen=True, gc=False):
    """One entry of the books: its postings add up to nothing, and its hash seals it and all before it."""

    seq: Annotated[int, Meta(ge=1, lt=2**53)]
    """From 1, without gaps."""
    key: KeyField
    """What it is for: a key is posted once."""
    postings: Annotated[tuple[Posting, ...], Meta(min_length=2, max_length=POSTINGS_MAX)]
    prev_hash: HashField
    hash: HashField


class OperatorPart(StrEnum):
    """The accounts of an operator: not vested yet, vested, put up as a stake, and on its way to the chain."""

    PENDING = "pending"
    AVAIL = "avail"
    STAKE = "stake"
    INFLIGHT = "inflight"


EXT_CHAIN: Final = "ext:chain"
"""The other side of all that came from a chain and went to one: the only account that may be below zero."""

NET_FEE: Final = "net:fee"
NET_VERIFY: Final = "net:verify"
"""Pays checks."""

NET_SLASH: Final = "net:slash"
"""What was clawed back and slashed; pays those who got a wrong answer."""

NET_CHAINFEE: Final = "net:chainfee"


def req_avail(account_id: str) -> str:
    """What a requester can spend."""
    return f"req:{account_id}:avail"


def req_escrow(account_id: str) -> str:
    """What is held for a requester's open tasks."""
    return f"req:{account_id}:escrow"


def op_pending(operator: str) -> str:
    """What an operator earned and may still lose."""
    return f"op:{operator}:{OperatorPart.PENDING.value}"


def op_avail(operator: str) -> str:
    """What an operator can be paid."""
    return f"op:{operator}:{OperatorPart.AVAIL.value}"


def op_stake(operator: str) -> str:
    """What an operator put up."""
    return f"op:{operator}:{OperatorPart.STAKE.value}"


def op_inflight(operator: str) -> str:
    """What is on its way to an operator."""
    return f"op:{operator}:{OperatorPart.INFLIGHT.value}"


def is_account(name: str) -> bool:
    """Whether this is the name of an account."""
    return _IS_ACCOUNT(name) is not None


def is_key(key: str) -> bool:
    """Whether an entry may have this key."""
    return _IS_KEY(key) is not None


def entry_hash(seq: int, key: str, postings: tuple[Posting, ...], prev_hash: str) -> str:
    """The hash that seals an entry, in hexadecimal."""
    return sha256(_DOMAIN + bytes.fromhex(prev_hash) + _encode((seq, key, postings))).hexdigest()


class PayoutLine(Struct, frozen=True, gc=False):
    """One operator's part of a payout batch."""

    operator: AccountIdField
    amount: Annotated[int, Meta(ge=1, le=AMOUNT_MAX)]


class MoneyParameters(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What work costs, and for how long earnings are held back. Every share is in millionths."""

    units_per_million_mwu: Annotated[int, Meta(ge=0, le=10**12)] = 1_000_000
    """What a node earns for a million mWU, in units of 1e-7 coin."""
    fee_ppm: Annotated[int, Meta(ge=0, le=1_000_000)] = 100_000
    """The network's own part, on top of a reward."""
    hold_ms: Annotated[int, Meta(ge=0, lt=2**53)] = 14 * 86_400_000
    hold_tasks: Annotated[int, Meta(ge=0, le=1_000_000)] = 1_000
    """Earnings vest once they are so old, and so many later tasks of their node were paid."""
    slash_rewards_max: Annotated[int, Meta(ge=0, le=1_000_000)] = 1_000
    """Of a stake, one fault costs so many rewards at most."""


class PricesSet(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="prices.set.v1"):
    """The host says what work costs from now on. Without it a network has no money: jobs are done for nothing."""

    money: MoneyParameters
    work: dict[WorkloadIdField, Annotated[int, Meta(ge=0, lt=2**53)]]
    """Thousandths of a work unit (mWU) that a task of each workload is; one that is not named costs nothing."""


class AccountCredited(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="account.credited.v1"):
    """Money came in: by a payment on the chain, or because the founder vouches for it. May come twice."""

    key: KeyField
    """`deposit:HASH:OPERATION`, `stake:HASH:OPERATION` or `grant:NAME`; the same key is credited once."""
    account: AccountField
    amount: Annotated[int, Meta(ge=1, le=AMOUNT_MAX)]
    looked_to: Annotated[int, Meta(ge=0, lt=2**53)] | UnsetType = UNSET
    """The entry up to which its sender looked for the key in vain. The core remembers the newest keys alone, and takes
    the credit only while all entries since are among them. Absent where nobody looked.
    """


GRANT: Final = "grant:"
"""Begins the key of what the founder vouches for, which a gateway may tell."""

_IS_DEPOSIT = re.compile(r"deposit:[0-9a-f]{64}:[0-9]{1,4}", re.ASCII).fullmatch
_IS_SPENDABLE = re.compile(rf"req:{_ID}:avail").fullmatch


def is_told_deposit(credit: AccountCredited) -> bool:
    """Whether it is a requester's deposit, and its sender looked for it in the ledger first: the payer may tell it."""
    is_deposit = _IS_DEPOSIT(credit.key) is not None and _IS_SPENDABLE(credit.account) is not None
    return is_deposit and credit.looked_to is not UNSET


class RecordEntry(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="entry.record.v1"):
    """To the host: the ledger has one more entry; keep it, in the same transaction as the journal."""

    entry: Entry


class PayoutsWanted(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="payouts.wanted.v1"):
    """The payer asks to have held for payouts what operators have available. May come twice."""

    question: QuestionField
    number: Annotated[int, Meta(ge=1, lt=2**53)]
    """One more than was held before; the same number is held once, and answered alike."""
    operators: Annotated[tuple[AccountIdField, ...], Meta(max_length=PAYEES_MAX)]
    """Who can be paid now; the first of them first, where there is too little for the chain's fees."""
    least_units: Annotated[int, Meta(ge=1, le=AMOUNT_MAX)]
    """Whoever has less waits."""
    fee_units: Annotated[int, Meta(ge=0, le=10**12)]
    """What to keep for the chain's fee on each line."""
    waiting: Annotated[int, Meta(ge=0, lt=2**53)]
    """Lines that were held before and are not paid yet."""
    own_least_units: (
        Annotated[
            dict[AccountIdField, Annotated[int, Meta(ge=1, le=AMOUNT_MAX)]],
            Meta(max_length=PAYEES_MAX),
        ]
        | UnsetType
    ) = UNSET
    """Of operators who want to be paid more at once, or not at all; absent where there is none."""


class PayoutsEnded(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="payouts.ended.v1"):
    """The payer tells what became of payouts: paid, with the chain's hash, or to be available again. May come twice."""

    question: QuestionField
    number: Annotated[int, Meta(ge=1, lt=2**53)]
    """From 1 without gaps; each is posted once."""
    lines: Annotated[tuple[PayoutLine, ...], Meta(max_length=PAYEES_MAX)]
    """None for a transaction that failed, which only took a fee."""
    hash: Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?$(?!\n)")] = ""
    """Of the transaction; nothing where the lines are available again."""
    fee_units: Price = 0
    """What the chain took."""


class TellPayouts(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="payouts.tell.v1"):
    """To the payer: how far the ledger heard it, and what was held last."""

    question: QuestionField
    held: Annotated[int, Meta(ge=0, lt=2**53)]
    """How often something was held. One less than was asked for: there was nothing to hold."""
    ended: Annotated[int, Meta(ge=0, lt=2**53)]
    """The newest end that is posted."""
    lines: Annotated[tuple[PayoutLine, ...], Meta(max_length=PAYEES_MAX)] = ()
    """What was held last."""
    fees_units: Price = 0
    """What was given for the chain's fees with it."""
    refused: str = ""
    """Why an end was not posted; nothing changed then."""
