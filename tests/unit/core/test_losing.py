"""Nodes that leave, decline, fail or cannot be reached: the task goes elsewhere at once, and not for ever."""

import pytest
from tests.unit.core.world import OTHER_WORKLOAD, WORKLOAD, World, cancels, ends, only, outcome, sends, slots

from gridlight.core.attempts import ATTEMPTS_MAX
from gridlight.core.counts import Count
from gridlight.messages.host import RecordNode
from gridlight.messages.jobs import JobCode, JobState
from gridlight.messages.nodes import RequestOffer
from gridlight.messages.tasks import DeclineReason, FailureCode, UndeliverableReason


def test_a_closed_connection_moves_its_tasks_at_once() -> None:
    world = World()
    world.join(slot_count=2)
    lost = [world.assign(), world.assign()]
    other = world.join(slot_count=2)

    effects = world.disconnect(lost[0].node_id)

    assert [send.job_id for send in sends(effects)] == [send.job_id for send in lost]
    assert {send.node_id for send in sends(effects)} == {other}
    assert world.count(Count.REPLACED_LOST) == 2
    assert ends(effects) == []


def test_a_task_of_a_closed_connection_waits_where_nobody_else_is_free() -> None:
    world = World()
    node = world.join()
    send = world.assign()
    assert sends(world.disconnect(node)) == []
    other = world.enrol()

    (again,) = sends(world.offer(other, slots(1)))

    assert (again.job_id, again.node_id) == (send.job_id, other)


def test_a_task_never_goes_back_to_a_node_that_lost_it() -> None:
    world = World()
    node = world.join()
    world.assign()
    world.disconnect(node)

    assert sends(world.offer(node, slots(1), session=2)) == []
    assert outcome(world.pass_ms(4_000)).code is JobCode.DEADLINE_EXCEEDED


def test_a_hedged_task_goes_on_where_one_of_its_two_nodes_leaves() -> None:
    world = World()
    world.join()
    world.join()
    first = world.assign()
    (second,) = sends(world.ack(first, eta_ms=100_000))

    effects = world.disconnect(first.node_id)

    assert sends(effects) == []
    assert ends(effects) == []
    assert outcome(world.result(second)).state is JobState.DONE


def test_a_lost_hedge_is_not_made_up_for_once_the_deadline_is_past() -> None:
    world = World()
    for _ in range(3):
        world.join()
    first = world.assign(deadline_ms=1_000)
    (hedge,) = sends(world.ack(first, eta_ms=100_000))
    world.now_ms += 1_000  # the host is held up

    effects = world.disconnect(hedge.node_id)

    assert sends(effects) == []
    assert outcome(world.time_passed()).code is JobCode.DEADLINE_EXCEEDED


def test_leaving_after_the_job_ended_says_nothing_more_of_it() -> None:
    world = World()
    world.join()
    send = world.assign()
    world.withdraw(send.job_id)

    effects = world.disconnect(send.node_id)

    assert [type(effect) for effect in effects] == [RecordNode, RequestOffer]


def test_a_new_session_loses_what_the_old_one_was_doing() -> None:
    world = World()
    node = world.join()
    world.assign()
    other = world.join()

    effects = world.offer(node, slots(1), session=2)

    assert [send.node_id for send in sends(effects)] == [other]
    assert world.assign().node_id == node


def test_the_same_session_keeps_what_it_is_doing() -> None:
    world = World()
    node = world.join()
    send = world.assign()

    world.offer(node, slots(2))

    assert outcome(world.result(send)).state is JobState.DONE


def test_no_responders_moves_the_task_and_takes_the_node_out() -> None:
    world = World()
    world.join()
    send = world.assign()
    other = world.join()

    effects = world.undeliverable(send, UndeliverableReason.NO_RESPONDERS)

    assert [again.node_id for again in sends(effects)] == [other]
    assert [request.node_id for request in only(RequestOffer, effects)] == [send.node_id]
    assert [record.is_online for record in only(RecordNode, effects)] == [False]


@pytest.mark.parametrize("reason", [UndeliverableReason.INPUT_GONE, UndeliverableReason.BAD_REPLY])
def test_another_fault_in_handing_over_moves_the_task_and_leaves_the_node_in(reason: UndeliverableReason) -> None:
    world = World()
    world.join()
    send = world.assign()
    other = world.join()

    effects = world.undeliverable(send, reason)

    assert [again.node_id for again in sends(effects)] == [other]
    assert only(RequestOffer, effects) == []
    assert world.assign().node_id == send.node_id


@pytest.mark.parametrize("reason", list(DeclineReason))
def test_a_declined_task_goes_to_another_node(reason: DeclineReason) -> None:
    world = World()
    world.join()
    send = world.assign()
    other = world.join()

    (again,) = sends(world.decline(send, reason))

    assert (again.job_id, again.node_id) == (send.job_id, other)


@pytest.mark.parametrize("code", list(FailureCode))
def test_a_failed_task_goes_to_another_node(code: FailureCode) -> None:
    world = World()
    world.join()
    send = world.assign()
    world.ack(send)
    other = world.join()

    (again,) = sends(world.fail(send, code))

    assert (again.job_id, again.node_id) == (send.job_id, other)


def test_the_slot_of_a_node_that_declined_serves_who_waits() -> None:
    world = World()
    world.join()
    declined = world.assign()
    world.submit()

    (served,) = sends(world.decline(declined))

    assert served.job_id != declined.job_id


def test_replies_of_a_node_that_is_not_at_it_are_counted_and_change_nothing() -> None:
    world = World()
    world.join()
    send = world.assign()
    world.fail(send)

    assert world.fail(send) == world.decline(send) == world.undeliverable(send) == []
    assert world.count(Count.REPLY_UNKNOWN) == 3


def test_after_six_lost_assignments_a_job_ends_with_a_reason() -> None:
    world = World()
    for _ in range(ATTEMPTS_MAX + 1):
        world.join()
    tried = [world.assign()]
    while again := sends(effects := world.decline(tried[-1])):
        tried += again

    failed = outcome(effects)
    assert len(tried) == len({send.node_id for send in tried}) == ATTEMPTS_MAX
    assert (failed.state, failed.code) == (JobState.FAILED, JobCode.ATTEMPTS_EXHAUSTED)
    assert failed.attempts == ATTEMPTS_MAX
    assert failed.hint is not None
    assert "6 assignments" in failed.hint


def test_a_pinned_task_that_is_lost_fails_at_once() -> None:
    world = World()
    world.join()
    pinned = world.join()
    world.assign(pinned_node=pinned)

    failed = outcome(world.disconnect(pinned))

    assert (failed.state, failed.code, failed.attempts) == (JobState.FAILED, JobCode.ATTEMPTS_EXHAUSTED, 1)


def test_a_pinned_job_that_waits_for_a_node_that_leaves_ends_at_its_deadline() -> None:
    world = World()
    pinned = world.join()
    world.assign(pinned_node=pinned)
    world.submit(pinned_node=pinned, deadline_ms=500)
    world.disconnect(pinned)

    failed = outcome(world.pass_ms(500))

    assert failed.code is JobCode.DEADLINE_EXCEEDED


def test_lending_fewer_slots_than_are_leased_takes_nothing_away_and_gives_nothing_more() -> None:
    world = World()
    node = world.join(slot_count=3)
    sent = [world.assign() for _ in range(3)]
    world.submit()

    assert sends(world.offer(node, slots(1))) == []
    assert sends(world.result(sent[0])) == []
    assert sends(world.result(sent[1])) == []
    assert len(sends(world.result(sent[2]))) == 1


def test_lending_no_slot_ends_nothing_that_runs() -> None:
    world = World()
    node = world.join()
    send = world.assign()

    world.offer(node, slots(0))

    assert outcome(world.submit()).code is JobCode.NO_NODE_ONLINE
    assert outcome(world.result(send)).state is JobState.DONE
    assert outcome(world.submit()).code is JobCode.NO_NODE_ONLINE


def test_a_workload_left_out_of_an_offer_is_withdrawn() -> None:
    world = World(workloads=(WORKLOAD, OTHER_WORKLOAD))
    node = world.enrol()
    world.offer(node, slots(1), slots(1, workload=OTHER_WORKLOAD))

    world.offer(node, slots(1, workload=OTHER_WORKLOAD))

    assert outcome(world.submit()).code is JobCode.NO_CAPABLE_NODE
    assert len(sends(world.submit(workload=OTHER_WORKLOAD))) == 1


def test_a_node_that_leaves_is_gone_from_each_of_its_workloads() -> None:
    world = World(workloads=(WORKLOAD, OTHER_WORKLOAD))
    node = world.enrol()
    world.offer(node, slots(1), slots(1, workload=OTHER_WORKLOAD))
    world.disconnect(node)

    assert outcome(world.submit()).code is JobCode.NO_NODE_ONLINE
    assert outcome(world.submit(workload=OTHER_WORKLOAD)).code is JobCode.NO_NODE_ONLINE


def test_slots_for_a_workload_the_network_does_not_offer_are_left_alone() -> None:
    world = World()
    node = world.enrol()

    effects = world.offer(node, slots(1, workload=OTHER_WORKLOAD), slots(1))

    assert [type(effect) for effect in effects] == [RecordNode]
    assert world.assign().node_id == node


def test_a_lost_task_is_not_sent_once_its_deadline_is_past() -> None:
    world = World()
    world.join()
    send = world.assign()
    world.ack(send)
    world.join()
    world.now_ms += 4_000  # the host is late with TimePassed

    effects = world.disconnect(send.node_id)

    assert sends(effects) == []
    assert outcome(world.time_passed()).code is JobCode.DEADLINE_EXCEEDED


def test_a_waiting_task_is_not_sent_once_its_deadline_is_past() -> None:
    world = World()
    node = world.join()
    running = world.assign()
    world.submit(deadline_ms=500)
    world.submit(pinned_node=node, deadline_ms=500)
    world.submit(deadline_ms=4_000)
    world.ack(running)
    world.now_ms += 500

    (served,) = sends(world.result(running))

    assert served.assignment.deadline_ms == 3_500
    assert {end.outcome.code for end in ends(world.time_passed())} == {JobCode.DEADLINE_EXCEEDED}


def test_cancelling_follows_the_end_of_a_job_to_each_of_its_nodes() -> None:
    world = World()
    for _ in range(4):
        world.join()
    sent = [world.assign()]
    for _ in range(3):
        sent += sends(world.ack(sent[-1], eta_ms=100_000))

    effects = world.result(sent[2])

    assert [cancel.node_id for cancel in cancels(effects)] == [sent[n].node_id for n in (0, 1, 3)]
