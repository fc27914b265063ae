"""Randomness as a keyed hash of a seed and labels: no hidden state, independent of the order of events, auditable."""

from hashlib import blake2b

DRAWS_PER_HASH = 8


def draw_many(seed: int, label: str, *numbers: int) -> tuple[int, ...]:
    """Eight independent 64-bit integers for one seed, label and list of numbers; one hash."""
    message = b"|".join((label.encode(), *(b"%d" % number for number in numbers)))
    digest = blake2b(message, digest_size=64, key=b"%d" % seed).digest()
    return tuple(int.from_bytes(digest[start : start + 8], "little") for start in range(0, 64, 8))


def draw(seed: int, label: str, *numbers: int) -> int:
    """One 64-bit integer for one seed, label and list of numbers."""
    return draw_many(seed, label, *numbers)[0]
