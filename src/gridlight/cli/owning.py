"""The words by which an operator stays owner of the machine: `gridlight node status`, `pause`, `preferences`, ..."""

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gridlight.cli.ending import explaining
from gridlight.cli.options import JsonOption, NodeFolderOption
from gridlight.client.errors import GridlightError

if TYPE_CHECKING:
    from gridlight.messages.control import ControlRequest

_LENGTH: Final = re.compile(r"(\d+)\s*(s|m|min|h|d)")
_UNITS_S: Final = {"s": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400}


def add_to(app: typer.Typer) -> None:
    """All of them, in the order of `--help`."""
    app.command()(status)
    app.command()(pause)
    app.command()(resume)
    app.command()(finish)
    app.command()(preferences)
    app.command()(page)
    app.command()(logs)
    app.command()(backup)
    app.command()(restore)


def status(data: NodeFolderOption, as_json: JsonOption = False) -> None:
    """Say what the node does now, and why."""
    from gridlight.messages.control import AskStatus

    _show(data, AskStatus(), as_json)


def pause(
    data: NodeFolderOption,
    for_: Annotated[
        str | None, typer.Option("--for", help="How long, as 30m or 2h; until `resume` if left out.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Stop at once, and give what runs to other nodes. Stays so over a restart."""
    from gridlight.messages.control import AskPause

    _show(data, AskPause(for_s=None if for_ is None else _seconds(for_)), as_json)


def resume(data: NodeFolderOption, as_json: JsonOption = False) -> None:
    """End a pause, or take work again after `finish`; the preferences still hold."""
    from gridlight.messages.control import AskResume

    _show(data, AskResume(), as_json)


def finish(data: NodeFolderOption, as_json: JsonOption = False) -> None:
    """Take nothing more, finish what runs, and then stay idle. Stays so over a restart."""
    from gridlight.messages.control import AskFinish

    _show(data, AskFinish(), as_json)


def preferences(data: NodeFolderOption, as_json: JsonOption = False) -> None:
    """Show the defaults, what this machine's preferences.toml says, and what holds."""
    from gridlight.adapters.configuration import BadConfiguration
    from gridlight.adapters.preferences import PREFERENCES_FILE
    from gridlight.messages.codec import encode
    from gridlight.messages.control import AskStatus, NodeStatus
    from gridlight.services.agent.control import NoAgent, Refused, ask

    try:
        status = ask(data, AskStatus())
    except (NoAgent, Refused):
        status = None
    is_always = isinstance(status, NodeStatus) and status.is_always
    with explaining(BadConfiguration):
        layers = layers_of(data, is_always=is_always)
    if as_json:
        typer.echo(encode(layers).decode())
        return
    typer.echo(f"{'preference':<26}{'default':>12}{'this host':>12}{'holds':>12}")
    for name in layers["defaults"]:
        typer.echo(f"{name:<26}" + "".join(f"{_cell(layer[name]):>12}" for layer in layers.values()))
    typer.echo(f"this host: {data / PREFERENCES_FILE}")
    typer.echo(f"default: of a node that is started {'with' if is_always else 'without'} --always")


def page(
    data: NodeFolderOption,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Of 127.0.0.1; any that is free if left out.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Serve a page about the node to a browser on this machine, until Ctrl-C."""
    from contextlib import suppress

    from gridlight.services.page.main import Page

    with Page(data, lambda is_always: layers_of(data, is_always=is_always), port) as served:
        _said({"url": served.url}, f"{served.url} (a secret; Ctrl-C stops it)", as_json)
        sys.stdout.flush()
        with suppress(KeyboardInterrupt):
            served.serve_forever()


def layers_of(data: Path, *, is_always: bool) -> dict[str, dict[str, Any]]:
    """`defaults`, `host` and `effect` of a node's preferences, in the file's names and units. BadConfiguration."""
    from msgspec.structs import asdict

    from gridlight.adapters.preferences import as_host, laid_over, read_preferences
    from gridlight.core.preferences import ALWAYS, GENTLE

    host, below = read_preferences(data), (ALWAYS if is_always else GENTLE)
    said = asdict(host)
    as_written = {name: said[name] for name in ("day_prefs", "energy_price_file", "energy_price_max")}
    return {"defaults": as_host(below), "host": said, "effect": as_host(laid_over(below, host)) | as_written}


def logs(
    data: NodeFolderOption,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=100_000, help="How many, the newest last.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """Show what the agent wrote down last, whether it runs or not."""
    from gridlight.adapters.logs import newest, readable
    from gridlight.services.agent.main import LOG_FILE

    written = newest(data / LOG_FILE, lines)
    if not written:
        raise GridlightError(f"{data / LOG_FILE} has nothing yet", "name the folder given to `gridlight node start`")
    for line in written:
        typer.echo(line if as_json else readable(line))


def backup(
    data: NodeFolderOption,
    to: Annotated[Path, typer.Option("--to", help="The file to write; whoever reads it can be this node.")],
    as_json: JsonOption = False,
) -> None:
    """Write the node's keys and preferences to one file that only you can read."""
    from gridlight.services.node_backup import CannotBackUp, write_backup

    with explaining(CannotBackUp):
        node_id = write_backup(data, to)
    _said(
        {"node_id": node_id, "file": str(to)}, f"{to} holds node {node_id}; keep it where nobody else reads it", as_json
    )


def restore(
    file: Annotated[Path, typer.Argument(help="What `backup` wrote.", exists=True, dir_okay=False)],
    data: NodeFolderOption,
    as_json: JsonOption = False,
) -> None:
    """Put a node's keys and preferences into a folder. Never run the same node in two places."""
    from gridlight.services.node_backup import CannotBackUp, restore_backup

    with explaining(CannotBackUp):
        node_id = restore_backup(file, data)
    _said({"node_id": node_id, "data": str(data)}, f"{data} is node {node_id}", as_json)


def _show(data: Path, request: "ControlRequest", as_json: bool) -> None:
    from gridlight.messages.codec import encode
    from gridlight.messages.control import NodeStatus
    from gridlight.services.agent.control import NoAgent, Refused, ask

    with explaining(NoAgent, Refused):
        answer = ask(data, request)
    assert isinstance(answer, NodeStatus)
    if as_json:
        typer.echo(encode(answer).decode())
        return
    typer.echo(answer.line)
    if answer.twin:
        typer.echo(f"in two places: {answer.twin}")
    if answer.preferences_error:
        typer.echo(f"preferences are not followed: {answer.preferences_error}")
    link = "connected to" if answer.is_connected else "NOT connected to"
    done = answer.done
    typer.echo(f"{link} {answer.network}; {answer.workers} workers, {answer.running} tasks in hand")
    typer.echo(f"since it started: {done.finished} finished, {done.handed_back} handed back, {done.failed} failed")


def _said(values: dict[str, Any], sentence: str, as_json: bool) -> None:
    from gridlight.messages.codec import encode

    typer.echo(encode(values).decode() if as_json else sentence)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float | int) else str(value)


def _seconds(text: str) -> int:
    from gridlight.messages.control import PAUSE_S_MAX

    found = _LENGTH.fullmatch(text.strip())
    seconds = int(found[1]) * _UNITS_S[found[2]] if found else 0
    if not 0 < seconds <= PAUSE_S_MAX:
        raise GridlightError(f"--for {text[:40]!r} is no length of time", "as 90s, 30m, 2h or 1d; a year at most")
    return seconds
