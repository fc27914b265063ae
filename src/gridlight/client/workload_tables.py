"""Tables of workloads for a terminal: what a network offers, and what a node's operator is asked to accept."""

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gridlight.client.network_tables import ABSENT
from gridlight.client.workload_calls import short_id
from gridlight.messages.ids import WorkloadId
from gridlight.messages.workload_api import WorkloadView

_MIB = 1024 * 1024
PUBLISHER_SHOWN = 12


def print_workloads(console: Console, views: list[WorkloadView], here: Mapping[WorkloadId, str] | None = None) -> None:
    """A few lines for each workload; `here` is how each stands on a node."""
    if not views:
        console.print("the network offers no workload")
        return
    for one in views:
        share = "" if one.rollout_percent in (None, 100) else f" for {one.rollout_percent} % of the nodes"
        state = f"{one.state}{share}" if here is None else here.get(one.id, ABSENT)
        # What a stranger wrote is text, and no markup.
        console.print(Text(f"{short_id(one.id)}  {state}", style="bold"))
        publisher = f"publisher {one.publisher[:PUBLISHER_SHOWN]}" if one.publisher else "first-party"
        permissions = ", ".join(one.permissions) or "none"
        size = f"{megabytes(one.download_bytes)} to fetch, {one.memory_mib} MiB of memory"
        for line in (
            one.purpose,
            f"sees: {one.sees}",
            f"{publisher}, {one.license}, permissions: {permissions}",
            f"{size}, {one.work_units / 1000:g} units a task",
        ):
            console.print(Text(f"    {line}"))


def print_workload(console: Console, view: WorkloadView) -> None:
    """Everything that there is to decide on."""
    table = Table(box=None, pad_edge=False, show_header=False)
    rows = {
        "workload": view.id,
        "version": view.version,
        "publisher": view.publisher or "first-party: it comes with the program",
        "purpose": view.purpose,
        "sees": view.sees,
        "permissions": ", ".join(view.permissions) or "none",
        "network": "never given",
        "licence": view.license,
        "runs": "its publisher's image, in a container" if view.run == "image" else f"our own program: {view.run}",
        "takes": f"{view.memory_mib} MiB of memory, {view.cpus} CPU, {view.tmp_mib} MiB of scratch space a task",
        "download": megabytes(view.download_bytes),
        "work units": f"{view.work_units / 1000:g}",
    }
    for name, value in rows.items():
        table.add_row(name, Text(value))
    console.print(table)


def megabytes(count: int) -> str:
    """As people read it."""
    return f"{count / _MIB:.1f} MiB"
