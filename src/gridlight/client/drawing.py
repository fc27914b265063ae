"""Draws detections over a photo: what `gridlight detect --save` writes and what the report shows."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from msgspec import UnsetType
from PIL import Image, ImageDraw, ImageFont, ImageOps, UnidentifiedImageError

from gridlight.client.errors import BadInput
from gridlight.client.exchange import read_photo
from gridlight.messages.api import DetectionView, DetectResponse, LineView
from gridlight.messages.limits import PICTURE_PIXELS_MAX

Colour = tuple[int, int, int]

# Okabe and Ito's colours, told apart by people with any kind of colour vision; their black is left out, since
# photos are full of it.
PALETTE: Final[tuple[Colour, ...]] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)

JPEG_QUALITY = 82
LINE_SHARE = 1 / 220
TEXT_SHARE = 1 / 30
LINE_TEXT_SHARE = 1 / 60
"""Of the picture's longer side."""


def open_photo(photo: bytes | Path) -> Image.Image:
    """As shown, after EXIF orientation, in RGB: the picture that boxes are given in pixels of."""
    name = "the photo" if isinstance(photo, bytes) else str(photo)
    data = photo if isinstance(photo, bytes) else read_photo(photo)
    try:
        picture = Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP"))
        if picture.width * picture.height > PICTURE_PIXELS_MAX:
            raise BadInput(f"{name} has over {PICTURE_PIXELS_MAX:,} pixels", "make it smaller")
        return flattened(ImageOps.exif_transpose(picture))
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise BadInput(f"cannot read {name} as a picture ({error})", "give a JPEG, PNG or WebP") from error


def flattened(picture: Image.Image) -> Image.Image:
    """In RGB, what is transparent shown on white."""
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    layered = picture.convert("RGBA")
    paper = Image.new("RGBA", layered.size, "white")
    return Image.alpha_composite(paper, layered).convert("RGB")


def draw_detections(picture: Image.Image, detections: Sequence[DetectionView]) -> Image.Image:
    """A copy of the picture with each box, label and score; the surest on top."""
    drawn = picture.copy()
    canvas = ImageDraw.Draw(drawn)
    longer = max(drawn.size)
    line_px = max(2, round(longer * LINE_SHARE))
    font = ImageFont.load_default(size=max(11, round(longer * TEXT_SHARE)))
    for detection in sorted(detections, key=lambda one: one.score):
        colour = colour_of(detection.class_id)
        canvas.rectangle(detection.bbox, outline=colour, width=line_px)
        draw_label(canvas, drawn.size, detection, colour, font, line_px)
    return drawn


def draw_lines(picture: Image.Image, lines: Sequence[LineView]) -> Image.Image:
    """A copy of the picture with the corners of each line joined, and its text on them."""
    drawn = picture.copy()
    canvas = ImageDraw.Draw(drawn)
    longer = max(drawn.size)
    line_px = max(2, round(longer * LINE_SHARE))
    font = ImageFont.load_default(size=max(11, round(longer * LINE_TEXT_SHARE)))
    for number, line in enumerate(lines):
        colour = colour_of(number)
        canvas.polygon(line.quad, outline=colour, width=line_px)
        draw_patch(canvas, drawn.size, line.text, line.bbox[:2], colour, font, line_px)
    return drawn


def draw_label(
    canvas: ImageDraw.ImageDraw,
    size: tuple[int, int],
    detection: DetectionView,
    colour: Colour,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    line_px: int,
) -> None:
    """Label and score on a patch of the box's colour."""
    text = f"{detection.label} {detection.score:.2f}"
    draw_patch(canvas, size, text, detection.bbox[:2], colour, font, line_px)


def draw_patch(
    canvas: ImageDraw.ImageDraw,
    size: tuple[int, int],
    text: str,
    corner: tuple[int, int],
    colour: Colour,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    line_px: int,
) -> None:
    """A text on a patch of colour: on top of what has this top left corner, or inside where there is no room above."""
    left, top, right, bottom = canvas.textbbox((0, 0), text, font=font)
    width, height = right - left + 4 * line_px, bottom - top + 3 * line_px
    x = max(0, min(corner[0], size[0] - round(width)))
    y = corner[1] - height if corner[1] >= height else corner[1]
    canvas.rectangle((x, y, x + width, y + height), fill=colour)
    canvas.text((x + 2 * line_px - left, y + 1.5 * line_px - top), text, fill=ink_on(colour), font=font)


def colour_of(class_id: int) -> Colour:
    """The same for a class in every picture."""
    return PALETTE[class_id % len(PALETTE)]


def ink_on(colour: Colour) -> Colour:
    """Black or white, whichever has the higher contrast with the colour (WCAG 2.2, relative luminance)."""
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in (v / 255 for v in colour)
    ]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return (0, 0, 0) if (luminance + 0.05) ** 2 > 0.05 * 1.05 else (255, 255, 255)


def encode_jpeg(picture: Image.Image, *, side_max: int) -> bytes:
    """At most `side_max` pixels on its longer side."""
    small = picture.copy()
    small.thumbnail((side_max, side_max), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    small.save(out, format="JPEG", quality=JPEG_QUALITY, optimize=True, progressive=True)
    return out.getvalue()


def save_drawing(photo: bytes | Path, response: DetectResponse, path: Path) -> None:
    """Write the photo with what was found or read; the file's suffix says in which format."""
    picture = open_photo(photo)
    if isinstance(response.lines, UnsetType):
        drawn = draw_detections(picture, response.detections)
    else:
        drawn = draw_lines(picture, response.lines)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        drawn.save(path)
    except (ValueError, OSError) as error:
        raise BadInput(
            f"cannot write {path} ({error})", "name a .png, .jpg or .webp in a folder you may write"
        ) from error
