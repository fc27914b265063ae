"""Amounts as the chain's API writes them: decimal strings of exactly 7 places, and whole units everywhere else."""

import re
from typing import Final

from gridlight.messages.ledger import UNITS_PER_COIN

UNITS_MAX: Final = 2**63 - 1
"""The chain's own maximum."""

_DECIMAL: Final = re.compile(r"[0-9]{1,12}\.[0-9]{7}", re.ASCII)


def to_decimal(units: int) -> str:
    """`12.3450000`: exact, since no float is on the way."""
    assert 0 <= units <= UNITS_MAX
    return f"{units // UNITS_PER_COIN}.{units % UNITS_PER_COIN:07d}"


def from_decimal(text: str) -> int:
    """Units; ValueError where it is not what the API writes."""
    if not _DECIMAL.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is no amount with 7 decimal places")
    whole, _, part = text.partition(".")
    return int(whole) * UNITS_PER_COIN + int(part)
