"""Every job ends once: at its deadline, by a restart, or by its result; and leases end though nobody answers."""

from tests.unit.core.world import (
    OTHER_WORKLOAD,
    WORKLOAD,
    World,
    cancels,
    ends,
    job_id,
    only,
    outcome,
    sends,
    slots,
    submitted,
)

from gridlight.core.attempts import LEASE_GRACE_MS
from gridlight.core.counts import Count
from gridlight.core.scheduling import DUE_MAX
from gridlight.core.task_table import RECENT_MAX
from gridlight.messages.host import AnnounceCoordinator, RequestAllOffers
from gridlight.messages.jobs import JobCode, JobState
from gridlight.messages.nodes import RequestOffer


def test_at_its_deadline_a_job_ends_with_a_reason_and_its_node_is_told() -> None:
    world = World()
    world.join()
    send = world.assign(deadline_ms=1_500)
    world.ack(send)
    assert ends(world.pass_ms(1_499)) == []

    effects = world.pass_ms(1)

    failed = outcome(effects)
    assert (failed.state, failed.code) == (JobState.FAILED, JobCode.DEADLINE_EXCEEDED)
    assert failed.hint is not None
    assert "1500 ms" in failed.hint
    assert (failed.attempts, failed.hedged, failed.output, failed.timing) == (1, False, None, None)
    assert [cancel.assignment_id for cancel in cancels(effects)] == [send.assignment.assignment_id]


def test_a_job_exceeds_its_deadline_once() -> None:
    world = World()
    world.join()
    world.ack(world.assign())

    effects = world.pass_ms(60_000)

    assert len(ends(effects)) == 1
    assert world.count(Count.DEADLINE_EXCEEDED) == 1
    assert world.coordinator.next_deadline_ms() is None


def test_a_job_that_waits_ends_at_its_deadline_too() -> None:
    world = World()
    world.join()
    world.ack(world.assign())
    world.submit(deadline_ms=1_000)

    failed = outcome(world.pass_ms(1_000))

    assert (failed.code, failed.attempts) == (JobCode.DEADLINE_EXCEEDED, 0)


def test_a_result_after_the_deadline_is_late_and_counts_for_nothing_but_the_slot() -> None:
    world = World()
    world.join()
    send = world.assign(deadline_ms=1_000)
    world.ack(send)
    world.pass_ms(1_200)

    effects = world.result(send)

    assert effects == []
    assert world.count(Count.RESULT_LATE) == 1
    assert sends(world.submit())


def test_a_lease_ends_half_a_second_after_the_deadline_and_the_node_broke_its_word() -> None:
    world = World()
    world.join()
    send = world.assign(deadline_ms=1_000)
    world.ack(send)
    world.pass_ms(1_000 + LEASE_GRACE_MS - 1)
    assert world.count(Count.LEASE_EXPIRED) == 0

    effects = world.pass_ms(1)

    assert [request.node_id for request in only(RequestOffer, effects)] == [send.node_id]
    assert world.count(Count.LEASE_EXPIRED) == 1
    assert world.result(send) == []
    assert world.count(Count.REPLY_UNKNOWN) == 1


def test_a_node_that_says_it_was_cancelled_keeps_its_good_name() -> None:
    world = World()
    world.join()
    send = world.assign(deadline_ms=1_000)
    world.ack(send)
    world.pass_ms(1_000)
    world.fail(send)

    assert world.pass_ms(10_000) == []
    assert sends(world.submit())


def test_calls_with_nothing_due_change_nothing() -> None:
    world = World()
    world.join()
    world.assign()
    before = world.coordinator.snapshot()

    assert world.time_passed() == []
    assert world.coordinator.snapshot() == before


def test_more_than_a_batch_of_tasks_falls_due_in_several_calls() -> None:
    world = World()
    world.join()
    world.restart()  # so that all may wait, with nobody online
    with world.in_bulk():
        for _ in range(DUE_MAX + 5):
            world.submit(deadline_ms=1_000)
    world.now_ms += 1_000

    first, second = world.time_passed(), world.time_passed()

    assert (len(ends(first)), len(ends(second))) == (DUE_MAX, 5)


def test_a_restart_ends_open_jobs_with_an_error_that_says_try_again() -> None:
    world = World()
    world.join()
    running = world.assign()
    world.submit()

    effects = world.restart()

    assert [end.job_id for end in ends(effects)] == [running.job_id, job_id(2)]
    for end in ends(effects):
        assert (end.outcome.state, end.outcome.code) == (JobState.FAILED, JobCode.COORDINATOR_RESTARTED)
        assert end.outcome.retry_after_ms == 1_000
    assert only(AnnounceCoordinator, effects)
    assert only(RequestAllOffers, effects)
    assert world.pass_ms(60_000) == []


def test_a_job_that_ended_by_a_restart_is_answered_when_it_is_told_again() -> None:
    world = World()
    world.join()
    running = world.assign()
    world.restart()

    again = outcome(world.tell(submitted(running.job_id)))

    assert again.code is JobCode.COORDINATOR_RESTARTED


def test_after_a_restart_a_result_of_the_time_before_counts_for_nothing() -> None:
    world = World()
    world.join()
    running = world.assign()
    world.restart()

    assert world.result(running) == []
    assert world.count(Count.REPLY_UNKNOWN) == 1


def test_a_restart_with_other_workloads_offers_those() -> None:
    world = World()
    node = world.join()
    world.restart(workloads=(OTHER_WORKLOAD,))
    world.offer(node, slots(1), slots(1, workload=OTHER_WORKLOAD))

    assert outcome(world.submit(workload=WORKLOAD)).code is JobCode.UNKNOWN_MODEL
    assert sends(world.submit(workload=OTHER_WORKLOAD))


def test_what_was_learned_of_nodes_stays_over_a_restart() -> None:
    world = World()
    world.join()
    for _ in range(64):
        send = world.assign()
        world.pass_ms(40)
        world.result(send)
    latency = world.coordinator.scheduling.placement.lanes[WORKLOAD].latency
    learned_ms = latency.p99_ms(0)

    world.restart()

    assert world.coordinator.scheduling.placement.lanes[WORKLOAD].latency.p99_ms(0) == learned_ms < 50


def test_a_lost_bus_sends_open_tasks_again_even_to_the_node_that_had_them() -> None:
    world = World()
    node = world.join()
    lost = world.assign()

    effects = world.bus_reconnected()

    assert [type(effect) for effect in effects] == [AnnounceCoordinator, RequestAllOffers]
    (again,) = sends(world.offer(node, slots(1)))
    assert (again.job_id, again.node_id) == (lost.job_id, node)
    assert again.assignment.assignment_id != lost.assignment.assignment_id


def test_a_lost_bus_keeps_tasks_that_waited_waiting() -> None:
    world = World()
    node = world.join()
    world.assign()
    world.submit()
    world.bus_reconnected()

    sent = sends(world.offer(node, slots(2)))

    assert {send.job_id for send in sent} == {job_id(1), job_id(2)}


def test_a_lost_bus_keeps_what_other_nodes_failed_at_in_mind() -> None:
    world = World()
    world.join()
    first = world.assign()
    other = world.join()
    world.decline(first)
    world.bus_reconnected()

    assert sends(world.offer(first.node_id, slots(1))) == []
    assert [send.node_id for send in sends(world.offer(other, slots(1)))] == [other]


def test_a_lost_bus_forgets_the_leases_of_jobs_that_had_ended() -> None:
    world = World()
    node = world.join()
    send = world.assign()
    world.withdraw(send.job_id)

    world.bus_reconnected()
    world.offer(node, slots(1))

    assert sends(world.submit())
    assert world.result(send) == []


def test_a_pinned_task_waits_for_its_node_over_a_lost_bus() -> None:
    world = World()
    node = world.join()
    world.assign(pinned_node=node)
    world.bus_reconnected()

    (again,) = sends(world.offer(node, slots(1)))

    assert again.node_id == node


def test_a_task_that_nobody_comes_back_for_ends_at_its_deadline() -> None:
    world = World()
    world.join()
    world.assign()
    world.bus_reconnected()

    assert outcome(world.pass_ms(4_000)).code is JobCode.DEADLINE_EXCEEDED


def test_ended_jobs_are_remembered_up_to_a_bound() -> None:
    world = World()
    for _ in range(RECENT_MAX + 2):
        world.coordinator.handle(world.now_ms, submitted(job_id(world.jobs_made)))
        world.jobs_made += 1

    recent = world.coordinator.scheduling.placement.table.recent

    assert len(recent) == RECENT_MAX
    assert job_id(1) not in recent
    assert job_id(RECENT_MAX + 1) in recent
