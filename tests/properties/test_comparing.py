"""Comparing and fusing results: properties P20 to P25 of verification, each test with the number of its own.

All is integers, so "a hundredth of a pixel" is the one unit (1/16 px) by which rounding can carry it, on boxes of at
least five pixels a side: a unit on each side of a smaller box is more than the overlap allows.
"""

from itertools import product
from struct import pack

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from gridlight.core.comparing import Box, compare, is_overlapping
from gridlight.core.consensus import fuse
from gridlight.messages.limits import DETECTIONS_MAX, THRESHOLD_FLOOR, THRESHOLD_REPORT
from gridlight.messages.results import (
    SCORE_ONE,
    Detection,
    canonical_order,
    decode_detections,
    encode_detections,
)
from gridlight.messages.trust import Comparison
from gridlight.workloads.contract import manifest_named

TOLERANCES = manifest_named("coco-ssd").compare.parameters
SHIPPED = Comparison(name="boxes", parameters=TOLERANCES)
EXACT = Comparison(name="exact", parameters={})
TENSORS = Comparison(name="tensors", parameters={"delta_max": 2, "probe_delta_max": 1_000})
IOU_MIN, SCORE_DELTA_MAX = TOLERANCES["iou_min"], TOLERANCES["score_delta_max"]
TELLING = THRESHOLD_FLOOR + TOLERANCES["border_band"]
BORDER = THRESHOLD_REPORT + TOLERANCES["border_band"]
SCORE_JITTER, BOX_JITTER = 50, 1
SIDE_MIN, CELL = 80, 1_000

scores = (
    st.integers(THRESHOLD_REPORT, SCORE_ONE)
    | st.integers(BORDER, BORDER + 120)
    | st.integers(TELLING - 120, TELLING + 120)
)
classes = st.integers(1, 2)
probe_values = st.lists(st.integers(-(10**7), 10**7), max_size=4).map(tuple)
near_boxes = st.tuples(*[st.integers(-60, 60)] * 4).map(lambda d: (500 + d[0], 500 + d[1], 2_100 + d[2], 2_100 + d[3]))
any_things = st.builds(Detection, class_id=classes, score=scores, box=near_boxes)
"""Things that lie where others lie, as no honest node reports them: the hardest to pair."""


def detections(things: st.SearchStrategy[Detection], most: int = 8) -> st.SearchStrategy[list[Detection]]:
    return st.lists(things, max_size=most, unique_by=canonical_order)


@st.composite
def honest_results(draw: st.DrawFn) -> list[Detection]:
    """Things in places of their own, as suppression leaves them."""
    cells = draw(st.lists(st.sampled_from(list(product(range(5), range(5)))), max_size=8, unique=True))
    found = []
    for column, row in cells:
        width, height = draw(st.integers(SIDE_MIN, CELL - 100)), draw(st.integers(SIDE_MIN, CELL - 100))
        x, y = column * CELL + 50, row * CELL + 50
        box = (x, y, x + width, y + height)
        found.append(Detection(class_id=draw(classes), score=draw(scores), box=box))
    return found


@st.composite
def pairs(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """Two results that have most things in common, now and then moved to the edge of the tolerances."""
    one = draw(detections(any_things, most=5))
    jitter = st.sampled_from([-101, -100, -50, 0, 0, 50, 100, 101])
    shift = st.sampled_from([-42, -40, -20, 0, 0, 0, 20, 40, 42])
    other = [
        Detection(
            class_id=thing.class_id,
            score=min(max(thing.score + draw(jitter), THRESHOLD_REPORT), SCORE_ONE),
            box=moved(thing.box, draw(shift)),
        )
        for thing in one
        if draw(st.integers(0, 9))
    ]
    return encode_detections(one), encode_detections(list({canonical_order(thing): thing for thing in other}.values()))


def moved(box: Box, units: int) -> Box:
    return box[0] + units, box[1], box[2] + units, box[3]


def is_match(one: bytes, other: bytes, rule: Comparison = SHIPPED) -> bool:
    return compare(rule, one, other, (), ()).is_match


def can_pair(ones: list[Detection], others: list[Detection]) -> bool:
    """The definition, by trying every way to make pairs: nothing from the border on stays alone on either side."""
    if not ones:
        return all(thing.score < BORDER for thing in others)
    first, rest = ones[0], ones[1:]
    if first.score < BORDER and can_pair(rest, others):
        return True
    return any(
        can_pair(rest, [thing for thing in others if thing is not partner])
        for partner in others
        if partner.class_id == first.class_id
        and abs(partner.score - first.score) <= SCORE_DELTA_MAX
        and is_overlapping(partner.box, first.box, IOU_MIN)
    )


@given(pairs())
def test_p20_results_match_where_pairs_can_be_made_and_only_there(both: tuple[bytes, bytes]) -> None:
    one, other = both
    expected = can_pair(decode_detections(one), decode_detections(other))
    event(f"match: {expected}")
    assert is_match(one, other) == expected


@given(pairs(), probe_values, probe_values)
def test_p20_comparing_is_symmetric(both: tuple[bytes, bytes], mine: tuple[int, ...], theirs: tuple[int, ...]) -> None:
    one, other = both
    assert compare(SHIPPED, one, other, (), ()) == compare(SHIPPED, other, one, (), ())
    assert compare(SHIPPED, one, other, mine, theirs) == compare(SHIPPED, other, one, theirs, mine)


@given(detections(any_things), probe_values)
def test_p20_every_result_matches_itself(found: list[Detection], probes: tuple[int, ...]) -> None:
    output = encode_detections(found)
    for rule in (SHIPPED, EXACT, TENSORS):
        assert compare(rule, output, output, probes, probes).is_match


@given(st.data(), detections(any_things), detections(any_things))
def test_p20_the_order_of_detections_makes_no_difference(
    data: st.DataObject, one: list[Detection], other: list[Detection]
) -> None:
    shuffled = data.draw(st.permutations(one))
    assert encode_detections(shuffled) == encode_detections(one)
    assert is_match(encode_detections(shuffled), encode_detections(other)) == is_match(
        encode_detections(one), encode_detections(other)
    )


@given(pairs(), st.integers(0, 500), st.integers(0, 60), st.integers(0, 300), st.integers(0, 500))
def test_p20_what_matches_matches_in_wider_tolerances(
    both: tuple[bytes, bytes], iou: int, score: int, border: int, probe: int
) -> None:
    one, other = both
    wider = {
        "iou_min": IOU_MIN - iou,
        "score_delta_max": SCORE_DELTA_MAX + score,
        "border_band": TOLERANCES["border_band"] + border,
        "probe_delta_max": TOLERANCES["probe_delta_max"] + probe,
    }
    assert is_match(one, other, Comparison(name="boxes", parameters=wider)) >= is_match(one, other)


@given(st.data(), honest_results())
def test_p21_what_rounding_can_do_always_matches(data: st.DataObject, found: list[Detection]) -> None:
    jitter, unit = st.integers(-SCORE_JITTER, SCORE_JITTER), st.integers(-BOX_JITTER, BOX_JITTER)
    seen = []
    for thing in found:
        x0, y0, x1, y1 = (side + data.draw(unit) for side in thing.box)
        score = min(thing.score + data.draw(jitter), SCORE_ONE)
        if score >= THRESHOLD_REPORT:
            seen.append(Detection(class_id=thing.class_id, score=score, box=(x0, y0, x1, y1)))
    assert is_match(encode_detections(found), encode_detections(seen))


@pytest.mark.parametrize("forgery", ["drop", "relabel", "shift"])
@given(st.data(), honest_results())
def test_p21_what_is_beyond_doubt_cannot_be_dropped_relabelled_or_shifted(
    forgery: str, data: st.DataObject, found: list[Detection]
) -> None:
    sure = [thing for thing in found if thing.score >= BORDER]
    if not sure:
        return
    thing = data.draw(st.sampled_from(sure))
    rest = [other for other in found if other is not thing]
    if forgery == "relabel":
        rest.append(Detection(class_id=thing.class_id + 2, score=thing.score, box=thing.box))
    if forgery == "shift":
        width = thing.box[2] - thing.box[0]
        units = data.draw(st.integers(width // 39 + 1, CELL))  # a 39th of the width to the side overlaps by 0.95
        box = moved(thing.box, units)
        assert not is_overlapping(box, thing.box, IOU_MIN)
        rest.append(Detection(class_id=thing.class_id, score=thing.score, box=box))
    assert not is_match(encode_detections(found), encode_detections(rest))


@given(
    st.data(),
    pairs(),
    st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=16),
    st.sampled_from([SHIPPED, EXACT, TENSORS]),
)
def test_p22_other_probes_never_match(
    data: st.DataObject, both: tuple[bytes, bytes], probes: list[int], rule: Comparison
) -> None:
    place = data.draw(st.integers(0, len(probes) - 1))
    beyond = rule.parameters.get("probe_delta_max", 0) + data.draw(st.integers(1, 10**6))
    wrong = [*probes[:place], probes[place] + data.draw(st.sampled_from([-1, 1])) * beyond, *probes[place + 1 :]]
    for said in (wrong, probes[1:], [*probes, 0], []):
        compared = compare(rule, both[0], data.draw(st.sampled_from(both)), tuple(probes), tuple(said))
        assert not compared.is_match
        assert not compared.is_informative
        assert not compared.are_probes_equal


@given(probe_values, st.sampled_from([SHIPPED, EXACT, TENSORS]))
def test_p23_nothing_matches_nothing_but_tells_nothing(probes: tuple[int, ...], rule: Comparison) -> None:
    compared = compare(rule, b"", b"", probes, probes)
    assert compared.is_match
    assert not compared.is_informative


@given(pairs())
def test_p23_only_a_match_on_something_beyond_doubt_is_informative(both: tuple[bytes, bytes]) -> None:
    compared = compare(SHIPPED, *both, (), ())
    best = [max((thing.score for thing in decode_detections(output)), default=0) for output in both]
    assert compared.is_informative == (compared.is_match and min(best) >= TELLING)


@given(st.data(), st.lists(detections(any_things).map(encode_detections), min_size=3, max_size=5))
def test_p24_the_fused_output_does_not_depend_on_who_came_first(data: st.DataObject, outputs: list[bytes]) -> None:
    for rule in (SHIPPED, EXACT, TENSORS):
        assert fuse(rule, data.draw(st.permutations(outputs))) == fuse(rule, outputs)


@given(st.lists(detections(any_things), min_size=3, max_size=5))
def test_p24_whatever_is_fused_was_found_by_more_than_half_and_lies_between_what_they_found(
    results: list[list[Detection]],
) -> None:
    for thing in decode_detections(fuse(SHIPPED, [encode_detections(found) for found in results])):
        assert any(is_held(thing, seed, results) for found in results for seed in found)


def is_held(thing: Detection, seed: Detection, results: list[list[Detection]]) -> bool:
    """Whether more than half found what the seed is, and the fused thing lies within what they found."""
    members = [
        [one for one in found if one.class_id == seed.class_id and is_overlapping(one.box, seed.box, IOU_MIN)]
        for found in results
    ]
    pooled = [(one.score, *one.box) for found in members for one in found]
    return (
        thing.class_id == seed.class_id
        and 2 * sum(map(bool, members)) > len(results)
        and all(
            min(values) <= value <= max(values)
            for value, values in zip((thing.score, *thing.box), zip(*pooled, strict=True), strict=True)
        )
    )


@given(st.data(), honest_results(), st.sampled_from([SHIPPED, EXACT, TENSORS]))
def test_p24_three_of_five_who_agree_are_heard_whatever_the_others_say(
    data: st.DataObject, found: list[Detection], rule: Comparison
) -> None:
    others = [
        data.draw(st.lists(st.sampled_from(found), unique_by=canonical_order) if found else st.just([]))
        for _ in range(2)
    ]
    shift, score = st.integers(-45, 45), st.integers(THRESHOLD_REPORT, SCORE_ONE)
    forged = [
        [
            Detection(class_id=thing.class_id, score=data.draw(score), box=moved(thing.box, data.draw(shift)))
            for thing in other
        ]
        for other in others
    ]
    honest = encode_detections(found)
    assert fuse(rule, [honest, encode_detections(forged[0]), honest, encode_detections(forged[1]), honest]) == honest


words = st.integers(0, 2**16 - 1)
wide_boxes = st.tuples(words, words, words, words).map(
    lambda sides: (min(sides[0], sides[2]), min(sides[1], sides[3]), max(sides[0], sides[2]), max(sides[1], sides[3]))
)
wide_things = st.builds(Detection, class_id=words, score=st.integers(THRESHOLD_REPORT, SCORE_ONE), box=wide_boxes)


@given(detections(wide_things, most=20))
def test_p25_detections_come_back_from_their_canonical_form(found: list[Detection]) -> None:
    assert decode_detections(encode_detections(found)) == sorted(found, key=canonical_order)


@given(st.data(), detections(wide_things, most=5))
def test_p25_bytes_that_are_read_at_all_are_the_ones_that_would_be_written(
    data: st.DataObject, found: list[Detection]
) -> None:
    output = bytearray(encode_detections(found))
    for _ in range(data.draw(st.integers(0, 2)) if output else 0):
        output[data.draw(st.integers(0, len(output) - 1))] = data.draw(st.integers(0, 255))
    try:
        detected = decode_detections(bytes(output))
    except ValueError:
        assert not is_match(bytes(output), bytes(output))
        return
    assert encode_detections(detected) == output


@given(
    detections(any_things),
    st.integers(0, THRESHOLD_REPORT - 1) | st.integers(SCORE_ONE + 1, 2**16 - 1),
    st.integers(DETECTIONS_MAX + 1, DETECTIONS_MAX + 50),
)
def test_p25_what_is_out_of_range_or_too_much_is_refused_and_matches_nothing(
    found: list[Detection], score: int, count: int
) -> None:
    many = encode_detections(
        [Detection(class_id=1, score=SCORE_ONE, box=(0, 0, 0, side)) for side in range(DETECTIONS_MAX)]
    )
    too_many = many + b"".join(pack("<6H", 1, 9_000, 0, 0, 0, side) for side in range(count - DETECTIONS_MAX))
    for broken in (too_many, encode_detections(found) + pack("<6H", 1, score, 0, 0, 1, 1), many + b"\0"):
        with pytest.raises(ValueError, match=r"score|bytes|order"):
            decode_detections(broken)
        assert not is_match(broken, broken)
    assert is_match(many, many)
