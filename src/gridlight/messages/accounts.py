"""A requester's account and its API keys: what administrators and requesters say of them over HTTP."""

from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Final

from msgspec import Meta, Struct

from gridlight.messages.ids import AccountId, AccountIdField

KEY_PREFIX = "gl_"
RATE_PER_MINUTE_MAX = 6_000_000
BURST_MAX = 100_000
REQUESTS_PER_DAY_MAX = 10**12
NAME_CHARACTERS_MAX = 128
KEYS_PER_ACCOUNT_MAX = 64
"""That are not revoked."""

_DEPOSIT_DOMAIN: Final = b"gridlight.deposit.v1:"

Name = Annotated[str, Meta(min_length=1, max_length=NAME_CHARACTERS_MAX, pattern=r"^[^\x00-\x1f\x7f]*$(?!\n)")]
KeyIdField = Annotated[str, Meta(pattern=r"^[a-z2-7]{12}$(?!\n)")]


class Scope(StrEnum):
    """What a key may be used for."""

    DETECT = "detect"
    """Send requests, which cost."""
    READ = "read"
    """Read the account's own requests, and the account."""
    KEYS = "keys"
    """Make, list and revoke the account's keys."""


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much an account may ask for; None is without a limit. The rate holds at each gateway, the day's quota at all
    together.
    """

    rate_per_minute: Annotated[int, Meta(ge=1, le=RATE_PER_MINUTE_MAX)] | None = None
    burst: Annotated[int, Meta(ge=1, le=BURST_MAX)] = 60
    """How many may come at once where nothing was asked for a while."""
    requests_per_day: Annotated[int, Meta(ge=0, le=REQUESTS_PER_DAY_MAX)] | None = None
    """Of a day in UTC."""


class AccountBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`POST /v1/accounts`."""

    name: Name
    limits: Limits = Limits()


class AccountView(Struct, frozen=True, kw_only=True):
    """One account."""

    account_id: AccountIdField
    name: Name
    limits: Limits
    created_ms: int


class AccountsResponse(Struct, frozen=True):
    """`GET /v1/accounts`, the newest first."""

    accounts: list[AccountView]


class KeyBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`POST /v1/accounts/{id}/keys`."""

    scopes: Annotated[tuple[Scope, ...], Meta(min_length=1, max_length=8)] = (Scope.DETECT, Scope.READ)
    label: Name = "key"


class KeyView(Struct, frozen=True, kw_only=True):
    """One key as it is shown afterwards: never the key itself."""

    key_id: KeyIdField
    account_id: AccountIdField
    scopes: tuple[Scope, ...]
    label: Name
    created_ms: int
    revoked_ms: int | None = None


class KeyCreated(Struct, frozen=True, kw_only=True):
    """The one answer that holds a key."""

    key: str
    view: KeyView


class KeysResponse(Struct, frozen=True):
    """`GET /v1/accounts/{id}/keys`, the newest first."""

    keys: list[KeyView]


class AccountResponse(Struct, frozen=True, kw_only=True):
    """`GET /v1/account`: whose key it is that was sent, and what is used of the account's day."""

    account: AccountView
    key: KeyView
    requests_today: int


def deposit_number(account: AccountId) -> int:
    """The number that payments on the chain name the account by: 63 bits, of SHA-256 over a tag and the account's id.

    Whoever knows an account can tell it, so no table can turn a payment over to another account.
    """
    return int.from_bytes(sha256(_DEPOSIT_DOMAIN + account.encode("ascii")).digest()[:8], "big") >> 1


def account_id(text: str) -> AccountId | None:
    """The id where it is well-formed."""
    rest = text.removeprefix("acc_")
    is_whole = len(text) == 20 and len(rest) == 16 and rest.isascii() and rest.isalnum() and rest == rest.lower()
    return AccountId(text) if is_whole else None
