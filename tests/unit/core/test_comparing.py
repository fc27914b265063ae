"""Whether two results agree."""

from struct import pack

import pytest

from gridlight.core.comparing import Compared, check_parameters, compare, is_dithered, is_overlapping
from gridlight.messages.limits import THRESHOLD_FLOOR, THRESHOLD_REPORT
from gridlight.messages.results import Detection, encode_detections
from gridlight.messages.trust import Comparison

EXACT = Comparison(name="exact", parameters={})
TENSORS = Comparison(name="tensors", parameters={"delta_max": 3, "probe_delta_max": 10})
TOLERANCES = {"iou_min": 9_500, "score_delta_max": 100, "border_band": 100, "probe_delta_max": 1_000}
BOXES = Comparison(name="boxes", parameters=TOLERANCES)
TELLING = THRESHOLD_FLOOR + 100
BORDER = THRESHOLD_REPORT + 100
BOX = (160, 160, 1_760, 1_760)
ELSEWHERE = (2_000, 2_000, 3_600, 3_600)

INFORMATIVE = Compared(is_match=True, is_informative=True, are_probes_equal=True)
UNINFORMATIVE = Compared(is_match=True, is_informative=False, are_probes_equal=True)
MISMATCH = Compared(is_match=False, is_informative=False, are_probes_equal=True)
WRONG_PROBES = Compared(is_match=False, is_informative=False, are_probes_equal=False)


def found(*, class_id: int = 1, score: int = 9_000, box: tuple[int, int, int, int] = BOX) -> Detection:
    """One thing found."""
    return Detection(class_id=class_id, score=score, box=box)


def compared(rule: Comparison, one: bytes, other: bytes) -> Compared:
    """Both ways round, without probes."""
    there, back = compare(rule, one, other, (), ()), compare(rule, other, one, (), ())
    assert there == back
    return there


def boxes_compared(ones: list[Detection], others: list[Detection]) -> Compared:
    """The same, of detections."""
    return compared(BOXES, encode_detections(ones), encode_detections(others))


def test_exact_results_match_byte_for_byte_or_not_at_all() -> None:
    assert compared(EXACT, b"same", b"same") == INFORMATIVE
    assert compared(EXACT, b"same", b"sane") == MISMATCH
    assert compared(EXACT, b"same", b"") == MISMATCH
    assert compared(EXACT, b"", b"") == UNINFORMATIVE


def test_exact_probes_may_not_differ_at_all() -> None:
    assert compare(EXACT, b"same", b"same", (7, 8), (7, 8)) == INFORMATIVE
    assert compare(EXACT, b"same", b"same", (7, 8), (7, 9)) == WRONG_PROBES


@pytest.mark.parametrize(
    ("ones", "others", "expected"),
    [
        ((1, -5, 2**31 - 1), (4, -8, 2**31 - 1), INFORMATIVE),
        ((1, -5, 9), (5, -5, 9), MISMATCH),
        ((1, -5), (1, -5, 0), MISMATCH),
        ((-(2**31),), (2**31 - 1,), MISMATCH),
        ((), (), UNINFORMATIVE),
    ],
)
def test_tensors_match_element_by_element(ones: tuple[int, ...], others: tuple[int, ...], expected: Compared) -> None:
    assert compared(TENSORS, pack(f"<{len(ones)}i", *ones), pack(f"<{len(others)}i", *others)) == expected


def test_a_tensor_of_broken_elements_does_not_even_match_itself() -> None:
    assert compared(TENSORS, b"fives", b"fives") == MISMATCH


@pytest.mark.parametrize(
    ("score", "box", "is_match"),
    [
        (9_100, BOX, True),
        (9_101, BOX, False),
        (9_000, (160, 160, 1_760, 1_680), True),
        (9_000, (160, 160, 1_760, 1_679), False),
        (9_000, (160, 80, 1_760, 1_760), True),
        (9_000, (1_760, 160, 3_360, 1_760), False),
        (9_000, (160, 1_760, 1_760, 3_360), False),
    ],
)
def test_a_detection_has_a_partner_up_to_exactly_the_tolerances(
    score: int, box: tuple[int, int, int, int], is_match: bool
) -> None:
    assert boxes_compared([found()], [found(score=score, box=box)]).is_match == is_match


def test_another_label_is_another_thing() -> None:
    assert boxes_compared([found()], [found(class_id=2)]) == MISMATCH


def test_one_thing_cannot_be_the_partner_of_two() -> None:
    twins = [found(), found(score=8_999)]

    assert boxes_compared(twins, [found()]) == MISMATCH
    assert boxes_compared(twins, [found(), found(score=8_998)]) == INFORMATIVE


def moved(units: int, score: int) -> Detection:
    """The thing so far to the right; up to 41 units it still overlaps enough."""
    return found(score=score, box=(BOX[0] + units, BOX[1], BOX[2] + units, BOX[3]))


def test_a_partner_is_given_up_where_another_has_no_other() -> None:
    # The best of either side are partners, and so best score first would leave the others alone, who are none.
    ones = [moved(0, 9_010), moved(60, 9_000)]
    others = [moved(20, 9_010), moved(-40, 9_000)]

    assert boxes_compared(ones, others) == INFORMATIVE


def test_where_more_want_partners_than_there_are_somebody_stays_alone() -> None:
    ones = [found(score=9_000 + number) for number in range(3)]
    others = [found(score=9_000), found(score=9_001), found(class_id=2)]

    assert boxes_compared(ones, others) == MISMATCH


def test_empty_boxes_are_the_same_only_where_they_are_equal() -> None:
    assert boxes_compared([found(box=(5, 5, 5, 9))], [found(box=(5, 5, 5, 9), score=8_990)]) == INFORMATIVE
    assert boxes_compared([found(box=(5, 5, 5, 9))], [found(box=(5, 5, 5, 8))]) == MISMATCH
    assert not is_overlapping((5, 5, 5, 5), (6, 6, 6, 6), 1)


def test_only_what_the_other_may_just_not_have_reported_can_stay_alone() -> None:
    assert boxes_compared([found(), found(score=BORDER - 1, box=ELSEWHERE)], [found()]) == INFORMATIVE
    assert boxes_compared([found(), found(score=BORDER, box=ELSEWHERE)], [found()]) == MISMATCH
    assert boxes_compared([found(score=BORDER - 1)], []) == UNINFORMATIVE


def test_faint_things_that_only_one_has_are_a_mismatch_although_they_tell_nothing() -> None:
    faint = [found(score=THRESHOLD_FLOOR, box=(side, 0, side + 16, 16)) for side in range(0, 3_000, 100)]

    assert boxes_compared([found(), *faint], [found()]) == MISMATCH


def test_a_result_is_informative_where_both_found_what_is_served_beyond_doubt() -> None:
    assert boxes_compared([found(score=TELLING)], [found(score=TELLING)]) == INFORMATIVE
    assert boxes_compared([found(score=TELLING)], [found(score=TELLING + 1)]) == INFORMATIVE
    assert boxes_compared([found(score=TELLING)], [found(score=TELLING - 1)]) == UNINFORMATIVE
    assert boxes_compared([found(score=TELLING - 1)], [found(score=TELLING - 1)]) == UNINFORMATIVE


def test_probes_are_near_one_by_one() -> None:
    output = encode_detections([found()])

    assert compare(BOXES, output, output, (5_000, -7), (6_000, -7)) == INFORMATIVE
    assert compare(BOXES, output, output, (5_000, -7), (6_001, -7)) == WRONG_PROBES
    assert compare(BOXES, output, output, (5_000, -7), (-7, 5_000)) == WRONG_PROBES
    assert compare(BOXES, output, output, (5_000, -7), (5_000,)) == WRONG_PROBES
    assert compare(BOXES, output, output, (), (5_000,)) == WRONG_PROBES


@pytest.mark.parametrize("broken", [b"short", pack("<6H", 1, 1_999, 0, 0, 1, 1), pack("<6H", 1, 9_000, 5, 0, 4, 0)])
def test_what_is_not_canonical_matches_nothing_not_even_itself(broken: bytes) -> None:
    assert compared(BOXES, broken, broken) == MISMATCH
    assert compared(BOXES, broken, b"") == MISMATCH
    assert compared(BOXES, broken, encode_detections([found()])) == MISMATCH


@pytest.mark.parametrize(
    "rule",
    [
        Comparison(name="exact", parameters={"iou_min": 1}),
        Comparison(name="boxes", parameters={}),
        Comparison(name="boxes", parameters={**TOLERANCES, "loose": 1}),
        Comparison(name="tensors", parameters={"delta_max": 3}),
    ],
)
def test_a_rule_with_other_parameters_is_a_bug_of_ours(rule: Comparison) -> None:
    with pytest.raises(AssertionError, match=rule.name):
        compare(rule, b"", b"", (), ())


def test_probes_of_two_dithers_may_be_farther_apart_than_those_of_one() -> None:
    rule = Comparison(name="boxes", parameters={**TOLERANCES, "dither_delta_max": 5_000})
    one = encode_detections([found()])
    assert compare(rule, one, one, (0,), (1_000,)) == INFORMATIVE
    assert compare(rule, one, one, (0,), (1_001,)) == WRONG_PROBES
    assert compare(rule, one, one, (0,), (5_000,), is_one_dither=False) == INFORMATIVE
    assert compare(rule, one, one, (0,), (5_001,), is_one_dither=False) == WRONG_PROBES


def test_only_boxes_are_compared_across_dithers() -> None:
    assert is_dithered(Comparison(name="boxes", parameters={**TOLERANCES, "dither_delta_max": 5_000}))
    assert not is_dithered(BOXES)
    with pytest.raises(AssertionError, match="tensors with"):
        check_parameters(Comparison(name="tensors", parameters={**TENSORS.parameters, "dither_delta_max": 1}))
