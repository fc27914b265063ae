"""Why a node gets nothing: why it was not given tasks, each reason provoked in the whole core."""

from msgspec.structs import replace
from tests.unit.core.asking_why import pair, stand_in_tier, why, work_for_others
from tests.unit.core.world import OTHER_WORKLOAD, WORKLOAD, World, node_id, slots

from gridlight.core.attempts import ACK_HARD_MS
from gridlight.core.pools import ELIGIBLE_MIN
from gridlight.core.resting import REST_MS
from gridlight.messages.reasons import Reason
from gridlight.messages.trust import PRODUCTION, Tier

# It did not get it


def test_offline() -> None:
    world, node, _ = pair()
    world.disconnect(node)

    work_for_others(world, 3)

    assert why(world, node) == {Reason.OFFLINE: 3}


def test_a_node_that_never_offered_the_workload_is_not_considered() -> None:
    world = World(workloads=(WORKLOAD, OTHER_WORKLOAD))
    world.join()
    other = world.enrol()
    world.offer(other, slots(1, workload=OTHER_WORKLOAD))

    work_for_others(world)
    world.disconnect(other)

    assert not world.lane.reasons.knows(world.number_of(other))


def test_unresponsive() -> None:
    world, node, _ = pair()
    world.assign(pinned_node=node)
    world.pass_ms(ACK_HARD_MS)

    work_for_others(world, 2)
    assert why(world, node) == {Reason.UNACKNOWLEDGED: 1, Reason.UNRESPONSIVE: 2}
    world.disconnect(node)
    work_for_others(world)

    assert why(world, node) == {Reason.UNACKNOWLEDGED: 1, Reason.UNRESPONSIVE: 2, Reason.OFFLINE: 1}


def test_paused_or_draining() -> None:
    world, node, _ = pair()
    world.offer(node, slots(0))
    work_for_others(world, 2)
    world.offer(node, slots(1))
    world.disconnect(node_id(2))

    work_for_others(world)

    assert why(world, node) == {Reason.LENDS_NOTHING: 2, Reason.DONE: 1}


def test_a_workload_that_is_offered_no_more_is_lent_nothing_for() -> None:
    world, node, _ = pair()
    world.offer(node)

    work_for_others(world)

    assert why(world, node) == {Reason.LENDS_NOTHING: 1}


def test_banned() -> None:
    world, node, _ = pair()
    stand_in_tier(world, node, Tier.BANNED)

    work_for_others(world, 2)

    assert why(world, node) == {Reason.BANNED: 2}


def test_a_newcomer() -> None:
    world = World()
    world.join()
    newcomer = world.join(endorsed=None)

    work_for_others(world, 2)

    assert why(world, newcomer) == {Reason.NEWCOMER: 2}


def test_a_newcomer_that_has_become_trusted_is_none_any_more() -> None:
    world = World()
    world.join()
    newcomer = world.join(endorsed=None)
    work_for_others(world)
    stand_in_tier(world, newcomer, Tier.TRUSTED)
    world.disconnect(node_id(1))

    work_for_others(world)

    assert why(world, newcomer) == {Reason.NEWCOMER: 1, Reason.DONE: 1}


def test_a_reference_node() -> None:
    world = World()
    world.join()
    reference = world.join(endorsed=Tier.REFERENCE)

    work_for_others(world)

    assert why(world, reference) == {Reason.REFERENCE: 1}


def test_busy() -> None:
    world, node, other = pair()
    world.assign(pinned_node=node)
    sent = [world.assign()]

    assert why(world, node) == {Reason.IN_HAND: 1, Reason.BUSY: 1}
    world.submit()
    assert why(world, other) == {Reason.IN_HAND: 1, Reason.NOT_DRAWN: 1}, "a task that waits is not given out yet"
    world.result(sent[0])

    assert why(world, node) == {Reason.IN_HAND: 1, Reason.BUSY: 2}
    assert why(world, other) == {Reason.NOT_DRAWN: 1, Reason.DONE: 1, Reason.IN_HAND: 1}


def test_a_task_that_nobody_ever_got_is_counted_once_for_all() -> None:
    world, node, other = pair()
    for busy in (node, other):
        world.assign(pinned_node=busy, deadline_ms=60_000)
    world.submit(deadline_ms=500)

    world.pass_ms(500)

    assert why(world, node)[Reason.BUSY] == 2
    assert why(world, other)[Reason.BUSY] == 1


def test_a_job_that_is_refused_is_not_considered() -> None:
    world, node, _ = pair()
    world.submit(deadline_ms=20)

    assert why(world, node) == {}


def test_resting_after_a_broken_word() -> None:
    world, node, _ = pair()
    world.assign(pinned_node=node)
    world.pass_ms(ACK_HARD_MS)
    world.offer(node, slots(1))

    work_for_others(world)
    assert why(world, node) == {Reason.UNACKNOWLEDGED: 1, Reason.RESTING: 1}
    world.pass_ms(REST_MS)
    world.assign(pinned_node=node_id(2))

    assert why(world, node) == {Reason.UNACKNOWLEDGED: 1, Reason.RESTING: 1, Reason.NOT_DRAWN: 1}


def test_too_slow() -> None:
    world = World()
    slow = world.join(benchmark_ms=1_400)
    for _ in range(ELIGIBLE_MIN):
        world.join()

    work_for_others(world, 3)

    assert why(world, slow) == {Reason.TOO_SLOW: 3}
    world.assign(deadline_ms=60_000, pinned_node=node_id(2))
    assert why(world, slow) == {Reason.TOO_SLOW: 3, Reason.NOT_DRAWN: 1}


def test_over_its_operators_share() -> None:
    world = World(trust=replace(PRODUCTION, operator_share_ppm=200_000))
    nodes = [world.join(slot_count=100) for _ in range(10)]
    for _ in range(20):
        world.result(world.assign(pinned_node=nodes[0]))

    work_for_others(world, 60)

    counts = why(world, nodes[0])
    assert counts[Reason.OVER_SHARE] > 0
    assert set(counts) <= {Reason.OVER_SHARE, Reason.NOT_DRAWN, Reason.DONE}


def test_another_node_was_drawn() -> None:
    world, node, other = pair()

    work_for_others(world, 10)

    assert why(world, node)[Reason.NOT_DRAWN] == why(world, other)[Reason.DONE]
    assert why(world, node)[Reason.NOT_DRAWN] + why(world, node)[Reason.DONE] == 10
