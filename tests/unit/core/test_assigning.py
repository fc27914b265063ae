"""A job becomes an assignment: what it says, to whom it goes, and what waits for a slot."""

from tests.unit.core.world import (
    BENCHMARK_MS,
    DIGEST,
    GATEWAY,
    OUTPUT,
    WORKLOAD,
    World,
    cancels,
    ends,
    job_id,
    outcome,
    sends,
    slots,
    submitted,
)

from gridlight.core.counts import Count
from gridlight.messages.jobs import JobState, JobTiming
from gridlight.messages.nodes import SlotOffer


def test_a_job_is_sent_at_once_to_a_node_that_is_free() -> None:
    world = World()
    node = world.join()

    (send,) = sends(world.submit(deadline_ms=3_000))

    assert (send.job_id, send.gateway_id, send.node_id) == (job_id(1), GATEWAY, node)
    assert (send.assignment.workload, send.assignment.deadline_ms) == (WORKLOAD, 3_000)
    assert (send.assignment.input_digest, send.assignment.input_bytes) == (DIGEST, 270_000)
    assert len(send.assignment.assignment_id) == 16
    assert 0 <= send.assignment.probe_seed < 2**53
    assert world.count(Count.DISPATCHED) == 1


def test_the_first_result_ends_the_job_with_what_it_took() -> None:
    world = World()
    world.join()
    send = world.assign()
    world.pass_ms(30)
    world.ack(send, elapsed_ms=30)
    world.pass_ms(90)

    done = outcome(world.result(send))

    assert done.state is JobState.DONE
    assert done.code is None
    assert (done.node_id, done.assignment_id) == (send.node_id, send.assignment.assignment_id)
    assert done.output == OUTPUT
    assert done.timing == JobTiming(queue=0, ack=30, infer=80, total=120)
    assert (done.attempts, done.hedged) == (1, False)


def test_a_result_needs_no_acknowledgement_before_it() -> None:
    world = World()
    world.join()
    send = world.assign()
    world.pass_ms(50)

    done = outcome(world.result(send))

    assert done.timing == JobTiming(queue=0, ack=0, infer=80, total=50)


def test_a_job_that_waited_is_told_how_long() -> None:
    world = World()
    world.join()
    first = world.assign()
    assert world.submit() == []
    world.pass_ms(70)
    (second,) = sends(world.result(first))

    done = outcome(world.result(second))

    assert done.timing is not None
    assert done.timing.queue == 70
    assert second.assignment.deadline_ms == 4_000 - 70


def test_a_node_gets_no_more_tasks_than_the_slots_it_lends() -> None:
    world = World()
    node = world.join(slot_count=3)

    taken = [world.assign() for _ in range(3)]

    assert {send.node_id for send in taken} == {node}
    assert world.submit() == []


def test_who_waits_is_served_in_order() -> None:
    world = World()
    world.join()
    running = world.assign()
    for _ in range(3):
        world.submit()

    served = []
    for _ in range(3):
        (running,) = sends(world.result(running))
        served.append(running.job_id)

    assert served == [job_id(2), job_id(3), job_id(4)]


def test_a_new_offer_serves_as_many_as_it_has_slots_for() -> None:
    world = World()
    node = world.join()
    world.assign()
    for _ in range(4):
        world.submit()

    sent = sends(world.offer(node, slots(4)))

    assert [send.job_id for send in sent] == [job_id(2), job_id(3), job_id(4)]


def test_a_task_that_cannot_go_to_the_free_node_does_not_hold_up_the_next() -> None:
    world = World()
    world.join()
    declined = world.assign()
    assert world.decline(declined) == []  # the only node had it, so it waits for another

    next_one = world.assign()

    assert next_one.job_id == job_id(2)
    (again,) = sends(world.offer(world.enrol(), slots(1)))
    assert again.job_id == declined.job_id


def test_more_waiting_tasks_than_are_looked_at_keep_their_order() -> None:
    world = World()
    node = world.join(slot_count=9)
    sent = [world.assign() for _ in range(9)]
    for send in sent:
        world.decline(send)
    lane = world.coordinator.scheduling.placement.lanes[WORKLOAD]
    before = list(lane.waiting)

    assert sends(world.offer(node, slots(9))) == []

    assert list(lane.waiting) == before
    assert len(before) == 9


def test_a_job_told_twice_while_open_runs_once() -> None:
    world = World()
    world.join()
    world.join()
    send = world.assign()

    assert world.tell(submitted(send.job_id)) == []
    assert world.count(Count.DISPATCHED) == 1


def test_a_job_told_again_after_its_end_is_answered_again_in_the_same_words() -> None:
    world = World()
    world.join()
    send = world.assign()
    done = outcome(world.result(send))

    effects = world.tell(submitted(send.job_id))

    assert outcome(effects) == done
    assert sends(effects) == []


def test_a_withdrawn_job_is_cancelled_where_it_runs() -> None:
    world = World()
    node = world.join()
    send = world.assign()

    effects = world.withdraw(send.job_id)

    assert outcome(effects).code == "WITHDRAWN"
    assert outcome(effects).state is JobState.FAILED
    (cancel,) = cancels(effects)
    assert (cancel.node_id, cancel.assignment_id) == (node, send.assignment.assignment_id)
    assert cancel.gateway_id == GATEWAY


def test_a_withdrawn_job_keeps_its_slot_until_the_node_answers() -> None:
    world = World()
    world.join()
    send = world.assign()
    world.withdraw(send.job_id)
    assert world.submit() == []

    effects = world.result(send)

    assert ends(effects) == []
    assert [one.job_id for one in sends(effects)] == [job_id(2)]
    assert world.count(Count.RESULT_LATE) == 1


def test_a_job_withdrawn_while_it_waits_is_never_sent() -> None:
    world = World()
    world.join()
    running = world.assign()
    world.submit()
    world.submit()
    world.withdraw(job_id(2))

    (send,) = sends(world.result(running))

    assert send.job_id == job_id(3)


def test_withdrawing_a_job_twice_or_one_nobody_knows_says_nothing() -> None:
    world = World()
    world.join()
    send = world.assign()
    world.withdraw(send.job_id)

    assert world.withdraw(send.job_id) == []
    assert world.withdraw(job_id(404)) == []


def test_a_pinned_job_goes_to_its_node_and_no_other() -> None:
    world = World()
    nodes = [world.join() for _ in range(5)]

    sent = [world.assign(pinned_node=node) for node in nodes]

    assert [send.node_id for send in sent] == nodes


def test_a_pinned_job_waits_for_its_own_node_and_goes_before_others() -> None:
    world = World()
    node = world.join()
    running = world.assign()
    world.submit()
    assert world.submit(pinned_node=node) == []
    assert world.submit(pinned_node=node) == []

    order = []
    for _ in range(3):
        (running,) = sends(world.result(running))
        order.append(running.job_id)

    assert order == [job_id(3), job_id(4), job_id(2)]


def test_a_pinned_job_withdrawn_while_it_waits_is_passed_over() -> None:
    world = World()
    node = world.join()
    running = world.assign()
    world.submit(pinned_node=node)
    world.withdraw(job_id(2))
    world.submit(pinned_node=node)

    (send,) = sends(world.result(running))

    assert send.job_id == job_id(3)


def test_slow_nodes_are_left_out_where_enough_fast_ones_are_online() -> None:
    world = World()
    fast = [world.join(benchmark_ms=100) for _ in range(20)]
    for _ in range(20):
        world.join(benchmark_ms=1_500)

    sent = [world.assign(deadline_ms=2_000) for _ in range(20)]

    assert {send.node_id for send in sent} == set(fast)


def test_a_slower_node_is_taken_where_the_fast_ones_are_busy() -> None:
    world = World()
    for _ in range(20):
        world.join(benchmark_ms=100)
    slow = world.join(benchmark_ms=1_200)
    for _ in range(20):
        world.assign(deadline_ms=2_000)

    assert world.assign(deadline_ms=2_000).node_id == slow


def test_tasks_go_to_the_narrowest_tier_with_a_free_node() -> None:
    world = World()
    fast = {world.join(benchmark_ms=400) for _ in range(20)}
    middling = {world.join(benchmark_ms=560) for _ in range(20)}
    slow = {world.join(benchmark_ms=1_200) for _ in range(20)}

    nodes = [world.assign(deadline_ms=2_000).node_id for _ in range(60)]

    assert [set(nodes[:20]), set(nodes[20:40]), set(nodes[40:])] == [fast, middling, slow]


def test_the_widest_tier_is_left_to_who_finds_nobody_else_however_long_the_deadline() -> None:
    world = World()
    fast = {world.join(benchmark_ms=400) for _ in range(20)}
    slow = {world.join(benchmark_ms=2_600) for _ in range(20)}

    nodes = [world.assign(deadline_ms=4_000).node_id for _ in range(40)]

    assert [set(nodes[:20]), set(nodes[20:])] == [fast, slow]


def test_a_tier_with_too_few_nodes_gives_way_to_the_next_and_not_to_all() -> None:
    world = World()
    nodes = {world.join(benchmark_ms=400) for _ in range(10)} | {world.join(benchmark_ms=560) for _ in range(10)}
    slow = {world.join(benchmark_ms=1_200) for _ in range(20)}

    sent = [world.assign(deadline_ms=2_000).node_id for _ in range(40)]

    assert [set(sent[:20]), set(sent[20:])] == [nodes, slow]


def test_an_idle_node_of_the_next_tier_comes_before_the_queue_of_a_faster_one() -> None:
    world = World()
    ready = SlotOffer(workload=WORKLOAD, slots=1, benchmark_ms=400, lookahead=1)
    for _ in range(20):
        world.offer(world.enrol(), ready)
    middling = world.join(benchmark_ms=560)

    nodes = [world.assign(deadline_ms=2_000).node_id for _ in range(22)]

    assert nodes[20] == middling
    assert nodes[21] in nodes[:20]


def test_a_node_that_cannot_meet_the_deadline_is_not_taken_where_many_can() -> None:
    world = World()
    for _ in range(20):
        world.join(benchmark_ms=100)
    world.join(benchmark_ms=3_000)
    for _ in range(20):
        world.assign(deadline_ms=2_000)

    assert world.submit(deadline_ms=2_000) == []


def test_one_seed_draws_the_same_and_another_draws_otherwise() -> None:
    def choices(seed: int) -> list[str]:
        world = World(seed=seed)
        for _ in range(50):
            world.join(benchmark_ms=BENCHMARK_MS)
        return [world.assign().node_id for _ in range(10)]

    assert choices(1) == choices(1)
    assert choices(1) != choices(2)
