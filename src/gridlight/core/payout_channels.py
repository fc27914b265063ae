"""A payout channel in memory: its record, its open batch, when it is looked at next, and how it halts."""

from typing import Final

import msgspec
from msgspec import Struct

from gridlight.messages.payouts import (
    ChannelRecord,
    HaltReason,
    PayoutBatch,
    PayoutEffect,
    PayoutLine,
    RecordAction,
    RecordChannel,
)

LOOK_AGAIN_MS: Final = 5_000
"""About one ledger."""
LOOK_AGAIN_MS_MAX: Final = 60_000

Effects = list[PayoutEffect]


class Channel(Struct):
    """A channel's record, its open batch, and what is on the way."""

    record: ChannelRecord
    batch: PayoutBatch | None = None
    due_ms: int | None = 0
    """When to look, or to tell the platform how a payment ended; nothing while an answer is on the way."""
    is_asked: bool = False
    """Whether an answer is on the way."""
    misses: int = 0
    line: PayoutLine | None = None
    """What the platform is, or was, told of."""
    identifier: str = ""
    destination: str = ""

    @property
    def is_halted(self) -> bool:
        """Whether somebody must look first."""
        return self.record.halted is not None

    def look_later(self, now_ms: int) -> Effects:
        """Nothing was learned: the next look comes later each time."""
        self.due_ms = now_ms + min(LOOK_AGAIN_MS << min(self.misses, 8), LOOK_AGAIN_MS_MAX)
        self.misses += 1
        return []

    def halt(self, reason: HaltReason) -> Effects:
        """Look-ups go on: a batch that is found after all ends the halt by itself."""
        if self.is_halted:
            return []
        self.record = msgspec.structs.replace(self.record, halted=reason)
        return [RecordChannel(channel=self.record), self.action("halted", reason.value)]

    def action(self, action: str, detail: str = "", batch_id: str = "") -> RecordAction:
        """For the audit log; of its open batch, if no other is named."""
        if not batch_id and self.batch is not None:
            batch_id = self.batch.batch_id
        return RecordAction(action=action, channel=self.record.account, batch_id=batch_id, detail=detail)
