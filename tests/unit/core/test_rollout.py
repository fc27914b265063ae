"""Who is in at one per cent is in at ten, and the rest get nothing of it."""

from itertools import pairwise

from tests.unit.core.words import STRANGER, approved
from tests.unit.core.world import OTHER_WORKLOAD, World, node_id, sends, slots

from gridlight.core.rollout import Rollout

NODES = [node_id(number) for number in range(20_000)]


def taken(percent: int) -> set[str]:
    rollout = Rollout(STRANGER, percent)
    return {one for one in NODES if rollout.takes(one)}


def test_a_share_grows_and_nobody_drops_out_of_it() -> None:
    shares = [taken(percent) for percent in (1, 10, 50, 100)]

    assert all(one <= other for one, other in pairwise(shares))
    assert 150 < len(shares[0]) < 250
    assert 1_850 < len(shares[1]) < 2_150
    assert shares[3] == set(NODES)


def test_another_workload_begins_with_other_nodes() -> None:
    other = {one for one in NODES if Rollout(OTHER_WORKLOAD, 1).takes(one)}

    assert len(other & taken(1)) < 20


def test_only_nodes_of_the_share_are_given_it_and_more_as_it_grows() -> None:
    world = World()
    world.tell(approved(percent=10))
    nodes = [world.enrol() for _ in range(40)]
    for node in nodes:
        world.offer(node, slots(1, workload=STRANGER))
    inside = {node for node in nodes if Rollout(STRANGER, 10).takes(node)}
    lane = world.coordinator.scheduling.placement.lanes[STRANGER]
    assert 0 < len(inside) < 40

    asked = {send.node_id for _ in nodes for send in sends(world.submit(workload=STRANGER))}
    assert asked == inside

    world.go_on_from_a_snapshot()
    world.tell(approved(percent=100, serial=2))
    lane = world.coordinator.scheduling.placement.lanes[STRANGER]
    assert lane.slots_total == 40
    world.tell(approved(percent=10, serial=3))
    assert lane.slots_total == len(inside), "a smaller share takes it from the others again"
