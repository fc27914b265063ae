"""The words that keep a node running without its operator: `gridlight node install` and `uninstall`."""

import os
import sys
from typing import Annotated

import typer

from gridlight.cli.ending import USAGE_ERROR, explaining, fail
from gridlight.cli.options import NodeFolderOption


def install_node(
    data: NodeFolderOption,
    network: Annotated[
        str | None, typer.Option(help="The URL of the network's gateway; the one joined last, if left out.")
    ] = None,
    slots: Annotated[int, typer.Option(min=1, max=256, help="Tasks to run at once, each on a core.")] = 1,
    containers: Annotated[bool, typer.Option("--containers", help="Leave room for rootless podman.")] = False,
) -> None:
    """Write a systemd unit for this node, which starts with the machine. Prints the two lines that switch it on."""
    from gridlight.adapters.blobs import cache_folder
    from gridlight.adapters.node_folder import kept_network
    from gridlight.adapters.user_unit import CARRIED_VARIABLES, UNIT_NAME, unit_file, unit_text, write_unit
    from gridlight.client.exchange import check_url

    folder = data.absolute()
    url = network or kept_network(folder)
    if url is None:
        fail("this node has joined no network yet", "say which: gridlight node install --network URL", USAGE_ERROR)
    for one in (folder, cache_folder()):
        one.mkdir(parents=True, exist_ok=True, mode=0o700)
    command = [sys.executable, "-m", "gridlight", "node", "start", "--network", check_url(url), "--data", str(folder)]
    environment = {name: os.environ[name] for name in CARRIED_VARIABLES if os.environ.get(name)}
    with explaining(ValueError):
        text = unit_text(
            [*command, "--slots", str(slots)],
            environment,
            writes=[folder, cache_folder()],
            has_containers=containers,
        )
        write_unit(unit_file(), text)
    typer.echo(f"{unit_file()} is written. To start the node now and with the machine:", err=True)
    typer.echo(f"systemctl --user daemon-reload && systemctl --user enable --now {UNIT_NAME}")
    typer.echo("loginctl enable-linger")


def uninstall_node() -> None:
    """Take the node's systemd unit away. Prints the line that stops the node; its key and its folder stay."""
    from gridlight.adapters.user_unit import UNIT_NAME, remove_unit, unit_file

    if not remove_unit(unit_file()):
        fail(f"there is no {unit_file()}", "nothing is installed")
    typer.echo(f"{unit_file()} is gone; the node's folder stays. To stop the node if it runs:", err=True)
    typer.echo(f"systemctl --user stop {UNIT_NAME} && systemctl --user daemon-reload")
