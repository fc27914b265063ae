"""Small signed statements, as text that can be carried and shown: `base64url(JSON).base64url(signature)`.

The signature is over a domain tag and the JSON as it was received, so that there is no canonical form to argue over.
"""

from base64 import b64decode, urlsafe_b64encode
from typing import Final, TypeVar

from msgspec import Struct

from gridlight.adapters.signatures import SigningKey, verify
from gridlight.messages.codec import Decoder, ProtocolViolation, ViolationReason, encode

CHARACTERS_MAX: Final = 1_024

T = TypeVar("T")


def sign_statement(key: SigningKey, domain: bytes, statement: Struct) -> str:
    """The text that is carried."""
    said = encode(statement)
    return join_parts(said, key.sign(domain, said))


def join_parts(*parts: bytes) -> str:
    """What is said, and the signatures over it, as text."""
    return ".".join(urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def read_statement(text: str, domain: bytes, public: str, decoder: Decoder[T]) -> T:
    """What this key said; ProtocolViolation where it did not say so."""
    said, signature = split_statement(text)
    if not verify(public, domain, said, signature):
        raise ProtocolViolation(ViolationReason.BAD_SIGNATURE, "it is not signed with the key that it should be")
    return decoder.decode(said)


def split_statement(text: str) -> tuple[bytes, bytes]:
    """What is said, and the signature over it, neither of them checked. ProtocolViolation."""
    said, signature = split_parts(text, 2)
    return said, signature


def split_parts(text: str, count: int) -> list[bytes]:
    """What `join_parts` joined, unchecked. ProtocolViolation where it is not of so many parts, or cannot be read."""
    if len(text) > CHARACTERS_MAX:
        raise ProtocolViolation(ViolationReason.TOO_LARGE, f"a statement has at most {CHARACTERS_MAX} characters")
    parts = text.split(".")
    if len(parts) != count:
        raise ProtocolViolation(ViolationReason.MALFORMED, f"the statement has {len(parts)} parts, not {count}")
    try:
        return [_bytes(part) for part in parts]
    except ValueError as error:
        raise ProtocolViolation(ViolationReason.MALFORMED, f"the statement cannot be read: {error}") from error


def _bytes(text: str) -> bytes:
    return b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
