"""What joins the payer to operators' own words: takes over what they signed, checked here again and newest first.

Gateways keep the words, and one of them might lie. It can name no address in an operator's stead, nor bring an old word
back: what was taken over has a serial, and only a higher one takes its place.
"""

from collections.abc import Callable
from typing import Final, Protocol

import structlog

from gridlight.adapters.chain.addresses import BadAddress, checked_address
from gridlight.adapters.kept_statements import StatementsUnread
from gridlight.adapters.payout_statements import check_payout_statement
from gridlight.adapters.payout_store import PayoutStore, Taken
from gridlight.messages.codec import ProtocolViolation
from gridlight.messages.operators import PayoutStatement

REFUSED_AGAIN_MS: Final = 3_600_000
"""Each address that takes nothing costs the network a failed transaction, so an operator has one try an hour."""

_log = structlog.get_logger()


class KeptWords(Protocol):
    """Whoever keeps operators' signed words. StatementsUnread where it cannot say."""

    def serials(self) -> dict[str, int]:
        """Of every operator's newest."""

    def texts(self, operators: list[str]) -> list[tuple[str, str]]:
        """Operators with their signed texts."""


class Statements:
    """One payer's view of them."""

    def __init__(self, kept: KeptWords, store: PayoutStore, now_ms: Callable[[], int]) -> None:
        self._kept: Final = kept
        self._store: Final = store
        self._now_ms: Final = now_ms

    def take_over(self) -> bool:
        """Whether anybody is paid otherwise from now on. O(operators); what cannot be read changes nothing."""
        now_ms, taken = self._now_ms(), self._store.taken()
        try:
            newer = [
                operator
                for operator, serial in self._kept.serials().items()
                if _is_due(taken.get(operator), serial, now_ms)
            ]
            texts = self._kept.texts(newer)
        except StatementsUnread as error:
            _log.warning("statements_unread", problem=str(error))
            return False
        said = [one for operator, text in texts if (one := _checked(operator, text, taken.get(operator))) is not None]
        if said:
            self._store.take_over(now_ms, said)
        return bool(said)


def _is_due(known: Taken | None, serial: int, now_ms: int) -> bool:
    if known is None:
        return True
    return serial > known.serial and (known.refused is None or now_ms >= known.taken_ms + REFUSED_AGAIN_MS)


def _checked(operator: str, text: str, known: Taken | None) -> PayoutStatement | None:
    """What the operator said, if they did, and later than what is known."""
    try:
        statement = check_payout_statement(text, operator)
        if statement.address is not None:
            checked_address(statement.address)
    except (ProtocolViolation, BadAddress) as error:
        _log.warning("statement_refused", operator=operator, problem=str(error))
        return None
    return statement if known is None or statement.serial > known.serial else None
