"""How an operator's keys follow on each other: signed with the old and the new one, kept in a file beside the key.

A rotation that is broken off goes on where it stopped: the new key is on the disk before anything is said of it, and
the old one is kept under a name of its own.
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

from msgspec import Struct

from gridlight.adapters.signatures import SigningKey, verify, write_secret
from gridlight.adapters.statements import join_parts, split_parts
from gridlight.core.lineages import DAY_MS, PAUSE_MS
from gridlight.messages.codec import ProtocolViolation, ViolationReason, encode, successions
from gridlight.messages.envelope import SUCCEEDED_DOMAIN, SUCCEEDING_DOMAIN
from gridlight.messages.operators import SUCCESSIONS_MAX, NodeCertificate, OperatorSuccession

_BYTES_MAX: Final = 64 * 1024
_NAME_CHARACTERS: Final = 12


class BadSuccession(ValueError):
    """The file beside an operator's key does not lead to that key, or the key cannot be succeeded now."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class Rotation(Struct, frozen=True):
    """What became of a key file."""

    old: SigningKey
    new: SigningKey
    kept: Path
    """Where the old key is now: named for itself, so that it takes no other one's place."""


def succession(old: SigningKey, new: SigningKey, *, now_ms: int) -> str:
    """The text that the operator's nodes carry."""
    said = encode(OperatorSuccession(old_key=old.public, new_key=new.public, serial=now_ms))
    return join_parts(said, old.sign(SUCCEEDED_DOMAIN, said), new.sign(SUCCEEDING_DOMAIN, said))


def check_successions(texts: Sequence[str]) -> tuple[OperatorSuccession, ...]:
    """What is said, the oldest first. ProtocolViolation where one is not signed with both keys, or does not follow."""
    if len(texts) > SUCCESSIONS_MAX:
        raise ProtocolViolation(ViolationReason.TOO_LARGE, f"{len(texts)} successions, at most {SUCCESSIONS_MAX}")
    chain = tuple(_checked(text) for text in texts)
    if any(one.new_key != after.old_key for one, after in pairwise(chain)):
        raise ProtocolViolation(ViolationReason.OUT_OF_TURN, "the successions do not follow on each other")
    return chain


def split_carried(text: str) -> tuple[str, tuple[str, ...]]:
    """An operator's statement, and the successions below it that lead to the key that signed it."""
    statement, *texts = text.split() or [""]
    return statement, tuple(texts)


def speaking_key(operator: str, texts: Sequence[str]) -> str:
    """Which key speaks for the operator whom networks know by this first one. ProtocolViolation."""
    chain = check_successions(texts)
    if chain and chain[0].old_key != operator:
        raise ProtocolViolation(ViolationReason.WRONG_SENDER, "the successions begin with another operator's key")
    return chain[-1].new_key if chain else operator


def predecessors(certificate: NodeCertificate, texts: Sequence[str]) -> tuple[str, ...]:
    """The operator's keys before the one that signed a certificate, the first one first. ProtocolViolation."""
    chain = check_successions(texts)
    ends = (chain[0].old_key, chain[-1].new_key) if chain else (certificate.operator, certificate.operator)
    if ends != (certificate.lineage or certificate.operator, certificate.operator):
        raise ProtocolViolation(
            ViolationReason.WRONG_SENDER, "the successions do not lead from the first key to the certificate's"
        )
    return tuple(one.old_key for one in chain)


def successions_file(key: Path) -> Path:
    """Beside the key; one succession a line."""
    return key.with_name(key.name + ".successions")


def successions_to(key: Path, public: str) -> tuple[str, ...]:
    """How the key of this file followed on the operator's first one; empty where it is the first. BadSuccession."""
    path = successions_file(key)
    texts = _texts(path)
    chain = _read(path, texts)
    if chain and chain[-1].new_key != public:
        raise BadSuccession(f"{path} leads to another key than {key} holds", "keep both files together, as they were")
    return texts


def rotate_key(key: Path, *, now_ms: int) -> Rotation:
    """Put a new key in the place of the one that the file holds. BadSuccession where networks would not take it."""
    old = SigningKey.load_or_create(key)
    coming, beside = key.with_name(key.name + ".new"), successions_file(key)
    texts = _texts(beside)
    chain = _read(beside, texts)
    if is_new := not (coming.exists() and chain and chain[-1].old_key == old.public):
        successions_to(key, old.public)
        _demand_pause(chain, now_ms)
    new = SigningKey.load_or_create(coming)
    if is_new:
        texts = (*texts, succession(old, new, now_ms=now_ms))
        write_secret(beside, "".join(text + "\n" for text in texts))
    successions_to(key, new.public)
    kept = key.with_name(f"{key.name}.{old.public[:_NAME_CHARACTERS]}")
    write_secret(kept, old.seed + "\n")
    coming.replace(key)
    return Rotation(old, new, kept)


def _demand_pause(chain: tuple[OperatorSuccession, ...], now_ms: int) -> None:
    if len(chain) >= SUCCESSIONS_MAX:
        raise BadSuccession(
            f"this key's operator had {SUCCESSIONS_MAX} successions, and may have no more",
            "`gridlight operator create` makes a new operator",
        )
    left_ms = chain[-1].serial + PAUSE_MS - now_ms if chain else 0
    if left_ms > 0:
        raise BadSuccession(
            f"this key took another's place less than {PAUSE_MS // DAY_MS} days ago; networks take no other so soon",
            f"days until then: {-(-left_ms // DAY_MS)}; where the key was stolen, ask your networks to ban it",
        )


def _texts(path: Path) -> tuple[str, ...]:
    try:
        with path.open(encoding="ascii") as file:
            return tuple(file.read(_BYTES_MAX).split())
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise BadSuccession(f"the successions {path} cannot be read: {error}", "restore the file") from error


def _read(path: Path, texts: tuple[str, ...]) -> tuple[OperatorSuccession, ...]:
    try:
        return check_successions(texts)
    except ProtocolViolation as violation:
        raise BadSuccession(f"the successions {path} do not hold: {violation}", "restore the file") from violation


def _checked(text: str) -> OperatorSuccession:
    said, with_old, with_new = split_parts(text, 3)
    one = successions.decode(said)
    if not (
        verify(one.old_key, SUCCEEDED_DOMAIN, said, with_old) and verify(one.new_key, SUCCEEDING_DOMAIN, said, with_new)
    ):
        raise ProtocolViolation(ViolationReason.BAD_SIGNATURE, "it is not signed with both keys that it names")
    return one
