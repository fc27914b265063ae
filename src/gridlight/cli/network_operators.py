"""`gridlight network operators`: whom a network's administrator keeps out, and which certificates do not hold."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gridlight.cli.options import JsonOption
from gridlight.client.errors import BadInput

if TYPE_CHECKING:
    from gridlight.client.requester import Gridlight
    from gridlight.messages.operators import Verdict

operators_app = typer.Typer(
    help="Ban operators or nodes, lift bans, and revoke certificates.", invoke_without_command=True
)

DataOption = Annotated[Path, typer.Option(help="The network's folder, as of `gridlight up`, with its admin token.")]
UrlOption = Annotated[
    str | None, typer.Option(envvar="GRIDLIGHT_URL", help="The network's gateway; of DATA, if left out.")
]
KeyArgument = Annotated[str, typer.Argument(metavar="KEY", help="An operator's public key, or a node's id.")]
ReasonOption = Annotated[str, typer.Option(help="In a line; whoever it concerns is told, and the audit log keeps it.")]


@operators_app.callback()
def help_by_default(context: typer.Context) -> None:
    """Ban operators or nodes, lift bans, and revoke certificates."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@operators_app.command("ban")
def ban(
    key: KeyArgument, reason: ReasonOption, data: DataOption, url: UrlOption = None, as_json: JsonOption = False
) -> None:
    """Keep an operator with all nodes, or one node, out of the network, now and until `unban`."""
    from gridlight.messages.operators import Verdict

    _rule(key, Verdict.BANNED, reason, data, url, as_json=as_json)


@operators_app.command("unban")
def unban(
    key: KeyArgument,
    data: DataOption,
    reason: ReasonOption = "the ban is lifted",
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Lift a ban: from now on the node, or the operator's nodes, may join again."""
    from gridlight.messages.operators import Verdict

    _rule(key, Verdict.ALLOWED, reason, data, url, as_json=as_json)


@operators_app.command("revoke")
def revoke(
    key: KeyArgument, reason: ReasonOption, data: DataOption, url: UrlOption = None, as_json: JsonOption = False
) -> None:
    """Let no certificate count any more that an operator signed until now, for all nodes or for one."""
    from gridlight.messages.operators import Verdict

    _rule(key, Verdict.REVOKED, reason, data, url, as_json=as_json)


@operators_app.command("list")
def list_rulings(
    data: DataOption,
    url: UrlOption = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, the newest first.")] = 100,
    as_json: JsonOption = False,
) -> None:
    """Show the audit log: what was ruled, when and why. Of several lines on one key the first one stands."""
    from rich.console import Console

    from gridlight.client import network_tables
    from gridlight.client.operator_calls import rulings_call, rulings_responses
    from gridlight.messages.codec import encode

    with _network(data, url) as network:
        listed = network.exchange(rulings_call(limit), rulings_responses)
    if as_json:
        typer.echo(encode(listed).decode())
    else:
        network_tables.print_rulings(Console(), listed)


def _rule(key: str, verdict: "Verdict", reason: str, data: Path, url: str | None, *, as_json: bool) -> None:
    from gridlight.client.operator_calls import keys_ruled, rule_key_call
    from gridlight.messages.codec import encode
    from gridlight.messages.operators import REASON_CHARACTERS_MAX

    if not 0 < len(reason) <= REASON_CHARACTERS_MAX or not reason.isprintable():
        raise BadInput("the reason is no line of text", f"write at most {REASON_CHARACTERS_MAX} characters")
    with _network(data, url) as network:
        ruled = network.exchange(rule_key_call(key, verdict, reason), keys_ruled)
    if as_json:
        typer.echo(encode(ruled).decode())
    else:
        typer.echo(f"{ruled.key}: {ruled.verdict}; {ruled.nodes} known nodes are concerned")


def _network(data: Path, url: str | None) -> "Gridlight":
    from gridlight.client.network_file import NETWORK_FILE, read_admin_token, read_network_file
    from gridlight.client.requester import Gridlight

    file = data / NETWORK_FILE
    return Gridlight(url or read_network_file(file).url, token=read_admin_token(file))
