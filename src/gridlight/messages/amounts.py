"""Amounts as people and HTTP bodies write them: decimal strings of coins, exact to the unit of 1e-7."""

import re
from typing import Annotated, Final

from msgspec import Meta

from gridlight.messages.ledger import AMOUNT_MAX, UNITS_PER_COIN

PLACES: Final = 7
_FORM: Final = rf"[0-9]{{1,12}}(?:\.[0-9]{{1,{PLACES}}})?"
_is_amount = re.compile(_FORM).fullmatch

AmountField = Annotated[str, Meta(pattern=rf"^{_FORM}$(?!\n)")]
"""What somebody sends. What we write has all 7 places, and a minus sign where it is a change for the worse."""


def coins(units: int) -> str:
    """Units of 1e-7 coin as coins; integers all the way, so that no unit is lost."""
    sign, (whole, rest) = "-" if units < 0 else "", divmod(abs(units), UNITS_PER_COIN)
    return f"{sign}{whole}.{rest:0{PLACES}d}"


def units(text: str) -> int:
    """Coins as units. ValueError where it is no amount, has more than 7 places, or is more than the books can hold."""
    if not _is_amount(text):
        raise ValueError(f"{text[:40]!r} is no amount of coins with at most {PLACES} decimal places")
    whole, _, part = text.partition(".")
    counted = int(whole) * UNITS_PER_COIN + int(part.ljust(PLACES, "0"))
    if counted > AMOUNT_MAX:
        raise ValueError(f"{text} is more than the books can hold: at most {coins(AMOUNT_MAX)}")
    return counted
