"""The page itself: HTML out of what an agent says of itself; nothing in it comes from anywhere else."""

from collections.abc import Mapping
from datetime import datetime
from html import escape
from typing import Any, Final

from gridlight.messages.control import NodeHistory, NodeStatus, Sample, SeenNow, Stance
from gridlight.services.agent.telling import length
from gridlight.services.page.plot import plot

REFRESH_S: Final = 5
_CHANGES_MAX: Final = 12
_MIB: Final = 1024 * 1024

STYLE: Final = """
:root { --paper: #f6f7f9; --card: #fff; --ink: #1c2430; --soft: #566173; --line: #d9dee6; --first: #0067a3;
  --good: #0b6e4f; --wait: #8a4b00; --kept: #c3cad5; }
@media (prefers-color-scheme: dark) { :root { --paper: #10141a; --card: #181e27; --ink: #e8ecf2; --soft: #a3afc0;
  --line: #303a48; --first: #6cc0f5; --good: #5fd6a8; --wait: #f5a55c; --kept: #465266; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); overflow-wrap: anywhere;
  font: 1rem/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 52rem; margin: 0 auto; padding: 1.25rem 1rem 3rem; }
h1 { font-size: clamp(1.3rem, 4.5vw, 1.8rem); line-height: 1.25; margin: 0.25rem 0 1rem; text-wrap: balance; }
h2 { font-size: 1.15rem; margin: 2rem 0 0.75rem; }
.brand { font-weight: 700; color: var(--first); margin: 0; }
.soft { color: var(--soft); } .lending { color: var(--good); } .waiting { color: var(--wait); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 0.75rem; padding: 1rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: 0.75rem; margin: 1rem 0;
  padding: 0; list-style: none; }
.tiles strong { display: block; font-size: 1.5rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.tiles span, figcaption { color: var(--soft); font-size: 0.9rem; }
form { display: flex; flex-wrap: wrap; gap: 0.5rem; margin: 1rem 0; }
button { font: inherit; color: var(--ink); background: var(--card); border: 1px solid var(--soft);
  border-radius: 0.5rem; padding: 0.5rem 0.9rem; min-height: 2.75rem; cursor: pointer; }
button:focus-visible { outline: 3px solid var(--first); outline-offset: 2px; }
figure { margin: 0 0 0.75rem; } svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--soft); font-size: 9px; } .rule { stroke: var(--line); } .bar { fill: var(--first); }
.lent { fill: var(--good); } .kept { fill: var(--kept); }
table { border-collapse: collapse; width: 100%; font-size: 0.93rem; }
th, td { text-align: right; padding: 0.3rem 0.4rem; border-bottom: 1px solid var(--line); vertical-align: top; }
th, td { overflow-wrap: break-word; } th:first-child, td:first-child { text-align: left; overflow-wrap: anywhere; }
.own { font-weight: 700; }
.bar, .lent, .kept { shape-rendering: crispEdges; }
@media (max-width: 34rem) { svg text { font-size: 15px; } }
"""

Layers = Mapping[str, Mapping[str, Any]]
"""`defaults`, `host` and `effect`, as `gridlight node preferences --json` prints them."""


def running_page(status: NodeStatus, history: NodeHistory, preferences: Layers, now: datetime) -> str:
    """Of a node whose agent runs."""
    now_s = int(now.timestamp())
    latest = Sample(now_s, status.done.finished, status.done.handed_back, status.reason)
    samples = (*(one for one in history.samples if one.at_s < now_s), latest)
    state = "lending" if status.stance is Stance.LENDING else "waiting"
    link = "connected to" if status.is_connected else "not connected to"
    problem = f"<p class=waiting>Preferences are not followed: {escape(status.preferences_error)}</p>"
    return _page(
        f"<h1 class={state}>{escape(status.line)}</h1>"
        f"{problem if status.preferences_error else ''}"
        f"{_buttons()}{_tiles(status)}"
        "<section aria-labelledby=past><h2 id=past>The last hours</h2>"
        f"<figure class=card>{plot(samples)}<figcaption>Tasks finished a minute; below, when the machine was lent "
        f"(green) and when it was its owner's.</figcaption></figure>{_changes(samples)}</section>"
        f"{_seen(status.seen)}{_preferences(preferences)}"
        f"<p class=soft>Node {escape(status.node_id)}, {link} {escape(status.network)}. Seen at {now:%H:%M:%S}.</p>"
    )


def silent_page(message: str, hint: str) -> str:
    """Where no agent answers."""
    return _page(f"<h1 class=waiting>{escape(message)}</h1><p>{escape(hint)}</p>")


def _page(content: str) -> str:
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width, initial-scale=1">'
        f"<meta http-equiv=refresh content={REFRESH_S}>"
        '<meta name=color-scheme content="light dark"><title>Your Gridlight node</title>'
        f"<style>{STYLE}</style></head><body><main><p class=brand>Your Gridlight node</p>{content}</main></body></html>"
    )


def _buttons() -> str:
    words = (("pause-1h", "Pause for an hour"), ("pause", "Pause"), ("finish", "Finish"), ("resume", "Resume"))
    buttons = "".join(f"<button formaction={word}>{label}</button>" for word, label in words)
    return f"<form method=post action=resume>{buttons}</form>"


def _tiles(status: NodeStatus) -> str:
    tiles = (
        (f"{status.done.finished:,}", "tasks finished since it started"),
        (f"{status.done.handed_back:,}", "handed back to you at once"),
        (f"{status.done.failed:,}", "failed"),
        (f"{status.cpus}", "CPUs lent now"),
        (f"{status.running}", "tasks in hand"),
    )
    return (
        "<ul class=tiles>"
        + "".join(f"<li class=card><strong>{n}</strong><span>{of}</span>" for n, of in tiles)
        + "</ul>"
    )


def _changes(samples: tuple[Sample, ...]) -> str:
    """When it began and ceased to lend, and why; the newest first."""
    changed = [
        one
        for before, one in zip((None, *samples), samples, strict=False)
        if before is None or before.reason is not one.reason
    ]
    rows = "".join(
        f"<tr><td>{datetime.fromtimestamp(one.at_s).astimezone():%a %H:%M}"
        f"<td>{'lent' if one.reason is None else escape(one.reason.value.replace('_', ' '))}"
        for one in changed[-_CHANGES_MAX:][::-1]
    )
    return f"<table><thead><tr><th>From<th>The machine was<tbody>{rows}</table>"


def _seen(seen: SeenNow | None) -> str:
    if seen is None:
        return ""
    rows = (
        ("Last input", "unknown" if seen.idle_s is None else f"{length(seen.idle_s)} ago"),
        ("Power", seen.power.value),
        ("Others' use of the CPUs", _percent(seen.others_cpu_percent)),
        ("Waiting for memory", _percent(seen.memory_pressure_percent)),
        (
            "Memory of agent and of a worker",
            f"{seen.agent_memory_bytes // _MIB} and {seen.worker_memory_bytes // _MIB} MiB",
        ),
        ("Disk used by it, and free", f"{seen.disk_used_bytes // _MIB:,} and {seen.disk_free_bytes // _MIB:,} MiB"),
        ("Moved today", f"{seen.transferred_bytes / 1_000_000:,.1f} MB"),
    )
    cells = "".join(f"<tr><td>{name}<td>{value}" for name, value in rows)
    return f"<section><h2>What it sees</h2><table><tbody>{cells}</table></section>"


def _preferences(layers: Layers) -> str:
    rows = "".join(
        f"<tr{' class=own' if layers['host'].get(name) else ''}><td>{escape(name)}"
        + "".join(f"<td>{escape(_cell(layers[layer].get(name)))}" for layer in ("defaults", "host", "effect"))
        for name in layers["defaults"]
    )
    head = "<tr><th>Preference<th>Default<th>This host<th>Holds"
    return f"<section><h2>Preferences</h2><table><thead>{head}<tbody>{rows}</table></section>"


def _percent(value: int | None) -> str:
    return "unknown" if value is None else f"{value} %"


def _cell(value: object) -> str:
    if value is None or value == {}:
        return "–"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float | int) else str(value)
