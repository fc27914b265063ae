"""`gridlight account`: who may ask a network for detections, with which keys, and how much."""

import re
from typing import TYPE_CHECKING, Annotated

import typer

from gridlight.cli import account_money
from gridlight.cli.account_money import AccountArgument, holder
from gridlight.cli.network import DataOption, UrlOption, administrator
from gridlight.cli.options import URL, ApiKeyOption, JsonOption
from gridlight.client.errors import BadInput
from gridlight.messages.accounts import KEY_PREFIX, Scope

if TYPE_CHECKING:
    from gridlight.messages.accounts import KeyView

account_app = typer.Typer(help="Accounts of requesters, and their API keys.")
keys_app = typer.Typer(help="An account's API keys.")
account_app.add_typer(keys_app, name="keys")
account_app.command("credit")(account_money.credit)
account_app.command("deposit-address")(account_money.deposit_address)
account_app.command("statement")(account_money.statement)

_ACCOUNT = re.compile(r"acc_[0-9a-z]{16}")
_KEY_ID = re.compile(r"[a-z2-7]{12}")


@account_app.command("create")
def create_account(
    name: Annotated[str, typer.Argument(help="Whose it is; for you to read.")],
    url: UrlOption = None,
    data: DataOption = None,
    rate: Annotated[
        int | None, typer.Option(min=1, help="Requests a minute at each gateway; without a limit if left out.")
    ] = None,
    burst: Annotated[int, typer.Option(min=1, help="How many of them may come at once.")] = 60,
    quota: Annotated[int | None, typer.Option(min=0, help="Requests a day; without a limit if left out.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Make an account and its first key, which is shown this once. Needs the admin token."""
    from gridlight.client.account_calls import account_views, create_account_call, create_key_call, keys_created
    from gridlight.messages.accounts import KeyBody, Limits
    from gridlight.messages.codec import encode

    limits = Limits(rate_per_minute=rate, burst=burst, requests_per_day=quota)
    with administrator(url, data) as network:
        account = network.exchange(create_account_call(name, limits), account_views)
        first = KeyBody()
        created = network.exchange(create_key_call(account.account_id, first.scopes, first.label), keys_created)
    if as_json:
        typer.echo(encode({"account": account, "key": created.key}).decode())
    else:
        typer.echo(f"account {account.account_id}\nkey     {created.key}")


@account_app.command("list")
def list_accounts(url: UrlOption = None, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Show the network's accounts and their limits. Needs the admin token."""
    from gridlight.client.account_calls import ACCOUNTS_CALL, accounts_responses
    from gridlight.messages.codec import encode

    with administrator(url, data) as network:
        listed = network.exchange(ACCOUNTS_CALL, accounts_responses)
    if as_json:
        typer.echo(encode(listed).decode())
        return
    for one in listed.accounts:
        limits = one.limits
        rate = "no rate limit" if limits.rate_per_minute is None else f"{limits.rate_per_minute} a minute"
        quota = "no quota" if limits.requests_per_day is None else f"{limits.requests_per_day} a day"
        typer.echo(f"{one.account_id}  {rate}, {quota}  {one.name}")


@account_app.command("show")
def show_account(
    url: Annotated[str, typer.Option(envvar="GRIDLIGHT_URL", help="The network's gateway.")] = URL,
    api_key: ApiKeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show whose key yours is, what it is for, how much of the day is used, and what the account has."""
    from gridlight.client.account_calls import OWN_CALL, account_responses
    from gridlight.client.money_calls import balance_call, balance_responses
    from gridlight.client.requester import Gridlight
    from gridlight.messages.codec import encode

    with Gridlight(url, api_key=api_key) as network:
        own = network.exchange(OWN_CALL, account_responses)
        balance = network.exchange(balance_call(own.account.account_id), balance_responses)
    if as_json:
        whole = {"account": own.account, "key": own.key, "requests_today": own.requests_today, "balance": balance}
        typer.echo(encode(whole).decode())
        return
    quota = own.account.limits.requests_per_day
    used = f"{own.requests_today} requests today" + ("" if quota is None else f" of {quota}")
    typer.echo(f"{own.account.account_id} {own.account.name}: {used}\n{_line(own.key)}")
    typer.echo(f"{balance.available} coin available, {balance.held} held")


@keys_app.command("create")
def create_key(
    account: AccountArgument,
    url: UrlOption = None,
    data: DataOption = None,
    api_key: ApiKeyOption = None,
    scopes: Annotated[
        list[Scope] | None, typer.Option("--scope", help="What it is for; detect and read if left out. Repeatable.")
    ] = None,
    label: Annotated[str, typer.Option(help="Where it is used; for you to read.")] = "key",
    as_json: JsonOption = False,
) -> None:
    """Make a further key, which is shown this once. Needs the admin token, or a key with the scope `keys`."""
    from gridlight.client.account_calls import create_key_call, keys_created
    from gridlight.messages.accounts import KeyBody
    from gridlight.messages.codec import encode

    wanted = tuple(scopes) if scopes else KeyBody().scopes
    with holder(url, data, api_key) as network:
        created = network.exchange(create_key_call(_account(account), wanted, label), keys_created)
    typer.echo(encode(created).decode() if as_json else created.key)


@keys_app.command("list")
def list_keys(
    account: AccountArgument,
    url: UrlOption = None,
    data: DataOption = None,
    api_key: ApiKeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show an account's keys by their beginnings. Needs the admin token, or a key with the scope `keys`."""
    from gridlight.client.account_calls import keys_call, keys_responses
    from gridlight.messages.codec import encode

    with holder(url, data, api_key) as network:
        listed = network.exchange(keys_call(_account(account)), keys_responses)
    typer.echo(encode(listed).decode() if as_json else "\n".join(map(_line, listed.keys)))


@keys_app.command("revoke")
def revoke_key(
    account: AccountArgument,
    key: Annotated[str, typer.Argument(help="Its beginning, as the list shows it.")],
    url: UrlOption = None,
    data: DataOption = None,
    api_key: ApiKeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Revoke a key for good; within a minute no gateway takes it. Needs the admin token, or a key with scope `keys`."""
    from gridlight.client.account_calls import key_views, revoke_call
    from gridlight.messages.codec import encode

    key_id = key.removeprefix(KEY_PREFIX).partition("_")[0]
    if not _KEY_ID.fullmatch(key_id):
        raise BadInput(f"{key[:32]!r} is no key", "name it as `gridlight account keys list` does")
    with holder(url, data, api_key) as network:
        revoked = network.exchange(revoke_call(_account(account), key_id), key_views)
    typer.echo(encode(revoked).decode() if as_json else _line(revoked))


def _account(text: str) -> str:
    if not _ACCOUNT.fullmatch(text):
        raise BadInput(f"{text[:64]!r} is no account", "name it as `gridlight account list` does")
    return text


def _line(key: "KeyView") -> str:
    state = "valid" if key.revoked_ms is None else "revoked"
    return f"{KEY_PREFIX}{key.key_id}  {state}  {','.join(key.scopes)}  {key.label}"
