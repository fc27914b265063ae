"""A node has 0.6 s to acknowledge before a second one is asked silently, and 1.0 s before it broke its word."""

import pytest
from tests.unit.core.world import World, cancels, ends, node_id, only, outcome, sends, slots

from gridlight.core.attempts import ACK_HARD_MS, ACK_SOFT_MS, LEASE_GRACE_MS
from gridlight.core.counts import Count
from gridlight.core.resting import REST_MS
from gridlight.messages.host import RecordNode
from gridlight.messages.jobs import JobCode, JobState, SendAssignment
from gridlight.messages.nodes import RequestOffer


def two_nodes() -> tuple[World, SendAssignment]:
    """Two nodes, and a task sent to one of them."""
    world = World()
    world.join()
    world.join()
    return world, world.assign()


def ack_ms(world: World, send: SendAssignment) -> int:
    """What the job's outcome says of the acknowledgement, once the result is in."""
    timing = outcome(world.result(send)).timing
    assert timing is not None
    return timing.ack


def test_before_the_soft_limit_nothing_happens() -> None:
    world, _ = two_nodes()

    assert world.pass_ms(ACK_SOFT_MS - 1) == []


def test_at_the_soft_limit_another_node_is_asked_silently() -> None:
    world, first = two_nodes()

    effects = world.pass_ms(ACK_SOFT_MS)

    (second,) = effects
    assert isinstance(second, SendAssignment)
    assert second.job_id == first.job_id
    assert second.node_id != first.node_id
    assert second.assignment.assignment_id != first.assignment.assignment_id
    assert second.assignment.probe_seed == first.assignment.probe_seed
    assert second.assignment.deadline_ms == 4_000 - ACK_SOFT_MS


def test_a_second_assignment_for_want_of_an_acknowledgement_is_no_hedge() -> None:
    world, first = two_nodes()
    tokens = world.coordinator.scheduling.placement.budget.tokens
    world.pass_ms(ACK_SOFT_MS)

    done = outcome(world.result(first))

    assert (done.attempts, done.hedged) == (2, False)
    assert world.count(Count.REPLACED_UNACKED) == 1
    assert world.count(Count.HEDGED) == 0
    assert world.coordinator.scheduling.placement.budget.tokens >= tokens


def test_only_one_assignment_is_made_for_one_missing_acknowledgement() -> None:
    world, first = two_nodes()
    world.join()
    (second,) = sends(world.pass_ms(ACK_SOFT_MS))
    world.ack(second, eta_ms=3_000)

    assert sends(world.pass_ms(100)) == []
    assert first.node_id != second.node_id


def test_with_nobody_else_free_at_the_soft_limit_the_first_node_keeps_its_chance() -> None:
    world = World()
    world.join()
    send = world.assign()

    assert world.pass_ms(ACK_SOFT_MS) == []
    assert world.count(Count.HEDGE_WITHOUT_NODE) == 1
    world.pass_ms(ACK_HARD_MS - ACK_SOFT_MS - 1)
    assert outcome(world.result(send)).state is JobState.DONE


def test_at_the_hard_limit_the_node_broke_its_word_and_is_asked_to_offer_again() -> None:
    world, first = two_nodes()
    (second,) = sends(world.pass_ms(ACK_SOFT_MS))
    world.ack(second)

    effects = world.pass_ms(ACK_HARD_MS - ACK_SOFT_MS)

    assert [effect.node_id for effect in only(RequestOffer, effects)] == [first.node_id]
    (record,) = only(RecordNode, effects)
    assert (record.enrolled.node_id, record.is_online, record.slots) == (first.node_id, False, 0)
    assert world.count(Count.ACK_MISSED) == 1


def test_at_the_hard_limit_the_task_is_assigned_again() -> None:
    world = World()
    silent = world.join()
    first = world.assign()
    world.pass_ms(ACK_SOFT_MS)
    other = world.join()

    (second,) = sends(world.pass_ms(ACK_HARD_MS - ACK_SOFT_MS))

    assert (first.node_id, second.node_id) == (silent, other)
    assert world.count(Count.REPLACED_LOST) == 1


def test_a_task_is_not_assigned_a_third_time_while_the_second_node_is_at_it() -> None:
    world, _ = two_nodes()
    world.join()
    (second,) = sends(world.pass_ms(ACK_SOFT_MS))
    world.ack(second, eta_ms=2_000)

    effects = world.pass_ms(ACK_HARD_MS - ACK_SOFT_MS - 250)

    assert sends(effects) == []


def test_an_acknowledgement_after_the_soft_limit_still_counts() -> None:
    world, first = two_nodes()
    world.pass_ms(ACK_SOFT_MS + 100)

    world.ack(first, elapsed_ms=ACK_SOFT_MS + 100)

    assert only(RequestOffer, world.pass_ms(ACK_HARD_MS - ACK_SOFT_MS - 101)) == []
    assert ack_ms(world, first) == ACK_SOFT_MS + 100


def test_an_acknowledgement_that_comes_twice_counts_once() -> None:
    world, first = two_nodes()
    world.pass_ms(20)
    world.ack(first, elapsed_ms=20)
    world.pass_ms(20)

    assert world.ack(first, elapsed_ms=40) == []
    assert ack_ms(world, first) == 20


def test_the_time_to_an_acknowledgement_is_what_the_gateway_saw() -> None:
    world, first = two_nodes()
    world.pass_ms(200)  # it waited for company before it was told

    world.ack(first, elapsed_ms=25)

    assert ack_ms(world, first) == 25


def test_a_gateway_cannot_have_heard_an_acknowledgement_in_the_future() -> None:
    world, first = two_nodes()
    world.pass_ms(30)

    world.ack(first, elapsed_ms=10_000)

    assert ack_ms(world, first) == 30


def test_an_acknowledgement_after_the_hard_limit_is_counted_and_changes_nothing() -> None:
    world, first = two_nodes()
    world.pass_ms(ACK_HARD_MS)

    assert world.ack(first) == []
    assert world.count(Count.REPLY_UNKNOWN) == 1


@pytest.mark.parametrize("reply", ["ack", "result"])
def test_nobody_can_answer_for_another_node(reply: str) -> None:
    world, first = two_nodes()
    (stranger,) = {node_id(1), node_id(2)} - {first.node_id}

    effects = world.ack(first, node=stranger) if reply == "ack" else world.result(first, node=stranger)

    assert effects == []
    assert world.count(Count.REPLY_UNKNOWN) == 1
    assert outcome(world.result(first)).node_id == first.node_id


def test_a_node_that_broke_its_word_gets_nothing_until_it_offers_again() -> None:
    world = World()
    node = world.join()
    world.assign()
    world.pass_ms(ACK_HARD_MS)

    assert outcome(world.submit()).code is JobCode.NO_NODE_ONLINE

    world.offer(node, slots(1))
    assert world.assign().node_id == node


def test_a_node_that_broke_its_word_comes_after_others_until_it_has_rested() -> None:
    world = World()
    node = world.join()
    silent = world.assign()
    world.withdraw(silent.job_id)
    world.pass_ms(ACK_HARD_MS)
    world.offer(node, slots(1))
    other = world.join()

    while_it_rests = [world.assign() for _ in range(2)]
    for send in while_it_rests:
        world.result(send)
    world.pass_ms(REST_MS)
    rested = {world.assign().node_id for _ in range(2)}

    assert [send.node_id for send in while_it_rests] == [other, node]
    assert rested == {other, node}


def test_a_slower_node_comes_before_one_that_rests() -> None:
    world = World()
    fast = {world.join(benchmark_ms=400) for _ in range(20)}
    slow = {world.join(benchmark_ms=1_200) for _ in range(20)}
    silent = world.assign(deadline_ms=2_000)
    world.withdraw(silent.job_id)
    world.pass_ms(ACK_HARD_MS)
    world.offer(silent.node_id, slots(1, benchmark_ms=400))

    nodes = [world.assign(deadline_ms=2_000).node_id for _ in range(40)]

    assert set(nodes[:19]) == fast - {silent.node_id}
    assert set(nodes[19:39]) == slow
    assert nodes[39] == silent.node_id


def test_a_node_that_never_answered_an_assignment_comes_after_others_too() -> None:
    world = World()
    node = world.join()
    world.ack(world.assign())
    world.pass_ms(4_000 + LEASE_GRACE_MS)
    assert world.count(Count.LEASE_EXPIRED) == 1
    world.offer(node, slots(1))
    others = {world.join() for _ in range(5)}

    assert {world.assign().node_id for _ in range(5)} == others


def test_a_node_that_missed_one_acknowledgement_loses_all_it_was_at() -> None:
    world = World()
    node = world.join(slot_count=2)
    acknowledged, silent = world.assign(), world.assign()
    world.ack(acknowledged)
    spare = world.join(slot_count=2)
    world.pass_ms(ACK_SOFT_MS)

    effects = world.pass_ms(ACK_HARD_MS - ACK_SOFT_MS)

    assert acknowledged.node_id == silent.node_id == node
    assert {send.node_id for send in sends(effects)} <= {spare}
    assert world.result(acknowledged) == []
    assert world.count(Count.REPLY_UNKNOWN) == 1


def test_two_tasks_that_one_node_let_lie_are_both_assigned_again() -> None:
    world = World()
    node = world.join(slot_count=2)
    lost = {world.assign().job_id, world.assign().job_id}
    world.pass_ms(ACK_SOFT_MS)
    spare = world.join(slot_count=2)

    effects = world.pass_ms(ACK_HARD_MS - ACK_SOFT_MS)

    assert {(send.job_id, send.node_id) for send in sends(effects)} == {(job, spare) for job in lost}
    assert [request.node_id for request in only(RequestOffer, effects)] == [node]


def test_a_node_that_has_just_broken_its_word_gets_no_other_task_in_the_same_moment() -> None:
    world = World()
    nodes = {world.join(slot_count=2), world.join(slot_count=2)}
    sent = [world.assign() for _ in range(4)]
    world.now_ms += ACK_HARD_MS  # the host comes late: all four are due in one call

    effects = world.time_passed()

    assert {send.node_id for send in sent} == nodes
    assert sends(effects) == []
    assert len(only(RequestOffer, effects)) == 2


def test_when_the_first_answers_after_all_the_second_is_cancelled() -> None:
    world, first = two_nodes()
    (second,) = sends(world.pass_ms(ACK_SOFT_MS))

    effects = world.result(first)

    assert outcome(effects).node_id == first.node_id
    (cancel,) = cancels(effects)
    assert (cancel.node_id, cancel.assignment_id) == (second.node_id, second.assignment.assignment_id)
    assert ends(world.result(second)) == []


def test_after_the_end_of_a_job_a_silent_node_is_still_found_out() -> None:
    world, silent = two_nodes()
    (second,) = sends(world.pass_ms(ACK_SOFT_MS))
    world.result(second)

    effects = world.pass_ms(ACK_HARD_MS - ACK_SOFT_MS)

    assert [request.node_id for request in only(RequestOffer, effects)] == [silent.node_id]
    assert sends(effects) == []
