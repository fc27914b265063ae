"""Workloads in a network: approved, stopped, and what gateways, nodes and the read models are told of it."""

from enum import StrEnum
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from gridlight.messages.ids import NodeIdField, WorkloadIdField
from gridlight.messages.manifests import (
    MANIFEST_BYTES_MAX,
    PercentField,
    SerialField,
    StatementField,
    UnixMsField,
)
from gridlight.messages.trust import Comparison


class WorkloadState(StrEnum):
    """Whether a network gives tasks of a workload to nodes."""

    PUBLISHED = "published"
    """Its publisher signed it, and the network has not said anything."""
    APPROVED = "approved"
    STOPPED = "stopped"
    EXPIRED = "expired"


class WorkloadApproved(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="workload.approved.v1"):
    """A gateway checked the publisher's and the network's signatures over this manifest."""

    workload: WorkloadIdField
    manifest: Annotated[bytes, Meta(max_length=MANIFEST_BYTES_MAX)]
    """Its canonical JSON."""
    publication: StatementField | None = None
    """Absent for a workload that comes with the program: nobody but the network stands for that."""
    countersignature: StatementField
    rollout_percent: PercentField
    serial: SerialField
    expires_ms: UnixMsField
    """Since 1970: the earlier end of both statements."""
    comparison: Comparison


class WorkloadStopped(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="workload.stopped.v1"):
    """A gateway checked the network's signature over an order to stop."""

    workload: WorkloadIdField
    order: StatementField
    serial: SerialField


class StopWorkload(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="node.stop_workload.v1"):
    """To a node, or to all: end every worker of this workload now, and offer it no more."""

    workload: WorkloadIdField
    serial: Annotated[int, Meta(ge=0, lt=2**53)]
    """Of the word that stopped it; one with a higher serial may approve it again."""
    node_id: NodeIdField | UnsetType = UNSET
    """Absent: every node, at once."""


class AnnounceWorkloads(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="workloads.announce.v1"):
    """To every gateway: what the network offers changed, read it again."""


class RecordWorkload(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="workload.record.v1"):
    """To the host: what the read model shall say of this workload, in the same transaction as the journal."""

    workload: WorkloadIdField
    state: WorkloadState
    serial: Annotated[int, Meta(ge=0, lt=2**53)] = 0
    rollout_percent: Annotated[int, Meta(ge=0, le=100)] = 100
    expires_ms: UnixMsField | None = None
    approved: WorkloadApproved | None = None
    """With its manifest and statements; absent where they are known, or come with this package."""
