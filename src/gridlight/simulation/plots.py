"""The report's plots, as SVG whose colours are the page's own, so that they follow its light and dark."""

import io
import re
from collections.abc import Callable
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from gridlight.simulation.report import Report
from gridlight.simulation.verified import REPLICATION_TARGET, WRONG_TARGET

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS: Final = {"ink": "#010101", "line": "#020202", "first": "#030303", "second": "#040404", "limit": "#050505"}
"""Each stands for a colour of the page, and is replaced by its CSS variable in the finished SVG."""

SIZE_INCHES: Final = (6.2, 3.1)
TICKS_MS: Final = (10, 20, 50, 100, 200, 500, 1_000, 2_000, 4_000, 10_000, 30_000, 60_000)

LINEAR_BELOW: Final = 1e-5
TIER_LINES: Final = (("trusted", "first", "-"), ("shadow", "second", "--"), ("banned", "limit", ":"))

_STYLE: Final[dict[Any, object]] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "gridlight",
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "text.color": COLOURS["ink"],
    "axes.edgecolor": COLOURS["line"],
    "axes.labelcolor": COLOURS["ink"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": COLOURS["line"],
    "xtick.color": COLOURS["ink"],
    "ytick.color": COLOURS["ink"],
    "legend.frameon": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}


def plot_waits(report: Report) -> str:
    """Which share of tasks waited longer than so long; those without a result never end."""
    return _plot("waits", report, _draw_waits)


def plot_latency(report: Report) -> str:
    """Median and 99th percentile over the run."""
    return _plot("latency", report, _draw_latency)


def plot_nodes(report: Report) -> str:
    """How many nodes were there, over the run."""
    return _plot("nodes", report, _draw_nodes)


def plot_outcomes(report: Report) -> str:
    """Tasks that missed the deadline, and jobs refused, over the run."""
    return _plot("outcomes", report, _draw_outcomes)


def plot_wrong(report: Report) -> str:
    """Which share of answers was wrong so far: of those served, and of those that became final."""
    return _plot("wrong", report, _draw_wrong)


def plot_replication(report: Report) -> str:
    """Runs an answer, over the run."""
    return _plot("replication", report, _draw_replication)


def plot_tiers(report: Report) -> str:
    """How many nodes are of each tier, over the run."""
    return _plot("tiers", report, _draw_tiers)


def _draw_waits(axes: "Axes", report: Report) -> None:
    waits = [wait_ms for wait_ms, _ in report.waits]
    answered = accumulate(count for _, count in report.waits)
    shares = [(report.tasks - done) / report.tasks for done in answered]
    points = [(wait_ms, share) for wait_ms, share in zip(waits, shares, strict=True) if share > 0]
    axes.step([wait for wait, _ in points], [share for _, share in points], where="post", color=COLOURS["first"])
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.axvline(report.deadline_ms, color=COLOURS["limit"], linestyle="--")
    axes.axhline(1e-4, color=COLOURS["limit"], linestyle=":")
    lowest, highest = (waits[0], max(waits[-1], report.deadline_ms)) if waits else (100, report.deadline_ms)
    ticks = [tick for tick in TICKS_MS if lowest / 1.5 <= tick <= highest * 1.5]
    axes.set_xticks(ticks, [f"{tick / 1_000:g} s" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("waited longer than")
    axes.set_ylabel("share of tasks")


def _draw_latency(axes: "Axes", report: Report) -> None:
    for name, style in (("p99_ms", "-"), ("p50_ms", "--")):
        points = [(one.at_s, getattr(one, name)) for one in report.over_time if getattr(one, name) is not None]
        colour = COLOURS["second" if name == "p99_ms" else "first"]
        times, waits = [at_s for at_s, _ in points], [wait_ms for _, wait_ms in points]
        axes.plot(times, waits, color=colour, linestyle=style, label=name.removesuffix("_ms"))
    axes.axhline(report.deadline_ms, color=COLOURS["limit"], linestyle="--")
    axes.set_ylim(bottom=0)
    axes.set_ylabel("ms")
    _finish(axes)


def _draw_nodes(axes: "Axes", report: Report) -> None:
    moments = report.over_time
    axes.plot([one.at_s for one in moments], [one.nodes_here for one in moments], color=COLOURS["first"])
    axes.set_ylim(0, report.nodes * 1.05)
    axes.set_ylabel("nodes there")
    axes.set_xlabel("simulated seconds")


def _draw_outcomes(axes: "Axes", report: Report) -> None:
    moments = report.over_time
    times = [one.at_s for one in moments]
    axes.step(times, [one.missed for one in moments], where="mid", color=COLOURS["second"], label="missed the deadline")
    refused = [one.refused for one in moments]
    axes.step(times, refused, where="mid", color=COLOURS["first"], linestyle="--", label="refused")
    axes.set_ylim(bottom=0)
    axes.set_ylabel("jobs in a stretch")
    _finish(axes)


def _draw_wrong(axes: "Axes", report: Report) -> None:
    moments = report.trust_over_time
    times = [one.at_s for one in moments]
    served, final = [one.wrong_provisional for one in moments], [one.wrong_final for one in moments]
    axes.plot(times, served, color=COLOURS["second"], label="of those served")
    axes.plot(times, final, color=COLOURS["first"], linestyle="--", label="of those final")
    axes.axhline(WRONG_TARGET, color=COLOURS["limit"], linestyle=":")
    axes.set_yscale("symlog", linthresh=LINEAR_BELOW)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("share wrong, so far")
    _finish(axes)


def _draw_replication(axes: "Axes", report: Report) -> None:
    moments = report.trust_over_time
    times = [one.at_s for one in moments]
    axes.plot(times, [one.replication for one in moments], color=COLOURS["first"], label="checks")
    with_shadows = [one.replication_with_shadows for one in moments]
    axes.plot(times, with_shadows, color=COLOURS["second"], linestyle="--", label="and shadow runs")
    axes.axhline(REPLICATION_TARGET, color=COLOURS["limit"], linestyle=":")
    axes.set_ylim(bottom=1)
    axes.set_ylabel("runs an answer")
    _finish(axes)


def _draw_tiers(axes: "Axes", report: Report) -> None:
    moments = report.trust_over_time
    times = [one.at_s for one in moments]
    for tier, colour, style in TIER_LINES:
        counts = [one.tiers[tier] for one in moments]
        axes.plot(times, counts, color=COLOURS[colour], linestyle=style, label=tier)
    axes.set_yscale("symlog", linthresh=10)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("nodes")
    axes.set_xlabel("simulated seconds")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(TIER_LINES))


def _finish(axes: "Axes") -> None:
    axes.set_xlabel("simulated seconds")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)


def _plot(name: str, report: Report, draw: "Callable[[Axes, Report], None]") -> str:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=SIZE_INCHES, layout="constrained")
        draw(figure.add_subplot(), report)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return _for_a_page(out.getvalue(), name)


def _for_a_page(svg: str, name: str) -> str:
    """No XML prolog, colours of the page, ids that no other plot has, and a size that the page may scale."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r'(url\(|href=")#', rf"\1#{name}-", svg)
    svg = re.sub(r'^(<svg[^>]*?) width="[^"]+"', r"\1", svg, count=1)
    svg = re.sub(r'^(<svg[^>]*?) height="[^"]+"', r"\1", svg, count=1)
    svg = svg.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)
    for colour, value in COLOURS.items():
        svg = svg.replace(value, f"var(--{colour})")
    return svg
