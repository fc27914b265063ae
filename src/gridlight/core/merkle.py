"""Merkle trees: one hash over many things, and the way to it from each.

The tree is RFC 6962's: leaves and nodes are hashed with different first bytes, so that neither passes for the other,
and a node without a sibling goes up as it is.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

EMPTY: Final = sha256(b"").hexdigest()
"""The root over nothing."""


def leaf_hash(data: bytes) -> bytes:
    """A thing as it stands in the tree."""
    return sha256(b"\x00" + data).digest()


def merkle_root(leaves: list[bytes]) -> str:
    """The hash over leaves, in hexadecimal. O(leaves)."""
    level = leaves
    while len(level) > 1:
        level = _level_above(level)
    return level[0].hex() if level else EMPTY


class Tree:
    """Every hash above some leaves, for who shows many of them. O(leaves) to make and in memory."""

    def __init__(self, leaves: list[bytes]) -> None:
        self._levels = [leaves]
        while len(self._levels[-1]) > 1:
            self._levels.append(_level_above(self._levels[-1]))

    def path(self, index: int) -> tuple[str, ...]:
        """The hashes beside the way from a leaf to the root. O(log leaves)."""
        return tuple(
            level[index >> height ^ 1].hex()
            for height, level in enumerate(self._levels[:-1])
            if index >> height ^ 1 < len(level)
        )


def leads_to(root: str, leaf: bytes, index: int, width: int, path: Sequence[str]) -> bool:
    """Whether a leaf stands at that place of a tree of so many leaves. O(log leaves)."""
    if index >= width:
        return False
    node, place, left = leaf, index, list(path)
    while width > 1:
        if place ^ 1 < width:
            if not left:
                return False
            sibling = bytes.fromhex(left.pop(0))
            node = _node_hash(sibling, node) if place & 1 else _node_hash(node, sibling)
        place, width = place >> 1, width + 1 >> 1
    return not left and node.hex() == root


def _node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def _level_above(level: list[bytes]) -> list[bytes]:
    paired = [_node_hash(level[place], level[place + 1]) for place in range(0, len(level) - 1, 2)]
    return paired + level[len(paired) * 2 :]
