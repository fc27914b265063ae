"""Shows on a terminal why a node gets nothing: how often, in which share of all, and what its operator can do."""

from typing import Final

from rich.console import Console
from rich.table import Table

from gridlight.client.network_tables import moment
from gridlight.client.why import Explanation
from gridlight.messages.api import ReasonView

_NOT_RUNNING: Final = "no agent runs with this folder now: gridlight node start"


def print_explanation(console: Console, explanation: Explanation) -> None:
    """A sentence, and one line for each reason: those of tasks it did not get, then those of tasks it was given."""
    span = f"from {moment(explanation.from_ms)} to {moment(explanation.until_ms)} (UTC)"
    console.print(f"node {explanation.node_id}", highlight=False, soft_wrap=True)
    if explanation.is_agent_running is False:
        console.print(_NOT_RUNNING, style="red", highlight=False)
    if not explanation.considered:
        nothing = "the network gave out no task of a workload that this node offers: there was no work for anybody"
        console.print(f"{span}, {nothing}", highlight=False)
        return
    given = f"{explanation.given:,} of them to this node"
    console.print(f"{span}, {explanation.considered:,} tasks were given out, {given}", highlight=False)
    missed = [view for view in explanation.reasons if not view.is_given]
    got = [view for view in explanation.reasons if view.is_given]
    for title, views in (("why it did not get the others", missed), ("what became of those it got", got)):
        if views:
            console.print()
            console.print(_table(title, views, explanation.considered))


def _table(title: str, views: list[ReasonView], considered: int) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column("times", justify="right", no_wrap=True)
    table.add_column("share", justify="right", no_wrap=True)
    table.add_column("reason", ratio=1)
    table.add_column("what to do", ratio=1)
    for view in views:
        table.add_row(f"{view.tasks:,}", f"{view.tasks / considered:.1%}", view.sentence, view.advice)
    return table
