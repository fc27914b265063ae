"""The routes on accounts: administrators make them, and whoever holds a key of one sees and rotates its keys."""

import asyncio
from typing import Annotated, Final, TypeVar

import structlog
from litestar import delete, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, QueryParameter
from msgspec import Struct

from gridlight.adapters.accounts import ACCOUNTS_LISTED_MAX, TooManyKeys
from gridlight.adapters.clock import SteadyClock
from gridlight.messages.accounts import (
    AccountBody,
    AccountResponse,
    AccountsResponse,
    AccountView,
    KeyBody,
    KeyCreated,
    KeysResponse,
    KeyView,
    Scope,
    account_id,
)
from gridlight.messages.codec import Decoder, ProtocolViolation
from gridlight.messages.ids import AccountId
from gridlight.messages.limits import MESSAGE_BYTES_MAX
from gridlight.services.gateway.accounts import Accounts, Caller
from gridlight.services.gateway.administrators import AdminToken
from gridlight.services.gateway.answers import READ_S_MAX, Answer, AnyRequest, answer, read, says
from gridlight.services.gateway.errors import Refusal
from gridlight.services.gateway.openapi import errors
from gridlight.services.gateway.uploads import BodyReader, check_announced

B = TypeVar("B", bound=Struct)
Listed = Annotated[int, QueryParameter(ge=1, le=ACCOUNTS_LISTED_MAX)]

_account_bodies: Final[Decoder[AccountBody]] = Decoder(AccountBody, MESSAGE_BYTES_MAX)
_key_bodies: Final[Decoder[KeyBody]] = Decoder(KeyBody, MESSAGE_BYTES_MAX)
_log = structlog.get_logger()


def account_routes(accounts: Accounts, admin: AdminToken, clock: SteadyClock) -> list[HTTPRouteHandler]:
    """All of them."""
    return [*administrator_routes(accounts, admin, clock), *own_routes(accounts), *key_routes(accounts, clock)]


def administrator_routes(accounts: Accounts, admin: AdminToken, clock: SteadyClock) -> list[HTTPRouteHandler]:
    """Who may ask at all."""

    @post("/v1/accounts", status_code=200, responses={200: says(AccountView), **errors(400, 401, 403, 408, 413)})
    async def create(request: AnyRequest) -> Answer:
        """A new account, without keys. `limits` holds `rate_per_minute` and `burst` (at each gateway) and
        `requests_per_day`; what is left out is not limited. Needs the admin token.
        """
        admin.demand(dict(request.scope["headers"]))
        said = await read_body(request, _account_bodies)
        view = await read(accounts.book.create, said.name, said.limits, clock.now_ms())
        _log.info("account_created", account=view.account_id)
        return answer(view)

    @get("/v1/accounts", responses={200: says(AccountsResponse), **errors(400, 401, 403)})
    async def listed(request: AnyRequest, limit: Listed = 100) -> Answer:
        """The newest accounts. Needs the admin token."""
        admin.demand(dict(request.scope["headers"]))
        return answer(AccountsResponse(await read(accounts.book.accounts, limit)))

    return [create, listed]


def own_routes(accounts: Accounts) -> list[HTTPRouteHandler]:
    """For whoever holds a key."""

    @get("/v1/account", responses={200: says(AccountResponse), **errors(401, 403, 429)})
    async def own(request: AnyRequest) -> Answer:
        """Whose key it is that was sent, what it is for, and how much of the day is used. Needs the scope `read`."""
        caller = await accounts.demand(request, Scope.READ)
        if caller.known is None:
            raise Refusal("NO_API_KEY", "The admin token belongs to no account.")
        account = caller.known.account
        used = accounts.used_today(account.account_id)
        return answer(AccountResponse(account=account, key=caller.known.key, requests_today=used))

    return [own]


def key_routes(accounts: Accounts, clock: SteadyClock) -> list[HTTPRouteHandler]:
    """An account's keys, for whoever holds one that is for that, and for administrators."""

    @post(
        "/v1/accounts/{account:str}/keys",
        status_code=200,
        responses={200: says(KeyCreated), **errors(400, 401, 403, 404, 408, 409, 413, 429)},
    )
    async def create_key(request: AnyRequest, account: FromPath[str]) -> Answer:
        """A new key of an account; this answer is the only one that ever holds it. Needs the admin token, or a key of
        the account with the scope `keys`, which can pass on no scope that it has not itself.
        """
        caller = await accounts.demand(request, Scope.KEYS)
        whose = await own_account(accounts, caller, account)
        said = await read_body(request, _key_bodies)
        for scope in said.scopes:
            caller.demand(scope)
        try:
            key, view = await read(accounts.book.create_key, whose, said.scopes, said.label, clock.now_ms())
        except TooManyKeys:
            raise Refusal("TOO_MANY_KEYS") from None
        _log.info("key_created", account=whose, key=view.key_id)
        return answer(KeyCreated(key=key.text, view=view))

    @get("/v1/accounts/{account:str}/keys", responses={200: says(KeysResponse), **errors(401, 403, 404, 429)})
    async def keys(request: AnyRequest, account: FromPath[str]) -> Answer:
        """An account's keys without their secrets. Needs the admin token, or a key with the scope `keys`."""
        whose = await own_account(accounts, await accounts.demand(request, Scope.KEYS), account)
        return answer(KeysResponse(await read(accounts.book.keys, whose)))

    @delete(
        "/v1/accounts/{account:str}/keys/{key_id:str}",
        status_code=200,
        responses={200: says(KeyView), **errors(401, 403, 404, 429)},
    )
    async def revoke(request: AnyRequest, account: FromPath[str], key_id: FromPath[str]) -> Answer:
        """Revoke a key for good: at once here, and within a minute at every gateway. Needs the admin token, or a key
        with the scope `keys`.
        """
        whose = await own_account(accounts, await accounts.demand(request, Scope.KEYS), account)
        view = await read(accounts.book.revoke, whose, key_id[:64], clock.now_ms())
        if view is None:
            raise Refusal("UNKNOWN_KEY")
        accounts.forget(view.key_id)
        _log.info("key_revoked", account=whose, key=view.key_id)
        return answer(view)

    return [create_key, keys, revoke]


async def own_account(accounts: Accounts, caller: Caller, text: str) -> AccountId:
    """The account that is named, where it is the caller's business; another's looks as if there were none."""
    wanted = account_id(text)
    if wanted is None or not caller.may_read(wanted):
        raise Refusal("UNKNOWN_ACCOUNT")
    if await read(accounts.book.account, wanted) is None:
        raise Refusal("UNKNOWN_ACCOUNT")
    return wanted


async def read_body(request: AnyRequest, decoder: Decoder[B], code: str = "BAD_ACCOUNT") -> B:
    """A small body; a Refusal with this code where it is another than wanted."""
    check_announced(dict(request.scope["headers"]), MESSAGE_BYTES_MAX)
    try:
        async with asyncio.timeout(READ_S_MAX):
            data = await BodyReader(request.receive).read(MESSAGE_BYTES_MAX)
    except TimeoutError:
        raise Refusal("UPLOAD_TOO_SLOW", "The body did not arrive in time.", "Send it at once.") from None
    try:
        return decoder.decode(data)
    except ProtocolViolation as violation:
        raise Refusal(code, f"It cannot be read: {str(violation)[:200]}.") from None
