"""What a workload is: a manifest that pins its artifacts and names, from closed lists, how the gateway handles it.

A workload's id carries the digest of its manifest, so a changed label, bound or weight is another workload.
"""

from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from gridlight.messages.ids import WorkloadId
from gridlight.messages.trust import Comparison

Sha256Field = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
NameField = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]

_MANIFESTS: Final = ("detection/coco_ssd.toml",)
"""The first-party workloads, in the order that `GET /v1/models` lists them."""


class Step(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One step of a task by its name in a closed first-party list, and what it is to do."""

    name: str
    parameters: dict[str, int]


class Manifest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A workload. Scores and overlaps are in 1e-4, so that no float stands in what is digested."""

    name: NameField
    version: str
    task: str
    licence: str
    input: str
    """The requester's input in words."""
    artifacts: dict[str, Sha256Field]
    """File name to SHA-256; nodes fetch them by digest."""
    memory_mib: Annotated[int, Meta(ge=64)]
    """The address space a worker may use."""
    prepare: Step
    run: Step
    present: Step
    compare: Step
    labels: tuple[str, ...]
    """A label for each class id; empty where the id is not used."""


def workload_id(manifest: Manifest) -> WorkloadId:
    """`name@sha256:<digest of the manifest's canonical JSON>`."""
    digest = sha256(msgspec.json.encode(manifest, order="deterministic")).hexdigest()
    return WorkloadId(f"{manifest.name}@sha256:{digest}")


@cache
def catalogue() -> dict[WorkloadId, Manifest]:
    """The first-party workloads by id, the default one first."""
    folder = Path(__file__).parent
    manifests = [msgspec.toml.decode((folder / path).read_bytes(), type=Manifest) for path in _MANIFESTS]
    return {workload_id(manifest): manifest for manifest in manifests}


def comparisons() -> dict[WorkloadId, Comparison]:
    """How the core compares two results of each first-party workload."""
    return {
        workload: msgspec.convert(manifest.compare, Comparison, from_attributes=True)
        for workload, manifest in catalogue().items()
    }


def manifest_named(name: str) -> Manifest:
    """The first-party manifest of this name; LookupError where there is none."""
    for manifest in catalogue().values():
        if manifest.name == name:
            return manifest
    raise LookupError(f"no first-party workload is named {name!r}")
