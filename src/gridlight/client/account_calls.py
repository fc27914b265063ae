"""What the SDK asks of a gateway about accounts and their keys, and how it reads the answers."""

from typing import Final

from gridlight.client.exchange import ANSWER_BYTES_MAX, READ_TIMEOUT_S, Call
from gridlight.messages.accounts import (
    AccountBody,
    AccountResponse,
    AccountsResponse,
    AccountView,
    KeyBody,
    KeyCreated,
    KeysResponse,
    KeyView,
    Limits,
    Scope,
)
from gridlight.messages.codec import Decoder, encode

_JSON: Final = {"Content-Type": "application/json"}

account_views: Final[Decoder[AccountView]] = Decoder(AccountView, ANSWER_BYTES_MAX)
accounts_responses: Final[Decoder[AccountsResponse]] = Decoder(AccountsResponse, ANSWER_BYTES_MAX)
account_responses: Final[Decoder[AccountResponse]] = Decoder(AccountResponse, ANSWER_BYTES_MAX)
keys_created: Final[Decoder[KeyCreated]] = Decoder(KeyCreated, ANSWER_BYTES_MAX)
keys_responses: Final[Decoder[KeysResponse]] = Decoder(KeysResponse, ANSWER_BYTES_MAX)
key_views: Final[Decoder[KeyView]] = Decoder(KeyView, ANSWER_BYTES_MAX)

ACCOUNTS_CALL: Final = Call(method="GET", path="/v1/accounts", timeout_s=READ_TIMEOUT_S, parameters={"limit": "1000"})
OWN_CALL: Final = Call(method="GET", path="/v1/account", timeout_s=READ_TIMEOUT_S)


def create_account_call(name: str, limits: Limits) -> Call:
    """`POST /v1/accounts`."""
    body = encode(AccountBody(name=name, limits=limits))
    return Call(method="POST", path="/v1/accounts", timeout_s=READ_TIMEOUT_S, headers=_JSON, body=body)


def create_key_call(account: str, scopes: tuple[Scope, ...], label: str) -> Call:
    """`POST /v1/accounts/{id}/keys`."""
    body = encode(KeyBody(scopes=scopes, label=label))
    return Call(method="POST", path=_keys(account), timeout_s=READ_TIMEOUT_S, headers=_JSON, body=body)


def keys_call(account: str) -> Call:
    """`GET /v1/accounts/{id}/keys`."""
    return Call(method="GET", path=_keys(account), timeout_s=READ_TIMEOUT_S)


def revoke_call(account: str, key_id: str) -> Call:
    """`DELETE /v1/accounts/{id}/keys/{key}`."""
    return Call(method="DELETE", path=f"{_keys(account)}/{key_id}", timeout_s=READ_TIMEOUT_S)


def _keys(account: str) -> str:
    return f"/v1/accounts/{account}/keys"
