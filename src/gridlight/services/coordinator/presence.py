"""Which nodes were heard from lately. An offer stands for ten minutes unless it is refreshed; refreshes change nothing
in the core, so they are noted here and not journalled."""

from collections import OrderedDict
from typing import Final

from gridlight.messages.ids import NodeId

OFFER_LASTS_MS: Final = 600_000


class Presence:
    """Nodes by when they were last heard from, oldest first. All operations are O(1)."""

    def __init__(self) -> None:
        self._heard_ms: OrderedDict[NodeId, int] = OrderedDict()

    def heard(self, now_ms: int, node_id: NodeId) -> None:
        """A node published its offer."""
        self._heard_ms[node_id] = now_ms
        self._heard_ms.move_to_end(node_id)

    def left(self, node_id: NodeId) -> None:
        """A node's connection closed."""
        self._heard_ms.pop(node_id, None)

    def expired(self, now_ms: int) -> list[NodeId]:
        """Nodes that were silent for too long; each is returned once."""
        silent: list[NodeId] = []
        while self._heard_ms:
            node_id, heard_ms = next(iter(self._heard_ms.items()))
            if now_ms - heard_ms < OFFER_LASTS_MS:
                break
            del self._heard_ms[node_id]
            silent.append(node_id)
        return silent
