"""What a host tells the core about itself, and what the core asks of its host."""

from msgspec import UNSET, Struct, UnsetType

from gridlight.messages.ids import WorkloadIdField
from gridlight.messages.nodes import NodeEnrolled
from gridlight.messages.operators import Hold
from gridlight.messages.trust import PRODUCTION, Comparison, TrustParameters


class CoordinatorStarted(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="coordinator.started.v1"):
    """The journal was folded and a new process goes on; tasks open at the end of the fold end with an error."""

    seed: int
    """Of this start's draws; journalled, so that a fold draws the same."""
    workloads: tuple[WorkloadIdField, ...]
    """What the network offers from now on."""
    comparisons: dict[WorkloadIdField, Comparison] = {}
    """How results of each are compared; bytes that are equal, where nothing is said."""
    trust: TrustParameters = PRODUCTION


class BusReconnected(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="bus.reconnected.v1"):
    """The bus was away: whatever was in flight is lost, and who is connected is unknown."""


class TimePassed(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="time.passed.v1"):
    """A machine's deadline has come."""


class RequestAllOffers(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="nodes.request_all.v1"):
    """To the host: all recorded nodes are offline; ask every one for its offer, at a pace the bus bears."""


class RecordNode(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="node.record.v1"):
    """To the host: what the read model shall say of this node, in the same transaction as the journal."""

    enrolled: NodeEnrolled
    is_online: bool
    slots: int
    workloads: tuple[WorkloadIdField, ...]
    hold: Hold | UnsetType = UNSET
    """Why it is not trusted, where that is not its own doing."""


class AnnounceCoordinator(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="coordinator.announce.v1"):
    """To every gateway: announce your open jobs again."""
