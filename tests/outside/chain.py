"""A chain like Stellar's, in memory: accounts, sequences, and ledgers that close when they are told to.

It takes nothing on trust: signatures, time bounds, sequences, fees and balances are checked with stellar-sdk, and a
transaction applies whole or not at all.
"""

import threading
from dataclasses import dataclass, field
from decimal import Decimal

from stellar_sdk import (
    Asset,
    FeeBumpTransactionEnvelope,
    Keypair,
    MuxedAccount,
    PathPaymentStrictReceive,
    Payment,
    TransactionEnvelope,
    xdr,
)
from stellar_sdk.exceptions import BadSignatureError

LEDGER_S = 5
BASE_FEE = 100


@dataclass
class AccountState:
    """One account. One that is full takes nothing."""

    units: int
    sequence: int
    is_full: bool = False


@dataclass
class Applied:
    """A transaction that stands in a ledger, whether it succeeded or not."""

    envelope: TransactionEnvelope
    ledger: int
    closed_s: int
    fee: int
    codes: tuple[str, ...]
    is_bumped: bool
    code: str = ""

    @property
    def is_successful(self) -> bool:
        """Paid."""
        return not self.code


@dataclass
class Pending:
    """Accepted, and to be applied in a ledger that closes later."""

    envelope: TransactionEnvelope
    bump: FeeBumpTransactionEnvelope | None
    ledger: int


@dataclass
class Chain:
    """All of it. `seen` holds every well-signed transaction that was ever submitted."""

    passphrase: str
    now_s: int = 1_800_000_000
    ledger: int = 1
    fee_least: int = BASE_FEE
    accounts: dict[str, AccountState] = field(default_factory=dict)
    applied: dict[str, Applied] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    pending: list[Pending] = field(default_factory=list)
    seen: dict[str, tuple[int, TransactionEnvelope]] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def open_account(self, address: str, units: int, sequence: int = 1_000) -> None:
        """With so much on it."""
        self.accounts[address] = AccountState(units, sequence)

    def close_ledger(self, seconds: int = LEDGER_S) -> None:
        """Apply what is pending and due, with the new ledger's close time."""
        with self.lock:
            self.ledger += 1
            self.now_s += seconds
            due = [one for one in self.pending if one.ledger <= self.ledger]
            self.pending = [one for one in self.pending if one.ledger > self.ledger]
            for one in due:
                if not self.refusal(one.envelope, one.bump):
                    self._apply(one)

    def parse(self, text: str) -> tuple[TransactionEnvelope, FeeBumpTransactionEnvelope | None]:
        """A transaction, and the fee bump around it, if any."""
        if FeeBumpTransactionEnvelope.is_fee_bump_transaction_envelope(text):
            bump = FeeBumpTransactionEnvelope.from_xdr(text, self.passphrase)
            return bump.transaction.inner_transaction_envelope, bump
        return TransactionEnvelope.from_xdr(text, self.passphrase), None

    def submit(self, text: str, *, delay_ledgers: int = 1) -> str:
        """Queue it; or the code of why it is refused."""
        with self.lock:
            envelope, bump = self.parse(text)
            code = self.refusal(envelope, bump)
            if code:
                return code
            self.seen.setdefault(envelope.hash_hex(), (self.now_s, envelope))
            self.pending.append(Pending(envelope, bump, self.ledger + delay_ledgers))
            return ""

    def refusal(self, envelope: TransactionEnvelope, bump: FeeBumpTransactionEnvelope | None) -> str:
        """Why it can stand in no ledger now; nothing where it can."""
        transaction = envelope.transaction
        source = self.accounts.get(transaction.source.account_id)
        bounds = transaction.preconditions.time_bounds if transaction.preconditions else None
        fee = transaction.fee if bump is None else bump.transaction.fee
        operations = len(transaction.operations) + (bump is not None)
        if source is None:
            return "tx_no_source_account"
        if bounds is None or (bounds.max_time and bounds.max_time < self.now_s):
            return "tx_too_late"
        if transaction.sequence != source.sequence + 1:
            return "tx_bad_seq"
        if fee < self.fee_least * operations:
            return "tx_insufficient_fee"
        payers = {source_of(envelope, operation) for operation in transaction.operations}
        signed = all(is_signed(envelope, payer) for payer in payers | {transaction.source.account_id})
        if bump is not None:
            signed = signed and is_signed(bump, bump.transaction.fee_source.account_id)
        if not signed:
            return "tx_bad_auth"
        payer = transaction.source.account_id if bump is None else bump.transaction.fee_source.account_id
        return "" if self.accounts[payer].units >= fee else "tx_insufficient_balance"

    def _apply(self, one: Pending) -> None:
        transaction = one.envelope.transaction
        fee_payer = transaction.source if one.bump is None else one.bump.transaction.fee_source
        fee = BASE_FEE * (len(transaction.operations) + (one.bump is not None))
        self.accounts[fee_payer.account_id].units -= fee
        self.accounts[transaction.source.account_id].sequence = transaction.sequence
        before = {address: account.units for address, account in self.accounts.items()}
        codes = tuple(self._pay(one.envelope, operation) for operation in transaction.operations)
        failed = any(code != "op_success" for code in codes)
        if failed:
            for address, units in before.items():
                self.accounts[address].units = units
        digest = one.envelope.hash_hex()
        assert digest not in self.applied
        self.order.append(digest)
        self.applied[digest] = Applied(
            one.envelope, self.ledger, self.now_s, fee, codes, one.bump is not None, "tx_failed" if failed else ""
        )

    def _pay(self, envelope: TransactionEnvelope, operation: object) -> str:
        assert isinstance(operation, Payment | PathPaymentStrictReceive)
        source = self.accounts[source_of(envelope, operation)]
        target = self.accounts.get(operation.destination.account_id)
        asset, amount = arriving(operation)
        units = units_of(amount) if asset.is_native() else 0
        if source.units < units:
            return "op_underfunded"
        if target is None:
            return "op_no_destination"
        if target.is_full:
            return "op_line_full"
        source.units -= units
        target.units += units
        return "op_success"


def arriving(operation: Payment | PathPaymentStrictReceive) -> tuple[Asset, str]:
    """What comes to the destination. Balances are in the chain's own coin alone, and a path costs what it brings."""
    if isinstance(operation, Payment):
        return operation.asset, operation.amount
    assert operation.send_asset.is_native()
    return operation.dest_asset, operation.dest_amount


def units_of(amount: str) -> int:
    """Of an amount as stellar-sdk reads it, which may be `1E-7`."""
    units = Decimal(amount).scaleb(7)
    assert units == int(units)
    return int(units)


def source_of(envelope: TransactionEnvelope, operation: object) -> str:
    """Who pays for an operation."""
    source: MuxedAccount | None = getattr(operation, "source", None)
    return (source or envelope.transaction.source).account_id


def is_signed(envelope: TransactionEnvelope | FeeBumpTransactionEnvelope, account: str) -> bool:
    """Whether the account's own key signed it."""
    key = Keypair.from_public_key(account)
    for signature in envelope.signatures:
        try:
            key.verify(envelope.hash(), signature.signature)
        except BadSignatureError:
            continue
        return True
    return False


def result_xdr(applied: Applied) -> str:
    """The result of a transaction that stands in a ledger, as Horizon shows it."""
    results = [operation_result(code) for code in applied.codes]
    kind = xdr.TransactionResultCode.txSUCCESS if applied.is_successful else xdr.TransactionResultCode.txFAILED
    if not applied.is_bumped:
        result = xdr.TransactionResultResult(kind, results=results)
        return xdr.TransactionResult(xdr.Int64(applied.fee), result, xdr.TransactionResultExt(0)).to_xdr()
    inner = xdr.InnerTransactionResult(
        xdr.Int64(0), xdr.InnerTransactionResultResult(kind, results=results), xdr.InnerTransactionResultExt(0)
    )
    pair = xdr.InnerTransactionResultPair(xdr.Hash(applied.envelope.hash()), inner)
    outer = xdr.TransactionResultCode.txFEE_BUMP_INNER_SUCCESS
    if not applied.is_successful:
        outer = xdr.TransactionResultCode.txFEE_BUMP_INNER_FAILED
    result = xdr.TransactionResultResult(outer, inner_result_pair=pair)
    return xdr.TransactionResult(xdr.Int64(applied.fee), result, xdr.TransactionResultExt(0)).to_xdr()


def operation_result(code: str) -> xdr.OperationResult:
    """Of a payment."""
    name = f"PAYMENT_{code.removeprefix('op_').upper()}"
    payment = xdr.PaymentResult(xdr.PaymentResultCode[name])
    tr = xdr.OperationResultTr(xdr.OperationType.PAYMENT, payment_result=payment)
    return xdr.OperationResult(xdr.OperationResultCode.opINNER, tr)
