"""A Horizon-compatible API: the newest ledger, accounts, transactions by hash, submitting, and deposits by a cursor.

What comes back is a stranger's word: typed here, and believed no further than the fence of sequence numbers makes safe.
"""

import re
from datetime import datetime
from typing import Final, TypeVar

import httpx
from msgspec import Struct

from gridlight.adapters.chain.amounts import from_decimal
from gridlight.adapters.chain.calls import ChainUnreachable, call, certificates
from gridlight.adapters.chain.results import result_codes
from gridlight.messages.codec import Decoder, ProtocolViolation
from gridlight.messages.ledger import AMOUNT_MAX
from gridlight.messages.payouts import Answer, TransactionFound

DEADLINE_S: Final = 10.0
SUBMIT_DEADLINE_S: Final = 40.0
"""Horizon itself stops waiting for a ledger after 30 seconds, and answers 504."""

DEPOSITS_MAX: Final = 200
_ANSWER_BYTES_MAX: Final = 4 * 1024 * 1024
_INDEX_BITS: Final = 0xFFF
"""Of an operation's id: its place in the transaction, from 1 (SEP-35)."""

_PAYMENTS: Final = ("payment", "path_payment_strict_receive", "path_payment_strict_send")
"""What arrives of a path payment is its `amount` of its `asset_type`, as of a plain one."""

_IS_HASH: Final = re.compile(r"[0-9a-f]{64}").fullmatch
_EMBEDDED: Final = {"embedded": "_embedded"}
T = TypeVar("T")


class ClosedLedger(Struct, frozen=True):
    """The newest one."""

    closed_s: int
    base_fee_units: int


class ChainAccount(Struct, frozen=True):
    """An account as the chain has it."""

    sequence: int
    units: int


class Deposit(Struct, frozen=True):
    """A payment that came in. `transaction` and `index` name it for good."""

    cursor: str
    transaction: str
    index: int
    """From 0."""
    requester: int | None
    """The number inside the address that was paid to; None where it was the bare account."""
    units: int
    source: str = ""
    """Who paid."""


class _LedgerRecord(Struct):
    closed_at: str
    base_fee_in_stroops: int


class _LedgerRecords(Struct):
    records: list[_LedgerRecord]


class _LedgerPage(Struct, rename=_EMBEDDED):
    embedded: _LedgerRecords


class _Balance(Struct):
    balance: str
    asset_type: str


class _AccountRecord(Struct):
    sequence: str
    balances: list[_Balance]


class _TransactionRecord(Struct):
    ledger: int
    successful: bool
    fee_charged: str
    result_xdr: str


class _PaymentRecord(Struct, rename={"source": "from"}):
    id: str
    paging_token: str
    type: str
    transaction_hash: str
    transaction_successful: bool
    source: str = ""
    asset_type: str = ""
    amount: str = ""
    to: str = ""
    to_muxed_id: str | None = None


class _PaymentRecords(Struct):
    records: list[_PaymentRecord]


class _PaymentPage(Struct, rename=_EMBEDDED):
    embedded: _PaymentRecords


class _ResultCodes(Struct):
    transaction: str = ""


class _Extras(Struct):
    result_codes: _ResultCodes | None = None


class _Problem(Struct):
    status: int
    extras: _Extras | None = None


_ledgers: Final[Decoder[_LedgerPage]] = Decoder(_LedgerPage, _ANSWER_BYTES_MAX)
_accounts: Final[Decoder[_AccountRecord]] = Decoder(_AccountRecord, _ANSWER_BYTES_MAX)
_transactions: Final[Decoder[_TransactionRecord]] = Decoder(_TransactionRecord, _ANSWER_BYTES_MAX)
_payments: Final[Decoder[_PaymentPage]] = Decoder(_PaymentPage, _ANSWER_BYTES_MAX)
_problems: Final[Decoder[_Problem]] = Decoder(_Problem, _ANSWER_BYTES_MAX)


class Horizon:
    """One server. Everything but `submit` raises ChainUnreachable where it learns nothing."""

    def __init__(
        self, url: str, *, deadline_s: float = DEADLINE_S, submit_deadline_s: float = SUBMIT_DEADLINE_S
    ) -> None:
        self._url: Final = url.rstrip("/")
        self._deadline_s: Final = deadline_s
        self._submit_deadline_s: Final = submit_deadline_s
        self._client: Final = httpx.AsyncClient(verify=certificates(), timeout=max(deadline_s, submit_deadline_s))

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()

    async def newest_ledger(self) -> ClosedLedger:
        """When it closed, and what an operation costs at least."""
        page = await self._read("/ledgers?order=desc&limit=1", _ledgers)
        try:
            [record] = page.embedded.records
            closed = datetime.fromisoformat(record.closed_at)
        except ValueError as error:
            raise ChainUnreachable(f"{self._url} does not say when its ledger closed") from error
        return ClosedLedger(int(closed.timestamp()), record.base_fee_in_stroops)

    async def account(self, address: str) -> ChainAccount:
        """Sequence and balance."""
        record = await self._read(f"/accounts/{address}", _accounts)
        try:
            units = sum(from_decimal(one.balance) for one in record.balances if one.asset_type == "native")
            return ChainAccount(int(record.sequence), units)
        except ValueError as error:
            raise ChainUnreachable(f"{self._url} describes {address} with no numbers") from error

    async def transaction(self, digest: str) -> TransactionFound | None:
        """By its hash, also where a fee bump is around it. None only where Horizon says that it is not found."""
        path = f"/transactions/{digest}"
        status, body = await self._ask(path)
        if status == httpx.codes.NOT_FOUND and _read_as(_problems, body, path).status == status:
            return None
        if status != httpx.codes.OK:
            raise ChainUnreachable(f"{self._url}{path} answers {status}")
        record = _read_as(_transactions, body, path)
        try:
            code, codes = ("", ()) if record.successful else result_codes(record.result_xdr)
            fee = int(record.fee_charged)
        except ValueError as error:
            raise ChainUnreachable(f"{self._url} describes transaction {digest} in no known form") from error
        return TransactionFound(
            hash=digest, ledger=record.ledger, is_successful=record.successful, fee_units=fee, code=code, codes=codes
        )

    async def submit(self, signed_xdr: str) -> tuple[Answer, str]:
        """The answer, and why it is refused. A transaction that failed in a ledger counts as accepted: look it up."""
        try:
            status, body = await call(
                self._client,
                "POST",
                f"{self._url}/transactions",
                deadline_s=self._submit_deadline_s,
                data={"tx": signed_xdr},
            )
            if status == httpx.codes.OK:
                return Answer.ACCEPTED, ""
            problem = _read_as(_problems, body, "/transactions")
        except ChainUnreachable:
            return Answer.UNKNOWN, ""
        codes = None if problem.extras is None else problem.extras.result_codes
        if status != httpx.codes.BAD_REQUEST or codes is None:
            return Answer.UNKNOWN, ""
        if codes.transaction in ("tx_failed", "tx_fee_bump_inner_failed"):
            return Answer.ACCEPTED, codes.transaction
        return Answer.REFUSED, codes.transaction

    async def deposits(self, account: str, cursor: str = "") -> tuple[list[Deposit], str]:
        """Payments in the network's own coin to the account after the cursor, and the cursor to go on from."""
        path = f"/accounts/{account}/payments?order=asc&limit={DEPOSITS_MAX}&cursor={cursor}"
        records = (await self._read(path, _payments)).embedded.records
        try:
            deposits = [_deposit(record) for record in records if _is_deposit(record, account)]
            after = str(max(int(one or 0) for one in (cursor, *(record.paging_token for record in records))))
        except ValueError as error:
            raise ChainUnreachable(f"{self._url} describes a payment to {account} in no known form") from error
        return deposits, after if records else cursor

    async def _ask(self, path: str) -> tuple[int, bytes]:
        return await call(self._client, "GET", f"{self._url}{path}", deadline_s=self._deadline_s)

    async def _read(self, path: str, decoder: Decoder[T]) -> T:
        status, body = await self._ask(path)
        if status != httpx.codes.OK:
            raise ChainUnreachable(f"{self._url}{path} answers {status}")
        return _read_as(decoder, body, path)


def _read_as(decoder: Decoder[T], body: bytes, path: str) -> T:
    try:
        return decoder.decode(body)
    except ProtocolViolation as violation:
        raise ChainUnreachable(f"{path} is answered in no form of Horizon's ({violation.reason.value})") from violation


def _is_deposit(record: _PaymentRecord, account: str) -> bool:
    is_native = record.type in _PAYMENTS and record.asset_type == "native"
    return is_native and record.transaction_successful and record.to == account


def _deposit(record: _PaymentRecord) -> Deposit:
    """ValueError where it is none that a chain could have."""
    requester = None if record.to_muxed_id is None else int(record.to_muxed_id)
    index, units = (int(record.id) & _INDEX_BITS) - 1, from_decimal(record.amount)
    is_possible = index >= 0 and 1 <= units <= AMOUNT_MAX and (requester is None or 0 <= requester < 2**64)
    if not is_possible or not _IS_HASH(record.transaction_hash):
        raise ValueError("no payment of any chain is like this")
    return Deposit(record.paging_token, record.transaction_hash, index, requester, units, record.source[:80])
