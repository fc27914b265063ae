"""Ed25519 over the bytes as received, keys in NATS' text form (nkeys), and the digests the network speaks.

An nkey is base32 of a kind, 32 bytes of key and a CRC-16, so a mistyped key or one of the wrong kind is noticed.
A node's public nkey is its id, so no directory of keys is needed to check a node's signature.
"""

import os
import secrets
import tempfile
from base64 import b32decode, b32encode
from binascii import Error as Base32Error
from binascii import crc_hqx
from contextlib import suppress
from enum import IntEnum
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Final

from blake3 import blake3
from nacl.bindings import crypto_sign, crypto_sign_open, crypto_sign_seed_keypair
from nacl.exceptions import BadSignatureError

from gridlight.messages.envelope import signed_bytes
from gridlight.messages.ids import Blake3Digest

SIGNATURE_BYTES: Final = 64
_KEY_BYTES: Final = 32
_SEED_KIND: Final = 18 << 3


class KeyKind(IntEnum):
    """What an nkey stands for; the first letter of its text."""

    ACCOUNT = 0 << 3
    OPERATOR = 14 << 3
    USER = 20 << 3


class SigningKey:
    """A private key; it signs, and is written only to files that nobody else may read."""

    __slots__ = ("_secret", "public", "seed")

    def __init__(self, kind: KeyKind, raw_seed: bytes) -> None:
        assert len(raw_seed) == _KEY_BYTES
        public, self._secret = crypto_sign_seed_keypair(raw_seed)
        self.public: Final = _encode(bytes([kind]), public)
        self.seed: Final = _encode(bytes([_SEED_KIND | kind >> 5, (kind & 31) << 3]), raw_seed)

    def __repr__(self) -> str:
        return f"SigningKey({self.public})"

    @classmethod
    def generate(cls, kind: KeyKind = KeyKind.USER) -> "SigningKey":
        """A new key from the system's randomness."""
        return cls(kind, secrets.token_bytes(_KEY_BYTES))

    @classmethod
    def from_seed(cls, nkey_seed: str) -> "SigningKey":
        """Read a seed's text (`SU...`). ValueError where it is mistyped, public, or of an unknown kind."""
        raw = _decode(nkey_seed)
        if len(raw) != 2 + _KEY_BYTES or raw[0] & 0xF8 != _SEED_KIND:
            raise ValueError("this is not an nkey seed: it should be 58 characters that start with S")
        return cls(KeyKind((raw[0] & 7) << 5 | raw[1] >> 3), raw[2:])

    @classmethod
    def load_or_create(cls, path: Path, kind: KeyKind = KeyKind.USER) -> "SigningKey":
        """The key kept at `path`, made there where none is. Two processes that race end with the same key."""
        if not path.exists():
            with suppress(FileExistsError):
                write_secret(path, cls.generate(kind).seed + "\n", replace=False)
        try:
            return cls.from_seed(path.read_text(encoding="ascii").strip())
        except ValueError as error:
            raise ValueError(f"{path} does not hold a key: {error}") from error

    @property
    def raw_seed(self) -> bytes:
        """The 32 bytes that the key is made of, for a backup."""
        return _decode(self.seed)[2:]

    def sign(self, domain: bytes, message: bytes) -> bytes:
        """64 bytes over a domain tag and the message."""
        return self.sign_bare(signed_bytes(domain, message))

    def sign_bare(self, message: bytes) -> bytes:
        """64 bytes over exactly these bytes: for NATS' nonces and JWTs, which know no domain tag."""
        return crypto_sign(message, self._secret)[:SIGNATURE_BYTES]


def verify(public: str, domain: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` is this user key's over the domain and message. A malformed key or signature is a no."""
    return verify_bare(public, signed_bytes(domain, message), signature, KeyKind.USER)


def verify_bare(public: str, message: bytes, signature: bytes, kind: KeyKind) -> bool:
    """As `verify`, over exactly these bytes."""
    key = _public_bytes(public, kind)
    if key is None or len(signature) != SIGNATURE_BYTES:
        return False
    try:
        crypto_sign_open(signature + message, key)
    except BadSignatureError:
        return False
    return True


def is_public_key(text: str, kind: KeyKind = KeyKind.USER) -> bool:
    """Whether `text` is a well-formed public nkey of this kind, its checksum included."""
    return _public_bytes(text, kind) is not None


def raw_public(text: str, kind: KeyKind = KeyKind.USER) -> bytes:
    """The 32 bytes of a public nkey. ValueError where it is none of this kind."""
    raw = _public_bytes(text, kind)
    if raw is None:
        raise ValueError(f"{text[:80]!r} is no public key")
    return raw


def blake3_digest(data: bytes) -> Blake3Digest:
    """Of payloads and results."""
    return Blake3Digest(blake3(data).hexdigest())


def sha256_digest(data: bytes) -> str:
    """Of published artefacts."""
    return sha256(data).hexdigest()


def write_secret(path: Path, text: str, *, replace: bool = True) -> None:
    """Write a file of mode 0600, whole or not at all. FileExistsError where it is there and not to be replaced."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # which gives it mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            Path(name).replace(path)
        else:
            path.hardlink_to(name)
    finally:
        Path(name).unlink(missing_ok=True)


@lru_cache(maxsize=4_096)
def _public_bytes(public: str, kind: KeyKind) -> bytes | None:
    try:
        raw = _decode(public)
    except ValueError:
        return None
    if len(raw) != 1 + _KEY_BYTES or raw[0] != kind:
        return None
    return raw[1:]


def _encode(kind: bytes, key: bytes) -> str:
    body = kind + key
    return b32encode(body + crc_hqx(body, 0).to_bytes(2, "little")).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    if len(text) > 64 or not text.isascii():
        raise ValueError("this is not an nkey: it should be at most 64 characters of base32")
    try:
        raw = b32decode(text + "=" * (-len(text) % 8))
    except Base32Error as error:
        raise ValueError(f"this is not an nkey: {error}") from error
    body, checksum = raw[:-2], raw[-2:]
    if crc_hqx(body, 0).to_bytes(2, "little") != checksum:
        raise ValueError("this is not an nkey: its checksum does not fit, so it was changed or mistyped")
    if b32encode(raw).rstrip(b"=") != text.encode():
        raise ValueError("this is not an nkey: its last character holds stray bits")
    return body
