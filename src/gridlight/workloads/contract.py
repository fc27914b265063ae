"""What a workload may say: the closed first-party lists that a manifest names, and those manifests that come with us.

A workload's id carries the digest of its manifest, so a changed label, bound or weight is another workload.
"""

from functools import cache
from pathlib import Path
from typing import Final

import msgspec

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
    "manifest_named",
    "workload_id",
]

_MANIFESTS: Final = ("detection/coco_ssd.toml",)
"""The first-party workloads, in the order that `GET /v1/models` lists them."""

_SIDE: Final = (8, 2_048)
_SHARE: Final = (0, 10_000)
_CHANNELS: Final = 3
PREPARES: Final = {"resize_rgb_uint8": {"width": _SIDE, "height": _SIDE}}
PRESENTS: Final = {"resized_boxes": {"width": _SIDE, "height": _SIDE}}
RUNS: Final[dict[str, dict[str, tuple[int, int]]]] = {
    "ssd": {"width": _SIDE, "height": _SIDE, "iou_max": _SHARE, "candidates_max": (1, 10_000)},
    "image": {},
}
"""Each step's parameters, neither more nor less, with their least and greatest values."""

_COMPARED: Final = (0, 2**31 - 1)


class BadManifest(ValueError):
    """The manifest asks for what does not exist, or contradicts itself."""


def check_manifest(manifest: Manifest) -> None:
    """BadManifest where a step is on no list, a parameter is out of range, or two steps do not fit each other."""
    prepare = _checked("prepare", manifest.prepare.name, manifest.prepare.parameters, PREPARES)
    present = _checked("present", manifest.present.name, manifest.present.parameters, PRESENTS)
    run = _checked("run", manifest.run.name, manifest.run.parameters, RUNS)
    if manifest.compare.name == "tensors":
        raise BadManifest("compare: object detection is compared as `boxes`, or as `exact`")
    rules = {name: dict.fromkeys(keys, _COMPARED) for name, keys in COMPARISONS.items()}
    _checked("compare", manifest.compare.name, manifest.compare.parameters, rules)
    if prepare["width"] * prepare["height"] * _CHANNELS > INLINE_BYTES_MAX:
        raise BadManifest(
            f"prepare: the input has more than {INLINE_BYTES_MAX} bytes; choose a smaller width or height"
        )
    sizes = {(step.get("width", prepare["width"]), step.get("height", prepare["height"])) for step in (present, run)}
    if sizes != {(prepare["width"], prepare["height"])}:
        raise BadManifest("prepare, run and present must name one width and one height")
    if manifest.run.name != "image" and len(manifest.artifacts) != 1:
        raise BadManifest(f"run: {manifest.run.name} takes exactly one artifact, the weights")
    if not any(manifest.labels):
        raise BadManifest("labels: there is no label, so nothing could ever be shown")


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
    wanted = closed[name]
    if given.keys() != wanted.keys():
        names = ", ".join(sorted(wanted)) or "nothing"
        raise BadManifest(f"{step}: {name} takes the parameters {names}, no more and no less")
    for key, value in given.items():
        least, most = wanted[key]
        if not least <= value <= most:
            raise BadManifest(f"{step}: {key} is {value}, and may be from {least} to {most}")
    return given
