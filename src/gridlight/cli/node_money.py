"""`gridlight node earnings` and `receipts`: what an operator earned, and the network's signed word on each run."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from gridlight.cli.ending import explaining
from gridlight.cli.options import JsonOption, NodeFolderOption
from gridlight.cli.tables import utc_time, write_csv
from gridlight.client.errors import BadInput

if TYPE_CHECKING:
    from gridlight.client.earnings import Earnings

T = TypeVar("T")
NetworkOption = Annotated[
    str | None, typer.Option(help="The URL of the network's gateway; the one the node joined if left out.")
]
CSV_COLUMNS = ("sheet", "closed_at", "kind", "pending", "available", "stake", "in_flight", "why")


def earnings(
    data: NodeFolderOption,
    network: NetworkOption = None,
    csv: Annotated[Path | None, typer.Option(help="Write every line to this file as CSV.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what this node's operator earned, what is still held back and until when, and what was lost and why."""
    from gridlight.client.earnings import added_up
    from gridlight.messages.codec import encode
    from gridlight.services.agent.own_books import all_earnings

    lines, last = asked(data, network, all_earnings)
    told = added_up(
        lines,
        node_id=last.node_id,
        operator=last.operator,
        network_key=last.network_key,
        vesting=last.vesting,
        is_trusted=last.is_trusted,
        disputes=last.disputes,
        payout=last.payout,
    )
    if csv is not None:
        write_csv(
            csv,
            CSV_COLUMNS,
            [
                (one.sheet, utc_time(one.closed_ms), *(getattr(one, column) for column in CSV_COLUMNS[2:]))
                for one in told.lines
            ],
        )
    if as_json:
        typer.echo(encode(told).decode())
    else:
        _print(told)


def receipts(
    data: NodeFolderOption,
    out: Annotated[Path, typer.Option(help="The folder to write them to, a file each; what is there stays.")],
    network: NetworkOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fetch this node's receipts. `gridlight receipt verify FILE --network-key KEY` checks one, offline."""
    from gridlight.adapters.receipt_files import newest_place, write_receipts
    from gridlight.messages.codec import encode
    from gridlight.services.agent.own_books import receipt_pages

    out.mkdir(parents=True, exist_ok=True)

    def fetch(url: str, folder: Path) -> tuple[int, int, str]:
        written, unsigned, key = 0, 0, ""
        for page in receipt_pages(url, folder, newest_place(out)):
            written += write_receipts(out, page.receipts)
            unsigned, key = unsigned + page.unsigned, page.network_key
        return written, unsigned, key

    written, unsigned, key = asked(data, network, fetch)
    if as_json:
        typer.echo(encode({"out": str(out), "written": written, "unsigned": unsigned, "network_key": key}).decode())
        return
    typer.echo(f"{written} new receipts in {out}")
    if unsigned:
        typer.echo(f"{unsigned} more are on sheets that this network did not sign: it proves nothing by them")
    typer.echo(f"check one: gridlight receipt verify FILE --network-key {key}")


def asked(data: Path, network: str | None, ask: Callable[[str, Path], T]) -> T:
    """What the network says, by the folder of the node in whose name it is asked."""
    from gridlight.adapters.node_folder import kept_network
    from gridlight.client.errors import Unreachable
    from gridlight.services.agent.gateway_api import GatewayRefused, GatewayUnreachable

    url = network or kept_network(data)
    if url is None:
        raise BadInput(f"the node of {data} has not joined a network yet", "name it: --network URL")
    try:
        with explaining(GatewayRefused, ValueError):
            return ask(url, data)
    except GatewayUnreachable as error:
        raise Unreachable(str(error), "try again when the network is there") from error


def _print(told: "Earnings") -> None:
    typer.echo(f"operator {told.operator}")
    until = "no sheet of receipts was closed yet" if told.closed_ms is None else utc_time(told.closed_ms)
    typer.echo(f"as of {until}, in coin:")
    for name, amount in told.totals().items():
        typer.echo(f"  {name:<12} {amount:>18}")
    typer.echo(_where(told))
    if told.vesting:
        typer.echo("held back, of this node:")
    for day in told.vesting:
        tasks = f", and after {day.tasks_missing} more paid tasks" if day.tasks_missing else ""
        typer.echo(f"  {day.amount:>18}  not before {utc_time(day.not_before_ms)}{tasks}")
    if told.vesting and not told.is_trusted:
        typer.echo("  and not before the node is trusted")
    if told.disputes:
        typer.echo(f"  nothing vests while {told.disputes} of its answers are disputed")
    for line in told.lines:
        if line.why:
            typer.echo(
                f"{utc_time(line.closed_ms)} {line.kind}: {line.pending} pending, {line.stake} stake; {line.why}"
            )


def _where(told: "Earnings") -> str:
    """Where the operator is paid."""
    if told.payout is None:
        return "paid nowhere yet, unless an administrator named an address: gridlight operator payout-address"
    if told.payout.address is None:
        return "paid nowhere for now, by the operator's own word"
    return f"paid at {told.payout.address}, from {told.payout.threshold} coin on"
