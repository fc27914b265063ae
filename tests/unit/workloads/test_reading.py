"""Text recognition at the gateway: the picture on its paper, and lines back in the picture's own pixels."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET
from msgspec.structs import replace
from PIL import Image
from tests.pictures.making import BAD, encoded, jpeg_turned

from gridlight.messages.jobs import Picture
from gridlight.messages.lines import TextLine, encode_lines
from gridlight.messages.manifests import Manifest, Run, Step
from gridlight.messages.trust import Comparison
from gridlight.workloads.contract import BadManifest, check_manifest, letterboxed, manifest_named
from gridlight.workloads.prepare import PictureRefused, prepare
from gridlight.workloads.present import check_output, present

SIZE = {"width": 320, "height": 320}
LINES = {"iou_min": 1, "score_delta_max": 1, "border_band": 1, "edit_share_max": 1, "probe_delta_max": 1}
READER = replace(
    manifest_named("coco-ssd"),
    name="reader",
    task="text-recognition",
    prepare=Step(name="letterbox_rgb_uint8", parameters=SIZE),
    present=Step(name="letterboxed_lines", parameters=SIZE),
    run=Run(name="image", image="0" * 64),
    compare=Comparison(name="lines", parameters=LINES),
    labels=(),
)


def line(*quad: int, score: int = 9_000) -> TextLine:
    x0, y0, x1, y1, x2, y2, x3, y3 = quad
    return TextLine(score=score, quad=(x0, y0, x1, y1, x2, y2, x3, y3), text="Open")


def test_a_reader_is_a_workload() -> None:
    check_manifest(READER)
    check_manifest(replace(READER, compare=Comparison(name="exact", parameters={})))


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (replace(READER, labels=("text",)), "text has none"),
        (replace(READER, task="object-detection"), "takes resize_rgb_uint8 and resized_boxes"),
        (replace(READER, prepare=Step(name="resize_rgb_uint8", parameters=SIZE)), "takes letterbox_rgb_uint8"),
        (replace(READER, compare=manifest_named("coco-ssd").compare), "compared as lines or exact"),
        (replace(READER, run=manifest_named("coco-ssd").run), "one width|run by image"),
        (
            replace(
                READER,
                run=Run(name="ssd", parameters={**SIZE, "iou_max": 1, "candidates_max": 1}),
                artifacts={"weights": "0" * 64},
            ),
            "run by image",
        ),
    ],
)
def test_steps_of_another_task_are_refused(bad: Manifest, said: str) -> None:
    with pytest.raises(BadManifest, match=said):
        check_manifest(bad)


@given(st.integers(1, 40_000), st.integers(1, 1_000), st.integers(8, 2_048), st.integers(8, 2_048))
def test_a_letterboxed_picture_fits_and_touches_two_sides(width: int, height: int, across: int, down: int) -> None:
    fitted = letterboxed(width, height, across, down)

    assert 1 <= fitted[0] <= across
    assert 1 <= fitted[1] <= down
    assert fitted[0] == across or fitted[1] == down
    assert fitted[0] == 1 or fitted[1] == 1 or abs(fitted[0] * height - fitted[1] * width) <= max(width, height)


def test_the_picture_is_at_the_top_left_and_the_rest_is_paper() -> None:
    prepared = prepare("letterbox_rgb_uint8", SIZE, encoded(Image.new("RGB", (640, 200), (10, 20, 30)), "PNG"))

    pixels = np.frombuffer(prepared.tensor, np.uint8).reshape(320, 320, 3)
    assert (prepared.width, prepared.height, prepared.shape) == (640, 200, (1, 320, 320, 3))
    assert (pixels[:100] == (10, 20, 30)).all()
    assert (pixels[100:] == 255).all()


def test_a_turned_picture_is_prepared_as_it_is_shown() -> None:
    picture = jpeg_turned(6)
    with Image.open(io.BytesIO(picture)) as stored:
        shown = stored.height, stored.width

    prepared = prepare("letterbox_rgb_uint8", SIZE, picture)

    pixels = np.frombuffer(prepared.tensor, np.uint8).reshape(320, 320, 3)
    across, down = letterboxed(*shown, 320, 320)
    assert (prepared.width, prepared.height) == shown
    assert (pixels[down:] == 255).all()
    assert (pixels[:, across:] == 255).all()
    assert not (pixels[:down, :across] == 255).all()


@pytest.mark.parametrize("name", BAD)
def test_a_bad_picture_is_refused_as_for_a_detection(name: str) -> None:
    code, make = BAD[name]
    with pytest.raises(PictureRefused) as refused:
        prepare("letterbox_rgb_uint8", SIZE, make())
    assert refused.value.code == code


def test_lines_are_mapped_to_the_pictures_own_pixels() -> None:
    output = encode_lines([line(160, 320, 1_600, 160, 1_600, 480, 160, 640), line(*[0] * 8, score=2_499)])

    presented = present(READER, output, Picture(width=640, height=200), 2_500)

    assert presented.detections == []
    assert presented.lines != UNSET
    (view,) = presented.lines
    assert (view.text, view.score, view.bbox) == ("Open", 0.9, (20, 20, 200, 80))
    assert view.quad == [(20, 40), (200, 20), (200, 60), (20, 80)]
    assert check_output(READER, output) == 2


def test_what_was_read_on_the_paper_ends_at_the_pictures_edge() -> None:
    presented = present(READER, encode_lines([line(0, 0, 9, 0, 9, 5_120, 0, 5_120)]), Picture(width=64, height=20), 0)

    assert presented.lines != UNSET
    assert presented.lines[0].bbox == (0, 0, 0, 20)


def test_corners_out_of_the_input_are_refused() -> None:
    with pytest.raises(ValueError, match="reach out"):
        check_output(READER, encode_lines([line(0, 0, 5_121, 0, 9, 9, 0, 9)]))
    with pytest.raises(ValueError, match="reach out"):
        check_output(READER, encode_lines([line(0, 0, 9, 0, 9, 5_121, 0, 9)]))
