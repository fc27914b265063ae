"""NATS subject names, as functions; docs/protocol.md says who may use which."""

import re

from gridlight.messages.ids import AssignmentId, GatewayId, NodeId

SHARD_DEFAULT = "s0"


def task(node_id: NodeId, assignment_id: AssignmentId) -> str:
    """Request: an assignment to its node; the reply subject is the gateway's inbox."""
    return f"task.{node_id}.{assignment_id}"


def node_tasks(node_id: NodeId) -> str:
    """What a node subscribes to: its assignments and its control subject."""
    return f"task.{node_id}.>"


def node_control(node_id: NodeId) -> str:
    """Cancel, drain and "offer again" for one node; without a reply subject."""
    return f"task.{node_id}.control"


EVERY_NODE = "task.all.control"
"""What is said to all nodes at once; every one of them listens."""


def offer(node_id: NodeId) -> str:
    """A node's own offer, the only subject a node may publish to unasked."""
    return f"offer.{node_id}"


OFFERS = "offer.*"


def node_connection(node_id: NodeId, session: str) -> str:
    """What a node calls its connection: the server tells its name when it closes."""
    return f"agent {node_id} {session}"


def session_of(connection: str) -> str | None:
    """The session in a connection's name; None where there is none."""
    found = _CONNECTION.fullmatch(connection)
    return None if found is None else found[1]


_CONNECTION = re.compile(r"agent U[A-Z2-7]{55} ([0-9a-f]{16})")


def control_events(shard: str) -> str:
    """Lists of events from gateways to the shard's coordinator."""
    return f"control.{shard}.event"


def control_effects(shard: str, gateway_id: GatewayId) -> str:
    """Lists of effects from the coordinator to one gateway."""
    return f"control.{shard}.gateway.{gateway_id}"


def control_announcements(shard: str) -> str:
    """Effects for every gateway of a shard."""
    return f"control.{shard}.gateways"


def payer_words(shard: str) -> str:
    """What the payer tells and asks the shard's coordinator."""
    return f"control.{shard}.payer"


def payer_answers(shard: str) -> str:
    """What the coordinator answers the payer."""
    return f"control.{shard}.payer.told"


def inbox(gateway_id: GatewayId, assignment_id: AssignmentId) -> str:
    """Where a node replies to one assignment; only the gateway that sent it listens."""
    return f"_INBOX.{gateway_id}.{assignment_id}"


def inboxes(gateway_id: GatewayId) -> str:
    """All replies to one gateway's assignments."""
    return f"_INBOX.{gateway_id}.*"


def account_connects(account: str) -> str:
    """The server's own word that a user of the account connected; system account only."""
    return f"$SYS.ACCOUNT.{account}.CONNECT"


def account_disconnects(account: str) -> str:
    """The server's own word that a connection of the account closed; system account only."""
    return f"$SYS.ACCOUNT.{account}.DISCONNECT"
