"""What the gateway makes of a node's canonical output: boxes and lines in the requester's pixels. The closed list."""

from collections.abc import Callable, Sized
from typing import Final, NamedTuple

from msgspec import UNSET, Struct, UnsetType

from gridlight.messages.api import Box, DetectionView, LineView
from gridlight.messages.jobs import Picture
from gridlight.messages.lines import TextLine, decode_lines
from gridlight.messages.results import BOX_UNITS_PER_PX, SCORE_ONE, Detection, decode_detections
from gridlight.workloads.contract import Manifest, letterboxed


class Presented(Struct, frozen=True):
    """What a requester gets of one output: what was found, or what was read."""

    detections: list[DetectionView] = []
    lines: list[LineView] | UnsetType = UNSET
    """Unset where the task is none that reads."""


def check_output(manifest: Manifest, output: bytes) -> int:
    """How much a node's output holds. ValueError where it is not one that the workload can give."""
    return len(PRESENTS[manifest.present.name].read(manifest, output))


def present(manifest: Manifest, output: bytes, picture: Picture, threshold: int) -> Presented:
    """What has a score >= `threshold` (in 1e-4). ValueError as `check_output`."""
    return PRESENTS[manifest.present.name].show(manifest, output, picture, threshold)


def read_lines(manifest: Manifest, output: bytes) -> list[TextLine]:
    """A node's output, checked against its workload. ValueError where it is not one that the workload can give."""
    parameters = manifest.present.parameters
    right, bottom = parameters["width"] * BOX_UNITS_PER_PX, parameters["height"] * BOX_UNITS_PER_PX
    lines = decode_lines(output)
    for line in lines:
        if line.box[2] > right or line.box[3] > bottom:
            raise ValueError(f"corners {line.quad} reach out of the model's input")
    return lines


def present_lines(manifest: Manifest, output: bytes, picture: Picture, threshold: int) -> list[LineView]:
    """Lines with score >= `threshold` (in 1e-4), from top to bottom. ValueError as `read_lines`."""
    parameters = manifest.present.parameters
    across, down = letterboxed(picture.width, picture.height, parameters["width"], parameters["height"])
    return [
        _line_view(line, picture, across * BOX_UNITS_PER_PX, down * BOX_UNITS_PER_PX)
        for line in read_lines(manifest, output)
        if line.score >= threshold
    ]


def _line_view(line: TextLine, picture: Picture, across: int, down: int) -> LineView:
    """Undo a letterbox; what was read on the paper beside the picture is at its edge."""
    xs = [min(_scaled(x, picture.width, across), picture.width) for x in line.quad[::2]]
    ys = [min(_scaled(y, picture.height, down), picture.height) for y in line.quad[1::2]]
    return LineView(
        text=line.text,
        score=line.score / SCORE_ONE,
        bbox=(min(xs), min(ys), max(xs), max(ys)),
        quad=list(zip(xs, ys, strict=True)),
    )


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
    parameters = manifest.present.parameters
    return [
        _view(manifest.labels[one.class_id], one, _resized_box(parameters, one.box, picture))
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


def _resized_box(
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


class _Step(NamedTuple):
    read: Callable[[Manifest, bytes], Sized]
    show: Callable[[Manifest, bytes, Picture, int], Presented]


PRESENTS: Final = {
    "resized_boxes": _Step(
        read_detections,
        lambda manifest, output, picture, threshold: Presented(
            detections=present_detections(manifest, output, picture, threshold)
        ),
    ),
    "letterboxed_lines": _Step(
        read_lines,
        lambda manifest, output, picture, threshold: Presented(
            lines=present_lines(manifest, output, picture, threshold)
        ),
    ),
}
