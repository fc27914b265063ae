"""What is counted for a node in the whole core, and how it comes to be counted."""

from tests.unit.core.world import World

from gridlight.messages.ids import NodeId
from gridlight.messages.reasons import Reason
from gridlight.messages.trust import Tier


def why(world: World, node: NodeId) -> dict[Reason, int]:
    """What is counted for the node, which adds up."""
    number, reasons = world.number_of(node), world.lane.reasons
    counts = reasons.counts(number)
    assert sum(counts.values()) == reasons.considered_for(number)
    return counts


def work_for_others(world: World, times: int = 1) -> None:
    """Tasks that are given out and done at once."""
    for _ in range(times):
        world.result(world.assign())


def pair() -> tuple[World, NodeId, NodeId]:
    """Two trusted nodes of a slot each: the one we look at, and another one."""
    world = World()
    return world, world.join(), world.join()


def stand_in_tier(world: World, node: NodeId, tier: Tier) -> None:
    changed = world.coordinator.reputation.seed_standing(world.number_of(node), tier=tier, clean_run=0)
    world.coordinator.scheduling.handle(world.now_ms, changed)
