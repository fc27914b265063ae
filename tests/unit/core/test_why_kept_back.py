"""Why a node that is connected lends nothing: its operator keeps it back, a rollout leaves it out, or neither."""

import pytest
from msgspec.structs import replace
from tests.unit.core.asking_why import pair, why, work_for_others
from tests.unit.core.words import STRANGER, approved
from tests.unit.core.world import WORKLOAD, World, offer, sends, slots

from gridlight.core.rollout import Rollout
from gridlight.messages.ids import NodeId
from gridlight.messages.nodes import OwnerState
from gridlight.messages.reasons import NOT_GIVEN, Reason

KEPT_BACK = [state for state in OwnerState if state is not OwnerState.AVAILABLE]


def keep_back(world: World, node: NodeId, state: OwnerState) -> None:
    """The node says that it lends nothing, and why."""
    world.tell(replace(offer(node, slots(0)), owner_state=state))


@pytest.mark.parametrize("state", KEPT_BACK)
def test_a_node_that_its_operator_keeps_back(state: OwnerState) -> None:
    world, node, _ = pair()
    reason = Reason(f"owner_{state}")
    keep_back(world, node, state)

    work_for_others(world, 2)
    world.go_on_from_a_snapshot()
    work_for_others(world)

    assert why(world, node) == {reason: 3}
    assert reason in NOT_GIVEN


@pytest.mark.parametrize("state", KEPT_BACK)
def test_a_node_that_is_lent_again_is_drawn_again(state: OwnerState) -> None:
    world, node, other = pair()
    keep_back(world, node, state)
    work_for_others(world)
    world.offer(node, slots(1))
    world.disconnect(other)

    work_for_others(world)

    assert why(world, node) == {Reason(f"owner_{state}"): 1, Reason.DONE: 1}


def test_each_reason_to_keep_it_back_is_counted_apart() -> None:
    world, node, _ = pair()
    for state in OwnerState:
        keep_back(world, node, state)
        work_for_others(world)

    counts = why(world, node)

    assert counts == {Reason.LENDS_NOTHING: 1, **{Reason(f"owner_{state}"): 1 for state in KEPT_BACK}}


def test_a_node_that_lends_is_not_kept_back_whatever_its_operator_is_said_to_want() -> None:
    world, node, _ = pair()
    world.tell(replace(offer(node, slots(1)), owner_state=OwnerState.IN_USE))

    world.assign(pinned_node=node)

    assert why(world, node) == {Reason.IN_HAND: 1}


def test_a_node_that_is_kept_back_and_gone_is_offline() -> None:
    world, node, _ = pair()
    keep_back(world, node, OwnerState.PAUSED)
    world.disconnect(node)

    work_for_others(world)

    assert why(world, node) == {Reason.OFFLINE: 1}


# A rollout


def rolled_out(percent: int) -> tuple[World, NodeId, NodeId]:
    """A network with a workload for some: a node that is left out, and one that is in."""
    world = World()
    world.tell(approved(percent=percent))
    nodes = [world.enrol() for _ in range(20)]
    takes = Rollout(STRANGER, percent).takes
    left_out, inside = next(one for one in nodes if not takes(one)), next(one for one in nodes if takes(one))
    for node in (left_out, inside):
        world.offer(node, slots(1, workload=STRANGER))
    return world, left_out, inside


def why_not_this(world: World, node: NodeId) -> dict[Reason, int]:
    """What is counted for the node in the workload that is rolled out."""
    lane = world.coordinator.scheduling.placement.lanes[STRANGER]
    return lane.reasons.counts(world.number_of(node))


def work(world: World) -> None:
    """A task of that workload for whoever is in."""
    [sent] = sends(world.submit(workload=STRANGER))
    world.result(sent)


def test_a_node_that_the_rollout_leaves_out() -> None:
    world, left_out, inside = rolled_out(50)

    work(world)
    world.go_on_from_a_snapshot()
    work(world)

    assert why_not_this(world, left_out) == {Reason.NOT_ROLLED_OUT: 2}
    assert why_not_this(world, inside) == {Reason.DONE: 2}


def test_a_node_that_is_left_out_and_kept_back_is_kept_back() -> None:
    world, left_out, _ = rolled_out(50)
    world.tell(replace(offer(left_out, slots(0, workload=STRANGER)), owner_state=OwnerState.IN_USE))

    work(world)

    assert why_not_this(world, left_out) == {Reason.OWNER_IN_USE: 1}


def test_a_node_that_the_rollout_takes_and_that_lends_nothing_is_not_left_out() -> None:
    world, left_out, inside = rolled_out(50)
    world.offer(inside, slots(0, workload=STRANGER))
    world.tell(approved(percent=100, serial=2))

    work(world)

    assert why_not_this(world, inside) == {Reason.LENDS_NOTHING: 1}
    assert why_not_this(world, left_out) == {Reason.DONE: 1}


def test_a_node_that_had_withdrawn_is_left_out_no_more_as_the_share_grows() -> None:
    world, left_out, _ = rolled_out(50)
    world.offer(left_out, slots(1, workload=WORKLOAD))
    work(world)
    world.tell(approved(percent=50, serial=2))
    work(world)
    assert why_not_this(world, left_out) == {Reason.NOT_ROLLED_OUT: 2}
    world.tell(approved(percent=100, serial=3))

    work(world)

    assert why_not_this(world, left_out) == {Reason.NOT_ROLLED_OUT: 2, Reason.LENDS_NOTHING: 1}
