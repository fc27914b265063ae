"""HTTP bodies about money, shared by server and SDK. Amounts are decimal strings of coins with 7 places."""

from typing import Annotated

from msgspec import Meta, Struct

from gridlight.messages.amounts import AmountField
from gridlight.messages.ids import AccountId, NodeId
from gridlight.messages.receipts import Absence, ReceiptFile
from gridlight.messages.trust import Assurance
from gridlight.messages.words import WordsFile

IDEMPOTENCY_HEADER = "Idempotency-Key"
KEY_CHARACTERS_MAX = 64
STATEMENT_LINES_MAX = 1_000
"""Of one answer."""

DEPOSIT_NOTE = (
    "Pay the chain's own coin to this whole address. A payment to the bare account, or with a number that no account"
    " has, is credited to nobody until an administrator says whose it is; another asset is not credited at all."
)
RECEIPTS_LISTED_MAX = 500
EARNINGS_SHEETS_MAX = 1_000
WORDS_LISTED_MAX = 32
ABSENCES_LISTED_MAX = 16


class CreditBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`POST /v1/accounts/{id}/credits`, with `Idempotency-Key`."""

    amount: AmountField
    """Coins, as 12 or 12.3450000."""


class CreditResponse(Struct, frozen=True, kw_only=True):
    """What stands in the ledger now, whoever asked first."""

    account_id: AccountId
    key: str
    amount: str
    entry: int
    """The ledger's entry."""


class DepositResponse(Struct, frozen=True, kw_only=True):
    """`GET /v1/accounts/{id}/deposit`: where the account is paid in to, on the chain."""

    account_id: AccountId
    address: str
    """Muxed: the network's account with this account's number inside."""
    number: str
    """Of 63 bits, as a decimal string."""
    network: str
    """The chain, by its passphrase."""
    asset: str = "native"
    note: str = DEPOSIT_NOTE


class BalanceResponse(Struct, frozen=True, kw_only=True):
    """`GET /v1/accounts/{id}/balance`."""

    account_id: AccountId
    available: str
    held: str
    """For open tasks, and for shares of final ones that are not collected yet."""
    entry: int
    """The ledger's newest entry, which this includes."""


class DryRunResponse(Struct, frozen=True, kw_only=True):
    """What a request would cost; nothing was run and nothing is held."""

    dry_run: bool = True
    model: str
    verify: Assurance
    price: str
    escrow: str
    """What is held until the answer is final, at most: never more than the price."""
    account_id: AccountId | None
    """Who would pay; nobody for an administrator without an account's key."""
    available: str
    missing: str
    is_sufficient: bool


class StatementLine(Struct, frozen=True, kw_only=True):
    """What one entry of the ledger did to an account."""

    entry: int
    at_ms: int
    key: str
    """What it was for: `open:REQUEST`, say. docs/ledger.md lists them."""
    available: str
    held: str


class StatementResponse(Struct, frozen=True, kw_only=True):
    """`GET /v1/accounts/{id}/statement`: lines in their order. Those of all pages add up to the last page's amounts."""

    account_id: AccountId
    lines: list[StatementLine]
    next_after: int | None
    entry: int
    available: str
    held: str


class VestingView(Struct, frozen=True, kw_only=True):
    """About a day's earnings that are held back."""

    amount: str
    not_before_ms: int
    tasks_missing: int


class PayoutView(Struct, frozen=True, kw_only=True):
    """Where an operator is paid by their own word, and from what amount on."""

    address: str | None
    """Nothing is paid while there is none."""
    threshold: str
    """Coins."""
    serial: int
    """When the operator said so, in milliseconds since 1970."""


class EarningsLine(Struct, frozen=True, kw_only=True):
    """What one kind of entry did to an operator's accounts until a sheet of receipts was closed."""

    sheet: int
    closed_ms: int
    kind: str
    pending: str
    available: str
    stake: str
    in_flight: str
    why: str = ""


class EarningsResponse(Struct, frozen=True, kw_only=True):
    """`GET /v1/nodes/{id}/earnings`: of the node's operator, as of the sheet that was closed last; a page of lines."""

    node_id: NodeId
    operator: str
    network_key: str
    lines: list[EarningsLine]
    next_after: int | None
    """The sheet to go on after."""
    vesting: list[VestingView]
    """Of this node alone."""
    is_trusted: bool
    disputes: int
    payout: PayoutView | None = None
    """With the ends of the address alone; nothing where the operator never said."""


class ReceiptsResponse(Struct, frozen=True, kw_only=True):
    """`GET /v1/nodes/{id}/receipts`: each with the way to the network's signed word, in the order of sheets."""

    node_id: NodeId
    network_key: str
    receipts: Annotated[list[ReceiptFile], Meta(max_length=RECEIPTS_LISTED_MAX)]
    next_after: str | None
    """Where to go on: `SHEET.PLACE`."""
    unsigned: int
    """Receipts of this page on sheets that the network did not sign: it has no key to."""


class WordsResponse(Struct, frozen=True, kw_only=True):
    """`GET /v1/nodes/{id}/words`: the node's part of each page, with the way to the network's signature."""

    node_id: NodeId
    network_key: str
    words: Annotated[list[WordsFile], Meta(max_length=WORDS_LISTED_MAX)]
    next_after: int | None
    """The page to go on after."""
    newest: int | None
    """The newest page, whoever's; nothing where this network gives no words."""


class AbsencesResponse(Struct, frozen=True, kw_only=True):
    """`GET /v1/nodes/{id}/absences`: of one run, sheet by sheet, that its receipt is not there, or the receipt."""

    node_id: NodeId
    network_key: str
    absences: Annotated[list[Absence], Meta(max_length=ABSENCES_LISTED_MAX)]
    receipt: ReceiptFile | None
    next_after: int | None
    """The sheet to go on after; nothing where the receipt was found, or the newest sheet was told."""
