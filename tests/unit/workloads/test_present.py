"""A node's canonical output becomes boxes in the requester's pixels."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridlight.messages.jobs import Picture
from gridlight.messages.results import Detection, encode_detections
from gridlight.workloads.contract import manifest_named
from gridlight.workloads.present import present_detections, read_detections

MANIFEST = manifest_named("coco-ssd")
BUS, PERSON = 6, 1
INPUT_UNITS = 300 * 16


def found(class_id: int = BUS, score: int = 9000, box: tuple[int, int, int, int] = (0, 0, 4800, 4800)) -> Detection:
    return Detection(class_id=class_id, score=score, box=box)


def test_a_box_is_mapped_to_the_pictures_own_pixels() -> None:
    output = encode_detections([found(box=(480, 1200, 2400, 4800))])
    (view,) = present_detections(MANIFEST, output, Picture(width=1000, height=500), 2500)
    assert view.bbox == (100, 125, 500, 500)
    assert (view.box.xmin, view.box.ymin, view.box.xmax, view.box.ymax) == view.bbox
    assert (view.label, view.class_name, view.class_id) == ("bus", "bus", BUS)
    assert (view.score, view.confidence) == (0.9, 0.9)


def test_only_what_reaches_the_threshold_is_shown_best_first() -> None:
    output = encode_detections([found(score=2499), found(PERSON, 2500), found(score=8000)])
    views = present_detections(MANIFEST, output, Picture(width=300, height=300), 2500)
    assert [(view.label, view.score) for view in views] == [("bus", 0.8), ("person", 0.25)]


def test_no_detection_is_an_answer() -> None:
    assert present_detections(MANIFEST, b"", Picture(width=1, height=1), 2500) == []


@pytest.mark.parametrize("class_id", [0, 12, 91, 65535])
def test_a_class_that_the_model_does_not_have_is_refused(class_id: int) -> None:
    with pytest.raises(ValueError, match="class"):
        read_detections(MANIFEST, encode_detections([found(class_id)]))


@pytest.mark.parametrize("box", [(0, 0, 4801, 10), (0, 0, 10, 4801)])
def test_a_box_outside_the_models_input_is_refused(box: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="reaches out"):
        read_detections(MANIFEST, encode_detections([found(box=box)]))


def test_bytes_that_are_not_canonical_are_refused() -> None:
    with pytest.raises(ValueError, match="bytes"):
        present_detections(MANIFEST, b"junk", Picture(width=1, height=1), 2500)


@given(
    x=st.tuples(st.integers(0, INPUT_UNITS), st.integers(0, INPUT_UNITS)).map(sorted),
    y=st.tuples(st.integers(0, INPUT_UNITS), st.integers(0, INPUT_UNITS)).map(sorted),
    width=st.integers(1, 10_000),
    height=st.integers(1, 10_000),
)
def test_a_box_stays_inside_the_picture_and_the_right_way_round(
    x: list[int], y: list[int], width: int, height: int
) -> None:
    output = encode_detections([found(box=(x[0], y[0], x[1], y[1]))])
    (view,) = present_detections(MANIFEST, output, Picture(width=width, height=height), 2500)
    assert 0 <= view.bbox[0] <= view.bbox[2] <= width
    assert 0 <= view.bbox[1] <= view.bbox[3] <= height
    assert abs(view.bbox[0] - x[0] * width / INPUT_UNITS) <= 0.5
