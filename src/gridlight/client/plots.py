"""The report's plots: as SVG whose colours are the page's own, so that they follow its light and dark."""

import io
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from gridlight.client.claims import ACK_MS_MAX, RESULT_MS_MAX
from gridlight.client.findings import CaseStudy, NodeFindings, Observation, answering_node
from gridlight.client.printing import short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Colours that stand for the page's: each is replaced by a CSS variable in the finished SVG.
INK = "#010101"
FAINT = "#020202"
ACK = "#030303"
RESULT = "#040404"
LIMIT = "#050505"
WARN = "#060606"

PAGE_COLOURS: Final = {
    INK: "var(--ink)",
    FAINT: "var(--line)",
    ACK: "var(--ack)",
    RESULT: "var(--result)",
    LIMIT: "var(--limit)",
    WARN: "var(--warn)",
}

PAPER_COLOURS: Final = {
    INK: "#1c2430",
    FAINT: "#d9dee6",
    ACK: "#0072b2",
    RESULT: "#d55e00",
    LIMIT: "#a3123f",
    WARN: "#a3123f",
}
"""The same on white, for a plot that stands outside the page."""

WIDTH_INCHES = 6.2
"""Narrow, so that text is still read where a phone shows the plot at half its size."""

STYLE: Final[dict[Any, object]] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "gridlight",
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.8,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}

TICKS_MS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 4_000)


def plot_nodes(study: CaseStudy, observations: Sequence[Observation]) -> str:
    """Every ack and result of every node as a dot, on a logarithmic scale with both limits."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_INCHES, 1.5 + 0.42 * max(1, len(study.nodes))), layout="constrained")
        draw_nodes(figure.add_subplot(), study.nodes, observations)
        return as_svg(figure, "nodes")


def plot_requests(study: CaseStudy, observations: Sequence[Observation]) -> str:
    """The latency of each ordinary request over the time it was sent, and when nodes were killed and frozen."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_INCHES, 3.4), layout="constrained")
        draw_requests(figure.add_subplot(), study, observations)
        return as_svg(figure, "requests")


def draw_nodes(axes: "Axes", nodes: Sequence[NodeFindings], observations: Sequence[Observation]) -> None:
    """One row for each node; acks above the row's middle, results below."""
    acks, results = [], []
    for row, node in enumerate(nodes):
        timings = [
            one.response.timing_ms for one in observations if one.response and answering_node(one) == node.node_id
        ]
        acks += [(max(1, timing.ack), row - 0.13) for timing in timings]
        results += [(max(1, timing.total), row + 0.13) for timing in timings]
    for points, colour, marker, label in ((acks, ACK, "o", "acknowledged"), (results, RESULT, "D", "result")):
        axes.scatter(*columns(points), s=22, c=colour, marker=marker, alpha=0.55, linewidths=0, label=label)
    draw_limit(axes.axvline, ACK_MS_MAX)
    draw_limit(axes.axvline, RESULT_MS_MAX)
    axes.set_yticks(range(len(nodes)), [short(node.node_id) for node in nodes], family="DejaVu Sans Mono")
    axes.set_ylim(len(nodes) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.set_xscale("log")
    slowest = max((point[0] for point in acks + results), default=RESULT_MS_MAX)
    fastest = min((point[0] for point in acks + results), default=1)
    axes.set_xlim(fastest / 1.4, max(RESULT_MS_MAX, slowest) * 1.4)
    ticks = [tick for tick in TICKS_MS if tick >= fastest / 1.4]
    axes.set_xticks(ticks, [tick_words(tick) for tick in ticks], rotation=45)
    axes.minorticks_off()
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)


def draw_requests(axes: "Axes", study: CaseStudy, observations: Sequence[Observation]) -> None:
    """Answered at once, answered after a further assignment, and not answered, told apart by mark and colour."""
    ordinary = [one for one in observations if one.pinned_node is None]
    begun_ms = min((one.started_ms for one in ordinary), default=0)
    groups: dict[str, list[tuple[float, float]]] = {"answered": [], "by a further assignment": [], "not answered": []}
    for one in ordinary:
        point = ((one.started_ms - begun_ms) / 1000, max(1, one.latency_ms))
        is_first = one.response is not None and one.response.attempts <= 1
        group = "not answered" if one.response is None else "answered" if is_first else "by a further assignment"
        groups[group].append(point)
    for (label, points), colour, marker in zip(groups.items(), (ACK, RESULT, WARN), ("o", "D", "X"), strict=True):
        if points:
            axes.scatter(*columns(points), s=26, c=colour, marker=marker, alpha=0.65, linewidths=0, label=label)
    draw_limit(axes.axhline, RESULT_MS_MAX)
    for at_ms in sorted({node.at_ms for node in study.disturbed}):
        at_s = (at_ms - begun_ms) / 1000
        axes.axvline(at_s, color=WARN, linewidth=1.2, linestyle=":")
        axes.annotate("one node killed, one frozen", (at_s, 1.02), xycoords=("data", "axes fraction"), ha="center")
    axes.set_yscale("log")
    fastest = min((point[1] for points in groups.values() for point in points), default=1)
    ticks = [tick for tick in TICKS_MS if tick >= fastest / 2]
    axes.set_yticks(ticks, [tick_words(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("seconds after the first ordinary request")
    if ordinary:
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3, handletextpad=0.1, columnspacing=1)


def draw_limit(draw_line: Callable[..., object], at_ms: int) -> None:
    """A dashed line at a limit of the reference."""
    draw_line(at_ms, color=LIMIT, linewidth=1.4, linestyle="--")


def columns(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """Points as two lists."""
    return [point[0] for point in points], [point[1] for point in points]


def tick_words(tick_ms: int) -> str:
    """Seconds from one second on."""
    return f"{tick_ms // 1000} s" if tick_ms >= 1000 else f"{tick_ms} ms"


def as_svg(figure: "Figure", name: str) -> str:
    """For putting inside a page: no XML prolog, colours of the page, ids that no other plot has."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r'(url\(|href=")#', rf"\1#{name}-", svg)
    # Width and height in points would fix its size; the view box alone lets the page scale it.
    svg = re.sub(r'^(<svg[^>]*?) width="[^"]+"', r"\1", svg, count=1)
    svg = re.sub(r'^(<svg[^>]*?) height="[^"]+"', r"\1", svg, count=1)
    svg = svg.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)
    for colour, page_colour in PAGE_COLOURS.items():
        svg = svg.replace(colour, page_colour)
    return svg
