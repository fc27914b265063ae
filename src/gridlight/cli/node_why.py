"""`gridlight node why`: why a node gets nothing, asked of its network and of its own folder."""

from typing import Annotated

import typer

from gridlight.cli.ending import explaining
from gridlight.cli.options import JsonOption, NodeFolderOption


def print_why(
    data: NodeFolderOption,
    since: Annotated[str, typer.Option(help="How far back: 90s, 30m, 24h or 7d.")] = "24h",
    network: Annotated[
        str | None, typer.Option(help="The URL of the network's gateway; the one the agent joined if left out.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say why this node did not get, finish or get paid for tasks, each task counted once."""
    from rich.console import Console

    from gridlight.adapters.samples import SAMPLES_FILE, Samples
    from gridlight.client.errors import BadInput, Unreachable
    from gridlight.client.why import explain, length_ms
    from gridlight.client.why_table import print_explanation
    from gridlight.messages.codec import encode
    from gridlight.services.agent.gateway_api import GatewayRefused, GatewayUnreachable
    from gridlight.services.agent.reasons import ask_why, is_agent_running

    since_ms = length_ms(since)
    samples = Samples(data / SAMPLES_FILE).read()
    url = network or (samples[-1].network if samples else None)
    if url is None:
        raise BadInput(f"the agent of {data} has not asked a network yet", "name it: --network URL")
    try:
        with explaining(GatewayRefused, ValueError):
            why = ask_why(url, data)
    except GatewayUnreachable as error:
        raise Unreachable(str(error), "while this lasts the agent cannot reach it either, and gets nothing") from error
    explanation = explain(why, samples, since_ms, network=url, is_agent_running=is_agent_running(data))
    if as_json:
        typer.echo(encode(explanation).decode())
    else:
        print_explanation(Console(), explanation)
