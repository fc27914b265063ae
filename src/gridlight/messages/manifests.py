"""A workload's manifest, and the small signed statements about it: all that a stranger says of what nodes shall run.

A manifest is digested as canonical JSON: keys sorted, every field there, nothing between the tokens.
"""

from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from gridlight.messages.ids import WorkloadId, WorkloadIdField
from gridlight.messages.trust import Comparison, Parameter

SCHEMA = "gridlight.workload.v2"
MANIFEST_BYTES_MAX = 64 * 1024
STATEMENT_CHARACTERS_MAX = 1_024

Sha256Field = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]
NameField = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$(?!\n)")]
VersionField = Annotated[str, Meta(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+-]{0,31}$(?!\n)")]
FileNameField = Annotated[str, Meta(pattern=r"^[0-9A-Za-z_][0-9A-Za-z_.-]{0,99}$(?!\n)")]
PublisherField = Annotated[str, Meta(pattern=r"^U[A-Z2-7]{55}$(?!\n)")]
StatementField = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_=.-]{1,1024}$(?!\n)")]
"""`base64url(JSON).base64url(signature)`."""

_UNSEEN = r"\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069"
"""Control characters, and those that turn the direction of writing: a manifest is shown on people's terminals."""

TextField = Annotated[str, Meta(pattern=rf"^[^{_UNSEEN}]{{1,400}}$(?!\n)")]
LabelField = Annotated[str, Meta(pattern=rf"^[^{_UNSEEN}]{{0,64}}$(?!\n)")]
SerialField = Annotated[int, Meta(ge=1, lt=2**53)]
PercentField = Annotated[int, Meta(ge=1, le=100)]
UnixMsField = Annotated[int, Meta(ge=0, lt=2**53)]


class Permission(StrEnum):
    """What a workload may ask for beside memory and processors. The network is never given, so it is not here."""

    GPU = "gpu"
    SCRATCH = "scratch"


class NumericClass(StrEnum):
    """Between which processors results may be compared."""

    EXACT = "exact"
    FP32 = "fp32"
    INT8_REDUCED = "int8-reduced"


class Step(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One step of a task by its name in a closed first-party list, and what it is to do."""

    name: str
    parameters: dict[str, Parameter] = {}


class Run(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What runs on the node: a first-party program by its name, or `image`: an OCI image by its manifest's digest."""

    name: Literal["ssd", "image"]
    parameters: dict[str, Parameter] = {}
    image: Sha256Field | None = None

    def __post_init__(self) -> None:
        if (self.name == "image") != (self.image is not None):
            raise ValueError("run names an image's digest if and only if its name is `image`")


class Resources(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one worker needs, and what a node must fetch before it has one."""

    memory_mib: Annotated[int, Meta(ge=64, le=65_536)]
    """The address space a worker may use."""
    cpus: Annotated[int, Meta(ge=1, le=64)] = 1
    tmp_mib: Annotated[int, Meta(ge=0, le=65_536)] = 0
    download_bytes: Annotated[int, Meta(ge=1, le=16 * 1024**3)]
    """Of all artifacts together."""


class Manifest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A workload. Scores and overlaps are in 1e-4, so that no float stands in what is digested."""

    schema: Literal["gridlight.workload.v2"]
    name: NameField
    version: VersionField
    publisher: PublisherField | None = None
    """Whose signature makes it known; absent in those that come with this package."""
    purpose: TextField
    sees: TextField
    """What of the requester's a node gets to see."""
    licence: TextField
    task: Literal["object-detection", "text-recognition"]
    input: TextField
    """The requester's input in words."""
    permissions: Annotated[tuple[Permission, ...], Meta(max_length=8)] = ()
    resources: Resources
    numeric_class: NumericClass
    work_units: Annotated[int, Meta(ge=1, le=1_000_000)]
    """What a task of it counts, in thousandths of one of the built-in detection's."""
    artifacts: Annotated[dict[FileNameField, Sha256Field], Meta(min_length=1, max_length=256)]
    """File name to SHA-256; nodes fetch them by digest."""
    prepare: Step
    run: Run
    present: Step
    compare: Comparison
    labels: Annotated[tuple[LabelField, ...], Meta(max_length=4_096)]
    """A label for each class id; empty where the id is not used. Text has none."""


class Publication(Struct, frozen=True, kw_only=True, tag_field="type", tag="workload.publication.v1"):
    """A publisher's word, signed with the key that the manifest names: this is what I publish."""

    workload: WorkloadIdField
    expires_ms: UnixMsField
    """Since 1970."""


class Countersignature(Struct, frozen=True, kw_only=True, tag_field="type", tag="workload.countersignature.v1"):
    """The network's word, signed with its key: so many per cent of its nodes may run this until then."""

    workload: WorkloadIdField
    rollout_percent: PercentField
    serial: SerialField
    """Of two words on one workload the one with the higher serial counts."""
    expires_ms: UnixMsField


class StopOrder(Struct, frozen=True, kw_only=True, tag_field="type", tag="workload.stop.v1"):
    """The network's word, signed with its key: nobody runs this any more."""

    workload: WorkloadIdField
    serial: SerialField


def canonical(manifest: Manifest) -> bytes:
    """The bytes that are digested, signed and handed on."""
    return msgspec.json.encode(manifest, order="sorted")


def workload_id(manifest: Manifest) -> WorkloadId:
    """`name@sha256:<digest of the manifest's canonical JSON>`."""
    return WorkloadId(f"{manifest.name}@sha256:{sha256(canonical(manifest)).hexdigest()}")
