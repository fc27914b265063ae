"""A lane: who waits, for whom, and what a task takes here of late."""

import msgspec

from gridlight.core.lanes import SERVICE_MS_START, Lane, LaneSnapshot
from gridlight.core.latency import bucket_of
from gridlight.core.notices import NOBODY, NodeKnown
from gridlight.core.resting import Resting
from gridlight.core.roster import MILLION, Roster
from gridlight.messages.ids import NodeId
from gridlight.messages.trust import Assurance, Tier


def new_lane(*trusted: int) -> Lane:
    """A lane for ten nodes, newcomers but for these."""
    roster = Roster()
    for node in range(10):
        roster.know(NodeKnown(node, NodeId(f"U{node}"), operator=node, prefix=NOBODY, endorsed=None))
        roster.set_tier(node, Tier.TRUSTED if node in trusted else Tier.SHADOW)
    return Lane(roster, Resting())


def test_tasks_wait_in_order_but_one_that_was_begun_goes_first() -> None:
    lane = new_lane()
    lane.enqueue(1, None, is_first=False)
    lane.enqueue(2, None, is_first=False)

    lane.enqueue(3, None, is_first=True)

    assert list(lane.waiting) == [3, 1, 2]


def test_tasks_for_one_node_wait_apart() -> None:
    lane = new_lane()
    lane.enqueue(1, 7, is_first=False)
    lane.enqueue(2, 7, is_first=False)
    lane.enqueue(3, 8, is_first=False)

    assert lane.pinned_waiting(7) == 2
    assert [lane.next_pinned(7), lane.next_pinned(7), lane.next_pinned(7)] == [1, 2, None]
    assert (lane.pinned_waiting(7), lane.pinned_waiting(8)) == (0, 1)
    assert not lane.waiting


def test_the_mean_service_time_follows_what_is_seen() -> None:
    lane = new_lane()
    lane.lend(0, 1, None, now_ms=0)
    assert lane.service_ms == SERVICE_MS_START

    for _ in range(200):
        lane.served(0, 1_000)

    assert 950 <= lane.service_ms <= 1_000


def test_a_node_stands_where_its_own_p95_puts_it() -> None:
    lane = new_lane()
    lane.lend(0, 1, 1_000, now_ms=0)
    assert lane.shadows.fastest_bucket() == bucket_of(1_500)

    for _ in range(56):
        lane.served(0, 40)

    assert lane.shadows.fastest_bucket() == bucket_of(40)
    lane.shadows.check()


def test_a_node_that_lends_nothing_any_more_is_not_moved() -> None:
    lane = new_lane()
    lane.lend(0, 1, 1_000, now_ms=0)
    lane.shadows.withdraw(0)

    for _ in range(56):
        lane.served(0, 40)

    lane.shadows.check()
    lane.lend(0, 1, 1_000, now_ms=0)
    assert lane.shadows.fastest_bucket() == bucket_of(40)


def test_a_restored_lane_is_the_same_lane() -> None:
    lane = new_lane()
    for node in range(5):
        lane.lend(node, 2, 100 * (node + 1), now_ms=0)
    lane.served(0, 777)
    lane.enqueue(1, None, is_first=False)
    lane.enqueue(2, 3, is_first=False)

    restored = new_lane()
    restored.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(lane.snapshot()), type=LaneSnapshot))

    assert restored.snapshot() == lane.snapshot()
    assert restored.service_ms == lane.service_ms
    assert restored.next_pinned(3) == 2


def test_a_node_stands_in_the_pool_of_its_tier() -> None:
    lane = new_lane(1)
    lane.lend(1, 2, 100, now_ms=0)
    lane.lend(2, 3, 100, now_ms=0)

    assert lane.pool_of(1) is lane.trusted
    assert lane.pool_of(2) is lane.shadows
    assert (lane.trusted.slots_total, lane.shadows.slots_total, lane.slots_total) == (2, 3, 5)


def test_newcomers_serve_only_who_wants_no_assurance_where_nobody_is_trusted() -> None:
    lane = new_lane(1)
    lane.lend(2, 1, 100, now_ms=0)
    assert [lane.serving(assurance) is lane.shadows for assurance in Assurance] == [True, False, False, False]

    lane.lend(1, 1, 100, now_ms=0)

    assert all(lane.serving(assurance) is lane.trusted for assurance in Assurance)


def test_a_node_of_another_tier_keeps_what_it_lends_and_what_is_leased_on_it() -> None:
    lane = new_lane()
    lane.lend(2, 1, 100, lookahead=1, now_ms=0)
    lane.shadows.take(2)

    lane.change_tier(2, Tier.SHADOW, Tier.TRUSTED)
    lane.change_tier(3, Tier.SHADOW, Tier.TRUSTED)

    assert not lane.shadows.has(2)
    assert (lane.trusted.online_total, lane.trusted.slots_total, lane.trusted.free_total) == (1, 1, 1)
    lane.trusted.take(2)
    assert not lane.trusted.is_free(2)
    lane.shadows.check()
    lane.trusted.check()


def shadow_runs(lane: Lane, tasks: int, *, share_ppm: int, runs_max: int) -> int:
    """How many newcomers may run in the course of so many tasks, one taken whenever there is one."""
    runs = 0
    for _ in range(tasks):
        lane.gain_shadow_run(share_ppm, runs_max)
        runs += lane.spend_shadow_run()
    return runs


def test_newcomers_run_their_share_of_all_tasks_and_no_more() -> None:
    lane = new_lane(*range(4))
    for node in range(8):
        lane.lend(node, 1, 100, now_ms=0)

    assert shadow_runs(lane, 1_000, share_ppm=50_000, runs_max=4) == 50


def test_few_newcomers_run_no_more_each_than_a_trusted_node_does() -> None:
    lane = new_lane(*range(8))
    for node in range(9):
        lane.lend(node, 1, 100, now_ms=0)

    assert shadow_runs(lane, 1_000, share_ppm=500_000, runs_max=4) == 1_000 // 8


def test_shadow_runs_that_nobody_took_are_saved_up_to_a_bound() -> None:
    lane = new_lane()
    lane.lend(0, 1, 100, now_ms=0)
    for _ in range(100):
        lane.gain_shadow_run(MILLION, 4)

    assert [lane.spend_shadow_run() for _ in range(5)] == [True, True, True, True, False]
