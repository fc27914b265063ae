"""A node whose operator needs the machine hands back what it has: given to another at once, and held against nobody."""

import pytest
from msgspec.structs import replace
from tests.unit.core.world import OTHER_WORKLOAD, WORKLOAD, World, offer, only, sends, slots

from gridlight.core.counts import Count
from gridlight.messages.ids import NodeId
from gridlight.messages.jobs import SendAssignment
from gridlight.messages.nodes import OwnerState
from gridlight.messages.tasks import FailureCode
from gridlight.messages.trust import RecordFault, RecordStanding, Tier

RAN_MS = 300


def yielded(world: World, node: NodeId, *, is_heard_first: bool, send: SendAssignment) -> list[SendAssignment]:
    """The node withdraws its offer and hands back its task; whom the task goes to."""
    withdrawn = replace(offer(node, slots(0)), owner_state=OwnerState.IN_USE)
    if is_heard_first:
        return sends([*world.tell(withdrawn), *world.fail(send, FailureCode.HANDED_BACK)])
    return sends([*world.fail(send, FailureCode.HANDED_BACK), *world.tell(withdrawn)])


@pytest.mark.parametrize("is_heard_first", [True, False], ids=["offer first", "task first"])
@pytest.mark.parametrize("is_acknowledged", [True, False])
def test_what_is_handed_back_goes_to_another_node_at_once(is_heard_first: bool, is_acknowledged: bool) -> None:
    world = World()
    nodes = {world.join(), world.join()}
    send = world.assign()
    if is_acknowledged:
        world.ack(send)
    world.pass_ms(RAN_MS)

    [again] = yielded(world, send.node_id, is_heard_first=is_heard_first, send=send)

    assert again.node_id in nodes - {send.node_id}
    assert again.assignment.deadline_ms == 4_000 - RAN_MS


def test_where_nobody_else_is_free_it_waits_for_the_next_who_is() -> None:
    world = World()
    node = world.join()
    send = world.assign()
    assert not yielded(world, node, is_heard_first=True, send=send)
    other = world.enrol()

    [again] = sends(world.offer(other, slots(1)))

    assert again.node_id == other


def test_a_node_that_handed_back_does_not_rest_and_is_as_fast_as_before() -> None:
    world = World()
    for _ in range(2):
        world.join()
    send = world.assign()
    lane = world.coordinator.scheduling.placement.lanes[send.assignment.workload]
    before = lane.latency.snapshot()
    world.pass_ms(RAN_MS)
    [again] = yielded(world, send.node_id, is_heard_first=True, send=send)

    assert lane.latency.snapshot() == before
    assert not world.coordinator.scheduling.placement.resting.until_ms
    assert world.count(Count.ACK_MISSED) == world.count(Count.LEASE_EXPIRED) == 0
    world.offer(send.node_id, slots(1))
    assert world.assign().node_id == send.node_id, f"since {again.node_id} is at work"


def test_a_node_that_hands_back_a_hundred_times_keeps_its_standing() -> None:
    world = World()
    for _ in range(2):
        world.join()
    said: list[object] = []
    for _ in range(100):
        send = world.assign()
        replaced = world.fail(send, FailureCode.HANDED_BACK)
        [again] = sends(replaced)
        said += [*replaced, *world.result(again)]

    roster = world.coordinator.scheduling.placement.roster
    assert not only(RecordFault, said)
    assert not [standing for standing in only(RecordStanding, said) if standing.tier is Tier.BANNED]
    assert [roster.tier_of(node) for node in range(2)] == [Tier.TRUSTED] * 2


def test_an_operator_that_needs_its_machine_withdraws_every_workload() -> None:
    world = World(workloads=(WORKLOAD, OTHER_WORKLOAD))
    node = world.enrol()
    world.offer(node, slots(1), slots(1, workload=OTHER_WORKLOAD))
    world.tell(replace(offer(node, slots(0), slots(0, workload=OTHER_WORKLOAD)), owner_state=OwnerState.PAUSED))

    assert not sends(world.submit())
    assert not sends(world.submit(workload=OTHER_WORKLOAD))
