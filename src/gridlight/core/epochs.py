"""Epochs: the secrets that draws are keyed with, each committed to before its epoch and revealed when that is over."""

from hashlib import blake2b
from typing import Final

from msgspec import Struct

from gridlight.messages.trust import EpochBegan, RecordEpoch

REVEALED_AFTER: Final = 2
"""Epochs until a secret is revealed: by then all that it drew has been asked and answered."""


class Epochs(Struct):
    """The present epoch and its neighbours."""

    epoch: int | None = None
    key: bytes = b""
    next_secret: str | None = None
    unrevealed: list[tuple[int, str]] = []

    def begin(self, event: EpochBegan) -> list[RecordEpoch]:
        """A new epoch: its secret must be the one that was committed to."""
        assert self.next_secret in (None, event.secret), "the epoch's secret is not the one that was committed to"
        records = []
        if self.next_secret is None:
            records.append(RecordEpoch(epoch=event.epoch, commitment=commitment(event.secret)))
        records.append(RecordEpoch(epoch=event.epoch + 1, commitment=commitment(event.next_secret)))
        self.epoch, self.key, self.next_secret = event.epoch, bytes.fromhex(event.secret), event.next_secret
        self.unrevealed.append((event.epoch, event.secret))
        while self.unrevealed[0][0] <= event.epoch - REVEALED_AFTER:
            epoch, secret = self.unrevealed.pop(0)
            records.append(RecordEpoch(epoch=epoch, commitment=commitment(secret), secret=secret))
        return records


def commitment(secret: str) -> str:
    """What is published of a secret beforehand: BLAKE2b of 32 bytes over its bytes, in hexadecimal."""
    return blake2b(bytes.fromhex(secret), digest_size=32).hexdigest()
