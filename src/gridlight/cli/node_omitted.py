"""`gridlight node omitted`: which runs the network gave its word on and no receipt for, proved to whoever asks."""

from pathlib import Path
from typing import Annotated

import typer

from gridlight.cli.node_money import NetworkOption, asked
from gridlight.cli.options import JsonOption, NodeFolderOption
from gridlight.cli.tables import utc_time


def omitted(
    data: NodeFolderOption,
    out: Annotated[Path, typer.Option(help="The folder to write proofs to, a file each; made if there is one.")],
    network: NetworkOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say which of this node's runs have the network's word and no receipt, and prove it of those that are overdue.
    `gridlight receipt omitted FILE --network-key KEY` checks a proof, offline.
    """
    from gridlight.messages.codec import encode
    from gridlight.services.agent.own_words import Account, settle_account

    def settle(url: str, folder: Path) -> Account:
        return settle_account(url, folder, out)

    told = asked(data, network, settle)
    if as_json:
        typer.echo(encode(told).decode())
        return
    if not told.gives_words:
        typer.echo("this network gives no words: it has no prices, or does not sign")
    typer.echo(f"{told.waiting} runs have the network's word, and wait for their receipt")
    if told.unheard:
        typer.echo(
            f"{told.unheard} results got no word at all, the last {utc_time(told.unheard_ms)}: they prove nothing"
        )
    for one in told.omissions:
        said = f"proof in {one.file}" if one.file else f"no proof: {one.why}"
        typer.echo(f"{one.attempt} has no receipt, which was due {utc_time(one.due_ms)}; {said}")
    if told.omissions:
        typer.echo(f"check one: gridlight receipt omitted FILE --network-key {told.network_key}")
