"""`gridlight deposits`: crediting requesters what they paid on the chain, and looking at what named nobody."""

from typing import TYPE_CHECKING, Annotated

import typer

from gridlight.cli.account_money import AccountArgument
from gridlight.cli.ending import demand, explaining
from gridlight.cli.options import JsonOption
from gridlight.cli.payouts import ConfigOption
from gridlight.cli.tables import utc_time

if TYPE_CHECKING:
    from gridlight.services.payer.watching import Seen

deposits_app = typer.Typer(
    help="Credit requesters what they pay on the chain, each exactly once.", no_args_is_help=True
)


@deposits_app.command("run")
def run(
    config: ConfigOption,
    watch: Annotated[bool, typer.Option(help="Go on until Ctrl-C, crediting what comes.")] = False,
    from_start: Annotated[
        bool, typer.Option(help="Read all payments again from the first on, should Horizon have left some out.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Credit what was paid to the network's account, and go on with what was under way."""
    demand("sqlalchemy", "stellar_sdk")
    from gridlight.services.payer.main import CannotPay
    from gridlight.services.payer.watching import watch as service

    with explaining(CannotPay, ValueError, OSError):
        seen = service(config, is_once=not watch, is_from_start=from_start)
    _show(seen, as_json=as_json)


@deposits_app.command("list")
def list_deposits(config: ConfigOption, as_json: JsonOption = False) -> None:
    """Show how many were credited, and those that nobody can be credited for."""
    demand("sqlalchemy", "stellar_sdk")
    from gridlight.services.payer.watching import read_seen

    with explaining(ValueError, OSError):
        seen = read_seen(config)
    _show(seen, as_json=as_json)


@deposits_app.command("attribute")
def attribute(
    config: ConfigOption,
    deposit: Annotated[str, typer.Argument(metavar="HASH:OPERATION", help="As `gridlight deposits list` shows it.")],
    account: AccountArgument,
) -> None:
    """Say whose a deposit is that named nobody; `gridlight deposits run` credits it, once and for good."""
    demand("sqlalchemy", "stellar_sdk")
    from gridlight.adapters.deposit_store import NotAttributed
    from gridlight.services.payer.watching import attribute as service

    with explaining(NotAttributed, ValueError, OSError):
        service(config, deposit, account)
    typer.echo(f"{deposit} is {account}'s; `gridlight deposits run` credits it")


def _show(seen: "Seen", *, as_json: bool) -> None:
    from gridlight.messages.amounts import coins
    from gridlight.messages.codec import encode

    if as_json:
        typer.echo(encode(seen).decode())
        return
    totals = seen.totals
    typer.echo(
        f"{totals.credited} deposits of {coins(totals.credited_units)} coin credited, {totals.waiting} wait for the "
        f"coordinator, {totals.unattributed} of {coins(totals.unattributed_units)} coin are nobody's"
    )
    for one in seen.open:
        named = "no number" if one.number is None else f"number {one.number}"
        why = f"names {named}" if one.refused is None else f"REFUSED: {one.refused}"
        place = f"{one.transaction}:{one.operation}"
        typer.echo(f"{utc_time(one.seen_ms)}  {coins(one.units):>18}  {place}  from {one.source or 'unknown'}  {why}")
