"""`gridlight payouts`: paying operators what is available to them, and seeing how that stands."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gridlight.cli.ending import demand, explaining
from gridlight.cli.options import JsonOption

if TYPE_CHECKING:
    from gridlight.services.payer.main import Status

payouts_app = typer.Typer(help="Pay operators on the chain, each exactly once.", no_args_is_help=True)

ConfigOption = Annotated[Path, typer.Option("--config", help="The payer's TOML file.", exists=True, dir_okay=False)]


@payouts_app.command("run")
def run(
    config: ConfigOption,
    watch: Annotated[bool, typer.Option(help="Go on until Ctrl-C, paying what becomes due.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Pay what is due, and go on with what was under way. Ends with 1 where a channel is halted."""
    _run(config, as_json=as_json, is_once=not watch)


@payouts_app.command("resume")
def resume(
    config: ConfigOption,
    channel: Annotated[str, typer.Argument(help="The halted account, as status shows it.")],
    give_up: Annotated[
        bool, typer.Option(help="The open batch was not paid, you are sure: its lines become available again.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Take responsibility for a halted channel, once you have looked, and pay on."""
    _run(config, as_json=as_json, is_once=True, resumed=channel, is_given_up=give_up)


@payouts_app.command("status")
def status(config: ConfigOption, as_json: JsonOption = False) -> None:
    """Show batches, channels, and the newest lines of the audit log."""
    demand("sqlalchemy", "stellar_sdk")
    from gridlight.services.payer.main import read_status

    with explaining(ValueError, OSError):
        shown = read_status(config)
    _show(shown, as_json=as_json)


@payouts_app.command("address")
def address(
    config: ConfigOption,
    operator: Annotated[str, typer.Argument(help="The operator's id.")],
    destination: Annotated[str, typer.Argument(help="An address of the chain, or with --pi a uid of Pi's platform.")],
    pi: Annotated[bool, typer.Option("--pi", help="Pay through Pi's platform.")] = False,
) -> None:
    """Set where an operator is paid who does not say so by `gridlight operator payout-address`. What the last address
    did not take is tried again.
    """
    demand("sqlalchemy", "stellar_sdk")
    from gridlight.services.payer.main import set_address

    with explaining(ValueError, OSError):
        has_own = set_address(config, operator, destination, is_pi=pi)
    if has_own:
        typer.echo(f"{operator} says where to be paid, and that goes first")


@payouts_app.command("signer")
def signer(config: ConfigOption) -> None:
    """Sign for the payer, as a process of its own that alone has the keys."""
    demand("sqlalchemy", "stellar_sdk")
    from gridlight.services.payer.main import CannotPay, run_signer

    with explaining(CannotPay, ValueError, OSError):
        run_signer(config)


def _run(config: Path, *, as_json: bool, is_once: bool, resumed: str | None = None, is_given_up: bool = False) -> None:
    demand("sqlalchemy", "stellar_sdk")
    from gridlight.services.payer.main import CannotPay
    from gridlight.services.payer.main import run as service

    def tell(now: "Status") -> None:
        counts = ", ".join(f"{count} {state}" for state, count in sorted(now.batches.items()))
        sys.stderr.write(f"batches: {counts or 'none'}; {now.inflight_units} units in flight\n")

    with explaining(CannotPay, ValueError, OSError):
        ended = service(config, is_once=is_once, resumed=resumed, is_given_up=is_given_up, told=tell)
    _show(ended, as_json=as_json)
    if ended.halted:
        raise typer.Exit(1)


def _show(shown: "Status", *, as_json: bool) -> None:
    from gridlight.messages.codec import encode

    if as_json:
        typer.echo(encode(shown).decode())
        return
    for state, count in sorted(shown.batches.items()):
        typer.echo(f"{count:>8} batches {state}")
    typer.echo(
        f"{shown.inflight_units} units in flight, {shown.available_units} available, {shown.fees_units} for fees"
    )
    for channel in shown.channels:
        halted = "" if channel.halted is None else f"  HALTED: {channel.halted.value}"
        typer.echo(f"channel {channel.account} at sequence {channel.sequence or 'unknown'}{halted}")
    for operator, reason in shown.refused.items():
        typer.echo(f"not paid: {operator}, whose address said {reason}")
    for action in shown.actions:
        typer.echo(
            f"{action.action:>8} {action.at_ms} {action.what} {action.batch_id or action.channel} {action.detail}"
        )
