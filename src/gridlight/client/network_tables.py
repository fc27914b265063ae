"""Tables for a terminal: nodes, checks, terms of trust, and audits that were drawn again."""

from datetime import UTC, datetime
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gridlight.client.recomputing import EpochFindings
from gridlight.messages.api import AuditsResponse, CheckView, FaultView, NodeResponse, TrustResponse
from gridlight.messages.operator_api import RulingsResponse
from gridlight.messages.operators import Hold

NODE_ID_SHOWN: Final = 9
DIGEST_SHOWN: Final = 12
ABSENT: Final = "–"
_HELD: Final = {
    Hold.LEVEL_0: "in shadow: level 0 attestation",
    Hold.STATUS_STALE: "as it is, since its issuer's status list was not read for an hour",
    Hold.STATUS_LOST: "in shadow: its issuer's status list was not read for a day",
}


def print_audits(console: Console, audits: AuditsResponse) -> None:
    """One line for each check, the newest first."""
    if audits.audits:
        console.print(checks_table(audits.audits))
    else:
        console.print("no answer has been checked yet")


def print_node(console: Console, shown: NodeResponse) -> None:
    """What a node is, and where an administrator asked, what was found of it."""
    node = shown.node
    table = Table(box=None, pad_edge=False, show_header=False)
    rows = {
        "node": node.node_id,
        "operator": node.operator,
        "online": f"yes, lends {node.slots}" if node.online else "no",
        "tier": node.tier or ABSENT,
        "clean run": number(node.clean_run),
        "checks passed": number(node.checks_passed),
        "faults": number(node.faults),
        "tasks answered": number(node.tasks_answered),
    }
    if node.hold is not None:
        rows["held"] = _HELD[node.hold]
    for name, value in rows.items():
        table.add_row(name, value)
    console.print(table, soft_wrap=True)
    if shown.faults:
        console.print(faults_table(shown.faults))
    if shown.checks:
        console.print(checks_table(shown.checks))


def print_trust(console: Console, trust: TrustResponse) -> None:
    """What each level costs and is worth, and the parameters behind it."""
    table = Table(title=f"trust profile {trust.profile}", title_justify="left", title_style="bold")
    table.add_column("verify")
    table.add_column("price", justify="right")
    table.add_column("wrong all the same", justify="right")
    table.add_column("meaning")
    for level in trust.levels:
        table.add_row(level.verify, f"{level.price:.2f}", f"{level.expected_error:.1e}", level.meaning)
    console.print(table)
    console.print(f"if {trust.malicious_share:.0%} of all work is done by colluding liars", style="dim")
    for name, value in trust.parameters.items():
        console.print(f"{name} = {str(value).lower()}", highlight=False)


def print_findings(console: Console, findings: list[EpochFindings]) -> None:
    """One line for each epoch, and one for each deviation."""
    if not findings:
        console.print("no epoch's secret is revealed yet")
    for one in findings:
        verdict = "as drawn" if not one.deviations else f"{len(one.deviations)} deviations"
        console.print(f"epoch {one.epoch}: {one.commits} answers, {one.audited} audited: {verdict}", highlight=False)
        for deviation in one.deviations:
            about = "" if deviation.commit is None else f"commit {deviation.commit}: "
            console.print(f"  {about}{deviation.what}", style="red", highlight=False)


def print_rulings(console: Console, listed: RulingsResponse) -> None:
    """One line for each ruling, the newest first."""
    if not listed.rulings:
        console.print("nothing was ruled yet")
        return
    table = Table("at (UTC)", "ruled", "nodes", "key", "reason", box=None, pad_edge=False)
    for one in listed.rulings:
        table.add_row(moment(one.at_ms), one.verdict, number(one.nodes), one.key, Text(one.reason))
    console.print(table, soft_wrap=True)


def checks_table(checks: list[CheckView]) -> Table:
    """One line for each check."""
    table = Table(
        "at (UTC)", "role", "answered", "checked by", "outcome", "the answer is now", box=None, pad_edge=False
    )
    for check in checks:
        ids = (short(check.primary_id), short(check.node_id))
        table.add_row(moment(check.at_ms), check.role, *ids, check.outcome, check.verification or ABSENT)
    return table


def faults_table(faults: list[FaultView]) -> Table:
    """One line for each fault, with its evidence."""
    table = Table("at (UTC)", "fault", "as", "said", "reference", "settled by", box=None, pad_edge=False)
    for fault in faults:
        evidence = (fault.said[:DIGEST_SHOWN], fault.reference[:DIGEST_SHOWN])
        settled_by = "panel" if fault.settled_by is None else short(fault.settled_by)
        table.add_row(moment(fault.at_ms), fault.grade, fault.role, *evidence, settled_by)
    return table


def moment(at_ms: int) -> str:
    """A time of day that people compare with their logs."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def number(value: int | None) -> str:
    """With separators, where it is known."""
    return ABSENT if value is None else f"{value:,}"


def short(node_id: str | None) -> str:
    """Enough of a node's key to tell nodes apart."""
    return ABSENT if node_id is None else node_id[:NODE_ID_SHOWN]
