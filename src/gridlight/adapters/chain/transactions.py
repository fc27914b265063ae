"""Transactions: made from a batch and nothing else, so that the same batch is the same bytes; signed, and read back.

Built and signed without any network. A hash is known before its transaction is submitted.
"""

from collections.abc import Sequence
from typing import Final

from stellar_sdk import (
    Account,
    Asset,
    FeeBumpTransactionEnvelope,
    Keypair,
    MuxedAccount,
    TransactionBuilder,
    TransactionEnvelope,
)
from stellar_sdk.exceptions import BadSignatureError

from gridlight.adapters.chain.amounts import to_decimal
from gridlight.messages.payouts import LINES_MAX, PayoutBatch

MEMO_BYTES_MAX: Final = 28


class Builder:
    """Makes a network's transactions that pay out of one account."""

    def __init__(self, passphrase: str, payer: str) -> None:
        self.passphrase: Final = passphrase
        self.payer: Final = payer

    def build(self, batch: PayoutBatch) -> TransactionEnvelope:
        """Unsigned. The channel gives sequence and fee, the payer the money; they may be one account."""
        assert 1 <= len(batch.lines) <= LINES_MAX
        channel = Account(batch.channel, batch.sequence - 1)
        builder = TransactionBuilder(channel, self.passphrase, base_fee=batch.fee_units)
        builder.add_time_bounds(0, batch.max_time_s)
        if batch.memo:
            assert len(batch.memo.encode()) <= MEMO_BYTES_MAX
            builder.add_text_memo(batch.memo)
        elif batch.root:
            builder.add_hash_memo(bytes.fromhex(batch.root))
        source = None if batch.channel == self.payer else self.payer
        for line in batch.lines:
            builder.append_payment_op(line.destination, Asset.native(), to_decimal(line.units), source=source)
        return builder.build()

    def sign(self, envelope: TransactionEnvelope | FeeBumpTransactionEnvelope, keys: Sequence[Keypair]) -> str:
        """The signed XDR. Ed25519 is deterministic: signing again gives the same bytes."""
        envelope.signatures.clear()
        for key in keys:
            envelope.sign(key)
        return envelope.to_xdr()

    def read(self, xdr: str) -> TransactionEnvelope:
        """Of our own XDR."""
        envelope = TransactionEnvelope.from_xdr(xdr, self.passphrase)
        assert isinstance(envelope, TransactionEnvelope)
        return envelope

    def bump(self, signed_xdr: str, fee_account: Keypair, fee_units: int) -> str:
        """Around a signed transaction, bidding `fee_units` for each operation; the hash inside stays what it was.

        It cannot be taken beside the one inside, or twice: that has the sequence number.
        """
        inner = self.read(signed_xdr)
        outer = TransactionBuilder.build_fee_bump_transaction(fee_account, fee_units, inner, self.passphrase)
        return self.sign(outer, [fee_account])

    def signers(self, batch: PayoutBatch) -> tuple[str, ...]:
        """Whose signatures its transaction needs."""
        return (self.payer,) if batch.channel == self.payer else (self.payer, batch.channel)


def is_signed_by(envelope: TransactionEnvelope, account: str) -> bool:
    """Whether one of its signatures is this account's own key's."""
    key = Keypair.from_public_key(MuxedAccount.from_account(account).account_id)
    for signature in envelope.signatures:
        try:
            key.verify(envelope.hash(), signature.signature)
        except BadSignatureError:
            continue
        return True
    return False
