"""One output of several."""

from hashlib import sha256
from struct import pack

import pytest

from gridlight.core.consensus import fuse
from gridlight.messages.limits import DETECTIONS_MAX
from gridlight.messages.results import Detection, decode_detections, encode_detections
from gridlight.messages.trust import Comparison

EXACT = Comparison(name="exact", parameters={})
TENSORS = Comparison(name="tensors", parameters={"delta_max": 3, "probe_delta_max": 10})
BOXES = Comparison(
    name="boxes",
    parameters={"iou_min": 9_500, "score_delta_max": 100, "border_band": 100, "probe_delta_max": 1_000},
)
BOX = (160, 160, 1_760, 1_760)
ELSEWHERE = (2_000, 2_000, 3_600, 3_600)


def found(*, class_id: int = 1, score: int = 9_000, box: tuple[int, int, int, int] = BOX) -> Detection:
    """One thing found."""
    return Detection(class_id=class_id, score=score, box=box)


def fused(*results: list[Detection]) -> list[Detection]:
    """What a panel of these stands for."""
    return decode_detections(fuse(BOXES, [encode_detections(result) for result in results]))


@pytest.mark.parametrize("rule", [EXACT, TENSORS])
def test_the_bytes_of_more_than_half_win(rule: Comparison) -> None:
    assert fuse(rule, [b"this", b"that", b"this"]) == b"this"
    assert fuse(rule, [b"a", b"b", b"c", b"c", b"c"]) == b"c"


@pytest.mark.parametrize("rule", [EXACT, TENSORS])
def test_without_a_majority_the_largest_group_wins_and_among_equals_the_least_digest(rule: Comparison) -> None:
    assert fuse(rule, [b"a", b"c", b"b", b"c", b"d"]) == b"c"
    groups = [b"", b"a", b"b", b"c"]
    assert fuse(rule, groups) == min(groups, key=lambda output: sha256(output).digest())
    assert fuse(rule, groups) != min(groups)


def test_a_thing_is_kept_where_more_than_half_found_it() -> None:
    assert fused([found()], [found()], []) == [found()]
    assert fused([found()], [], []) == []
    assert fused([found()], [found()], [], []) == []
    assert fused([found()], [found()], [found()], []) == [found()]


def test_score_and_each_side_of_the_box_are_medians() -> None:
    results = [
        [found(score=9_000, box=(160, 165, 1_760, 1_770))],
        [found(score=8_950, box=(170, 160, 1_765, 1_760))],
        [found(score=8_990, box=(165, 170, 1_770, 1_765))],
    ]

    assert fused(*results) == [found(score=8_990, box=(165, 165, 1_765, 1_765))]
    assert fused(*results, results[0]) == [found(score=8_990, box=(160, 165, 1_760, 1_765))]


def test_other_labels_and_other_places_are_other_things() -> None:
    assert fused([found(class_id=1)], [found(class_id=2)], [found(class_id=3)]) == []
    both = [found(), found(score=8_000, box=ELSEWHERE)]
    assert fused(both, both, [found()]) == both


def test_nobody_votes_twice() -> None:
    assert fused([found(), found(score=8_999)], [], []) == []


def test_a_high_score_that_nobody_shares_does_not_spoil_what_others_agree_on() -> None:
    lone = found(score=10_000, box=(160, 160, 1_760, 1_690))

    assert fused([lone], [found()], [found()], [found()], []) == [found()]


def test_what_is_not_canonical_holds_nothing_and_still_counts() -> None:
    good, broken = encode_detections([found()]), b"broken"

    assert fuse(BOXES, [good, good, broken]) == good
    assert fuse(BOXES, [good, good, broken, broken]) == b""


def test_things_that_come_to_the_same_are_said_once() -> None:
    # Two of three hold each thing, and in both the lower of two scores is 3,000 and the lesser sides are the same.
    ones = [found(score=9_000, box=(160, 160, 1_761, 1_760)), found(score=8_999, box=(160, 160, 1_762, 1_760))]
    others = [found(score=3_000), found(score=3_000, box=(160, 160, 1_760, 1_761))]

    assert fused(ones, others, []) == [found(score=3_000)]


def test_no_more_things_than_a_result_holds() -> None:
    def half(first: int, score: int) -> list[Detection]:
        columns = range(first, first + DETECTIONS_MAX // 2)
        return [found(score=score, box=(100 * column, 0, 100 * column + 99, 99)) for column in columns]

    size = DETECTIONS_MAX // 2
    ones, others, thirds = half(0, 9_000), half(size, 8_000), half(2 * size, 7_000)

    assert fused(ones + others, others + thirds, thirds + ones) == ones + others


@pytest.mark.parametrize("outputs", [[b"", b""], [b""] * 6])
def test_too_few_or_too_many_results_are_a_bug_of_ours(outputs: list[bytes]) -> None:
    with pytest.raises(AssertionError):
        fuse(EXACT, outputs)


def test_a_rule_with_other_parameters_is_a_bug_of_ours() -> None:
    with pytest.raises(AssertionError, match="exact"):
        fuse(Comparison(name="exact", parameters={"iou_min": 1}), [b"", b"", b""])


def test_wide_label_and_box_numbers_pass_through() -> None:
    output = pack("<6H", 65_535, 10_000, 0, 0, 65_535, 65_535)

    assert fuse(BOXES, [output] * 5) == output
