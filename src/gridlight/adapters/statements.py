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
    return f"{_base64(said)}.{_base64(key.sign(domain, said))}"


def read_statement(text: str, domain: bytes, public: str, decoder: Decoder[T]) -> T:
    """What this key said; ProtocolViolation where it did not say so."""
    said, signature = split_statement(text)
    if not verify(public, domain, said, signature):
        raise ProtocolViolation(ViolationReason.BAD_SIGNATURE, "it is not signed with the key that it should be")
    return decoder.decode(said)


def split_statement(text: str) -> tuple[bytes, bytes]:
    """What is said, and the signature over it, neither of them checked. ProtocolViolation."""
    if len(text) > CHARACTERS_MAX:
        raise ProtocolViolation(ViolationReason.TOO_LARGE, f"a statement has at most {CHARACTERS_MAX} characters")
    said, _, signature = text.partition(".")
    try:
        return _bytes(said), _bytes(signature)
    except ValueError as error:
        raise ProtocolViolation(ViolationReason.MALFORMED, f"the statement cannot be read: {error}") from error


def _bytes(text: str) -> bytes:
    return b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def _base64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
