"""The report's plots: as SVG whose colours are the page's own, so that they follow its light and dark."""

import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from gridlight.client.casestudy.claims import ACK_MS_MAX, RESULT_MS_MAX
from gridlight.client.casestudy.findings import CaseStudy, NodeFindings, Observation, answering_node
from gridlight.client.casestudy.printing import short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Colours(Struct, frozen=True, kw_only=True):
    """What is drawn in which colour."""

    ink: str
    line: str
    ack: str
    result: str
    limit: str
    warn: str


PAGE: Final = Colours(ink="#010101", line="#020202", ack="#030303", result="#040404", limit="#050505", warn="#060606")
"""Each stands for a colour of the page, and is replaced by its CSS variable in the finished SVG."""

PAPER: Final = Colours(ink="#1c2430", line="#d9dee6", ack="#0067a3", result="#bd5200", limit="#a3123f", warn="#a3123f")
"""On white, for a picture that stands outside the page."""

WIDTH_INCHES = 6.2
"""Narrow, so that text is still read where a phone shows the plot at half its size."""

DASHED: Final[dict[str, Any]] = {"linewidth": 1.4, "linestyle": "--"}
TICKS_MS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 4_000)


def style(colours: Colours) -> dict[Any, object]:
    """Matplotlib's settings; the keys are its own words."""
    return {
        "svg.fonttype": "none",
        "svg.hashsalt": "gridlight",
        "font.family": "DejaVu Sans",
        "font.size": 11,
        "text.color": colours.ink,
        "axes.edgecolor": colours.line,
        "axes.labelcolor": colours.ink,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": colours.line,
        "grid.linewidth": 0.8,
        "xtick.color": colours.ink,
        "ytick.color": colours.ink,
        "legend.frameon": False,
        "figure.facecolor": "none",
        "axes.facecolor": "none",
    }


def plot_nodes(study: CaseStudy, observations: Sequence[Observation]) -> str:
    """Every ack and result of every node as a dot, on a logarithmic scale with both limits."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(style(PAGE)):
        figure = Figure(figsize=(WIDTH_INCHES, 1.5 + 0.42 * max(1, len(study.nodes))), layout="constrained")
        draw_nodes(figure.add_subplot(), study.nodes, observations, PAGE)
        return as_svg(figure, "nodes")


def plot_requests(study: CaseStudy, observations: Sequence[Observation]) -> str:
    """The latency of each ordinary request over the time it was sent, and when nodes were killed and frozen."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(style(PAGE)):
        figure = Figure(figsize=(WIDTH_INCHES, 3.4), layout="constrained")
        draw_requests(figure.add_subplot(), study, observations, PAGE)
        return as_svg(figure, "requests")


def draw_nodes(
    axes: "Axes", nodes: Sequence[NodeFindings], observations: Sequence[Observation], colours: Colours
) -> None:
    """One row for each node; acks above the row's middle, results below."""
    acks, results = [], []
    for row, node in enumerate(nodes):
        timings = [
            one.response.timing_ms for one in observations if one.response and answering_node(one) == node.node_id
        ]
        acks += [(max(1, timing.ack), row - 0.13) for timing in timings]
        results += [(max(1, timing.total), row + 0.13) for timing in timings]
    for points, colour, marker, label in (
        (acks, colours.ack, "o", "acknowledged"),
        (results, colours.result, "D", "result"),
    ):
        axes.scatter(*columns(points), s=22, c=colour, marker=marker, alpha=0.55, linewidths=0, label=label)
    axes.axvline(ACK_MS_MAX, color=colours.limit, **DASHED)
    axes.axvline(RESULT_MS_MAX, color=colours.limit, **DASHED)
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


def draw_requests(axes: "Axes", study: CaseStudy, observations: Sequence[Observation], colours: Colours) -> None:
    """Answered at once, answered after a further assignment, and not answered, told apart by mark and colour."""
    ordinary = [one for one in observations if one.pinned_node is None]
    begun_ms = min((one.started_ms for one in ordinary), default=0)
    looks = {
        "answered": (colours.ack, "o"),
        "with a further assignment": (colours.result, "D"),
        "not answered": (colours.warn, "X"),
    }
    groups: dict[str, list[tuple[float, float]]] = {name: [] for name in looks}
    for one in ordinary:
        point = ((one.started_ms - begun_ms) / 1000, max(1, one.latency_ms))
        groups[group_of(one)].append(point)
    for name, points in groups.items():
        colour, marker = looks[name]
        if points:
            axes.scatter(*columns(points), s=26, c=colour, marker=marker, alpha=0.65, linewidths=0, label=name)
    axes.axhline(RESULT_MS_MAX, color=colours.limit, **DASHED)
    for at_ms in sorted({node.at_ms for node in study.disturbed}):
        at_s = (at_ms - begun_ms) / 1000
        axes.axvline(at_s, color=colours.warn, linewidth=1.2, linestyle=":")
        axes.annotate("one node killed, one frozen", (at_s, 1.02), xycoords=("data", "axes fraction"), ha="center")
    axes.set_yscale("log")
    fastest = min((point[1] for points in groups.values() for point in points), default=1)
    ticks = [tick for tick in TICKS_MS if tick >= fastest / 2]
    axes.set_yticks(ticks, [tick_words(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("seconds after the first ordinary request")
    if ordinary:
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3, handletextpad=0.1, columnspacing=1)


def group_of(observation: Observation) -> str:
    """How the request's point is named."""
    if observation.response is None:
        return "not answered"
    return "answered" if observation.response.attempts <= 1 else "with a further assignment"


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
    for name_of_colour in PAGE.__struct_fields__:
        svg = svg.replace(getattr(PAGE, name_of_colour), f"var(--{name_of_colour})")
    return svg
