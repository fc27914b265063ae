"""The network's word on a node: signed with the network's key, carried by the node, checked where it joins.

It is a signed statement: a NodeEndorsement.
"""

from pathlib import Path
from typing import Final, Literal

from gridlight.adapters.signatures import SigningKey
from gridlight.adapters.statements import read_statement, sign_statement, split_statement
from gridlight.messages.codec import ProtocolViolation, ViolationReason, endorsements
from gridlight.messages.envelope import ENDORSEMENT_DOMAIN
from gridlight.messages.ids import NodeId
from gridlight.messages.trust import NodeEndorsement, Tier

ENDORSEMENT_FILE: Final = "endorsement"
"""In a node's folder."""

EndorsedTier = Literal["trusted", "reference"]
"""What the network may say of a node; everything else a node earns."""


class BadEndorsement(ValueError):
    """A file that should hold a node's endorsement does not."""


def endorse(network: SigningKey, node_id: NodeId, tier: EndorsedTier) -> str:
    """The text that the node carries."""
    return sign_statement(network, ENDORSEMENT_DOMAIN, NodeEndorsement(node_id=node_id, tier=tier))


def endorsed_tier(text: str, node_id: NodeId, network_key: str) -> Tier:
    """What the network says this node is; ProtocolViolation where it does not say so, or not of this node."""
    endorsement = read_statement(text, ENDORSEMENT_DOMAIN, network_key, endorsements)
    if endorsement.node_id != node_id:
        raise ProtocolViolation(ViolationReason.WRONG_SENDER, f"the endorsement is {endorsement.node_id}'s")
    return Tier(endorsement.tier)


def read_endorsement(path: Path, node_id: NodeId) -> str:
    """The text in a file, before it goes to a stranger: BadEndorsement where it is none, or not of this node.

    A node does not know its network's key, so that the signature is the gateway's to check.
    """
    try:
        text = path.read_text(encoding="ascii").strip()
        said, _ = split_statement(text)
        endorsement = endorsements.decode(said)
    except OSError as error:
        raise BadEndorsement(f"the endorsement {path} cannot be read: {error.strerror}") from error
    except (ProtocolViolation, UnicodeDecodeError) as error:
        raise BadEndorsement(f"{path} holds no endorsement; `gridlight network endorse` writes one") from error
    if endorsement.node_id != node_id:
        raise BadEndorsement(f"{path} endorses {endorsement.node_id}, and this node is {node_id}")
    return text
