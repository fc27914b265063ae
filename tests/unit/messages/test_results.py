"""The canonical bytes of detections."""

from struct import pack

import pytest

from gridlight.messages.limits import DETECTIONS_MAX, THRESHOLD_REPORT
from gridlight.messages.results import SCORE_ONE, Detection, decode_detections, encode_detections

BOX = (16, 32, 480, 640)


def found(*, class_id: int = 1, score: int = 9_000, box: tuple[int, int, int, int] = BOX) -> Detection:
    """One thing found."""
    return Detection(class_id=class_id, score=score, box=box)


def row(*, class_id: int = 1, score: int = 9_000, box: tuple[int, int, int, int] = BOX) -> bytes:
    """The bytes of one detection as a node could send them."""
    return pack("<6H", class_id, score, *box)


def test_no_detections_are_no_bytes() -> None:
    assert encode_detections([]) == b""
    assert decode_detections(b"") == []


def test_a_detection_is_six_little_endian_words() -> None:
    assert encode_detections([found()]) == bytes.fromhex("0100 2823 1000 2000 e001 8002")


def test_detections_are_put_in_one_order_whichever_they_came_in() -> None:
    ordered = [
        found(score=9_500, class_id=7),
        found(score=9_000, class_id=1, box=(0, 0, 1, 1)),
        found(score=9_000, class_id=1, box=(0, 0, 1, 2)),
        found(score=9_000, class_id=2, box=(0, 0, 0, 0)),
        found(score=2_000, class_id=0),
    ]

    output = encode_detections(ordered[::-1])

    assert output == encode_detections(ordered)
    assert decode_detections(output) == ordered


@pytest.mark.parametrize("score", [THRESHOLD_REPORT, SCORE_ONE])
def test_the_least_and_the_highest_score_are_taken(score: int) -> None:
    assert decode_detections(row(score=score)) == [found(score=score)]


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (row()[:-1], "11 bytes"),
        (row() + b"\0", "13 bytes"),
        (row() * (DETECTIONS_MAX + 1), "0 to 300"),
        (row(score=THRESHOLD_REPORT - 1), "score 1999"),
        (row(score=SCORE_ONE + 1), "score 10001"),
        (row(box=(5, 0, 4, 0)), "inside out"),
        (row(box=(0, 5, 0, 4)), "inside out"),
        (row() + row(), "comes twice"),
        (row(score=3_000) + row(score=3_001), "order"),
        (row(class_id=2) + row(class_id=1), "order"),
    ],
)
def test_what_is_not_canonical_is_refused_with_a_reason(output: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        decode_detections(output)


@pytest.mark.parametrize(
    "detections",
    [
        [found(score=THRESHOLD_REPORT - 1)],
        [found(box=(5, 0, 4, 0))],
        [found(), found()],
        [found()] * (DETECTIONS_MAX + 1),
    ],
)
def test_to_encode_what_nobody_would_take_is_a_bug_of_ours(detections: list[Detection]) -> None:
    with pytest.raises(AssertionError):
        encode_detections(detections)
