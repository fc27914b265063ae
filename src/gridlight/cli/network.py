"""`gridlight network`: what a network's administrator, or anybody who doubts it, asks of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gridlight.cli.ending import explaining
from gridlight.cli.network_operators import operators_app
from gridlight.cli.network_workloads import workloads_app
from gridlight.cli.options import URL, JsonOption
from gridlight.client.errors import AnswerUnreadable, BadInput

if TYPE_CHECKING:
    from gridlight.client.requester import Gridlight
    from gridlight.messages.api import CommitView, EpochView

EPOCHS_LISTED_MAX = 10_000
EPOCHS_DRAWN_MAX = 1_000
"""At once, of those that are revealed: about a week."""

network_app = typer.Typer(help="Look after a network that you founded, and check what it says of itself.")
network_app.add_typer(workloads_app, name="workloads")
network_app.add_typer(operators_app, name="operators")

UrlOption = Annotated[
    str | None, typer.Option(envvar="GRIDLIGHT_URL", help=f"The network's gateway; of DATA, or {URL}, if left out.")
]
DataOption = Annotated[
    Path | None, typer.Option(help="The network's folder, as of `gridlight up`; its admin token is sent along.")
]


@network_app.command("audits")
def print_audits(
    url: UrlOption = None,
    data: DataOption = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="How many, the newest first.")] = 100,
    node: Annotated[str | None, typer.Option(help="Only those that this node made or went through.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show who checked whose answers, and how it came out. Needs the admin token."""
    from rich.console import Console

    from gridlight.client import network_tables
    from gridlight.messages.codec import encode
    from gridlight.messages.ids import NodeId

    with administrator(url, data) as network:
        audits = network.audits(limit, node=None if node is None else NodeId(node))
    if as_json:
        typer.echo(encode(audits).decode())
    else:
        network_tables.print_audits(Console(), audits)


@network_app.command("node")
def print_node(
    node_id: Annotated[str, typer.Argument(help="As `gridlight node id` prints it.")],
    url: UrlOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a node's reputation; with the admin token its faults and checks, too."""
    from rich.console import Console

    from gridlight.client import network_tables
    from gridlight.messages.codec import encode
    from gridlight.messages.ids import NodeId

    with administrator(url, data) as network:
        shown = network.node(NodeId(node_id))
    if as_json:
        typer.echo(encode(shown).decode())
    else:
        network_tables.print_node(Console(), shown)


@network_app.command("why")
def print_node_why(
    node_id: Annotated[str, typer.Argument(help="As `gridlight node id` prints it.")],
    url: UrlOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show why a node did not get, finish or get paid for tasks, since it first offered. Needs the admin token."""
    from rich.console import Console

    from gridlight.client.why import explain
    from gridlight.client.why_table import print_explanation
    from gridlight.messages.codec import encode
    from gridlight.messages.ids import NodeId

    with administrator(url, data) as network:
        why = network.why(NodeId(node_id))
        explanation = explain(why, [], why.at_ms, network=network.url)
    if as_json:
        typer.echo(encode(explanation).decode())
    else:
        print_explanation(Console(), explanation)


@network_app.command("trust")
def print_trust(url: UrlOption = None, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Show the network's rules of trust; what each level of verification costs and is worth."""
    from rich.console import Console

    from gridlight.client import network_tables
    from gridlight.messages.codec import encode

    with administrator(url, data) as network:
        trust = network.trust()
    if as_json:
        typer.echo(encode(trust).decode())
    else:
        network_tables.print_trust(Console(), trust)


@network_app.command("recompute")
def recompute_audits(
    url: UrlOption = None,
    data: DataOption = None,
    epoch: Annotated[
        int | None, typer.Option(min=0, help="One epoch; the newest 1000 that are revealed if left out.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Draw again who had to be audited, from secrets that are revealed. Ends with 1 where the network deviated."""
    from rich.console import Console

    from gridlight.client import network_tables
    from gridlight.client.recomputing import recompute
    from gridlight.messages.codec import encode

    with administrator(url, data) as network:
        findings = [recompute(one, all_commits(network, one.epoch)) for one in revealed_epochs(network, epoch)]
    if as_json:
        typer.echo(encode(findings).decode())
    else:
        network_tables.print_findings(Console(), findings)
    if any(one.deviations for one in findings):
        raise typer.Exit(1)


@network_app.command("endorse")
def endorse(
    node_id: Annotated[str, typer.Argument(help="As `gridlight node id` prints it.")],
    tier: Annotated[Literal["trusted", "reference"], typer.Option("--as", help="What the node shall be.")],
    data: Annotated[Path, typer.Option(help="The network's folder, as of `gridlight up`.")],
    out: Annotated[Path | None, typer.Option(help="Write it to this file instead of printing it.")] = None,
) -> None:
    """Give the network's word that a node is one of yours; the node brings it when it joins."""
    from gridlight.services.own_nodes import CannotEndorse, endorse_node

    with explaining(CannotEndorse):
        text = endorse_node(data, node_id, tier)
    if out is None:
        typer.echo(text)
    else:
        out.write_text(f"{text}\n", encoding="ascii")


@network_app.command("key")
def print_network_key(data: Annotated[Path, typer.Option(help="The network's folder, as of `gridlight up`.")]) -> None:
    """Print the network's public key: what issuers name the network by, and nodes check its words with."""
    from gridlight.adapters.credentials import NetworkKeys
    from gridlight.services.own_nodes import KEYS_FOLDER

    with explaining(FileNotFoundError, ValueError):
        typer.echo(NetworkKeys.load(data / KEYS_FOLDER).network_public)


def administrator(url: str | None, data: Path | None) -> "Gridlight":
    """Who asks: with the token and at the address of the folder, where one is named."""
    from gridlight.client.network_file import NETWORK_FILE, read_admin_token, read_network_file
    from gridlight.client.requester import Gridlight

    if data is None:
        return Gridlight(url or URL)
    file = data / NETWORK_FILE
    return Gridlight(url or read_network_file(file).url, token=read_admin_token(file))


def revealed_epochs(network: "Gridlight", wanted: int | None) -> "list[EpochView]":
    """In their order. BadInput where the one that is wanted is not among them."""
    epochs = [one for one in network.epochs(EPOCHS_LISTED_MAX).epochs if one.secret is not None]
    if wanted is None:
        return epochs[:EPOCHS_DRAWN_MAX][::-1]
    chosen = [one for one in epochs if one.epoch == wanted]
    if not chosen:
        newest = f"the newest that is revealed is {epochs[0].epoch}" if epochs else "none is revealed yet"
        raise BadInput(f"the secret of epoch {wanted} is not revealed", newest)
    return chosen


def all_commits(network: "Gridlight", epoch: int) -> "Iterator[CommitView]":
    """Page by page."""
    after: int | None = 0
    while after is not None:
        page = network.commits(epoch, after=after)
        yield from page.commits
        if page.next_after is not None and page.next_after <= after:
            raise AnswerUnreadable(f"the pages of epoch {epoch} do not end", "is this a Gridlight gateway?")
        after = page.next_after
