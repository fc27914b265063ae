"""A lane: who waits, for whom, and what a task takes here of late."""

import msgspec

from gridlight.core.lanes import SERVICE_MS_START, Lane, LaneSnapshot
from gridlight.core.latency import bucket_of


def test_tasks_wait_in_order_but_one_that_was_begun_goes_first() -> None:
    lane = Lane()
    lane.enqueue(1, None, is_first=False)
    lane.enqueue(2, None, is_first=False)

    lane.enqueue(3, None, is_first=True)

    assert list(lane.waiting) == [3, 1, 2]


def test_tasks_for_one_node_wait_apart() -> None:
    lane = Lane()
    lane.enqueue(1, 7, is_first=False)
    lane.enqueue(2, 7, is_first=False)
    lane.enqueue(3, 8, is_first=False)

    assert lane.pinned_waiting(7) == 2
    assert [lane.next_pinned(7), lane.next_pinned(7), lane.next_pinned(7)] == [1, 2, None]
    assert (lane.pinned_waiting(7), lane.pinned_waiting(8)) == (0, 1)
    assert not lane.waiting


def test_the_mean_service_time_follows_what_is_seen() -> None:
    lane = Lane()
    lane.lend(0, 1, None)
    assert lane.service_ms == SERVICE_MS_START

    for _ in range(200):
        lane.served(0, 1_000)

    assert 950 <= lane.service_ms <= 1_000


def test_a_node_stands_where_its_own_p95_puts_it() -> None:
    lane = Lane()
    lane.lend(0, 1, 1_000)
    assert lane.pool.fastest_bucket() == bucket_of(1_500)

    for _ in range(56):
        lane.served(0, 40)

    assert lane.pool.fastest_bucket() == bucket_of(40)
    lane.pool.check()


def test_a_node_that_lends_nothing_any_more_is_not_moved() -> None:
    lane = Lane()
    lane.lend(0, 1, 1_000)
    lane.pool.withdraw(0)

    for _ in range(56):
        lane.served(0, 40)

    lane.pool.check()
    lane.lend(0, 1, 1_000)
    assert lane.pool.fastest_bucket() == bucket_of(40)


def test_a_restored_lane_is_the_same_lane() -> None:
    lane = Lane()
    for node in range(5):
        lane.lend(node, 2, 100 * (node + 1))
    lane.served(0, 777)
    lane.enqueue(1, None, is_first=False)
    lane.enqueue(2, 3, is_first=False)

    restored = Lane()
    restored.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(lane.snapshot()), type=LaneSnapshot))

    assert restored.snapshot() == lane.snapshot()
    assert restored.service_ms == lane.service_ms
    assert restored.next_pinned(3) == 2
