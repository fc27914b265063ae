"""An operator's key: as a recovery phrase (BIP-39) and as an encrypted file, so that a lost disk costs no identity.

The phrase's 256 bits are the key itself, not a wallet's seed that others would be derived from: 24 words, no password.
"""

from base64 import b64decode, b64encode
from typing import Annotated, Final

from mnemonic import Mnemonic
from msgspec import Meta, Struct
from nacl import pwhash, secret, utils
from nacl.exceptions import CryptoError

from gridlight.adapters.signatures import KeyKind, SigningKey
from gridlight.messages.codec import Decoder, ProtocolViolation, encode
from gridlight.messages.nodes import SuccessionField
from gridlight.messages.operators import SUCCESSIONS_MAX

PASSWORD_CHARACTERS_MIN: Final = 12
BACKUP_BYTES_MAX: Final = 32 * 1024
_WORDS: Final = 24
_OPERATIONS_MAX: Final = 16
_MEMORY_BYTES_MAX: Final = 1024**3
"""What a file may ask for: it could be anybody's."""


class BadOperatorKey(ValueError):
    """A phrase, password or file that gives no operator's key."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class OperatorBackup(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The file: the key in a secretbox, under a key that argon2id made of the password."""

    gridlight_operator_backup: Annotated[int, Meta(ge=1, le=1)]
    """Its version."""
    operator: str
    """The public key, for people to tell files apart."""
    salt: Annotated[str, Meta(max_length=64)]
    operations: Annotated[int, Meta(ge=1, le=_OPERATIONS_MAX)]
    memory_bytes: Annotated[int, Meta(ge=8_192, le=_MEMORY_BYTES_MAX)]
    box: Annotated[str, Meta(max_length=1_024)]
    successions: Annotated[tuple[SuccessionField, ...], Meta(max_length=SUCCESSIONS_MAX)] = ()
    """How the key followed on the operator's first one; no secret."""


_backups: Final[Decoder[OperatorBackup]] = Decoder(OperatorBackup, BACKUP_BYTES_MAX)


def phrase_of(operator: SigningKey) -> str:
    """24 English words, the last of which checks the others."""
    return Mnemonic("english").to_mnemonic(operator.raw_seed)


def operator_of_phrase(phrase: str) -> SigningKey:
    """BadOperatorKey where a word is none of the list, or they do not fit together."""
    words = phrase.lower().split()
    if len(words) != _WORDS:
        raise BadOperatorKey(f"a recovery phrase has {_WORDS} words, this one {len(words)}", "write them in order")
    try:
        raw = bytes(Mnemonic("english").to_entropy(words))
    except (ValueError, LookupError) as error:
        raise BadOperatorKey(
            "this is no recovery phrase: a word is mistyped or misplaced", "check each word"
        ) from error
    return SigningKey(KeyKind.USER, raw)


def encrypt_operator(
    operator: SigningKey,
    password: str,
    *,
    successions: tuple[str, ...] = (),
    operations: int = pwhash.argon2id.OPSLIMIT_MODERATE,
    memory_bytes: int = pwhash.argon2id.MEMLIMIT_MODERATE,
) -> bytes:
    """The file's content. Argon2id with libsodium's moderate limits: a quarter of a GiB, about a second."""
    if len(password) < PASSWORD_CHARACTERS_MIN:
        raise BadOperatorKey("the password is too short", f"use at least {PASSWORD_CHARACTERS_MIN} characters")
    salt = utils.random(pwhash.argon2id.SALTBYTES)
    key = pwhash.argon2id.kdf(secret.SecretBox.KEY_SIZE, password.encode(), salt, operations, memory_bytes)
    backup = OperatorBackup(
        gridlight_operator_backup=1,
        operator=operator.public,
        salt=b64encode(salt).decode(),
        operations=operations,
        memory_bytes=memory_bytes,
        box=b64encode(secret.SecretBox(key).encrypt(operator.raw_seed)).decode(),
        successions=successions,
    )
    return encode(backup) + b"\n"


def decrypt_operator(data: bytes, password: str) -> tuple[SigningKey, tuple[str, ...]]:
    """The key, and how it followed on others. BadOperatorKey where it is no such file, or the password is another."""
    try:
        backup = _backups.decode(data)
        salt, box = b64decode(backup.salt, validate=True), b64decode(backup.box, validate=True)
        key = pwhash.argon2id.kdf(
            secret.SecretBox.KEY_SIZE, password.encode(), salt, backup.operations, backup.memory_bytes
        )
        operator = SigningKey(KeyKind.USER, secret.SecretBox(key).decrypt(box))
    except CryptoError as error:
        raise BadOperatorKey("the backup does not open with this password", "is it the right file?") from error
    except (ProtocolViolation, ValueError, AssertionError) as error:
        raise BadOperatorKey("this is no operator's backup", "`gridlight operator backup` writes one") from error
    if operator.public != backup.operator:
        raise BadOperatorKey("the backup holds another key than it says", "it was changed: use another copy")
    return operator, backup.successions
