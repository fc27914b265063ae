"""Which epoch begins next, and with which secret: the one that was committed to when the epoch before it began."""

import secrets
from collections.abc import Callable

from gridlight.messages.trust import EpochBegan


def draw_secret() -> str:
    """256 bits that nobody can foresee, in hexadecimal."""
    return secrets.token_hex(32)


class EpochSequence:
    """One epoch after the other, each with the secret that the one before it promised."""

    def __init__(self, epoch: int | None, next_secret: str | None, draw: Callable[[], str] = draw_secret) -> None:
        """Go on after the last epoch that the core knows; none of both in a new network."""
        assert (epoch is None) == (next_secret is None), "an epoch promises the secret of the next one"
        self._next_epoch = 0 if epoch is None else epoch + 1
        self._next_secret = draw() if next_secret is None else next_secret
        self._draw = draw

    def begin(self) -> EpochBegan:
        """The next epoch, and the secret of the one after it. Whoever takes it must hand it to the core."""
        began = EpochBegan(epoch=self._next_epoch, secret=self._next_secret, next_secret=self._draw())
        self._next_epoch, self._next_secret = began.epoch + 1, began.next_secret
        return began
