"""A requester's API key: how it is made, what is kept of it, and where the one of a network on this machine lies."""

import os
import secrets
from base64 import b32encode
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from gridlight.adapters.signatures import write_secret
from gridlight.messages.accounts import KEY_PREFIX
from gridlight.messages.ids import AccountId

REQUESTER_KEY_FILE: Final = "requester.key"
"""Beside network.json: the key of the account that `gridlight up` makes."""

API_KEY_VARIABLE: Final = "GRIDLIGHT_API_KEY"
_ID_CHARACTERS: Final = 12
_SECRET_CHARACTERS: Final = 32
_CHARACTERS_MAX: Final = 256
_PATH_CHARACTERS_MAX: Final = 4_096


class ApiKey(Struct, frozen=True):
    """`gl_<id>_<secret>`. The id is shown and looked up; of the secret only a digest is kept."""

    key_id: str
    secret: str

    def __repr__(self) -> str:
        return f"ApiKey({self.key_id})"

    @property
    def text(self) -> str:
        """What a requester sends."""
        return f"{KEY_PREFIX}{self.key_id}_{self.secret}"

    @property
    def digest(self) -> str:
        """Of the secret. One round of SHA-256 is enough, since 160 random bits cannot be tried through."""
        return sha256(self.secret.encode("ascii")).hexdigest()


def new_api_key() -> ApiKey:
    """From the system's randomness."""
    return ApiKey(_random(_ID_CHARACTERS), _random(_SECRET_CHARACTERS))


def read_api_key(text: str) -> ApiKey | None:
    """None where it does not have a key's form."""
    key_id, _, secret = text.removeprefix(KEY_PREFIX).partition("_")
    is_whole = len(key_id) == _ID_CHARACTERS and len(secret) == _SECRET_CHARACTERS and text.startswith(KEY_PREFIX)
    letters = set("abcdefghijklmnopqrstuvwxyz234567")
    return ApiKey(key_id, secret) if is_whole and letters.issuperset(key_id + secret) else None


def new_account_id() -> AccountId:
    """80 random bits: nobody's account is guessed, and no two are the same."""
    return AccountId("acc_" + _random(16))


def find_api_key(url: str) -> str | None:
    """What the environment names, else the key of a network that runs on this machine at this very address."""
    said = os.environ.get(API_KEY_VARIABLE, "").strip()
    if said:
        return said
    pointer = _pointer(url)
    if pointer is None:
        return None
    try:
        return read_key_file(Path(pointer.read_text(encoding="utf-8")[:_PATH_CHARACTERS_MAX].strip()))
    except (OSError, ValueError):
        return None


def read_key_file(path: Path) -> str:
    """OSError where it cannot be read, ValueError where it is no text."""
    return path.read_text(encoding="ascii")[:_CHARACTERS_MAX].strip()


def announce_key(url: str, key_file: Path) -> None:
    """Say to this user's other programs where the key of a network on this machine lies. The key stays where it is.

    A folder that takes no more files keeps nobody from starting a network: its key can still be named.
    """
    pointer = _pointer(url)
    if pointer is not None:
        with suppress(OSError):
            write_secret(pointer, f"{key_file}\n")


def withdraw_key(url: str) -> None:
    """The network is down."""
    pointer = _pointer(url)
    if pointer is not None:
        with suppress(OSError):
            pointer.unlink(missing_ok=True)


def _pointer(url: str) -> Path | None:
    """None for addresses elsewhere: a key of this machine's is sent nowhere else."""
    parts = urlsplit(url)
    host = "127.0.0.1" if parts.hostname == "localhost" else parts.hostname or ""
    if parts.scheme != "http" or not (host.startswith("127.") or host == "::1"):
        return None
    shared = os.environ.get("XDG_STATE_HOME")
    base = Path(shared).absolute() if shared else Path.home() / ".local" / "state"
    return base / "gridlight" / "networks" / f"{host.replace(':', '.')}_{parts.port or 80}"


def _random(characters: int) -> str:
    return b32encode(secrets.token_bytes(-(-characters * 5 // 8))).decode()[:characters].lower()
