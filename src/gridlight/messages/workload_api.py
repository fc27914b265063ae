"""HTTP bodies about workloads: what a network offers, what a publisher sends, and what an administrator says of it."""

from typing import Annotated

from msgspec import Meta, Struct

from gridlight.messages.ids import WorkloadId
from gridlight.messages.manifests import MANIFEST_BYTES_MAX, StatementField
from gridlight.messages.workloads import WorkloadState


class WorkloadView(Struct, omit_defaults=True):
    """One line of `GET /v1/workloads`: what an operator reads before deciding whether it may run."""

    id: WorkloadId
    name: str
    version: str
    state: WorkloadState
    purpose: str
    sees: str
    permissions: list[str]
    license: str
    task: str
    run: str
    work_units: int
    download_bytes: int
    memory_mib: int
    cpus: int
    tmp_mib: int
    numeric_class: str
    publisher: str | None = None
    """Absent for what comes with the program."""
    rollout_percent: int | None = None
    serial: int = 0
    expires_ms: int | None = None
    missing: list[str] | None = None
    """Artifacts that did not come yet; of what is published only, for administrators."""


class WorkloadsResponse(Struct):
    """`GET /v1/workloads`."""

    data: list[WorkloadView]
    object: str = "list"


class WorkloadResponse(Struct, omit_defaults=True):
    """`GET /v1/workloads/{id}`: with what a node checks before it runs anything of it."""

    workload: WorkloadView
    manifest: bytes
    """Canonical JSON."""
    publication: str | None = None
    countersignature: str | None = None


class PublishBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """`POST /v1/workloads`: a manifest, and its publisher's word on it."""

    manifest: Annotated[bytes, Meta(max_length=MANIFEST_BYTES_MAX)]
    publication: StatementField


class PublishedResponse(Struct):
    """What the gateway keeps now, and which artifacts it still needs: `PUT /v1/blobs/sha256:...`."""

    id: WorkloadId
    state: WorkloadState
    missing: list[str]


class RuleBody(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """`POST /v1/network/workloads`: the network's word, either to let a workload run or to stop it."""

    workload: WorkloadId
    countersignature: StatementField | None = None
    stop: StatementField | None = None


class RuledResponse(Struct):
    """What stands now, in the journal."""

    workload: WorkloadView
