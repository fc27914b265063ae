"""One picture of a case study, photos above and latencies below, for documents that cannot show the page itself."""

from pathlib import Path
from typing import Final

from gridlight.client.casestudy.plots import PAPER, draw_nodes, draw_requests, style
from gridlight.client.casestudy.study import Outcome
from gridlight.client.drawing import draw_detections, open_photo
from gridlight.client.errors import BadInput

PHOTOS_MAX: Final = 4
WIDTH_INCHES: Final = 12.0
PHOTO_ROW_INCHES: Final = 3.3
PLOT_ROW_INCHES: Final = 4.2
PAD_INCHES: Final = 0.12
DOTS_PER_INCH: Final = 110
PHOTO_SIDE_PX_MAX: Final = 800


def save_poster(outcome: Outcome, path: Path) -> None:
    """The first few photos with their boxes, and both plots, on white. The file's suffix says in which format."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    photos = outcome.study.photos[:PHOTOS_MAX]
    drawn = [draw_detections(open_photo(outcome.photos[photo.file]), photo.detections) for photo in photos]
    layout = ConstrainedLayoutEngine(w_pad=PAD_INCHES, h_pad=PAD_INCHES)
    with mpl.rc_context(style(PAPER)):
        figure = Figure(figsize=(WIDTH_INCHES, PHOTO_ROW_INCHES + PLOT_ROW_INCHES), layout=layout)
        rows = figure.add_gridspec(2, 1, height_ratios=[PHOTO_ROW_INCHES, PLOT_ROW_INCHES])
        above, below = figure.add_subfigure(rows[0]), figure.add_subfigure(rows[1])
        shapes = [picture.width / picture.height for picture in drawn]
        places = above.subplots(1, len(drawn), width_ratios=shapes, squeeze=False)[0]
        for axes, picture in zip(places, drawn, strict=True):
            picture.thumbnail((PHOTO_SIDE_PX_MAX, PHOTO_SIDE_PX_MAX))
            axes.imshow(picture)
            axes.set_axis_off()
        left, right = below.subplots(1, 2)
        draw_nodes(left, outcome.study.nodes, outcome.observations, PAPER)
        draw_requests(right, outcome.study, outcome.observations, PAPER)
        left.set_xlabel(f"{len(outcome.study.nodes)} nodes as processes on one machine; dashed: 1 s and 4 s")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(path, dpi=DOTS_PER_INCH, facecolor="white")
        except (ValueError, OSError) as error:
            raise BadInput(f"cannot write {path} ({error})", "name a .png in a folder you may write to") from error
