"""Which nodes a workload is rolled out to: a draw over node ids, so that whoever is in at 1 % is in at 10 % as well."""

from typing import Final

from msgspec import Struct

from gridlight.core.draw import draw_keyed, is_within
from gridlight.messages.ids import NodeId, WorkloadId

PPM_A_PERCENT: Final = 10_000


class Rollout(Struct, frozen=True):
    """A share of all nodes. Anybody can draw it again: it says where errors show first, and is no secret."""

    workload: WorkloadId
    percent: int

    def takes(self, node_id: NodeId) -> bool:
        """Whether the node is in it."""
        key = bytes.fromhex(self.workload.rpartition(":")[2])
        return is_within(draw_keyed(key, f"rollout|{node_id}"), self.percent * PPM_A_PERCENT)
