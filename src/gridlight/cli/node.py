"""The operator's words: `gridlight node`."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from gridlight.cli import examining, installing, node_money, node_omitted, node_workloads, owning
from gridlight.cli.ending import explaining
from gridlight.cli.node_why import print_why
from gridlight.cli.options import EngineOption, NodeFolderOption

node_app = typer.Typer(help="Run a node of a network.")
node_app.command("install")(installing.install_node)
node_app.command("uninstall")(installing.uninstall_node)
node_app.command("doctor")(examining.examine_node)
owning.add_to(node_app)
node_app.command("why")(print_why)
node_app.command("earnings")(node_money.earnings)
node_app.command("receipts")(node_money.receipts)
node_app.command("omitted")(node_omitted.omitted)
node_app.command("workloads")(node_workloads.list_workloads)
node_app.command("accept")(node_workloads.accept_workload)
node_app.command("revoke")(node_workloads.revoke_workload)


@node_app.command("start")
def start_node(
    network: Annotated[str, typer.Option(help="The URL of the network's gateway.")],
    data: NodeFolderOption,
    slots: Annotated[
        int | None,
        typer.Option(min=1, max=256, help="Tasks to run at once, at most; as many as you lend CPUs if left out."),
    ] = None,
    endorsement: Annotated[
        Path | None,
        typer.Option(
            help="The network's word on this node; DATA/endorsement if left out.", exists=True, dir_okay=False
        ),
    ] = None,
    engine: EngineOption = "auto",
    always: Annotated[
        bool, typer.Option("--always", help="This machine is there to be a node: lend it whatever else happens on it.")
    ] = False,
    bus: Annotated[str | None, typer.Option(hidden=True, help="Internal: the bus of this very machine.")] = None,
) -> None:
    """Lend this machine to a network until Ctrl-C, whenever its operator does not need it."""
    from gridlight.client.exchange import check_url

    # The process goes on as the agent, without the command line's libraries and with one heap: it is a guest here.
    command = [sys.executable, "-m", "gridlight.services.agent"]
    options = ["--network", check_url(network), "--data", str(data), "--engine", engine]
    options += [] if slots is None else ["--slots", str(slots)]
    options += [] if endorsement is None else ["--endorsement", str(endorsement)]
    options += ["--always"] if always else []
    options += [] if bus is None else ["--bus", bus]
    os.execve(sys.executable, [*command, *options], {**os.environ, "MALLOC_ARENA_MAX": "1"})  # noqa: S606 (our own)


@node_app.command("id")
def print_node_id(data: NodeFolderOption) -> None:
    """Print a node's id, and make its key where there is none: what the network's founder needs to endorse it."""
    from gridlight.services.own_nodes import id_of_node

    with explaining(ValueError):
        typer.echo(id_of_node(data))
