"""`gridlight network workloads`: which workloads a network's administrator lets run, and on how many nodes."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gridlight.cli.ending import explaining
from gridlight.cli.options import JsonOption
from gridlight.client.errors import BadInput

if TYPE_CHECKING:
    from gridlight.adapters.credentials import NetworkKeys
    from gridlight.client.requester import Gridlight
    from gridlight.messages.workload_api import RuledResponse, WorkloadView

workloads_app = typer.Typer(help="Let workloads run on a network's nodes, or stop them.", invoke_without_command=True)

DataOption = Annotated[Path, typer.Option(help="The network's folder, as of `gridlight up`: its token and its key.")]
UrlOption = Annotated[
    str | None, typer.Option(envvar="GRIDLIGHT_URL", help="The network's gateway; of DATA, if left out.")
]
NamedArgument = Annotated[str, typer.Argument(metavar="NAME@DIGEST", help="As the list shows it.")]


@workloads_app.callback()
def list_by_default(context: typer.Context) -> None:
    """Let workloads run on a network's nodes, or stop them."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@workloads_app.command("list")
def list_workloads(data: DataOption, url: UrlOption = None, as_json: JsonOption = False) -> None:
    """Show what is offered, what is stopped, and what was published and waits for approval."""
    from rich.console import Console

    from gridlight.client.workload_calls import WORKLOADS_CALL, workloads_responses
    from gridlight.client.workload_tables import print_workloads
    from gridlight.messages.codec import encode

    with _network(data, url) as network:
        listed = network.exchange(WORKLOADS_CALL, workloads_responses)
    if as_json:
        typer.echo(encode(listed).decode())
    else:
        print_workloads(Console(), listed.data)


@workloads_app.command("approve")
def approve(
    named: NamedArgument,
    data: DataOption,
    rollout: Annotated[int, typer.Option(min=1, max=100, help="Per cent of the nodes that may run it.")] = 1,
    days: Annotated[int, typer.Option(min=1, max=3_650, help="How long the approval holds.")] = 365,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Countersign a workload: nodes whose operators accept it may run it. Again with more per cent rolls it out."""
    from gridlight.adapters.clock import wall_s
    from gridlight.adapters.manifests import DAY_MS
    from gridlight.client.workload_calls import rule_call, ruled_responses

    with _network(data, url) as network:
        view, keys = _chosen(network, named), _keys(data)
        expires_ms = wall_s() * 1_000 + days * DAY_MS
        word = keys.countersign(view.id, percent=rollout, serial=view.serial + 1, expires_ms=expires_ms)
        _say(network.exchange(rule_call(view.id, countersignature=word), ruled_responses), as_json=as_json)


@workloads_app.command("stop")
def stop(named: NamedArgument, data: DataOption, url: UrlOption = None, as_json: JsonOption = False) -> None:
    """Stop a workload on every node, now: its open requests end, its workers are killed."""
    from gridlight.client.workload_calls import rule_call, ruled_responses

    with _network(data, url) as network:
        view, keys = _chosen(network, named), _keys(data)
        word = keys.order_stop(view.id, serial=view.serial + 1)
        _say(network.exchange(rule_call(view.id, stop=word), ruled_responses), as_json=as_json)


def _network(data: Path, url: str | None) -> "Gridlight":
    from gridlight.client.network_file import NETWORK_FILE, read_admin_token, read_network_file
    from gridlight.client.requester import Gridlight

    file = data / NETWORK_FILE
    return Gridlight(url or read_network_file(file).url, token=read_admin_token(file))


def _chosen(network: "Gridlight", named: str) -> "WorkloadView":
    from gridlight.client.workload_calls import WORKLOADS_CALL, chosen, workloads_responses

    view = chosen(network.exchange(WORKLOADS_CALL, workloads_responses), named)
    if view.missing:
        raise BadInput(
            f"{len(view.missing)} artifacts of {view.name} did not come yet",
            "its publisher shall run `gridlight workload publish` to its end",
        )
    return view


def _keys(data: Path) -> "NetworkKeys":
    from gridlight.adapters.credentials import NetworkKeys
    from gridlight.services.own_nodes import KEYS_FOLDER

    with explaining(FileNotFoundError, ValueError):
        return NetworkKeys.load(data / KEYS_FOLDER)


def _say(ruled: "RuledResponse", *, as_json: bool) -> None:
    from gridlight.messages.codec import encode

    one = ruled.workload
    if as_json:
        typer.echo(encode(ruled).decode())
        return
    share = f" for {one.rollout_percent} % of the nodes" if one.state == "approved" else ""
    typer.echo(f"{one.id} is {one.state}{share} (serial {one.serial})")
