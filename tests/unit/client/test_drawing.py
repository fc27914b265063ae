"""Boxes over photos, in the pixels of the photo as shown."""

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from gridlight.client.drawing import PALETTE, colour_of, draw_detections, encode_jpeg, ink_on, open_photo, save_drawing
from gridlight.client.errors import BadInput
from gridlight.messages.api import LineView


def encoded(picture: Image.Image, name: str, **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, format=name, **options)
    return out.getvalue()


def test_a_box_is_drawn_where_it_was_found_and_the_photo_stays(make_response: Any) -> None:
    photo = Image.new("RGB", (320, 200), "white")

    drawn = draw_detections(photo, make_response().detections)

    assert drawn.getpixel((300, 120)) == colour_of(6)
    assert drawn.getpixel((150, 120)) == (255, 255, 255)
    assert photo.getcolors() == [(320 * 200, (255, 255, 255))]


def test_a_label_at_the_picture_s_edge_stays_inside(make_response: Any) -> None:
    detections = make_response().detections
    for detection in detections:
        detection.bbox = (310, 0, 319, 199)

    drawn = draw_detections(Image.new("RGB", (320, 200), "white"), detections)

    assert drawn.size == (320, 200)
    assert drawn.getpixel((319 - 20, 2)) != (255, 255, 255)


def test_a_rotated_photo_is_drawn_as_it_is_shown() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = encoded(Image.new("RGB", (300, 200)), "JPEG", exif=exif)

    assert open_photo(photo).size == (200, 300)


@pytest.mark.parametrize("mode", ["L", "P", "LA", "RGBA", "1"])
def test_legal_modes_become_rgb(mode: str) -> None:
    photo = encoded(Image.new("RGBA", (30, 20), (0, 0, 0, 0)).convert(mode), "PNG")

    assert open_photo(photo).mode == "RGB"


def test_what_is_transparent_is_shown_on_white() -> None:
    photo = encoded(Image.new("RGBA", (30, 20), (0, 0, 0, 0)), "PNG")

    assert open_photo(photo).getpixel((5, 5)) == (255, 255, 255)


@pytest.mark.parametrize("data", [b"", b"not a picture", b"\xff\xd8\xff\xe0"])
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(BadInput, match="cannot read the photo"):
        open_photo(data)


def test_the_suffix_says_the_format(photo_path: Path, make_response: Any, tmp_path: Path) -> None:
    path = tmp_path / "made" / "boxes.png"

    save_drawing(photo_path, make_response(), path)

    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_suffix_that_means_nothing_is_refused(photo_path: Path, make_response: Any, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot write"):
        save_drawing(photo_path, make_response(), tmp_path / "boxes.nothing")


def test_large_photos_are_made_small_for_the_page() -> None:
    with Image.open(io.BytesIO(encode_jpeg(Image.new("RGB", (3000, 1000)), side_max=960))) as small:
        assert small.size == (960, 320)


def test_text_on_every_colour_of_the_palette_reads_well() -> None:
    def luminance(colour: tuple[int, int, int]) -> float:
        linear = [c / 12.92 if (c := v / 255) <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for v in colour]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for colour in PALETTE:
        light, dark = sorted((luminance(colour), luminance(ink_on(colour))), reverse=True)
        # WCAG 2.2, 1.4.3: at least 4.5 for text of any size.
        assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_lines_of_text_are_drawn_around_their_corners(photo_path: Path, make_response: Any, tmp_path: Path) -> None:
    response = make_response()
    quad = [(100, 100), (200, 110), (200, 150), (100, 140)]
    response.lines = [LineView(text="Open", score=0.9, bbox=(100, 100, 200, 150), quad=quad)]

    save_drawing(photo_path, response, tmp_path / "lines.png")

    with Image.open(tmp_path / "lines.png") as drawn:
        assert drawn.getpixel((150, 145)) == colour_of(0)
        assert drawn.getpixel((60, 190)) == open_photo(photo_path).getpixel((60, 190)), "no detection's box is drawn"
