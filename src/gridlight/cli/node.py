"""The operator's words: `gridlight node`."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from gridlight.cli import node_workloads
from gridlight.cli.ending import explaining

node_app = typer.Typer(help="Run a node of a network.")
node_app.command("workloads")(node_workloads.list_workloads)
node_app.command("accept")(node_workloads.accept_workload)
node_app.command("revoke")(node_workloads.revoke_workload)


@node_app.command("start")
def start_node(
    network: Annotated[str, typer.Option(help="The URL of the network's gateway.")],
    data: Annotated[Path, typer.Option(help="The node's folder: its key, its logs.")],
    slots: Annotated[int, typer.Option(min=1, max=256, help="Tasks to run at once, each on a core.")] = 1,
    endorsement: Annotated[
        Path | None,
        typer.Option(
            help="The network's word on this node; DATA/endorsement if left out.", exists=True, dir_okay=False
        ),
    ] = None,
) -> None:
    """Lend this machine to a network until Ctrl-C."""
    from gridlight.client.exchange import check_url

    # The process goes on as the agent, without the command line's libraries and with one heap: it is a guest here.
    command = [sys.executable, "-m", "gridlight.services.agent"]
    options = ["--network", check_url(network), "--data", str(data), "--slots", str(slots)]
    options += [] if endorsement is None else ["--endorsement", str(endorsement)]
    os.execve(sys.executable, [*command, *options], {**os.environ, "MALLOC_ARENA_MAX": "1"})  # noqa: S606 (our own)


@node_app.command("id")
def print_node_id(data: Annotated[Path, typer.Option(help="The node's folder.")]) -> None:
    """Print a node's id, and make its key where there is none: what the network's founder needs to endorse it."""
    from gridlight.services.own_nodes import id_of_node

    with explaining(ValueError):
        typer.echo(id_of_node(data))
