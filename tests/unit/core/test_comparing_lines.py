"""Whether two readings of one picture agree, and what a panel of readers stands for."""

import pytest
from msgspec.structs import replace
from tests.unit.core.test_comparing import INFORMATIVE, MISMATCH, UNINFORMATIVE, WRONG_PROBES, compared

from gridlight.core.comparing import Compared, compare
from gridlight.core.consensus import fuse
from gridlight.messages.limits import LINES_MAX, THRESHOLD_FLOOR, THRESHOLD_REPORT
from gridlight.messages.lines import TextLine, decode_lines, encode_lines
from gridlight.messages.trust import Comparison

RULE = Comparison(
    name="lines",
    parameters={
        "iou_min": 7_000,
        "score_delta_max": 500,
        "border_band": 500,
        "edit_share_max": 1_000,
        "probe_delta_max": 10,
    },
)
NAME = TextLine(score=9_900, quad=(100, 100, 900, 100, 900, 200, 100, 200), text="HARBOUR MARKET")
HOURS = TextLine(score=9_500, quad=(100, 300, 900, 300, 900, 400, 100, 400), text="Open daily 08:30 - 17:45")


def lines_compared(ones: list[TextLine], others: list[TextLine]) -> Compared:
    return compared(RULE, encode_lines(ones), encode_lines(others))


def moved(line: TextLine, by: int) -> TextLine:
    x0, y0, x1, y1, x2, y2, x3, y3 = line.quad
    return replace(line, quad=(x0 + by, y0, x1 + by, y1, x2 + by, y2, x3 + by, y3))


def test_equal_readings_match_and_tell_where_something_was_read_beyond_doubt() -> None:
    assert lines_compared([NAME, HOURS], [NAME, HOURS]) == INFORMATIVE
    assert lines_compared([], []) == UNINFORMATIVE
    doubtful = [replace(NAME, score=THRESHOLD_FLOOR + 499)]
    assert lines_compared(doubtful, doubtful) == UNINFORMATIVE


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (replace(NAME, score=9_400), INFORMATIVE),
        (replace(NAME, score=9_399), MISMATCH),
        (replace(NAME, text="HARBOURMARKET"), INFORMATIVE),
        (replace(NAME, text="HARBOUR MARKFT"), INFORMATIVE),
        (replace(NAME, text="HARBOUR MARK3T5"), MISMATCH),
        (moved(NAME, 140), INFORMATIVE),
        (moved(NAME, 145), MISMATCH),
    ],
)
def test_scores_texts_and_places_may_differ_within_their_tolerances(other: TextLine, expected: Compared) -> None:
    assert lines_compared([NAME, HOURS], [other, HOURS]) == expected


def test_a_line_that_only_one_reads_is_a_mismatch_unless_it_is_near_the_border() -> None:
    at_the_border = replace(HOURS, score=THRESHOLD_REPORT + 499)
    assert lines_compared([NAME], [NAME, at_the_border]) == INFORMATIVE
    assert lines_compared([NAME], [NAME, replace(HOURS, score=THRESHOLD_REPORT + 500)]) == MISMATCH


def test_the_surest_need_partners_wherever_they_stand_in_the_picture() -> None:
    below = replace(HOURS, score=10_000)
    above = replace(NAME, score=THRESHOLD_REPORT)
    assert lines_compared([above, below], [below]) == INFORMATIVE
    assert lines_compared([above, below], [above]) == MISMATCH


def test_junk_matches_nothing_and_probes_are_held_to_their_tolerance() -> None:
    assert compared(RULE, b"junk", b"junk") == MISMATCH
    assert compared(RULE, encode_lines([NAME]), b"junk") == MISMATCH
    assert compare(RULE, b"", b"", (5,), (15,)) == UNINFORMATIVE
    assert compare(RULE, b"", b"", (5,), (16,)) == WRONG_PROBES


def test_lines_that_are_heaped_up_are_not_worth_comparing() -> None:
    heap = [replace(moved(NAME, number % 9), text=f"{number:03d} {'x' * 30}") for number in range(60)]
    other = [replace(line, text=f"{line.text}y") for line in heap]
    assert 2 * LINES_MAX < 60 * 60
    assert lines_compared(heap, heap) == INFORMATIVE
    assert lines_compared(heap, other) == MISMATCH
    assert lines_compared(heap[:20], other[:20]) == INFORMATIVE


def test_a_panel_stands_for_the_reading_that_most_of_it_agree_with() -> None:
    right, near = [NAME, HOURS], [replace(NAME, score=9_700), HOURS]
    outputs = [encode_lines(one) for one in (right, near, [HOURS])]
    assert decode_lines(fuse(RULE, outputs)) in (right, near)
    assert fuse(RULE, outputs) == fuse(RULE, outputs[::-1])
    assert fuse(RULE, [b"junk", b"junk", encode_lines([NAME])]) == encode_lines([NAME])
    assert fuse(RULE, [b"junk", b"more", b"junk"]) == b""
