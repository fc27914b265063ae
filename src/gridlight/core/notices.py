"""What one machine tells another: facts that stay inside the core and are passed on by the router."""

from msgspec import Struct

from gridlight.messages.codec import Effect
from gridlight.messages.ids import NodeId, WorkloadId


class CapacityChanged(Struct, frozen=True, gc=False):
    """A node in good standing lends this many slots of a workload from now on. From fleet."""

    node: int
    node_id: NodeId
    workload: WorkloadId
    slots: int
    benchmark_ms: int | None
    lookahead: int = 0


class CapacityLost(Struct, frozen=True, gc=False):
    """A node lends nothing any more and whatever it was doing is lost. From fleet."""

    node: int


class NodeMissed(Struct, frozen=True, gc=False):
    """A node broke its word: no acknowledgement within 1 s, or nothing by the end of a lease. From scheduling."""

    node: int


Notice = CapacityChanged | CapacityLost | NodeMissed

Output = Effect | Notice
"""What a machine answers: effects leave the core, notices go on to other machines."""
