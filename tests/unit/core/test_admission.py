"""What is refused at once, with which word and hint; and what is not."""

from msgspec.structs import replace
from tests.unit.core.world import (
    GATEWAY,
    OTHER_WORKLOAD,
    WORKLOAD,
    World,
    ends,
    job_id,
    node_id,
    outcome,
    sends,
    slots,
    submitted,
)

from gridlight.core.lanes import SERVICE_MS_START
from gridlight.core.latency import BOUNDS_MS, BUCKET_LAST
from gridlight.core.outcomes import PINNED_MAX, WAITING_MAX, refused_by_load
from gridlight.core.pools import Pool
from gridlight.core.scheduling import SETTLING_MS
from gridlight.messages.ids import NodeId
from gridlight.messages.jobs import JobCode, JobState


def test_a_workload_the_network_does_not_offer_is_refused() -> None:
    world = World()
    world.join()

    refusal = outcome(world.submit(workload=OTHER_WORKLOAD))

    assert (refusal.state, refusal.code) == (JobState.REFUSED, JobCode.UNKNOWN_MODEL)
    assert refusal.hint is not None
    assert "/v1/models" in refusal.hint
    assert refusal.retry_after_ms is None
    assert refusal.attempts == 0


def test_with_no_node_online_a_job_is_refused_with_a_time_to_try_again() -> None:
    world = World()

    refusal = outcome(world.submit())

    assert (refusal.state, refusal.code) == (JobState.REFUSED, JobCode.NO_NODE_ONLINE)
    assert refusal.hint is not None
    assert "gridlight node start" in refusal.hint
    assert refusal.retry_after_ms == 1_000


def test_a_model_that_no_node_online_runs_is_refused_and_names_one_that_is_run() -> None:
    world = World(workloads=(WORKLOAD, OTHER_WORKLOAD))
    world.join()

    refusal = outcome(world.submit(workload=OTHER_WORKLOAD))

    assert (refusal.state, refusal.code) == (JobState.REFUSED, JobCode.NO_CAPABLE_NODE)
    assert refusal.hint is not None
    assert WORKLOAD in refusal.hint


def test_while_nodes_may_still_come_back_a_job_waits_instead_of_being_refused() -> None:
    world = World()
    node = world.join()
    world.restart()

    assert world.submit() == []

    (send,) = sends(world.offer(node, slots(1), session=2))
    assert send.node_id == node


def test_once_the_network_has_settled_a_job_without_nodes_is_refused() -> None:
    world = World()
    world.join()
    world.restart()
    world.pass_ms(SETTLING_MS - 1)
    assert world.submit() == []

    waited_in_vain = outcome(world.pass_ms(1))

    assert waited_in_vain.code is JobCode.NO_NODE_ONLINE
    assert outcome(world.submit()).code is JobCode.NO_NODE_ONLINE


def test_a_network_that_never_had_a_node_refuses_at_once() -> None:
    world = World()
    world.restart()

    assert outcome(world.submit()).code is JobCode.NO_NODE_ONLINE


def test_a_hint_on_the_deadline_counts_what_was_spent_before() -> None:
    world = World()
    world.join(benchmark_ms=1_000)

    refusal = outcome(world.tell(replace(submitted(job_id(1), deadline_ms=50), asked_deadline_ms=1_050)))

    assert refusal.code is JobCode.DEADLINE_TOO_SHORT
    assert refusal.hint is not None
    assert "1000 ms were spent" in refusal.hint


def test_a_node_that_lends_no_slot_counts_as_no_node() -> None:
    world = World()
    world.join(slot_count=0)

    assert outcome(world.submit()).code is JobCode.NO_NODE_ONLINE


def test_a_job_pinned_to_a_node_that_is_away_is_refused_and_names_it() -> None:
    world = World()
    world.join()
    pinned = world.join()
    world.disconnect(pinned)

    refusal = outcome(world.submit(pinned_node=pinned))

    assert (refusal.state, refusal.code) == (JobState.REFUSED, JobCode.NODE_NOT_ONLINE)
    assert refusal.hint is not None
    assert pinned in refusal.hint


def test_a_job_pinned_to_a_node_nobody_ever_saw_is_refused() -> None:
    world = World()
    world.join()

    assert outcome(world.submit(pinned_node=node_id(999))).code is JobCode.NODE_NOT_ONLINE


def test_a_deadline_shorter_than_the_fastest_node_needs_is_refused_with_one_that_is_not() -> None:
    world = World()
    world.join(benchmark_ms=1_000)

    refusal = outcome(world.submit(deadline_ms=900))

    assert (refusal.state, refusal.code) == (JobState.REFUSED, JobCode.DEADLINE_TOO_SHORT)
    feasible_ms = BOUNDS_MS[world.pool.fastest_bucket()] + 500
    assert refusal.hint is not None
    assert f"{feasible_ms} or more" in refusal.hint
    assert sends(world.submit(deadline_ms=feasible_ms))


def test_the_fastest_node_decides_whether_a_deadline_is_feasible() -> None:
    world = World()
    world.join(benchmark_ms=1_000)
    world.join(benchmark_ms=50)

    assert sends(world.submit(deadline_ms=900))


def test_a_job_waits_where_a_slot_will_be_free_in_time() -> None:
    world = World()
    world.join()
    world.assign()

    assert world.submit(deadline_ms=2 * SERVICE_MS_START) == []


def test_a_job_is_refused_as_busy_where_no_slot_will_be_free_in_time() -> None:
    world = World()
    world.join()
    world.assign()

    refusal = outcome(world.submit(deadline_ms=2 * SERVICE_MS_START - 1))

    assert (refusal.state, refusal.code) == (JobState.REFUSED, JobCode.BUSY)
    assert refusal.hint is not None
    assert "all 1 slots are busy and 0 requests wait" in refusal.hint
    assert refusal.retry_after_ms == 1_000


def test_the_longer_the_queue_the_later_a_refused_job_should_come_back() -> None:
    world = World()
    world.join()
    world.assign()
    waiting = 0
    while not (effects := world.submit(deadline_ms=4_000)):
        waiting += 1

    refusal = outcome(effects)

    assert waiting == 4_000 // SERVICE_MS_START - 1
    assert refusal.retry_after_ms == (waiting + 1) * SERVICE_MS_START


def test_a_free_slot_is_no_way_past_those_who_wait() -> None:
    pool = Pool()
    pool.lend(0, 1, BUCKET_LAST)
    job = submitted(job_id(1), deadline_ms=599)

    assert refused_by_load(job, pool, waiting=0, service_ms=200) is None
    assert refused_by_load(job, pool, waiting=1, service_ms=200) is not None


def let_wait(world: World, count: int, pinned_node: NodeId | None = None) -> None:
    """Submit jobs that all wait."""
    with world.in_bulk():
        for _ in range(count):
            assert world.submit(deadline_ms=60_000, pinned_node=pinned_node) == []


def test_the_queue_is_bounded_however_fast_it_moves() -> None:
    world = World()
    world.join(slot_count=200)
    with world.in_bulk():
        for _ in range(200):
            world.assign()
    let_wait(world, WAITING_MAX)

    refusal = outcome(world.submit(deadline_ms=60_000))

    assert (refusal.state, refusal.code, refusal.retry_after_ms) == (JobState.REFUSED, JobCode.BUSY, 1_000)


def test_the_queue_is_bounded_also_while_nodes_may_still_come_back() -> None:
    world = World()
    world.join()
    world.restart()
    let_wait(world, WAITING_MAX)

    assert outcome(world.submit()).code is JobCode.BUSY


def test_those_who_gave_up_waiting_count_no_more() -> None:
    world = World()
    world.join()
    world.assign()
    while world.submit() == []:
        pass
    for number in range(2, world.jobs_made):
        world.withdraw(job_id(number))

    assert world.submit() == []


def test_jobs_pinned_to_one_node_wait_in_a_bounded_queue() -> None:
    world = World()
    node = world.join()
    world.assign(pinned_node=node)
    let_wait(world, PINNED_MAX, pinned_node=node)

    refusal = outcome(world.submit(pinned_node=node))

    assert refusal.code is JobCode.BUSY
    assert refusal.retry_after_ms == 1_000


def test_a_refused_job_that_is_told_again_is_refused_in_the_same_words() -> None:
    world = World()
    first = outcome(world.submit())
    world.join()

    again = outcome(world.tell(submitted(job_id(world.jobs_made))))

    assert again == first


def test_an_expected_end_is_said_to_the_gateway_that_asked() -> None:
    world = World()

    (end,) = ends(world.submit())

    assert (end.gateway_id, end.job_id) == (GATEWAY, job_id(1))
