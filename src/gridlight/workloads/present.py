"""What the gateway makes of a node's canonical output: boxes in the requester's pixels. The closed first-party list."""

from collections.abc import Callable
from typing import Final

from gridlight.messages.api import Box, DetectionView
from gridlight.messages.jobs import Picture
from gridlight.messages.results import BOX_UNITS_PER_PX, SCORE_ONE, Detection, decode_detections
from gridlight.workloads.contract import Manifest

_Mapping = Callable[[dict[str, int], tuple[int, int, int, int], Picture], tuple[int, int, int, int]]


def read_detections(manifest: Manifest, output: bytes) -> list[Detection]:
    """A node's output, checked against its workload. ValueError where it is not one that the workload can give."""
    parameters = manifest.present.parameters
    right, bottom = parameters["width"] * BOX_UNITS_PER_PX, parameters["height"] * BOX_UNITS_PER_PX
    detections = decode_detections(output)
    for one in detections:
        if one.class_id >= len(manifest.labels) or not manifest.labels[one.class_id]:
            raise ValueError(f"class {one.class_id} is none of {manifest.name}'s")
        if one.box[2] > right or one.box[3] > bottom:
            raise ValueError(f"box {one.box} reaches out of the model's input")
    return detections


def present_detections(manifest: Manifest, output: bytes, picture: Picture, threshold: int) -> list[DetectionView]:
    """Detections with score >= `threshold` (in 1e-4), best first. ValueError as `read_detections`."""
    mapping = PRESENTS[manifest.present.name]
    parameters = manifest.present.parameters
    return [
        _view(manifest.labels[one.class_id], one, mapping(parameters, one.box, picture))
        for one in read_detections(manifest, output)
        if one.score >= threshold
    ]


def _view(label: str, detection: Detection, bbox: tuple[int, int, int, int]) -> DetectionView:
    score = detection.score / SCORE_ONE
    return DetectionView(
        label=label,
        class_name=label,
        class_id=detection.class_id,
        score=score,
        confidence=score,
        bbox=bbox,
        box=Box(xmin=bbox[0], ymin=bbox[1], xmax=bbox[2], ymax=bbox[3]),
    )


def _resized_boxes(
    parameters: dict[str, int], box: tuple[int, int, int, int], picture: Picture
) -> tuple[int, int, int, int]:
    """Undo a plain resize: each axis has its own scale."""
    across, down = parameters["width"] * BOX_UNITS_PER_PX, parameters["height"] * BOX_UNITS_PER_PX
    return (
        _scaled(box[0], picture.width, across),
        _scaled(box[1], picture.height, down),
        _scaled(box[2], picture.width, across),
        _scaled(box[3], picture.height, down),
    )


def _scaled(value: int, pixels: int, units: int) -> int:
    """`value / units * pixels`, rounded to the nearest pixel, in integers."""
    return (2 * value * pixels + units) // (2 * units)


PRESENTS: Final[dict[str, _Mapping]] = {"resized_boxes": _resized_boxes}
