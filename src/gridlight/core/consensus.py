"""One output made of several operators' results, where no reference node can settle what is right."""

from collections import Counter
from collections.abc import Iterable
from hashlib import sha256
from typing import Final, assert_never

from gridlight.core.comparing import check_parameters, compare, is_overlapping
from gridlight.messages.limits import DETECTIONS_MAX
from gridlight.messages.results import Detection, canonical_order, decode_detections, encode_detections
from gridlight.messages.trust import Comparison

OUTPUTS_MIN: Final = 3
OUTPUTS_MAX: Final = 5
"""Fewer have no majority against one, more are never asked."""


def fuse(rule: Comparison, outputs: list[bytes]) -> bytes:
    """The output that a panel stands for, one result of each operator; the order of `outputs` makes no difference.

    Each operator has one voice, whatever its reputation. What is not canonical holds nothing, and still counts.
    """
    check_parameters(rule)
    assert OUTPUTS_MIN <= len(outputs) <= OUTPUTS_MAX
    match rule.name:
        case "exact" | "tensors":
            return _most_held(outputs)
        case "lines":
            return _most_agreed(rule, outputs)
        case "boxes":
            return _fuse_boxes(rule.parameters["iou_min"], outputs)
        case _:
            assert_never(rule.name)


def _most_held(outputs: list[bytes]) -> bytes:
    """The bytes that most of them hold. Among equals the least digest, which favours no content."""
    counts = Counter(outputs)
    return min(counts, key=lambda output: (-counts[output], sha256(output).digest()))


def _most_agreed(rule: Comparison, outputs: list[bytes]) -> bytes:
    """The output that most of them match; nothing where none is canonical. Among equals the least digest."""
    agreeing = {
        output: sum(compare(rule, output, other, (), ()).is_match for other in outputs) for output in set(outputs)
    }
    best = min(agreeing, key=lambda output: (-agreeing[output], sha256(output).digest()))
    return best if agreeing[best] else b""


def _fuse_boxes(iou_min: int, outputs: list[bytes]) -> bytes:
    """What more than half of them found, each thing at its median score and box.

    From the best score down, a detection gathers at most one of each output that has its label and overlaps it.
    O(n^2) for n detections in all, 1,500 at most.
    """
    found = [_read(output) for output in sorted(outputs)]
    fused: list[Detection] = []
    while rest := [detections for detections in found if detections]:
        holder = min(rest, key=lambda detections: canonical_order(detections[0]))
        cluster = [(detections, near) for detections in rest if (near := _near(holder[0], detections, iou_min))]
        if 2 * len(cluster) <= len(outputs):
            holder.pop(0)
            continue
        fused.append(_median_of([near for _, near in cluster]))
        for detections, near in cluster:
            detections.remove(near)
    # Results that no honest node gives can fuse to the same thing twice, or to more than one result may hold.
    return encode_detections(sorted(set(fused), key=canonical_order)[:DETECTIONS_MAX])


def _read(output: bytes) -> list[Detection]:
    try:
        return decode_detections(output)
    except ValueError:
        return []


def _near(seed: Detection, detections: list[Detection], iou_min: int) -> Detection | None:
    """The best of these that shows what the seed shows; the seed itself among its own."""
    return next(
        (
            detection
            for detection in detections
            if detection.class_id == seed.class_id and is_overlapping(detection.box, seed.box, iou_min)
        ),
        None,
    )


def _median_of(cluster: list[Detection]) -> Detection:
    x0, y0, x1, y1 = (_median(detection.box[side] for detection in cluster) for side in range(4))
    score = _median(detection.score for detection in cluster)
    return Detection(class_id=cluster[0].class_id, score=score, box=(x0, y0, x1, y1))


def _median(values: Iterable[int]) -> int:
    """The lower one where two stand in the middle."""
    ordered = sorted(values)
    return ordered[(len(ordered) - 1) // 2]
