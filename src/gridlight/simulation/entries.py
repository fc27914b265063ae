"""What stands on the timeline, beside events that arrive at the coordinator and numbers of nodes that come or go."""

from msgspec import Struct

from gridlight.messages.codec import NodeReply
from gridlight.messages.ids import AssignmentId, GatewayId, NodeId
from gridlight.messages.tasks import Assignment
from gridlight.simulation.behaviour import Plan


class Delivered(Struct, frozen=True, gc=False):
    """An assignment reaches its node, or the place where that was."""

    node: int
    node_id: NodeId
    """Who it is for: the machine may have another id when it comes."""
    gateway_id: GatewayId
    sent_ms: int
    assignment: Assignment


class Said(Struct, frozen=True, gc=False):
    """A node's reply has come by its gateway to the coordinator, if its connection still stands."""

    node: int
    session: int
    gateway_id: GatewayId
    reply: NodeReply


class Ran(Struct, frozen=True, gc=False):
    """A worker is through with an assignment, unless the node's process ended meanwhile."""

    node: int
    life: int
    taken_ms: int
    gateway_id: GatewayId
    assignment: Assignment
    plan: Plan


class Vanished(Struct, frozen=True, gc=False):
    """A node is lost in the middle of a run, unless it was lost before."""

    node: int
    life: int
    is_silent: bool


class Closed(Struct, frozen=True, gc=False):
    """The bus sees that a connection has closed."""

    node: int
    node_id: NodeId
    session: int


class Asked(Struct, frozen=True, gc=False):
    """A node is asked for its offer."""

    node: int


class Offered(Struct, frozen=True, gc=False):
    """A node's offer has come to the coordinator, if its connection still stands."""

    node: int
    session: int


class Cancelled(Struct, frozen=True, gc=False):
    """A node hears that a result is no longer wanted."""

    node: int
    assignment_id: AssignmentId


class Announced(Struct, frozen=True, gc=False):
    """A gateway hears that it shall tell its open jobs again."""

    gateway_id: GatewayId


class Asking(Struct, frozen=True, gc=False):
    """A requester asks."""


class EpochEnds(Struct, frozen=True, gc=False):
    """The coordinator's host draws a new secret."""


MESSAGES = (Delivered, Said, Closed, Asked, Offered, Cancelled, Announced)
"""What is under way on the bus, and lost with it."""
