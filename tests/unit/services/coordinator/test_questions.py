"""What the coordinator answers a gateway that asks for a node's reasons."""

from tests.unit.core.world import GATEWAY, OTHER_WORKLOAD, WORKLOAD, World, node_id, slots

from gridlight.messages.reasons import Reason, ReasonsAsked, TellReasons
from gridlight.services.coordinator.questions import answer

QUESTION = "0123456789abcdef"


def told(world: World, number: int) -> TellReasons:
    """The answer, which changes nothing in the core."""
    before = world.coordinator.snapshot()
    answered = answer(world.coordinator, ReasonsAsked(gateway_id=GATEWAY, node_id=node_id(number), question=QUESTION))
    assert world.coordinator.snapshot() == before
    return answered


def test_a_node_is_told_of_each_workload_that_it_has_offered() -> None:
    world = World(workloads=(WORKLOAD, OTHER_WORKLOAD))
    node = world.join()
    world.result(world.assign())

    (counted,) = told(world, 1).workloads or ()
    world.offer(node, slots(1), slots(1, workload=OTHER_WORKLOAD))

    assert (counted.workload, counted.considered, counted.reasons) == (WORKLOAD, 1, {Reason.DONE: 1})
    assert counted.since_ms == world.now_ms
    assert [one.workload for one in told(world, 1).workloads or ()] == [WORKLOAD, OTHER_WORKLOAD]


def test_a_node_that_has_offered_nothing_yet_is_told_of_nothing() -> None:
    world = World()
    world.enrol()

    assert told(world, 1).workloads == ()


def test_a_node_that_never_enrolled_is_nobody() -> None:
    answered = told(World(), 1)

    assert answered == TellReasons(gateway_id=GATEWAY, question=QUESTION, workloads=None)
