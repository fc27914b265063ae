"""The command `gridlight` as a whole: which words there are, and how each may end.

Heavy imports are inside the commands, so that `gridlight --help` is quick. Errors that a person can act on are one
line on stderr with a hint.
"""

import sys
from typing import Annotated

import typer

from gridlight.cli import measuring, operator_payouts, requesting, serving
from gridlight.cli.account import account_app
from gridlight.cli.deposits import deposits_app
from gridlight.cli.ending import INTERRUPTED, USAGE_ERROR, fail
from gridlight.cli.issuer import issuer_app
from gridlight.cli.money import ledger_app, receipt_app
from gridlight.cli.network import network_app
from gridlight.cli.node import node_app
from gridlight.cli.operator import operator_app
from gridlight.cli.payouts import payouts_app
from gridlight.cli.workload import workload_app
from gridlight.client.errors import GridlightError

app = typer.Typer(
    name="gridlight",
    help="An open network on which volunteers' idle computers do AI work for strangers.",
    epilog="Try it: gridlight demo",
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(requesting.detect)
app.command()(requesting.run)
app.command()(measuring.casestudy)
app.command()(measuring.demo)
app.command()(measuring.simulate)
app.command()(serving.setup)
app.command()(serving.up)
operator_app.command("payout-address")(operator_payouts.payout_address)
app.add_typer(node_app, name="node")
app.add_typer(network_app, name="network")
app.add_typer(account_app, name="account")
app.add_typer(operator_app, name="operator")
app.add_typer(issuer_app, name="issuer")
app.add_typer(workload_app, name="workload")
app.add_typer(ledger_app, name="ledger")
app.add_typer(receipt_app, name="receipt")
app.add_typer(payouts_app, name="payouts")
app.add_typer(deposits_app, name="deposits")
app.command(rich_help_panel="Started by `gridlight up`")(serving.coordinator)
app.command(rich_help_panel="Started by `gridlight up`")(serving.gateway)


def main() -> None:
    """Run the command line and exit."""
    if not __debug__:
        fail("Gridlight relies on its assertions", "run Python without -O and PYTHONOPTIMIZE")
    try:
        status = typer.main.get_command(app).main(prog_name="gridlight", standalone_mode=False)
    except typer.TyperException as error:
        fail(
            " ".join(error.format_message().split()),
            "`gridlight COMMAND --help` says what a command takes",
            USAGE_ERROR,
        )
    except typer.Abort:
        sys.exit(INTERRUPTED)
    except GridlightError as error:
        fail(str(error), error.hint)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "gridlight"):
            raise
        fail(f"this needs the package {package}, which a node does without", "pip install 'gridlight[demo]'")
    except OSError as error:
        fail(f"{error.strerror or error}: {error.filename}" if error.filename else str(error), "")
    sys.exit(status if isinstance(status, int) else 0)


def print_version(wanted: bool) -> None:
    """For `--version`."""
    if wanted:
        from importlib.metadata import version

        typer.echo(f"gridlight {version('gridlight')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def gridlight(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=print_version, is_eager=True)
    ] = False,
) -> None:
    """An open network on which volunteers' idle computers do AI work for strangers."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
