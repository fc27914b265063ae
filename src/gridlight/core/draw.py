"""Randomness as a keyed hash of a seed and labels: no hidden state, independent of the order of events, auditable."""

from functools import lru_cache
from hashlib import blake2b
from struct import Struct as Layout
from typing import Final

DRAWS_PER_HASH: Final = 8
_DRAWS: Final = Layout(f"<{DRAWS_PER_HASH}Q")


def draw_many(seed: int, label: str, *numbers: int) -> tuple[int, ...]:
    """Eight independent 64-bit integers for one seed, label and list of numbers; one hash."""
    hashed = _seeded(seed).copy()
    hashed.update(((label + "|%d" * len(numbers)) % numbers).encode())
    return _DRAWS.unpack(hashed.digest())


def draw_keyed(key: bytes, label: str, *numbers: int) -> int:
    """One 64-bit integer for a secret key of at most 64 bytes: nobody foresees it, and everybody can check it later."""
    hashed = _keyed(key).copy()
    hashed.update(((label + "|%d" * len(numbers)) % numbers).encode())
    return int.from_bytes(hashed.digest(), "little")


def is_within(draw_of_64_bits: int, ppm: int) -> bool:
    """Whether a draw falls within a share, in millionths."""
    return draw_of_64_bits * 1_000_000 >> 64 < ppm


def draw(seed: int, label: str, *numbers: int) -> int:
    """One 64-bit integer for one seed, label and list of numbers."""
    return draw_many(seed, label, *numbers)[0]


@lru_cache(maxsize=16)
def _seeded(seed: int) -> blake2b:
    """A hash that was given its key; a copy of it costs half of what a new one does."""
    return blake2b(digest_size=_DRAWS.size, key=b"%d" % seed)


@lru_cache(maxsize=16)
def _keyed(key: bytes) -> blake2b:
    return blake2b(digest_size=8, key=key)
