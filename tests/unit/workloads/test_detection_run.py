"""From a model's raw heads to the canonical result, against slow and plain references."""

import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from gridlight.messages.limits import DETECTIONS_MAX, DITHER_BITS, PROBES_MAX, THRESHOLD_REPORT
from gridlight.messages.results import Detection, decode_detections, encode_detections
from gridlight.workloads.detection.run import (
    DITHERED_BYTES,
    Candidates,
    Detector,
    dithered,
    probe,
    select_candidates,
    suppress,
)

PARAMETERS = {"width": 20, "height": 10, "iou_max": 5000, "candidates_max": 1000}

Row = tuple[int, int, tuple[int, int, int, int]]


def candidates(rows: list[Row]) -> Candidates:
    ordered = sorted(rows, key=lambda row: (-row[1], row[0], row[2]))
    return Candidates(
        np.array([row[0] for row in ordered], np.int64),
        np.array([row[1] for row in ordered], np.int64),
        np.array([row[2] for row in ordered], np.int64).reshape(-1, 4),
    )


def overlap(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> Fraction:
    """Intersection over union, exactly."""
    width = max(0, min(one[2], other[2]) - max(one[0], other[0]))
    height = max(0, min(one[3], other[3]) - max(one[1], other[1]))
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return Fraction(int(width * height), int(areas - width * height))


def plainly_suppressed(found: Candidates, iou_max: int) -> list[int]:
    """Greedy suppression as it is written in textbooks."""
    kept: list[int] = []
    for position, box in enumerate(found.boxes):
        is_empty = box[2] <= box[0] or box[3] <= box[1]
        is_covered = any(
            found.classes[other] == found.classes[position]
            and overlap(found.boxes[other], box) > Fraction(iou_max, 10_000)
            for other in kept
        )
        if not is_empty and not is_covered and len(kept) < DETECTIONS_MAX:
            kept.append(position)
    return kept


corner = st.integers(0, 12)
spans = st.tuples(corner, corner).map(sorted)
boxes = st.tuples(spans, spans).map(lambda both: (both[0][0], both[1][0], both[0][1], both[1][1]))
rows = st.tuples(st.integers(1, 3), st.integers(2000, 2010), boxes)


def rows_of(found: Candidates) -> list[Row]:
    boxes = [(*map(int, box),) for box in found.boxes]
    return list(zip(found.classes.tolist(), found.scores.tolist(), boxes, strict=True))  # type: ignore[arg-type]


@given(st.lists(rows, max_size=40), st.sampled_from([0, 3333, 5000, 9999, 10_000]))
def test_suppression_agrees_with_the_plain_reference(found: list[Row], iou_max: int) -> None:
    ordered = candidates(found)
    assert rows_of(suppress(ordered, iou_max)) == [
        rows_of(ordered)[kept] for kept in plainly_suppressed(ordered, iou_max)
    ]


def test_an_overlap_of_exactly_the_limit_is_kept() -> None:
    ordered = candidates([(1, 9000, (0, 0, 20, 10)), (1, 8000, (0, 0, 10, 10))])
    assert suppress(ordered, 5000).scores.tolist() == [9000, 8000]
    assert suppress(ordered, 4999).scores.tolist() == [9000]


def test_no_more_detections_than_a_result_holds() -> None:
    apart = [(1, 5000, (16 * x, 16 * y, 16 * x + 8, 16 * y + 8)) for x in range(20) for y in range(20)]
    assert rows_of(suppress(candidates(apart), 5000)) == rows_of(candidates(apart))[:DETECTIONS_MAX]


CUP = (1337, 45, 3954, 4693)
SAME_CUP = (1280, 22, 3905, 4652)
"""Two anchors' boxes of comparison 833 of `make honest`, whose scores were 0.8446 and 0.8445: they overlap by 0.947."""


def test_of_two_boxes_that_score_the_same_it_does_not_matter_which_comes_first() -> None:
    one, other = (
        rows_of(suppress(candidates([(1, 8445 + is_first, CUP), (1, 8446 - is_first, SAME_CUP)]), 5000, 100))
        for is_first in (True, False)
    )
    assert [row[:2] for row in one] == [row[:2] for row in other] == [(1, 8446)]
    assert max(abs(a - b) for a, b in zip(one[0][2], other[0][2], strict=True)) <= 1
    assert one[0][2] == pytest.approx((1308, 34, 3930, 4673), abs=2), "half way between both"


def test_a_box_that_scores_clearly_less_has_no_say() -> None:
    for gap, moves in ((100, False), (99, True)):
        [(_, score, box)] = rows_of(suppress(candidates([(1, 8446, CUP), (1, 8446 - gap, SAME_CUP)]), 5000, 100))
        assert score == 8446
        assert (box != CUP) is moves
        assert box == pytest.approx(CUP, abs=1), "what has hardly a say moves hardly anything"


def test_boxes_of_other_things_and_places_have_no_say() -> None:
    apart = [(1, 8446, CUP), (2, 8446, SAME_CUP), (1, 8446, (0, 0, 900, 4600))]
    assert rows_of(suppress(candidates(apart), 5000, 100)) == rows_of(candidates(apart))


@pytest.mark.parametrize(("left", "is_covered"), [(400, True), (600, False)])
def test_it_is_the_shared_box_that_suppresses_others(left: int, is_covered: bool) -> None:
    """Of the two that share, the first would spare what is at 400, and the second would suppress what is at 600."""
    sharing = [(1, 8000, (x, 0, x + 1_000, 1_000)) for x in (0, 300)]
    other = (1, 7000, (left, 0, left + 1_000, 1_000))
    kept = rows_of(suppress(candidates([*sharing, other]), 5000, 100))
    assert kept == [(1, 8000, (150, 0, 1_150, 1_000))] + [other] * (not is_covered)


@given(st.lists(rows, max_size=40), st.sampled_from([3333, 5000]), st.sampled_from([1, 5, 100]))
def test_what_is_shared_is_still_a_result(found: list[Row], iou_max: int, tie_max: int) -> None:
    ordered = candidates(found)
    kept = rows_of(suppress(ordered, iou_max, tie_max))
    assert all(box[0] < box[2] and box[1] < box[3] for _, _, box in kept)
    assert [row[1] for row in kept] == sorted((row[1] for row in kept), reverse=True)
    detections = [Detection(class_id=class_id, score=score, box=box) for class_id, score, box in kept]
    assert len(decode_detections(encode_detections(detections))) == len(kept), "distinct, and in range"


def heads(scores: dict[tuple[int, int], float], anchors: int = 4) -> tuple[Any, Any]:
    """Boxes side by side, and logits that give these scores by (anchor, class)."""
    logits = np.full((anchors, 3), -20, np.float32)
    for (anchor, class_id), score in scores.items():
        logits[anchor, class_id] = math.log(score / (1 - score))
    edges = np.arange(anchors, dtype=np.float32) / anchors
    flat = np.zeros(anchors, np.float32)
    return np.stack([flat, edges, flat + 0.5, edges + 1 / anchors], 1), logits


def test_candidates_are_what_reaches_the_report_threshold_best_first() -> None:
    found = select_candidates(*heads({(0, 1): 0.5, (1, 2): 0.9, (2, 1): 0.19, (3, 2): 0.2}), PARAMETERS)
    assert found.scores.tolist() == [9000, 5000, THRESHOLD_REPORT]
    assert found.classes.tolist() == [2, 1, 2]
    assert found.boxes[0].tolist() == [80, 0, 160, 80]  # 1/16 px of 20 x 10


def test_the_background_is_never_a_candidate() -> None:
    assert len(select_candidates(*heads({(0, 0): 0.99}), PARAMETERS).scores) == 0


def test_boxes_are_clipped_to_the_models_input() -> None:
    sizes, logits = heads({(0, 1): 0.9})
    sizes[0] = [-0.5, -1, 2, 3]
    assert select_candidates(sizes, logits, PARAMETERS).boxes.tolist() == [[0, 0, 320, 160]]


def test_only_the_best_candidates_are_looked_at() -> None:
    bounded = {**PARAMETERS, "candidates_max": 2}
    found = select_candidates(*heads({(0, 1): 0.5, (1, 1): 0.7, (2, 1): 0.6}), bounded)
    assert found.scores.tolist() == [7000, 6000]


def test_scores_that_round_to_the_same_are_ordered_by_class_and_box() -> None:
    sizes, logits = heads({(0, 2): 0.5, (1, 1): 0.5000001, (2, 1): 0.5})
    found = select_candidates(sizes, logits, PARAMETERS)
    assert found.classes.tolist() == [1, 1, 2]
    assert found.boxes[:, 0].tolist() == [80, 160, 0]


def test_probes_are_raw_values_in_millionths_at_places_that_the_seed_chooses() -> None:
    values = (np.arange(1000) / 4).astype(np.float32).reshape(10, 100)
    probes = probe(values, 42)
    assert len(probes) == PROBES_MAX
    assert probes == probe(values, 42)
    assert probes != probe(values, 43)
    assert all(one % 250_000 == 0 and 0 <= one < 250_000_000 for one in probes)


def test_probes_of_a_seed_never_change() -> None:
    """Other nodes, and other versions of this one, must look at the same places."""
    assert probe(np.arange(174_447, dtype=np.float32), 2**53 - 1)[:4] == [
        165467000000,
        50445000000,
        20941000000,
        82829000000,
    ]


@given(st.integers(0, 2**53 - 1))
def test_probes_are_integers_that_every_language_reads(seed: int) -> None:
    odd = np.array([np.nan, np.inf, -np.inf, 1e30, -0.0], np.float32)
    assert all(abs(one) < 2**53 for one in probe(odd, seed))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model whose logits rise with its input's mean: one box at full brightness, none in the dark."""
    sizes, _ = heads({})
    rising = np.zeros((1, 4, 3), np.float32)
    rising[0, 1, 2] = 1 / 64
    initializers = [
        numpy_helper.from_array(sizes[None], "constant_boxes"),
        numpy_helper.from_array(rising, "rising"),
        numpy_helper.from_array(np.asarray(-2, np.float32), "base"),
    ]
    nodes = [
        helper.make_node("Identity", ["constant_boxes"], ["boxes"]),
        helper.make_node("Cast", ["image"], ["picture"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["picture"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "rising"], ["risen"]),
        helper.make_node("Add", ["risen", "base"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, (1, 10, 20, 3))],
        [
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, (1, 4, 4)),
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, (1, 4, 3)),
        ],
        initializers,
    )
    path = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)]), path)
    return path


def test_a_detector_gives_the_canonical_result_of_what_the_model_says(model: Path) -> None:
    detector = Detector(model, PARAMETERS)
    assert detector.input_bytes == 600
    (detection,) = decode_detections(detector.run(bytes([192]) * 600, 1).canonical)
    assert (detection.class_id, detection.score, detection.box) == (2, 7311, (80, 0, 160, 80))
    assert detector.run(bytes(600), 1).canonical == b""
    assert set(detector.run(bytes(600), 1).probes) == {-2_000_000}


def test_a_detector_is_deterministic(model: Path) -> None:
    picture = bytes(range(200)) * 3
    assert Detector(model, PARAMETERS).run(picture, 5) == Detector(model, PARAMETERS).run(memoryview(picture), 5)


def test_a_dither_turns_the_last_bit_of_a_few_bytes_and_each_seed_turns_others() -> None:
    picture = bytes(range(250)) * 1_080
    one, same, other = (dithered(picture, seed) for seed in (7, 7, 8))
    assert one == same != other
    turned = [(before, after) for before, after in zip(picture, one, strict=True) if before != after]
    assert DITHERED_BYTES - 5 <= len(turned) <= DITHERED_BYTES, "two places may be one"
    assert all(before ^ after == 1 for before, after in turned)


def test_the_upper_bits_of_a_seed_choose_the_probes_and_the_whole_of_it_the_dither(model: Path) -> None:
    picture, places = bytes([192]) * 600, 5 << DITHER_BITS
    plain, dithering = Detector(model, PARAMETERS), Detector(model, PARAMETERS, is_dithered=True)
    expected = plain.run(picture, 5).probes
    near, nearer = dithering.run(picture, places | 1).probes, dithering.run(picture, places | 2).probes
    assert len(set(expected)) > 1
    for probes in (near, nearer):
        assert probes != expected
        assert max(abs(one - other) for one, other in zip(probes, expected, strict=True)) < 20_000
    assert dithering.run(picture, places | 1).probes == near


def test_a_dithered_input_may_be_a_view(model: Path) -> None:
    detector = Detector(model, PARAMETERS, is_dithered=True)
    assert detector.run(memoryview(bytes(600)), 5) == detector.run(bytes(600), 5)
