"""Writes a case study as one page of HTML that needs nothing else: photos and plots are inside it."""

import base64
from pathlib import Path
from typing import Final

from msgspec import Struct

from gridlight.client.casestudy.findings import CaseStudy, PhotoFindings
from gridlight.client.casestudy.printing import disturbed_words, short
from gridlight.client.casestudy.study import Outcome
from gridlight.client.drawing import draw_detections, encode_jpeg, open_photo
from gridlight.client.errors import GridlightError

REPORT_FILE: Final = "report.html"
TEMPLATE_FILE: Final = "report.html.jinja"
PHOTO_SIDE_PX_MAX = 960


class Figure(Struct, frozen=True, kw_only=True):
    """One photo with its boxes, ready for the page."""

    file: str
    source: str
    width: int
    height: int
    words: str
    agreement: str


def write_report(outcome: Outcome, folder: Path) -> Path:
    """`report.html` in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / REPORT_FILE
    path.write_text(render_report(outcome), encoding="utf-8")
    return path


def render_report(outcome: Outcome) -> str:
    """The page's text."""
    try:
        import jinja2
        import markupsafe

        from gridlight.client.casestudy.plots import plot_nodes, plot_requests

        node_plot = plot_nodes(outcome.study, outcome.observations)
        request_plot = plot_requests(outcome.study, outcome.observations)
    except ImportError as error:
        raise GridlightError(
            f"the report needs a package that is not installed ({error.name})", "pip install 'gridlight[report]'"
        ) from error
    pages = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return pages.get_template(TEMPLATE_FILE).render(
        study=outcome.study,
        headline=headline(outcome.study),
        figures=[make_figure(photo, outcome.photos[photo.file]) for photo in outcome.study.photos],
        node_plot=markupsafe.Markup(node_plot),  # noqa: S704 our own plot, drawn a moment ago
        request_plot=markupsafe.Markup(request_plot),  # noqa: S704 our own plot, drawn a moment ago
        slowest_ack=slowest(outcome.study, "ack_ms"),
        slowest_result=slowest(outcome.study, "result_ms"),
        short=short,
        disturbed_words=disturbed_words,
    )


def headline(study: CaseStudy) -> str:
    """How many of the tested claims held."""
    tested = [claim for claim in study.claims if claim.held is not None]
    held = sum(claim.held is True for claim in tested)
    if held == len(tested):
        return f"All {len(tested)} claims that were tested held"
    return f"{held} of {len(tested)} claims that were tested held"


def slowest(study: CaseStudy, name: str) -> int | None:
    """The largest ack or result time of any node."""
    spreads = [getattr(node, name) for node in study.nodes]
    return max((one.max for one in spreads if one is not None), default=None)


def make_figure(photo: PhotoFindings, data: bytes) -> Figure:
    """Drawn and made small; the words say the same to who cannot see it."""
    drawn = draw_detections(open_photo(data), photo.detections)
    jpeg = encode_jpeg(drawn, side_max=PHOTO_SIDE_PX_MAX)
    small = open_photo(jpeg)
    words = ", ".join(f"{one.label} {one.score:.2f}" for one in photo.detections) or "nothing found"
    return Figure(
        file=photo.file,
        source="data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii"),
        width=small.width,
        height=small.height,
        words=words,
        agreement=agreement_words(photo),
    )


def agreement_words(photo: PhotoFindings) -> str:
    """Whether the nodes say the same, box by box."""
    if photo.nodes_answered == 0:
        return "No node answered."
    if photo.nodes_agreeing == photo.nodes_answered:
        return f"All {photo.nodes_answered} nodes gave these boxes, and these scores within 0.01."
    return f"{photo.nodes_agreeing} of {photo.nodes_answered} nodes gave these boxes, and these scores within 0.01."
