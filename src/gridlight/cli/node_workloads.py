"""`gridlight node workloads | accept | revoke`: what a network offers, and what of it may run on this machine."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gridlight.cli.ending import explaining
from gridlight.cli.options import URL, JsonOption
from gridlight.client.errors import BadInput

if TYPE_CHECKING:
    from gridlight.messages.ids import WorkloadId
    from gridlight.messages.manifests import Manifest
    from gridlight.messages.workload_api import WorkloadResponse, WorkloadView

REVOKED_S_MAX = 2.0
"""A running agent has killed the workers by then."""

DataOption = Annotated[Path, typer.Option(help="The node's folder.")]
NetworkOption = Annotated[str, typer.Option(envvar="GRIDLIGHT_URL", help="The URL of the network's gateway.")]


def list_workloads(data: DataOption, network: NetworkOption = URL, as_json: JsonOption = False) -> None:
    """Show what the network offers, and what of it runs here. Nothing of a third party does before you accept it."""
    from rich.console import Console

    from gridlight.client.workload_tables import print_workloads
    from gridlight.messages.codec import encode
    from gridlight.services.agent.consents import read_consents

    views = _listed(network)
    with explaining(ValueError):
        accepted = {one.workload for one in read_consents(data).accepted.values()}
    here = _standings(data, views, accepted)
    if as_json:
        typer.echo(encode({"workloads": views, "here": here}).decode())
        return
    print_workloads(Console(), views, here)
    typer.echo("First-party workloads were accepted by starting the node; `gridlight node accept` adds others.")


def accept_workload(
    named: Annotated[str, typer.Argument(metavar="NAME@DIGEST", help="As `gridlight node workloads` shows it.")],
    data: DataOption,
    network: NetworkOption = URL,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Let a workload run on this machine. Bound to its digest: whatever changes is asked for again."""
    from rich.console import Console

    from gridlight.client.workload_calls import chosen
    from gridlight.client.workload_tables import print_workload
    from gridlight.messages.workload_api import WorkloadsResponse
    from gridlight.services.agent.consents import accept, read_consents

    view = chosen(WorkloadsResponse(data=_listed(network)), named)
    if view.publisher is None:
        typer.echo(f"{view.name} is first-party: it was accepted by starting the node")
        return
    found, manifest = _checked(data, network, view.id)
    with explaining(ValueError):
        before = read_consents(data).accepted.get(view.name)
    print_workload(Console(), found.workload)
    if before is not None and before.workload != view.id:
        _print_differences(before.manifest, manifest)
    if not yes and not typer.confirm("May it run on this machine?"):
        raise typer.Exit(1)
    with explaining(ValueError):
        accept(data, view.id, found.manifest)
    typer.echo(f"accepted {view.id}; a running node fetches it now, and lends it when it is warm")


def revoke_workload(
    name: Annotated[str, typer.Argument(help="The workload's name; a digest behind it is passed over.")],
    data: DataOption,
) -> None:
    """Take back a consent: a running node kills the workload's workers within two seconds."""
    from gridlight.services.agent.consents import revoke

    with explaining(ValueError):
        consent = revoke(data, name.partition("@")[0])
    if consent is None:
        raise BadInput(f"{name} was not accepted here", "`gridlight node workloads` shows what was")
    ends_s = time.monotonic() + REVOKED_S_MAX
    while consent.workload in _agent_lends(data) and time.monotonic() < ends_s:
        time.sleep(0.05)
    is_ended = consent.workload not in _agent_lends(data)
    typer.echo(f"revoked {consent.workload}" + ("" if is_ended else "; no agent that runs here has taken notice yet"))


def _listed(network: str) -> "list[WorkloadView]":
    from gridlight.client.exchange import check_url
    from gridlight.services.agent.gateway_api import GatewayApi, GatewayRefused, GatewayUnreachable

    with explaining(GatewayUnreachable, GatewayRefused):
        return GatewayApi(check_url(network)).workloads().data


def _checked(data: Path, network: str, workload: "WorkloadId") -> "tuple[WorkloadResponse, Manifest]":
    """The workload, with everything about it checked that the agent will check."""
    from gridlight.adapters.clock import wall_s
    from gridlight.adapters.manifests import ManifestRefused, check_signed
    from gridlight.services.agent.consents import pinned_network_key
    from gridlight.services.agent.gateway_api import GatewayApi, GatewayRefused, GatewayUnreachable, signed_workload
    from gridlight.workloads.contract import BadManifest, check_manifest

    key = pinned_network_key(data, None)
    if key is None:
        raise BadInput(f"{data} does not know the network's key yet", "start the node once: gridlight node start")
    with explaining(GatewayUnreachable, GatewayRefused, ManifestRefused, BadManifest):
        found = GatewayApi(network).workload(workload)
        manifest, _ = check_signed(signed_workload(found), key, now_ms=wall_s() * 1_000)
        check_manifest(manifest)
    return found, manifest


def _print_differences(before: bytes, manifest: "Manifest") -> None:
    from gridlight.adapters.manifests import read_manifest
    from gridlight.core.consent import differences

    typer.echo("You accepted another manifest of this name. What differs:")
    for line in differences(read_manifest(before), manifest):
        typer.echo(f"  {line}")


def _agent_lends(data: Path) -> "Mapping[WorkloadId, str]":
    from gridlight.services.agent.consents import read_state

    return {one.workload: one.state for one in read_state(data).lent}


def _standings(data: Path, views: "list[WorkloadView]", accepted: "set[WorkloadId]") -> "dict[WorkloadId, str]":
    """As the agent that runs here has it; else by what was accepted."""
    from gridlight.core.consent import Standing

    lent = _agent_lends(data)
    names = {workload.partition("@")[0] for workload in accepted}
    found: dict[WorkloadId, str] = {}
    for view in views:
        if view.publisher is None:
            standing = Standing.FIRST_PARTY
        elif view.id in accepted:
            standing = Standing.ACCEPTED
        else:
            standing = Standing.CHANGED if view.name in names else Standing.NOT_ACCEPTED
        state = lent.get(view.id)
        found[view.id] = standing.value if state is None else f"{standing.value}, {state}"
    return found
