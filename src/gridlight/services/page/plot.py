"""What has become of the last hours, as SVG in the page's own colours, so that it follows its light and dark."""

from datetime import datetime
from html import escape
from itertools import pairwise
from typing import Final

from gridlight.messages.control import Sample

WIDTH: Final = 400
HEIGHT: Final = 190
LEFT: Final = 40
BASE: Final = 135
TOP: Final = 12
BAND: Final = 12
MINUTE_S: Final = 60
_TICKS: Final = 3
_SHORT_S: Final = 600
_STEPS: Final = (1, 2, 5)


def plot(samples: tuple[Sample, ...]) -> str:
    """Tasks a minute, and below it a band that is full where the node lent its machine."""
    first_s, last_s = samples[0].at_s, samples[-1].at_s
    span_s = max(last_s - first_s, 1)

    def across(at_s: int) -> float:
        return LEFT + (WIDTH - LEFT - 8) * (at_s - first_s) / span_s

    rates = [
        (one.at_s, other.at_s, max(other.finished - one.finished, 0) * MINUTE_S / max(other.at_s - one.at_s, 1))
        for one, other in pairwise(samples)
    ]
    ceiling = _ceiling(max((rate for _, _, rate in rates), default=0))

    def down(rate: float) -> float:
        return BASE - (BASE - TOP) * rate / ceiling

    bars = "".join(
        f'<path class="bar" d="M{across(one):.1f} {BASE}V{down(rate):.1f}H{across(other):.1f}V{BASE}Z"/>'
        for one, other, rate in rates
        if rate
    )
    bands = "".join(
        f'<path class="{"lent" if sample.reason is None else "kept"}" '
        f'd="M{across(sample.at_s):.1f} {BASE + 8}H{across(after.at_s):.1f}v{BAND}H{across(sample.at_s):.1f}Z">'
        f"<title>{escape('lent' if sample.reason is None else sample.reason.value.replace('_', ' '))}</title></path>"
        for sample, after in pairwise(samples)
    )
    lines = "".join(
        f'<path class="rule" d="M{LEFT} {down(rate):.1f}H{WIDTH - 8}"/>'
        f'<text x="{LEFT - 6}" y="{down(rate) + 4:.1f}" text-anchor="end">{rate:g}</text>'
        for rate in (0, ceiling / 2, ceiling)
    )
    times = "".join(
        f'<text x="{across(at_s):.1f}" y="{BASE + 42}" text-anchor="{anchor}">{_clock(at_s, span_s)}</text>'
        for at_s, anchor in _times(first_s, span_s)
    )
    label = f"Tasks finished a minute from {_clock(first_s, span_s)} to {_clock(last_s, span_s)}, at most {ceiling:g}"
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{lines}{bars}{bands}{times}</svg>'


def _ceiling(rate: float) -> float:
    """The next round number, so that half of it is one too."""
    unit = 1.0
    while True:
        for step in _STEPS:
            if rate <= 2 * step * unit:
                return 2 * step * unit
        unit *= 10


def _times(first_s: int, span_s: int) -> list[tuple[int, str]]:
    """Where the clock is told, and how that text is held."""
    anchors = ["start", *["middle"] * (_TICKS - 2), "end"]
    return [(first_s + span_s * number // (_TICKS - 1), anchor) for number, anchor in enumerate(anchors)]


def _clock(at_s: int, span_s: int) -> str:
    return f"{datetime.fromtimestamp(at_s).astimezone():{'%H:%M:%S' if span_s < _SHORT_S else '%H:%M'}}"
