"""`gridlight account credit`, `deposit-address`, `statement`: how an account gets money, and all that became of it."""

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gridlight.cli.network import DataOption, UrlOption, administrator
from gridlight.cli.options import URL, ApiKeyOption, JsonOption
from gridlight.cli.tables import utc_time, write_csv
from gridlight.client.errors import AnswerUnreadable, BadInput
from gridlight.messages.amounts import units

if TYPE_CHECKING:
    from gridlight.client.requester import Gridlight
    from gridlight.messages.money_api import StatementLine, StatementResponse

AccountArgument = Annotated[str, typer.Argument(metavar="ACCOUNT", help="As `gridlight account list` shows it.")]
CSV_COLUMNS = ("entry", "at", "key", "available", "held")


def credit(
    account: AccountArgument,
    amount: Annotated[str, typer.Argument(help="Coins, as 12 or 12.3450000.")],
    url: UrlOption = None,
    data: DataOption = None,
    key: Annotated[
        str | None,
        typer.Option(help="Names this grant: the same again is granted once. Drawn anew, and shown, if left out."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Vouch for money that an account gets, as the network's founder. Needs the admin token."""
    from gridlight.client.money_calls import credit_call, credit_responses
    from gridlight.messages.codec import encode

    wanted = key or secrets.token_hex(8)
    try:
        units(amount)
    except ValueError as error:
        raise BadInput(str(error), "write coins as 12 or 12.3450000") from error
    with administrator(url, data) as network:
        granted = network.exchange(credit_call(account, amount, wanted), credit_responses)
    if as_json:
        typer.echo(encode(granted).decode())
    else:
        typer.echo(f"credited {granted.amount} coin to {granted.account_id}: entry {granted.entry}, key {granted.key}")


def deposit_address(
    account: Annotated[
        str | None, typer.Argument(metavar="[ACCOUNT]", help="Your own key's if left out.", show_default=False)
    ] = None,
    url: UrlOption = None,
    data: DataOption = None,
    api_key: ApiKeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show where on the chain an account is paid in to."""
    from gridlight.client.account_calls import OWN_CALL, account_responses
    from gridlight.client.money_calls import deposit_call, deposit_responses
    from gridlight.messages.codec import encode

    if account is None and data is not None:
        raise BadInput("an administrator has no account", "name one as `gridlight account list` does")
    with holder(url, data, api_key) as network:
        whose = account or network.exchange(OWN_CALL, account_responses).account.account_id
        shown = network.exchange(deposit_call(whose), deposit_responses)
    if as_json:
        typer.echo(encode(shown).decode())
        return
    typer.echo(f"address {shown.address}\nnetwork {shown.network}\nasset   {shown.asset} (the chain's own coin)")
    typer.echo(f"account {shown.account_id}, number {shown.number}\n{shown.note}")


def statement(
    account: AccountArgument,
    url: UrlOption = None,
    data: DataOption = None,
    api_key: ApiKeyOption = None,
    csv: Annotated[Path | None, typer.Option(help="Write the lines to this file as CSV.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show everything that moved an account's money. It is added up here, and held against the balance."""
    from gridlight.client.money_calls import demand_sums
    from gridlight.messages.codec import encode

    with holder(url, data, api_key) as network:
        lines, last = _all_lines(network, account)
    demand_sums(lines, last)
    if csv is not None:
        rows = [(line.entry, utc_time(line.at_ms), line.key, line.available, line.held) for line in lines]
        write_csv(csv, CSV_COLUMNS, rows)
    if as_json:
        balance = {"account_id": last.account_id, "available": last.available, "held": last.held, "entry": last.entry}
        typer.echo(encode({**balance, "lines": lines}).decode())
        return
    if csv is None:
        for line in lines:
            typer.echo(f"{utc_time(line.at_ms)}  {line.available:>18}  {line.held:>18}  {line.key}")
    typer.echo(f"{last.available} coin available and {last.held} held, which is what {len(lines)} lines add up to")


def holder(url: str | None, data: Path | None, api_key: str | None) -> "Gridlight":
    """An administrator where a network's folder is named, else whoever holds the key."""
    from gridlight.client.requester import Gridlight

    return administrator(url, data) if data is not None else Gridlight(url or URL, api_key=api_key)


def _all_lines(network: "Gridlight", account: str) -> "tuple[list[StatementLine], StatementResponse]":
    from gridlight.client.money_calls import statement_call, statement_responses

    lines: list[StatementLine] = []
    after = 0
    while True:
        page = network.exchange(statement_call(account, after), statement_responses)
        lines += page.lines
        if page.next_after is None:
            return lines, page
        if page.next_after <= after:
            raise AnswerUnreadable(f"the pages of {account} do not end", "is this a Gridlight gateway?")
        after = page.next_after
