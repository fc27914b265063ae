"""The `run` of detection, on the node: the model on one thread, and from its raw heads to the canonical result.

Scores and boxes are rounded to the canonical integers *before* anything is ordered or suppressed, so two nodes whose
floats differ in the last bits still take the same decisions, but for values that lie on a rounding edge.
"""

import math
import os
from enum import Enum
from hashlib import blake2b, shake_128
from operator import mul
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gridlight.messages.limits import DETECTIONS_MAX, DITHER_BITS, PROBES_MAX, THRESHOLD_REPORT
from gridlight.messages.results import BOX_UNITS_PER_PX, SCORE_ONE, Detection, encode_detections

PROBE_UNITS = 1_000_000
PROBE_VALUE_MAX = 9_000_000_000
"""Past it a raw value is cut, so that a probe is an integer that every language's JSON reads exactly."""

DITHERED_BYTES = 128
"""Of 270,000, each off by one: a score moves by 0.001, and a raw value by more than honest machines ever differ in."""

_LOGIT_REPORT = math.log((THRESHOLD_REPORT - 1) / (SCORE_ONE - THRESHOLD_REPORT + 1))
"""Just below the logit of the report threshold: what to look at before rounding decides."""

_CLASS_STRIDE = 1 << 17
"""More than any box coordinate: boxes of different classes, moved apart by this, never overlap."""

Booleans = np.ndarray[Any, np.dtype[np.bool_]]
Integers = np.ndarray[Any, np.dtype[np.int64]]
Floats = np.ndarray[Any, np.dtype[np.float32]]


class Optimisation(Enum):
    """How far the runtime may rewrite a model's graph, by its own names."""

    NONE = "ORT_DISABLE_ALL"
    BASIC = "ORT_ENABLE_BASIC"
    EXTENDED = "ORT_ENABLE_EXTENDED"
    ALL = "ORT_ENABLE_ALL"


class Candidates(NamedTuple):
    """Detections before suppression or after it, best first; one row each."""

    classes: Integers
    scores: Integers
    boxes: Integers


class Output(NamedTuple):
    """What a node reports of one input."""

    canonical: bytes
    probes: list[int]


class Detector:
    """A loaded model. `run` is not reentrant; a worker has one detector and one task at a time."""

    def __init__(
        self,
        model: Path,
        parameters: dict[str, int],
        *,
        is_dithered: bool = False,
        threads: int = 1,
        optimisation: Optimisation = Optimisation.ALL,
    ) -> None:
        # Read on import, from release 1.29 on: without it, the runtime writes an id of the machine and calls home.
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"
        import onnxruntime

        runtime: Any = onnxruntime  # its package has types, but exports none of these names

        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = getattr(runtime.GraphOptimizationLevel, optimisation.value)
        options.log_severity_level = 3
        # A slot is one core that its operator lends: nothing may spin on another.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        self._session: Any = runtime.InferenceSession(os.fspath(model), options, providers=["CPUExecutionProvider"])
        self._parameters = parameters
        self._is_dithered = is_dithered
        self._shape = (1, parameters["height"], parameters["width"], 3)

    @property
    def input_bytes(self) -> int:
        """The size of the one input that this model takes."""
        return math.prod(self._shape)

    def run(self, tensor: bytes | bytearray | memoryview, probe_seed: int) -> Output:
        """Detections of one prepared input of `input_bytes` bytes, and the probes its seed asks for.

        Where the workload dithers, the input is altered by the whole seed, and the upper bits choose the probes.
        """
        if not self._is_dithered:
            return self.report(*self.heads(tensor), probe_seed)
        return self.report(*self.heads(dithered(tensor, probe_seed)), probe_seed >> DITHER_BITS)

    def heads(self, tensor: bytes | bytearray | memoryview) -> tuple[Floats, Floats]:
        """The model's raw boxes and logits."""
        assert len(tensor) == self.input_bytes
        picture = np.frombuffer(tensor, np.uint8).reshape(self._shape)
        boxes, logits = self._session.run(["boxes", "logits"], {"image": picture})
        return boxes, logits

    def report(self, boxes: Floats, logits: Floats, probe_seed: int) -> Output:
        """What a node says of what the model said."""
        candidates = select_candidates(boxes[0], logits[0], self._parameters)
        found = suppress(candidates, self._parameters["iou_max"], self._parameters.get("tie_max", 0))
        return Output(_canonical(found), probe(logits, probe_seed))


def dithered(tensor: bytes | bytearray | memoryview, probe_seed: int) -> bytes:
    """The input with the last bit of a few bytes turned, so that no other run's raw values stand for this one's.

    The places are 32-bit words of SHAKE-128 over the seed, modulo the number of bytes.
    """
    altered = np.frombuffer(tensor, np.uint8).copy()
    words = shake_128(probe_seed.to_bytes(8, "little")).digest(4 * DITHERED_BYTES)
    altered[np.unique(np.frombuffer(words, "<u4") % altered.size)] ^= 1
    return altered.tobytes()


def select_candidates(boxes: Floats, logits: Floats, parameters: dict[str, int]) -> Candidates:
    """From raw heads (boxes y0,x0,y1,x1 in 0..1 and a logit per anchor and class, class 0 being none) to candidates.

    Nearly all of the 170,000 logits are far below the threshold, so only the rest is ever turned into scores.
    """
    anchors, classes = np.divmod(np.flatnonzero(logits > _LOGIT_REPORT), logits.shape[1])
    exact = 1.0 / (1.0 + np.exp(-logits[anchors, classes].astype(np.float64)))
    scores = np.rint(exact * SCORE_ONE).astype(np.int64)
    is_kept = (classes > 0) & (scores >= THRESHOLD_REPORT)
    anchors, classes, scores = anchors[is_kept], classes[is_kept], scores[is_kept]
    height, width = parameters["height"] * BOX_UNITS_PER_PX, parameters["width"] * BOX_UNITS_PER_PX
    extent = np.array([width, height, width, height])
    units = np.rint(boxes[anchors][:, [1, 0, 3, 2]].astype(np.float64) * extent)
    corners = np.clip(units, 0, extent).astype(np.int64)
    order = np.lexsort((corners[:, 3], corners[:, 2], corners[:, 1], corners[:, 0], classes, -scores))
    order = order[: parameters["candidates_max"]]
    return Candidates(classes[order], scores[order], corners[order])


def suppress(candidates: Candidates, iou_max: int, tie_max: int = 0) -> Candidates:
    """What survives greedy suppression per class: overlap with a better one at most `iou_max` (in 1e-4).

    A survivor shares its box with those of its place that score less by under `tie_max` (in 1e-4): see `_shared`.
    """
    scores, boxes = candidates.scores, candidates.boxes.copy()
    moved = boxes + (candidates.classes * _CLASS_STRIDE)[:, None]
    sides = np.ascontiguousarray(moved.T)
    areas = (sides[2] - sides[0]) * (sides[3] - sides[1])
    is_open = (sides[2] > sides[0]) & (sides[3] > sides[1])  # an empty or inverted box shows nothing
    tied_until = np.searchsorted(-scores, tie_max - scores).tolist()
    kept: list[int] = []
    position = 0
    while len(kept) < DETECTIONS_MAX:
        position += int(is_open[position:].argmax()) if position < len(is_open) else 0
        if position >= len(is_open) or not is_open[position]:
            break
        kept.append(position)
        is_open[position] = False
        rest = slice(position + 1, None)
        is_covered = is_open[rest] & _covers(moved[position], sides[:, rest], areas[rest], iou_max)
        near = tied_until[position] - position - 1
        if near > 0 and is_covered[:near].any():
            tied = [position, *(np.flatnonzero(is_covered[:near]) + position + 1).tolist()]
            shared = _shared(moved[tied].tolist(), scores[tied].tolist(), tie_max)
            boxes[position] += shared - moved[position]
            is_open[tied] = False
            is_covered = _covers(shared, sides[:, rest], areas[rest], iou_max)
        is_open[rest] &= ~is_covered
    return Candidates(candidates.classes[kept], scores[kept], boxes[kept])


def _covers(box: Integers, sides: Integers, areas: Integers, iou_max: int) -> Booleans:
    """Whose overlap with `box` is above `iou_max`; `sides` are x0, y0, x1, y1 of the others, a row each."""
    x0, y0, x1, y1 = box.tolist()
    width = np.minimum(sides[2], x1) - np.maximum(sides[0], x0)
    height = np.minimum(sides[3], y1) - np.maximum(sides[1], y0)
    overlap = np.maximum(width, 0) * np.maximum(height, 0)
    is_covered: Booleans = overlap * SCORE_ONE > (areas + (x1 - x0) * (y1 - y0) - overlap) * iou_max
    return is_covered


def _shared(boxes: list[list[int]], scores: list[int], tie_max: int) -> Integers:
    """One box for those that score nearly the same: their mean, where each weighs less the more the best is above it.

    Which of two such comes first hangs on the last bit of a float, and with it went the whole box. In the mean that bit
    moves little, whichever is first. Box voting (Gidaris and Komodakis, 2015), with weights that fall to 0.
    """
    weights = [tie_max - scores[0] + score for score in scores]
    total = sum(weights)
    return np.array([(2 * sum(map(mul, weights, side)) + total) // (2 * total) for side in zip(*boxes, strict=True)])


def probe(values: Floats, probe_seed: int) -> list[int]:
    """Raw values in 1e-6 at places that nobody knows before the seed: a smaller model cannot guess them.

    The places are 32-bit words of BLAKE2b keyed with the seed, modulo the number of values.
    """
    flat = values.reshape(-1)
    digest = blake2b(key=probe_seed.to_bytes(8, "little"), digest_size=4 * PROBES_MAX).digest()
    places = np.frombuffer(digest, "<u4") % flat.size
    bounded = np.clip(np.nan_to_num(flat[places].astype(np.float64)), -PROBE_VALUE_MAX, PROBE_VALUE_MAX)
    return [int(one) for one in np.rint(bounded * PROBE_UNITS)]


def _canonical(found: Candidates) -> bytes:
    rows = zip(found.classes.tolist(), found.scores.tolist(), found.boxes.tolist(), strict=True)
    return encode_detections(
        [
            Detection(class_id=class_id, score=score, box=(box[0], box[1], box[2], box[3]))
            for class_id, score, box in rows
        ]
    )
