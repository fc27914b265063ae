"""Which nodes are the founder's own: those that `gridlight up` starts, and those that are endorsed by hand.

A node that is started here has its keys and its endorsement in its folder before it runs for the first time, so that
its id is known, and each has an operator of its own, so that they can check each other.
"""

from pathlib import Path
from typing import Final

from msgspec import Struct

from gridlight.adapters.credentials import NetworkKeys
from gridlight.adapters.endorsements import ENDORSEMENT_FILE, EndorsedTier
from gridlight.adapters.node_folder import NODE_KEY_FILE, OPERATOR_KEY_FILE
from gridlight.adapters.signatures import SigningKey, is_public_key, write_secret
from gridlight.messages.ids import NodeId

KEYS_FOLDER: Final = "keys"
"""Of a network's folder."""


def database_file(folder: Path) -> Path:
    """Where a network's folder keeps its database."""
    return folder / "coordinator" / "gridlight.db"


class CannotEndorse(ValueError):
    """What was named is no node, or no network of ours."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class OwnNode(Struct, frozen=True, kw_only=True):
    """One agent that this network starts."""

    name: str
    node_id: NodeId
    data: Path
    is_reference: bool


def own_nodes(folder: Path, keys: NetworkKeys, *, nodes: int, references: int) -> list[OwnNode]:
    """The nodes and reference nodes of a network's folder, each with its keys and endorsement."""
    agents = folder / "agents"
    return [
        *(_own_node(keys, f"agent {number}", agents / str(number), "trusted") for number in range(1, nodes + 1)),
        *(
            _own_node(keys, f"reference {number}", agents / f"reference-{number}", "reference")
            for number in range(1, references + 1)
        ),
    ]


def endorse_node(folder: Path, node_id: str, tier: EndorsedTier) -> str:
    """The endorsement of a node that joins by hand, by the network whose folder this is. CannotEndorse else."""
    if not is_public_key(node_id):
        raise CannotEndorse(f"{node_id[:80]!r} is no node's id", "`gridlight node id --data DIR` prints a node's")
    try:
        keys = NetworkKeys.load(folder / KEYS_FOLDER)
    except (FileNotFoundError, ValueError) as error:
        raise CannotEndorse(str(error), "name the folder that was given to `gridlight up --data`") from error
    return keys.endorse(NodeId(node_id), tier)


def id_of_node(data: Path) -> NodeId:
    """Of the node whose folder this is; its key is made where there is none."""
    return NodeId(SigningKey.load_or_create(data / NODE_KEY_FILE).public)


def _own_node(keys: NetworkKeys, name: str, data: Path, tier: EndorsedTier) -> OwnNode:
    SigningKey.load_or_create(data / OPERATOR_KEY_FILE)
    node_id = id_of_node(data)
    write_secret(data / ENDORSEMENT_FILE, keys.endorse(node_id, tier) + "\n")
    return OwnNode(name=name, node_id=node_id, data=data, is_reference=tier == "reference")
