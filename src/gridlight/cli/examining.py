"""`gridlight node doctor`: what is wrong with a node's set-up, and for each trouble one line to copy."""

from typing import TYPE_CHECKING, Annotated

import typer

from gridlight.cli.ending import EXPECTED_ERROR
from gridlight.cli.options import JsonOption, NodeFolderOption

if TYPE_CHECKING:
    from gridlight.core.checkup import Finding


def examine_node(
    data: NodeFolderOption,
    network: Annotated[
        str | None, typer.Option(help="The URL of the network's gateway; the one joined last, if left out.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what keeps this node from serving, and the line that mends it. Changes nothing; ends with 1 if unfit."""
    from gridlight.adapters.node_folder import kept_network
    from gridlight.client.exchange import check_url
    from gridlight.core.checkup import Level
    from gridlight.messages.codec import encode
    from gridlight.services.agent.doctor import examine

    folder = data.absolute()
    url = network or kept_network(folder)
    findings = examine(None if url is None else check_url(url), folder)
    is_healthy = all(finding.level is not Level.PROBLEM for finding in findings)
    if as_json:
        typer.echo(encode({"healthy": is_healthy, "findings": findings}).decode())
    else:
        for finding in findings:
            show(finding)
    if not is_healthy:
        raise typer.Exit(EXPECTED_ERROR)


def show(finding: "Finding") -> None:
    """One line, and below it the one to copy."""
    typer.echo(f"{finding.level:<8} {finding.check:<12} {finding.said}")
    if finding.line:
        typer.echo(f"{'':<21} {finding.line}")
