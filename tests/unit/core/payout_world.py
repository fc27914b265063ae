"""A core of payouts with one channel, told step by step what the chain shows."""

from typing import TypeVar

import msgspec

from gridlight.core.payouts import Payouts
from gridlight.messages.payouts import (
    ChannelRecord,
    ChannelSeen,
    LookAtChannel,
    PayoutBatch,
    PayoutEffect,
    PayoutEvent,
    PayoutLine,
    PayoutParameters,
    PayoutsDue,
    Rail,
    RecordAction,
    RecordBatch,
    RecordChannel,
    SealBatch,
    SubmitBatch,
    TimeCame,
    TransactionFound,
)

T = TypeVar("T")

NOW_S = 86_400 * 20_000
FEE = 100
PARAMETERS = PayoutParameters(threshold_fees=1)


def line(operator: str, units: int = 1_000, rail: Rail = Rail.CHAIN) -> PayoutLine:
    """Paid to an address that is called as the operator is."""
    return PayoutLine(operator=operator, destination=f"to-{operator}", units=units, rail=rail)


def found(batch: PayoutBatch, *codes: str, code: str = "tx_failed") -> TransactionFound:
    """The batch's transaction in a ledger: paid, or failed with these codes of its operations."""
    failed = bool(codes) or code != "tx_failed"
    return TransactionFound(
        hash=f"hash-{batch.sequence}-{batch.seal}",
        ledger=9,
        is_successful=not failed,
        fee_units=FEE,
        code=code if failed else "",
        codes=codes,
    )


class World:
    """The channel `A`, whose account's sequence is 7 at first."""

    def __init__(self, parameters: PayoutParameters = PARAMETERS, rail: Rail = Rail.CHAIN) -> None:
        self.parameters = parameters
        self.record = ChannelRecord(account="A", rail=rail)
        self.batch: PayoutBatch | None = None
        self.now_s = NOW_S
        self.sequence = 7
        self.core = Payouts(parameters)
        self.core.restore([self.record], [], day=0, drawn_units=0)
        self.said: list[PayoutEffect] = []

    def tell(self, event: PayoutEvent) -> list[PayoutEffect]:
        """What is durable is kept for a restart."""
        self.said = self.core.handle(self.now_s * 1_000, event)
        for effect in self.said:
            if isinstance(effect, RecordChannel):
                self.record = effect.channel
            if isinstance(effect, SealBatch | RecordBatch):
                self.batch = effect.batch
        self.core.check()
        return self.said

    def restart(self) -> None:
        """A new core from what is durable."""
        is_active = self.batch is not None and (self.batch.is_open or not self.batch.is_closed)
        batches = [self.batch] if is_active and self.batch is not None else []
        self.core = Payouts(self.parameters)
        self.core.restore([self.record], batches, day=0, drawn_units=0)

    def wake(self, seconds: int = 60) -> list[PayoutEffect]:
        """So much later."""
        self.now_s += seconds
        return self.tell(TimeCame())

    def due(self, *lines: PayoutLine, fees_units: int = 10**9) -> None:
        """What everybody has."""
        self.tell(PayoutsDue(lines=lines, fees_units=fees_units))

    def look(
        self,
        found: TransactionFound | None = None,
        *,
        sequence: int | None = None,
        base_fee: int = FEE,
        seconds: int = 60,
    ) -> list[PayoutEffect]:
        """It wants to look, and this is what it sees."""
        assert self.wake(seconds) == [LookAtChannel(channel="A")]
        return self.tell(
            ChannelSeen(
                channel="A",
                closed_s=self.now_s,
                base_fee_units=base_fee,
                sequence=self.sequence if sequence is None else sequence,
                found=found,
            )
        )

    def sealed(self, *lines: PayoutLine) -> PayoutBatch:
        """A batch of these."""
        self.due(*lines)
        self.look()
        return self.open_batch()

    def submitted(self, *lines: PayoutLine) -> PayoutBatch:
        """The same, on its way to the chain."""
        self.sealed(*lines)
        self.look()
        return self.one(SubmitBatch).batch

    def open_batch(self) -> PayoutBatch:
        """The one."""
        [batch] = self.core.open_batches
        return batch

    def channel(self) -> ChannelRecord:
        """As it stands in memory, which is as it was written last."""
        [record] = self.core.channels
        assert msgspec.structs.replace(record, sequence=self.record.sequence, is_resumed=self.record.is_resumed) == (
            self.record
        )
        return record

    def all_of(self, kind: type[T]) -> list[T]:
        """Of what was said last."""
        return [effect for effect in self.said if isinstance(effect, kind)]

    def one(self, kind: type[T]) -> T:
        """The only one of its kind."""
        [effect] = self.all_of(kind)
        return effect

    def actions(self) -> list[str]:
        """What the audit log says of it."""
        return [effect.action for effect in self.all_of(RecordAction)]
