"""Which of two releases is older, as far as their numbers tell."""

import re
from typing import Final

_NUMBERS: Final = re.compile(r"\d{1,9}(?:\.\d{1,9}){0,7}")


def is_older(version: str, than: str) -> bool:
    """Whether a release came before another. What begins with no number is another program's, and not called old."""
    one, other = _numbers(version), _numbers(than)
    return one is not None and other is not None and one < other


def _numbers(version: str) -> tuple[int, ...] | None:
    """`1.2` and `1.2.0` are one release."""
    match = _NUMBERS.match(version)
    if match is None:
        return None
    numbers = [int(part) for part in match[0].split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
