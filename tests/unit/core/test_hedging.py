"""A further assignment beside one that looks late: at the node's own p99, to the hedge tier, within the budget."""

from tests.unit.core.world import BENCHMARK_MS, World, cancels, only, outcome, sends

from gridlight.core.attempts import ATTEMPTS_MAX
from gridlight.core.budget import HedgeBudget
from gridlight.core.counts import Count
from gridlight.core.placement import HEDGE_RETRY_MS, HEDGE_SHARE
from gridlight.messages.jobs import JobState, SendAssignment
from gridlight.messages.nodes import RequestOffer

P99_MS = BENCHMARK_MS * 180 // 100


def acknowledged(world: World, *, eta_ms: int = BENCHMARK_MS, deadline_ms: int = 1_000) -> SendAssignment:
    """A task that a node took at once."""
    send = world.assign(deadline_ms=deadline_ms)
    assert world.ack(send, eta_ms=eta_ms) == []
    return send


def with_nodes(count: int) -> World:
    """A world with some equal nodes."""
    world = World()
    for _ in range(count):
        world.join()
    return world


def test_a_task_is_hedged_at_its_nodes_own_p99_and_not_before() -> None:
    world = with_nodes(2)
    first = acknowledged(world)

    assert world.pass_ms(P99_MS - 1) == []
    (hedge,) = sends(world.pass_ms(1))

    assert hedge.job_id == first.job_id
    assert hedge.node_id != first.node_id
    assert world.count(Count.HEDGED) == 1


def test_a_result_of_a_hedge_says_so_and_cancels_the_first() -> None:
    world = with_nodes(2)
    first = acknowledged(world)
    (hedge,) = sends(world.pass_ms(P99_MS))

    effects = world.result(hedge)

    done = outcome(effects)
    assert (done.hedged, done.attempts, done.node_id) == (True, 2, hedge.node_id)
    (cancel,) = cancels(effects)
    assert cancel.assignment_id == first.assignment.assignment_id


def test_a_task_that_is_in_time_is_never_hedged() -> None:
    world = with_nodes(2)
    send = acknowledged(world)
    world.pass_ms(P99_MS - 1)

    done = outcome(world.result(send))

    assert (done.hedged, done.attempts) == (False, 1)
    assert sends(world.pass_ms(10_000)) == []


def test_an_estimate_past_the_deadline_is_hedged_at_once() -> None:
    world = with_nodes(2)
    send = world.assign(deadline_ms=2_000)

    (hedge,) = sends(world.ack(send, eta_ms=2_001))

    assert hedge.node_id != send.node_id
    assert world.count(Count.HEDGED) == 1


def test_an_estimate_just_within_the_deadline_is_believed() -> None:
    world = with_nodes(2)
    send = world.assign(deadline_ms=2_000)

    assert world.ack(send, eta_ms=2_000) == []


def test_each_attempt_is_hedged_once_at_most() -> None:
    world = with_nodes(3)
    acknowledged(world)
    (second,) = sends(world.pass_ms(P99_MS))
    world.ack(second)

    sent = sends(world.pass_ms(P99_MS))
    world.ack(sent[0])

    assert len(sent) == 1
    assert sent[0].node_id != second.node_id


def test_a_hedge_goes_only_to_nodes_fast_enough_to_make_up_for_it() -> None:
    world = World()
    fast = [world.join(benchmark_ms=100) for _ in range(20)]
    slow = [world.join(benchmark_ms=1_000) for _ in range(20)]
    for _ in range(20):
        send = acknowledged(world)
        assert send.node_id in fast + slow
    free_fast = [node for node in fast if world.pool.is_free(fast.index(node))]

    hedges = sends(world.pass_ms(P99_MS))

    assert {hedge.node_id for hedge in hedges} <= set(free_fast)


def test_a_hedge_goes_to_the_next_tier_where_the_fastest_nodes_are_busy() -> None:
    world = World()
    fast = {world.join(benchmark_ms=250) for _ in range(20)}
    next_fast = {world.join(benchmark_ms=400) for _ in range(20)}
    for _ in range(20):
        world.join(benchmark_ms=1_000)
    first = world.assign(deadline_ms=2_000)
    busy = [acknowledged(world, deadline_ms=2_000) for _ in range(39)]
    free = next(send for send in busy if send.node_id in next_fast)
    world.result(free)

    (hedge,) = sends(world.ack(first, eta_ms=9_000))

    assert fast <= {send.node_id for send in [first, *busy]}
    assert hedge.node_id == free.node_id


def test_with_no_other_node_the_hedge_is_tried_again_until_there_is_one() -> None:
    world = with_nodes(1)
    acknowledged(world)
    assert sends(world.pass_ms(P99_MS)) == []
    assert world.count(Count.HEDGE_WITHOUT_NODE) == 1
    world.join()

    assert sends(world.pass_ms(HEDGE_RETRY_MS - 1)) == []
    assert len(sends(world.pass_ms(1))) == 1


def test_an_exhausted_budget_stops_hedges_but_not_replacements() -> None:
    world = with_nodes(3)
    world.coordinator.scheduling.placement.budget.tokens = 0
    acknowledged(world)

    assert sends(world.pass_ms(P99_MS)) == []
    assert world.count(Count.HEDGE_WITHOUT_BUDGET) == 1

    silent = world.assign()
    assert len(sends(world.pass_ms(600))) == 1
    assert silent.node_id


def test_no_hedge_comes_before_an_eighth_of_the_deadline() -> None:
    world = with_nodes(2)
    acknowledged(world, deadline_ms=4_000)

    assert sends(world.pass_ms(4_000 // HEDGE_SHARE - 1)) == []
    assert len(sends(world.pass_ms(1))) == 1


def test_half_the_budget_is_kept_for_tasks_of_which_half_the_deadline_is_gone() -> None:
    world = with_nodes(2)
    world.coordinator.scheduling.placement.budget.tokens = 8_000
    acknowledged(world, deadline_ms=1_000)

    assert sends(world.pass_ms(499)) == []
    assert len(sends(world.pass_ms(1 + HEDGE_RETRY_MS))) == 1


def test_a_storm_of_late_nodes_makes_eight_hedges_and_six_in_a_hundred_beside_the_reserve() -> None:
    world = World()
    with world.in_bulk():
        for _ in range(450):
            world.join()
        for _ in range(200):
            acknowledged(world)

    hedges = sends(world.pass_ms(P99_MS))

    assert 8 <= len(hedges) <= 8 + 200 * 6 // 100
    assert world.count(Count.HEDGE_WITHOUT_BUDGET) == 200 - len(hedges)


def test_the_budget_starts_full_and_fills_by_six_in_a_hundred() -> None:
    budget = HedgeBudget()
    spent = 0
    while budget.can_spend(is_rescue=True):
        budget.spend()
        spent += 1
    assert spent == 16

    for _ in range(100):
        budget.dispatched()
    while budget.can_spend(is_rescue=True):
        budget.spend()
        spent += 1

    assert spent == 16 + 6


def test_the_budget_never_holds_more_than_its_burst() -> None:
    budget = HedgeBudget()
    for _ in range(1_000):
        budget.dispatched()

    spent = 0
    while budget.can_spend(is_rescue=True):
        budget.spend()
        spent += 1

    assert spent == 16


def test_a_task_gets_six_assignments_at_most_however_late_all_are() -> None:
    world = with_nodes(10)
    sent = [world.assign(deadline_ms=60_000)]
    while hedges := sends(world.ack(sent[-1], eta_ms=600_000)):
        sent += hedges

    assert len(sent) == ATTEMPTS_MAX
    assert len({send.node_id for send in sent}) == ATTEMPTS_MAX
    assert sends(world.pass_ms(59_000)) == []
    done = outcome(world.result(sent[0]))
    assert (done.state, done.attempts) == (JobState.DONE, ATTEMPTS_MAX)


def test_a_pinned_task_is_never_hedged() -> None:
    world = with_nodes(2)
    node = world.join()
    send = world.assign(pinned_node=node)
    world.ack(send, eta_ms=600_000)

    assert world.pass_ms(3_999) == []
    assert outcome(world.result(send)).attempts == 1


def test_a_pinned_task_waits_past_the_soft_limit_without_waking_the_host() -> None:
    world = with_nodes(2)
    node = world.join()
    world.assign(pinned_node=node)

    assert world.pass_ms(999) == []
    assert [request.node_id for request in only(RequestOffer, world.pass_ms(1))] == [node]


def test_a_lost_hedge_is_made_up_for_at_once_and_costs_no_further_hedge() -> None:
    world = with_nodes(3)
    first = acknowledged(world)
    (hedge,) = sends(world.pass_ms(P99_MS))
    world.ack(hedge)

    (third,) = sends(world.disconnect(hedge.node_id))

    assert third.job_id == first.job_id
    assert third.node_id not in (first.node_id, hedge.node_id)
    assert (world.count(Count.HEDGED), world.count(Count.REPLACED_LOST)) == (1, 1)


def test_a_lost_hedge_that_nobody_can_make_up_for_is_hedged_when_somebody_can() -> None:
    world = with_nodes(2)
    acknowledged(world)
    (hedge,) = sends(world.pass_ms(P99_MS))
    world.ack(hedge)
    assert sends(world.disconnect(hedge.node_id)) == []
    world.join()

    assert sends(world.pass_ms(HEDGE_RETRY_MS - 1)) == []
    assert len(sends(world.pass_ms(1))) == 1


def test_an_unacknowledged_task_whose_second_is_lost_waits_for_the_hard_limit() -> None:
    world = with_nodes(2)
    world.assign()
    (second,) = sends(world.pass_ms(600))
    assert sends(world.disconnect(second.node_id)) == []
    node = world.join()

    assert sends(world.pass_ms(399)) == []
    assert [send.node_id for send in sends(world.pass_ms(1))] == [node]


def test_a_lost_hedge_is_not_made_up_for_beyond_six_assignments() -> None:
    world = with_nodes(10)
    sent = [world.assign(deadline_ms=60_000)]
    while hedges := sends(world.ack(sent[-1], eta_ms=600_000)):
        sent += hedges
    assert len(sent) == ATTEMPTS_MAX

    assert sends(world.disconnect(sent[-1].node_id)) == []


def test_a_loss_is_not_made_up_for_while_another_assignment_is_in_time() -> None:
    world = with_nodes(4)
    first = acknowledged(world)
    (hedge,) = sends(world.pass_ms(P99_MS))
    world.ack(hedge)

    assert sends(world.disconnect(first.node_id)) == []


def test_a_node_whose_p99_is_longer_than_half_the_deadline_is_hedged_at_the_half() -> None:
    world = World()
    for _ in range(2):
        world.join(benchmark_ms=1_500)
    acknowledged(world, deadline_ms=4_000)

    assert sends(world.pass_ms(1_999)) == []
    assert len(sends(world.pass_ms(1))) == 1
