"""Pools: choosing is uniform among free nodes of a tier, and all bookkeeping is by swap-removal."""

import random
from collections import Counter
from collections.abc import Collection, Iterable

import pytest

from gridlight.core.latency import BUCKET_LAST
from gridlight.core.pools import ELIGIBLE_MIN, Pool, SkipReason
from gridlight.core.shelf import TRIES_MAX, Fitness

FAST, SLOW = 20, 40


class Screen:
    """Lets nobody have a task twice, and some only where nobody else is found."""

    def __init__(self, tried: tuple[int, ...] = (), *, thinned: Collection[int] = ()) -> None:
        self.reasons: dict[SkipReason, int] = {}
        self._tried = tried
        self._thinned = thinned

    def fitness(self, node: int) -> Fitness:
        """Asked of each node that is drawn."""
        if node in self._tried:
            self.reasons[SkipReason.TRIED_BEFORE] = self.reasons.get(SkipReason.TRIED_BEFORE, 0) + 1
            return Fitness.UNFIT
        return Fitness.THINNED if node in self._thinned else Fitness.FIT


def pool_of(count: int, *, slots: int = 1, bucket: int = FAST) -> Pool:
    """Equal nodes, numbered from 0."""
    pool = Pool()
    for node in range(count):
        pool.lend(node, slots, bucket)
    pool.check()
    return pool


def choices(pool: Pool, draws: Iterable[int], *, limit: int = BUCKET_LAST, tried: tuple[int, ...] = ()) -> Counter[int]:
    """How often each node is chosen."""
    chosen = [pool.choose(draw, limit, Screen(tried)) for draw in draws]
    return Counter(node for node in chosen if node is not None)


@pytest.mark.parametrize("count", [1, 3, TRIES_MAX, TRIES_MAX + 1, 1_000])
def test_each_free_node_is_as_likely_as_any_other(count: int) -> None:
    pool = pool_of(count)

    chosen = choices(pool, range(5 * count))

    assert chosen == Counter(dict.fromkeys(range(count), 5))


def test_nodes_of_different_speeds_within_the_tier_are_as_likely() -> None:
    pool = Pool()
    for node in range(60):
        pool.lend(node, 1, (0, FAST, BUCKET_LAST)[node % 3])

    chosen = choices(pool, range(120))

    assert chosen == Counter(dict.fromkeys(range(60), 2))


def test_the_tier_is_a_limit() -> None:
    pool = Pool()
    for node in range(40):
        pool.lend(node, 1, FAST if node % 2 else SLOW)

    chosen = choices(pool, range(100), limit=SLOW - 1)

    assert set(chosen) == set(range(1, 40, 2))


@pytest.mark.parametrize("count", [4, TRIES_MAX, 100])
def test_nodes_that_were_tried_are_never_chosen(count: int) -> None:
    pool = pool_of(count)
    tried = (0, 1, 2)

    chosen = choices(pool, range(4 * count), tried=tried)

    assert set(chosen) == set(range(3, count))
    assert sum(chosen.values()) == 4 * count


def test_among_few_free_nodes_the_one_that_was_not_tried_is_always_found() -> None:
    pool = pool_of(6)

    assert set(choices(pool, range(100), tried=(0, 1, 2, 4, 5))) == {3}


def test_where_all_free_nodes_were_tried_nobody_is_chosen() -> None:
    pool = pool_of(3)

    assert pool.choose(7, BUCKET_LAST, Screen((2, 1, 0))) is None
    assert pool.skipped[SkipReason.TRIED_BEFORE] == 3


@pytest.mark.parametrize("count", [6, 30, 200])
def test_who_stands_behind_unfit_nodes_is_no_likelier_than_others(count: int) -> None:
    """Chi-square over the fit half, at a level that one in a million honest runs would pass."""
    pool, draws = pool_of(count), random.Random(3)
    fit = range(count // 2, count)

    chosen = choices(pool, (draws.getrandbits(64) for _ in range(100 * count)), tried=tuple(range(count // 2)))

    assert set(chosen) == set(fit)
    expected = 200
    chi_square = sum((chosen[node] - expected) ** 2 / expected for node in fit)
    degrees = len(fit) - 1
    assert chi_square < degrees + 4.8 * (2 * degrees) ** 0.5 + 15


def test_a_thinned_node_is_chosen_only_where_nobody_else_is_found() -> None:
    pool = pool_of(5)

    assert {pool.choose(draw, BUCKET_LAST, Screen(thinned=(0, 1, 2, 4))) for draw in range(50)} == {3}
    assert pool.choose(0, BUCKET_LAST, Screen((3,), thinned=(0, 1, 2, 4))) in (0, 1, 2, 4)


def test_an_empty_pool_has_nobody_to_choose() -> None:
    assert Pool().choose(7, BUCKET_LAST, Screen()) is None


def test_each_node_that_was_not_chosen_adds_to_a_reason() -> None:
    pool = Pool()
    for node in range(4):
        pool.lend(node, 1, FAST)
    pool.lend(4, 1, SLOW)
    pool.take(0)
    pool.take(4)

    assert pool.choose(0, FAST, Screen((1, 2))) == 3

    assert pool.skipped[SkipReason.BUSY] == 1
    assert pool.skipped[SkipReason.TOO_SLOW] == 1
    skipped = pool.skipped[SkipReason.TRIED_BEFORE] + pool.skipped[SkipReason.NOT_DRAWN]
    assert skipped == 2


def test_a_tier_with_too_few_nodes_is_widened_to_all() -> None:
    pool = pool_of(ELIGIBLE_MIN - 1)
    pool.lend(ELIGIBLE_MIN - 1, 1, SLOW)
    assert pool.limit_for(FAST) == BUCKET_LAST

    pool.lend(ELIGIBLE_MIN, 1, FAST)

    assert pool.limit_for(FAST) == FAST


def test_busy_nodes_count_towards_their_tier() -> None:
    pool = pool_of(ELIGIBLE_MIN)
    for node in range(ELIGIBLE_MIN):
        pool.take(node)

    assert pool.limit_for(FAST) == FAST


def test_the_fastest_bucket_is_that_of_a_node_online_busy_or_not() -> None:
    pool = Pool()
    pool.lend(0, 1, SLOW)
    pool.lend(1, 1, FAST)
    pool.take(1)
    assert pool.fastest_bucket() == FAST

    pool.withdraw(1)

    assert pool.fastest_bucket() == SLOW


def test_a_node_whose_slots_are_all_leased_is_not_free() -> None:
    pool = pool_of(1, slots=2)
    pool.take(0)
    assert pool.is_free(0)
    pool.take(0)

    assert not pool.is_free(0)
    assert pool.has(0)
    assert pool.free_total == 0
    with pytest.raises(AssertionError):
        pool.take(0)
    pool.give_back(0)
    assert pool.is_free(0)
    pool.check()


def test_what_was_not_leased_cannot_be_given_back() -> None:
    with pytest.raises(AssertionError):
        pool_of(1).give_back(0)


def test_an_unknown_node_is_not_there_and_may_leave() -> None:
    pool = pool_of(1)

    pool.withdraw(99)

    assert not pool.has(99)
    assert not pool.is_free(99)


def test_a_small_change_of_speed_leaves_a_node_where_it_is() -> None:
    pool = pool_of(1)

    pool.move(0, FAST + 1)
    assert pool.fastest_bucket() == FAST
    pool.move(0, FAST + 2)

    assert pool.fastest_bucket() == FAST + 2
    pool.check()


def test_a_busy_node_keeps_its_leases_when_its_speed_changes() -> None:
    pool = pool_of(1)
    pool.take(0)

    pool.move(0, SLOW)

    assert not pool.is_free(0)
    assert pool.fastest_bucket() == SLOW
    pool.check()


def test_clearing_takes_everybody_out() -> None:
    pool = pool_of(5)
    pool.take(2)

    pool.clear()

    pool.check()
    assert (pool.online_total, pool.slots_total, pool.free_total) == (0, 0, 0)


def test_any_order_of_moves_leaves_lists_and_counts_true() -> None:
    pool = Pool()
    moves = random.Random(11)
    used = [0] * 30
    for _ in range(3_000):
        node = moves.randrange(30)
        match moves.randrange(5):
            case 0:
                pool.lend(node, moves.randrange(4), moves.randrange(64))
            case 1 if pool.is_free(node):
                pool.take(node)
                used[node] += 1
            case 2 if used[node]:
                pool.give_back(node)
                used[node] -= 1
            case 3:
                pool.withdraw(node)
                used[node] = 0
            case 4 if pool.has(node):
                pool.move(node, moves.randrange(64))
        pool.check()


def test_a_restored_pool_chooses_as_the_first_one_would() -> None:
    pool = Pool()
    moves = random.Random(5)
    for node in range(100):
        pool.lend(node, moves.randrange(3), moves.randrange(64))
    for node in range(0, 100, 3):
        if pool.is_free(node):
            pool.take(node)
        else:
            pool.withdraw(node)
    pool.choose(1, SLOW, Screen())

    restored = Pool()
    restored.restore(pool.snapshot())

    restored.check()
    assert restored.snapshot() == pool.snapshot()
    assert (restored.online, restored.slots_total) == (pool.online, pool.slots_total)
    assert [restored.choose(draw, SLOW, Screen((4,))) for draw in range(99)] == [
        pool.choose(draw, SLOW, Screen((4,))) for draw in range(99)
    ]


def test_a_node_holds_a_task_in_readiness_only_where_nobody_is_idle() -> None:
    pool = Pool()
    for node in range(2):
        pool.lend(node, 1, FAST, 1)
    taken = []
    for draw in range(4):
        chosen = pool.choose(draw, BUCKET_LAST, Screen())
        assert chosen is not None
        pool.take(chosen)
        pool.check()
        taken.append(chosen)

    assert sorted(taken[:2]) == [0, 1]
    assert sorted(taken[2:]) == [0, 1]
    assert pool.choose(0, BUCKET_LAST, Screen()) is None
    assert pool.slots_total == 2


def test_only_an_idle_node_is_chosen_where_waiting_would_gain_nothing() -> None:
    pool = Pool()
    pool.lend(0, 1, FAST, 1)
    pool.take(0)

    assert pool.choose(0, BUCKET_LAST, Screen(), only_idle=True) is None
    assert pool.choose(0, BUCKET_LAST, Screen()) == 0


def test_a_restored_pool_holds_in_readiness_what_it_held() -> None:
    pool = Pool()
    pool.lend(0, 1, FAST, 1)
    pool.take(0)
    restored = Pool()
    restored.restore(pool.snapshot())
    restored.check()

    restored.take(0)

    assert not restored.is_free(0)
