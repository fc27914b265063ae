"""Whether two results of one input agree, within the tolerances that their workload's manifest states."""

from collections.abc import Callable, Iterable, Sequence
from struct import unpack
from typing import Final, TypeVar, assert_never

from msgspec import Struct

from gridlight.core.editing import is_near
from gridlight.messages.limits import LINES_MAX, THRESHOLD_FLOOR, THRESHOLD_REPORT
from gridlight.messages.lines import TextLine, decode_lines
from gridlight.messages.results import SCORE_ONE, Detection, decode_detections
from gridlight.messages.trust import Comparison

PARAMETERS: Final = {
    "exact": frozenset[str](),
    "boxes": frozenset({"iou_min", "score_delta_max", "border_band", "probe_delta_max"}),
    "tensors": frozenset({"delta_max", "probe_delta_max"}),
    "lines": frozenset({"iou_min", "score_delta_max", "border_band", "edit_share_max", "probe_delta_max"}),
}
"""What each rule is told, neither more nor less: overlaps, scores and shares in 1e-4, probes in 1e-6."""

DITHER: Final = "dither_delta_max"
"""What `boxes` is told beside where the model's input is dithered: how far probes of two runs may then be apart."""

_ELEMENT_BYTES: Final = 4

Box = tuple[int, int, int, int]
Found = TypeVar("Found", Detection, TextLine)

UNLIKE_PAIRS_MAX: Final = 2 * LINES_MAX
"""Pairs of lines in one place whose texts differ, that two results are compared by at most: an honest one has one or
two for each line, and somebody's who heaps lines up would keep everybody else's coordinator busy."""


class Compared(Struct, frozen=True, kw_only=True):
    """How two results compare. To agree on nothing, or with other probes, tells nothing of the nodes."""

    is_match: bool
    is_informative: bool
    """They match, and both found something beyond doubt."""
    are_probes_equal: bool


def compare(
    rule: Comparison,
    one: bytes,
    other: bytes,
    one_probes: tuple[int, ...],
    other_probes: tuple[int, ...],
    *,
    is_one_dither: bool = True,
) -> Compared:
    """Hold two results of one input against each other; whose comes first makes no difference.

    Probes of two runs whose input was dithered in two ways are near each other; those of one dither are much nearer.
    Bytes that are not in the rule's canonical form match nothing, not even themselves.
    """
    check_parameters(rule)
    probe_delta_max = rule.parameters.get("probe_delta_max" if is_one_dither else DITHER, 0)
    if not _are_within(one_probes, other_probes, probe_delta_max):
        return Compared(is_match=False, is_informative=False, are_probes_equal=False)
    match rule.name:
        case "exact":
            is_match, is_telling = one == other, bool(one)
        case "boxes":
            is_match, is_telling = _compare_boxes(rule.parameters, one, other)
        case "lines":
            is_match, is_telling = _compare_lines(rule.parameters, one, other)
        case "tensors":
            is_match, is_telling = _compare_tensors(rule.parameters["delta_max"], one, other), bool(one)
        case _:
            assert_never(rule.name)
    return Compared(is_match=is_match, is_informative=is_match and is_telling, are_probes_equal=True)


def is_dithered(rule: Comparison) -> bool:
    """Whether each run of the workload is of an input that its own probe seed altered a little."""
    return DITHER in rule.parameters


def check_parameters(rule: Comparison) -> None:
    """Assert that the rule is told what it has to be."""
    told = rule.parameters.keys() - ({DITHER} if rule.name == "boxes" else set())
    assert told == PARAMETERS[rule.name], f"{rule.name} with {sorted(rule.parameters)}"


def is_overlapping(one: Box, other: Box, iou_min: int) -> bool:
    """Whether intersection over union is at least `iou_min` (in 1e-4); an empty box overlaps only its equal."""
    if one == other:
        return True
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return False
    overlap = width * height
    union = (one[2] - one[0]) * (one[3] - one[1]) + (other[2] - other[0]) * (other[3] - other[1]) - overlap
    return overlap * SCORE_ONE >= union * iou_min


def _are_within(ones: Sequence[int], others: Sequence[int], delta_max: int) -> bool:
    return len(ones) == len(others) and all(
        abs(one - other) <= delta_max for one, other in zip(ones, others, strict=True)
    )


def _compare_tensors(delta_max: int, one: bytes, other: bytes) -> bool:
    """Little-endian int32 fixed-point elements, each near its counterpart."""
    if len(one) != len(other) or len(one) % _ELEMENT_BYTES:
        return False
    layout = f"<{len(one) // _ELEMENT_BYTES}i"
    return one == other or _are_within(unpack(layout, one), unpack(layout, other), delta_max)


def _compare_boxes(parameters: dict[str, int], one: bytes, other: bytes) -> tuple[bool, bool]:
    """Whether they match, and whether both found something that is served beyond doubt."""
    try:
        ones = decode_detections(one)
        others = ones if one == other else decode_detections(other)
    except ValueError:
        return False, False
    telling = THRESHOLD_FLOOR + parameters["border_band"]
    is_telling = _above(ones, telling) > 0 and _above(others, telling) > 0
    is_match = one == other or _are_paired(ones, others, parameters, lambda a, b: _is_partner(a, b, parameters))
    return is_match, is_telling


def _compare_lines(parameters: dict[str, int], one: bytes, other: bytes) -> tuple[bool, bool]:
    """As boxes; lines have texts instead of classes, and any order of scores."""
    try:
        ones = decode_lines(one)
        others = ones if one == other else decode_lines(other)
    except ValueError:
        return False, False
    telling = THRESHOLD_FLOOR + parameters["border_band"]
    is_telling = _above(ones, telling) > 0 and _above(others, telling) > 0
    if one == other:
        return True, is_telling
    ones, others = _best_first(ones), _best_first(others)
    unlike = 0

    def is_partner(a: TextLine, b: TextLine) -> bool:
        nonlocal unlike
        if abs(a.score - b.score) > parameters["score_delta_max"]:
            return False
        if not is_overlapping(a.box, b.box, parameters["iou_min"]):
            return False
        if a.text == b.text:
            return True
        unlike += 1
        return unlike <= UNLIKE_PAIRS_MAX and is_near(a.text, b.text, parameters["edit_share_max"])

    is_match = _are_paired(ones, others, parameters, is_partner)
    return is_match and unlike <= UNLIKE_PAIRS_MAX, is_telling


def _best_first(lines: list[TextLine]) -> list[TextLine]:
    return sorted(lines, key=lambda line: -line.score)


def _above(found: Iterable[Detection | TextLine], score: int) -> int:
    """How many have at least this score."""
    return sum(one.score >= score for one in found)


def _are_paired(
    ones: list[Found], others: list[Found], parameters: dict[str, int], is_partner: Callable[[Found, Found], bool]
) -> bool:
    """Whether pairs can be made so that nothing stays alone on either side but what one may just not have reported.

    Both sides are given best first. What is alone and served would be nobody's word but one's: forged things just above
    the service's floor.

    Where the needed ones of each side can have partners, there are pairs that serve both sides at once (Mendelsohn and
    Dulmage). So the sides are asked one by one, which is symmetric, and what fits stays fitting in wider tolerances:
    pairs taken greedily, best score first, would be neither. O(ones x others) for honest results.
    """
    border = THRESHOLD_REPORT + parameters["border_band"]
    partners_of_ones: list[list[int]] = [[] for _ in ones]
    partners_of_others: list[list[int]] = [[] for _ in others]
    for number, one in enumerate(ones):
        for place, other in enumerate(others):
            if is_partner(one, other):
                partners_of_ones[number].append(place)
                partners_of_others[place].append(number)
    return _have_partners(_above(ones, border), partners_of_ones) and _have_partners(
        _above(others, border), partners_of_others
    )


def _is_partner(one: Detection, other: Detection, parameters: dict[str, int]) -> bool:
    return (
        one.class_id == other.class_id
        and abs(one.score - other.score) <= parameters["score_delta_max"]
        and is_overlapping(one.box, other.box, parameters["iou_min"])
    )


def _have_partners(needed: int, partners: list[list[int]]) -> bool:
    """Whether the first `needed` of a side can each have a partner of its own."""
    held_by: dict[int, int] = {}
    return all(_finds_partner(one, partners, held_by, set()) for one in range(needed))


def _finds_partner(one: int, partners: list[list[int]], held_by: dict[int, int], asked: set[int]) -> bool:
    """Take a free partner, or one whose holder finds another: an augmenting path, never deeper than a side is long."""
    for partner in partners[one]:
        if partner not in held_by:
            held_by[partner] = one
            return True
    for partner in partners[one]:
        if partner not in asked:
            asked.add(partner)
            if _finds_partner(held_by[partner], partners, held_by, asked):
                held_by[partner] = one
                return True
    return False
