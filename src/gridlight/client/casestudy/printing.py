"""Tables for a terminal: what was found in a photo, and what a case study found."""

from msgspec import UnsetType
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gridlight.client.casestudy.findings import CaseStudy, Claim, DisturbedNode, NodeFindings
from gridlight.client.casestudy.statistics import Spread
from gridlight.messages.api import DetectResponse, LineView

NODE_ID_SHOWN = 9
ABSENT = "–"


def print_response(console: Console, response: DetectResponse) -> None:
    """One line for each thing found or read, and one on how the request went."""
    if not isinstance(response.lines, UnsetType):
        print_lines(console, response.lines)
    elif response.detections:
        table = Table("label", "score", "box: left, top, right, bottom", box=None, pad_edge=False)
        for detection in response.detections:
            table.add_row(detection.label, f"{detection.score:.2f}", ", ".join(map(str, detection.bbox)))
        console.print(table)
    else:
        console.print("nothing found")
    timing = response.timing_ms
    node = f" by node {short(response.node_id)}" if response.node_id else ""
    console.print(
        f"{response.image.width} × {response.image.height} px, {response.verification}{node}, "
        f"{timing.total} ms in the network ({timing.infer} ms of them the model), request {response.id}",
        style="dim",
        highlight=False,
    )


def print_lines(console: Console, lines: list[LineView]) -> None:
    """Text as it was read; none of it is markup."""
    if not lines:
        console.print("nothing read")
        return
    table = Table("text", "score", "box: left, top, right, bottom", box=None, pad_edge=False)
    for line in lines:
        table.add_row(Text(line.text), f"{line.score:.2f}", ", ".join(map(str, line.bbox)))
    console.print(table)


def print_study(console: Console, study: CaseStudy) -> None:
    """Nodes, requests, what was found, and the claims."""
    console.print(nodes_table(study.nodes))
    requests, latency = study.requests, study.requests.latency_ms
    console.print(
        f"{requests.sent} ordinary requests, {study.concurrency} at a time: {requests.answered} answered, "
        f"{requests.refused} refused, {requests.deadline_exceeded} past their deadline, "
        f"{requests.unanswered} unanswered, {requests.hedged} hedged, {requests.reassigned} reassigned",
        highlight=False,
    )
    if latency is not None:
        console.print(
            f"latency at the requester: p50 {latency.p50} ms, p95 {latency.p95} ms, p99 {latency.p99} ms, "
            f"max {latency.max} ms",
            highlight=False,
        )
    for node in study.disturbed:
        console.print(disturbed_words(node), highlight=False)
    for photo in study.photos:
        found = ", ".join(f"{one.label} {one.score:.2f}" for one in photo.detections) or "nothing"
        console.print(f"{photo.file}: {found}", highlight=False)
    console.print(claims_table(study.claims))
    environment = study.environment
    console.print(
        f"measured on {environment.cores} cores, load {environment.load_start} to {environment.load_end}; "
        "seven processes on one machine are not seven homes",
        style="dim",
        highlight=False,
    )


def nodes_table(nodes: list[NodeFindings]) -> Table:
    """One line for each node."""
    table = Table(title="nodes, times in ms", title_justify="left", title_style="bold")
    table.add_column("node")
    for heading in ("tasks", "answered", "ack p50", "p95", "max", "result p50", "p95", "max"):
        table.add_column(heading, justify="right")
    for node in nodes:
        cells = (*spread_cells(node.ack_ms), *spread_cells(node.result_ms))
        table.add_row(short(node.node_id), str(node.tasks), str(node.answered), *cells)
    return table


def claims_table(claims: list[Claim]) -> Table:
    """One line for each claim."""
    table = Table(title="claims", title_justify="left", title_style="bold")
    table.add_column("held")
    table.add_column("claim")
    table.add_column("measured here")
    for claim in claims:
        table.add_row(held_word(claim), claim.claim, claim.measured)
    return table


def held_word(claim: Claim) -> str:
    """Yes, no, or that it was not tested."""
    return {True: "yes", False: "NO", None: "not tested"}[claim.held]


def disturbed_words(node: DisturbedNode) -> str:
    """What was done to the node, and when it served again."""
    since = "after the kill" if node.action == "killed" else "after it was woken"
    again = (
        "did not serve again in the time allowed"
        if node.serving_again_ms is None
        else f"served again {node.serving_again_ms:,} ms {since}"
    )
    return f"node {short(node.node_id)} was {node.action} at {node.at_ms:,} ms and {again}"


def spread_cells(spread: Spread | None) -> tuple[str, str, str]:
    """Three cells of a table."""
    return (ABSENT,) * 3 if spread is None else (str(spread.p50), str(spread.p95), str(spread.max))


def short(node_id: str) -> str:
    """Enough of a node's key to tell nodes apart."""
    return node_id[:NODE_ID_SHOWN]
