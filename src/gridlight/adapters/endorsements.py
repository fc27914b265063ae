"""The network's word on a node: signed with the network's key, carried by the node, checked where it joins.

It is `base64url(JSON).base64url(signature)`, of a NodeEndorsement; the signature is over the JSON as it was received.
"""

from base64 import b64decode, urlsafe_b64encode
from pathlib import Path
from typing import Final, Literal

from gridlight.adapters.signatures import SigningKey, verify
from gridlight.messages.codec import ProtocolViolation, ViolationReason, encode, endorsements
from gridlight.messages.envelope import ENDORSEMENT_DOMAIN
from gridlight.messages.ids import NodeId
from gridlight.messages.trust import NodeEndorsement, Tier

ENDORSEMENT_FILE: Final = "endorsement"
"""In a node's folder."""

EndorsedTier = Literal["trusted", "reference"]
"""What the network may say of a node; everything else a node earns."""

_TEXT_CHARACTERS_MAX: Final = 1_024


class BadEndorsement(ValueError):
    """A file that should hold a node's endorsement does not."""


def endorse(network: SigningKey, node_id: NodeId, tier: EndorsedTier) -> str:
    """The text that the node carries."""
    said = encode(NodeEndorsement(node_id=node_id, tier=tier))
    return f"{_base64(said)}.{_base64(network.sign(ENDORSEMENT_DOMAIN, said))}"


def endorsed_tier(text: str, node_id: NodeId, network_key: str) -> Tier:
    """What the network says this node is; ProtocolViolation where it does not say so, or not of this node."""
    said, signature = _split(text)
    if not verify(network_key, ENDORSEMENT_DOMAIN, said, signature):
        raise ProtocolViolation(ViolationReason.BAD_SIGNATURE, "the endorsement is not signed with the network's key")
    endorsement = endorsements.decode(said)
    if endorsement.node_id != node_id:
        raise ProtocolViolation(ViolationReason.WRONG_SENDER, f"the endorsement is {endorsement.node_id}'s")
    return Tier(endorsement.tier)


def read_endorsement(path: Path, node_id: NodeId) -> str:
    """The text in a file, before it goes to a stranger: BadEndorsement where it is none, or not of this node.

    A node does not know its network's key, so that the signature is the gateway's to check.
    """
    try:
        text = path.read_text(encoding="ascii").strip()
        said, _ = _split(text)
        endorsement = endorsements.decode(said)
    except OSError as error:
        raise BadEndorsement(f"the endorsement {path} cannot be read: {error.strerror}") from error
    except (ProtocolViolation, UnicodeDecodeError) as error:
        raise BadEndorsement(f"{path} holds no endorsement; `gridlight network endorse` writes one") from error
    if endorsement.node_id != node_id:
        raise BadEndorsement(f"{path} endorses {endorsement.node_id}, and this node is {node_id}")
    return text


def _split(text: str) -> tuple[bytes, bytes]:
    said, _, signature = text.partition(".")
    if len(text) > _TEXT_CHARACTERS_MAX:
        raise ProtocolViolation(ViolationReason.TOO_LARGE, f"an endorsement has at most {_TEXT_CHARACTERS_MAX} bytes")
    try:
        return _bytes(said), _bytes(signature)
    except ValueError as error:
        raise ProtocolViolation(ViolationReason.MALFORMED, f"the endorsement cannot be read: {error}") from error


def _bytes(text: str) -> bytes:
    return b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def _base64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
