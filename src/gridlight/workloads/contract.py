"""What a workload may say: the closed first-party lists that a manifest names, and those manifests that come with us.

A workload's id carries the digest of its manifest, so a changed label, bound or weight is another workload.
"""

from functools import cache
from pathlib import Path
from typing import Final

import msgspec

from gridlight.core.comparing import DITHER
from gridlight.core.comparing import PARAMETERS as COMPARISONS
from gridlight.messages.ids import WorkloadId
from gridlight.messages.limits import INLINE_BYTES_MAX
from gridlight.messages.manifests import Manifest, Step, workload_id
from gridlight.messages.trust import Comparison

__all__ = [
    "BadManifest",
    "Manifest",
    "Step",
    "catalogue",
    "check_manifest",
    "comparisons",
    "letterboxed",
    "manifest_named",
    "workload_id",
]

_MANIFESTS: Final = ("detection/coco_ssd.toml",)
"""The first-party workloads, in the order that `GET /v1/models` lists them."""

_SIDE: Final = (8, 2_048)
_SHARE: Final = (0, 10_000)
_CHANNELS: Final = 3
_SIZE: Final = {"width": _SIDE, "height": _SIDE}
PREPARES: Final = {"resize_rgb_uint8": _SIZE, "letterbox_rgb_uint8": _SIZE}
PRESENTS: Final = {"resized_boxes": _SIZE, "letterboxed_lines": _SIZE}
RUNS: Final[dict[str, dict[str, tuple[int, int]]]] = {
    "ssd": {"width": _SIDE, "height": _SIDE, "iou_max": _SHARE, "candidates_max": (1, 10_000)},
    "image": {},
}
"""Each step's parameters, neither more nor less, with their least and greatest values."""

_TASKS: Final = {
    "object-detection": ("resize_rgb_uint8", "resized_boxes", ("boxes", "exact"), ("ssd", "image")),
    "text-recognition": ("letterbox_rgb_uint8", "letterboxed_lines", ("lines", "exact"), ("image",)),
}
"""Which prepare, present, compare and run fit a task, and so each other."""

_COMPARED: Final = (0, 2**31 - 1)
_OPTIONAL: Final = {"boxes": {DITHER: _COMPARED}, "ssd": {"tie_max": _SHARE}}
"""What a step may be told beside, by its name; 0 where it is not."""


class BadManifest(ValueError):
    """The manifest asks for what does not exist, or contradicts itself."""


def check_manifest(manifest: Manifest) -> None:
    """BadManifest where a step is on no list, a parameter is out of range, or two steps do not fit each other."""
    prepare = _checked("prepare", manifest.prepare.name, manifest.prepare.parameters, PREPARES)
    present = _checked("present", manifest.present.name, manifest.present.parameters, PRESENTS)
    run = _checked("run", manifest.run.name, manifest.run.parameters, RUNS)
    rules = {name: dict.fromkeys(keys, _COMPARED) for name, keys in COMPARISONS.items()}
    _checked("compare", manifest.compare.name, manifest.compare.parameters, rules)
    _check_task(manifest)
    if prepare["width"] * prepare["height"] * _CHANNELS > INLINE_BYTES_MAX:
        raise BadManifest(
            f"prepare: the input has more than {INLINE_BYTES_MAX} bytes; choose a smaller width or height"
        )
    sizes = {(step.get("width", prepare["width"]), step.get("height", prepare["height"])) for step in (present, run)}
    if sizes != {(prepare["width"], prepare["height"])}:
        raise BadManifest("prepare, run and present must name one width and one height")
    if manifest.run.name != "ssd" and DITHER in manifest.compare.parameters:
        raise BadManifest(f"compare: {DITHER} is for what our own program runs, as run = ssd")
    if manifest.run.name != "image" and len(manifest.artifacts) != 1:
        raise BadManifest(f"run: {manifest.run.name} takes exactly one artifact, the weights")


def letterboxed(width: int, height: int, width_max: int, height_max: int) -> tuple[int, int]:
    """Pixels across and down of a picture made as large as fits, its sides in proportion; at least one each."""
    if width * height_max >= height * width_max:
        return width_max, max(1, (2 * height * width_max + width) // (2 * width))
    return max(1, (2 * width * height_max + height) // (2 * height)), height_max


def _check_task(manifest: Manifest) -> None:
    prepare, present, compares, runs = _TASKS[manifest.task]
    if (manifest.prepare.name, manifest.present.name) != (prepare, present):
        raise BadManifest(f"prepare, present: {manifest.task} takes {prepare} and {present}")
    if manifest.compare.name not in compares:
        raise BadManifest(f"compare: {manifest.task} is compared as {' or '.join(compares)}")
    if manifest.run.name not in runs:
        raise BadManifest(f"run: {manifest.task} is run by {' or '.join(runs)}")
    if manifest.task == "object-detection" and not any(manifest.labels):
        raise BadManifest("labels: there is no label, so nothing could ever be shown")
    if manifest.task == "text-recognition" and manifest.labels:
        raise BadManifest("labels: text has none, leave the list empty")


@cache
def catalogue() -> dict[WorkloadId, Manifest]:
    """The first-party workloads by id, the default one first."""
    folder = Path(__file__).parent
    manifests = [msgspec.toml.decode((folder / path).read_bytes(), type=Manifest) for path in _MANIFESTS]
    return {workload_id(manifest): manifest for manifest in manifests}


def comparisons() -> dict[WorkloadId, Comparison]:
    """How the core compares two results of each first-party workload."""
    return {workload: manifest.compare for workload, manifest in catalogue().items()}


def manifest_named(name: str) -> Manifest:
    """The first-party manifest of this name; LookupError where there is none."""
    for manifest in catalogue().values():
        if manifest.name == name:
            return manifest
    raise LookupError(f"no first-party workload is named {name!r}")


def _checked(
    step: str, name: str, given: dict[str, int], closed: dict[str, dict[str, tuple[int, int]]]
) -> dict[str, int]:
    if name not in closed:
        raise BadManifest(f"{step}: there is no {name[:64]!r}; there are {', '.join(closed)}")
    optional = {key: extent for key, extent in _OPTIONAL.get(name, {}).items() if key in given}
    wanted = closed[name] | optional
    if given.keys() != wanted.keys():
        names = ", ".join(sorted(wanted)) or "nothing"
        raise BadManifest(f"{step}: {name} takes the parameters {names}, no more and no less")
    for key, value in given.items():
        least, most = wanted[key]
        if not least <= value <= most:
            raise BadManifest(f"{step}: {key} is {value}, and may be from {least} to {most}")
    return given
