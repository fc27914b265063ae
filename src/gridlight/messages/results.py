"""Results: the node's signed word on what it computed, and the canonical bytes of a list of detections.

The canonical form is a bijection, so equal results have equal digests: twelve bytes a detection, little-endian
`u16 class id, u16 score in 1e-4, 4 x u16 box xyxy in 1/16 px of the model's input`, sorted by falling score, then
class, then box.
"""

from itertools import pairwise
from struct import Struct as Layout
from typing import Annotated

from msgspec import Meta, Struct

from gridlight.messages.ids import AssignmentIdField, Blake3Field, NodeIdField
from gridlight.messages.limits import DEADLINE_MS_MAX, DETECTIONS_MAX, INLINE_BYTES_MAX, PROBES_MAX, THRESHOLD_REPORT

SCORE_ONE = 10_000
BOX_UNITS_PER_PX = 16

_LAYOUT = Layout("<HHHHHH")

# Every integer of a node has bounds: JSON's have none, the journal's and the database's do.
DurationField = Annotated[int, Meta(ge=0, le=10 * DEADLINE_MS_MAX)]
ProbeField = Annotated[int, Meta(ge=-(2**53), le=2**53)]


class RunTiming(Struct, frozen=True, gc=False, kw_only=True):
    """Milliseconds as the node says: waiting for a slot, and running."""

    queue: DurationField
    infer: DurationField


class ResultSubmitted(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="task.result.v1"):
    """The node's signed word that an assignment ran, with its canonical output as body."""

    assignment_id: AssignmentIdField
    node_id: NodeIdField
    output_digest: Blake3Field
    output_bytes: Annotated[int, Meta(ge=0, le=INLINE_BYTES_MAX)]
    timing: RunTiming
    probes: Annotated[tuple[ProbeField, ...], Meta(max_length=PROBES_MAX)] = ()
    """Raw values of the model's output in 1e-6, at the places that `probe_seed` chooses."""
    output: bytes = b""
    """Left empty by the node; the gateway puts the verified body here for the coordinator."""


class Detection(Struct, frozen=True, gc=False, kw_only=True, order=False):
    """One thing found. `score` in 1e-4, `box` (x0, y0, x1, y1) in 1/16 px of the model's input."""

    class_id: int
    score: int
    box: tuple[int, int, int, int]


def canonical_order(detection: Detection) -> tuple[int, int, tuple[int, int, int, int]]:
    """Sort key of the canonical form: falling score, then class, then box."""
    return -detection.score, detection.class_id, detection.box


def encode_detections(detections: list[Detection]) -> bytes:
    """Put distinct detections in canonical order and bytes; asserts that they are in range, since they are ours."""
    assert len(detections) <= DETECTIONS_MAX
    ordered = sorted(detections, key=canonical_order)
    fault = _fault(ordered)
    assert fault is None, fault
    return b"".join(_LAYOUT.pack(one.class_id, one.score, *one.box) for one in ordered)


def decode_detections(output: bytes) -> list[Detection]:
    """Read a node's output. ValueError for what is not the canonical form of some list of detections."""
    if len(output) % _LAYOUT.size or len(output) > DETECTIONS_MAX * _LAYOUT.size:
        raise ValueError(f"{len(output)} bytes are not 0 to {DETECTIONS_MAX} detections of {_LAYOUT.size} bytes")
    rows = _LAYOUT.iter_unpack(output)
    detections = [Detection(class_id=row[0], score=row[1], box=(row[2], row[3], row[4], row[5])) for row in rows]
    fault = _fault(detections)
    if fault is not None:
        raise ValueError(fault)
    return detections


def _fault(detections: list[Detection]) -> str | None:
    """Why a list of detections has no canonical form as it stands."""
    for one in detections:
        if not THRESHOLD_REPORT <= one.score <= SCORE_ONE:
            return f"score {one.score} is outside {THRESHOLD_REPORT}..{SCORE_ONE}"
        if one.box[0] > one.box[2] or one.box[1] > one.box[3]:
            return f"box {one.box} is turned inside out"
    if any(canonical_order(one) >= canonical_order(other) for one, other in pairwise(detections)):
        return "detections are not in canonical order, or one comes twice"
    return None
