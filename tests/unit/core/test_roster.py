"""The roster: who may have a task, uniformly over operators, and nobody more than its share."""

from collections import Counter
from random import Random

import msgspec
import pytest
from tests.unit.core.world import node_id

from gridlight.core.latency import BUCKET_LAST
from gridlight.core.notices import NOBODY, NodeKnown
from gridlight.core.pools import Pool, SkipReason
from gridlight.core.roster import HOUR_MS, Roster, RosterSnapshot
from gridlight.core.shelf import Fitness
from gridlight.messages.trust import Tier


def roster_of(*operators: int, prefixes: tuple[int, ...] = ()) -> Roster:
    """Nodes 0, 1, ... of these operators, all lending."""
    roster = Roster()
    for node, operator in enumerate(operators):
        prefix = prefixes[node] if prefixes else NOBODY
        roster.know(NodeKnown(node, node_id(node + 1), operator, prefix, endorsed=None))
        roster.set_lending(node, is_lending=True)
    return roster


def fit_nodes(roster: Roster, others: tuple[int, ...], *, is_check: bool = True) -> tuple[list[int], set[SkipReason]]:
    """Who may have what these nodes had, and why others may not."""
    screen = roster.screen_for_check(1, others) if is_check else roster.screen(1, others)
    nodes = range(len(roster.node_ids))
    return [node for node in nodes if screen.fitness(node) is not Fitness.UNFIT], set(screen.reasons)


def test_a_task_goes_to_no_node_twice_but_to_another_of_its_operator() -> None:
    assert fit_nodes(roster_of(0, 0, 1), (0,), is_check=False) == ([1, 2], {SkipReason.TRIED_BEFORE})


def test_a_check_goes_to_another_operator() -> None:
    roster = roster_of(0, 0, 1, 2)

    assert fit_nodes(roster, (0,)) == ([2, 3], {SkipReason.TRIED_BEFORE, SkipReason.SAME_OPERATOR})
    assert fit_nodes(roster, (1, 2, NOBODY))[0] == [3]


def test_a_check_goes_to_another_prefix_where_that_counts() -> None:
    roster = roster_of(0, 1, 2, 3, prefixes=(7, 7, 8, NOBODY))
    assert fit_nodes(roster, (0,))[0] == [1, 2, 3]

    roster.are_prefixes_distinct = True

    assert fit_nodes(roster, (0,)) == ([2, 3], {SkipReason.TRIED_BEFORE, SkipReason.SAME_PREFIX})


def test_an_unknown_prefix_differs_from_every_other() -> None:
    roster = roster_of(0, 1, 2, prefixes=(NOBODY, NOBODY, 8))
    roster.are_prefixes_distinct = True

    assert fit_nodes(roster, (0,))[0] == [1, 2]


def test_a_node_that_enrols_again_is_judged_by_its_new_operator_and_prefix() -> None:
    roster = roster_of(0, 1, 2, prefixes=(1, 2, 3))
    roster.are_prefixes_distinct = True
    roster.know(NodeKnown(1, node_id(2), operator=0, prefix=2, endorsed=None))
    roster.know(NodeKnown(2, node_id(3), operator=2, prefix=1, endorsed=None))

    assert fit_nodes(roster, (0,))[0] == []


def share_of_operators(roster: Roster, draws: int, *, seed: int = 1) -> Counter[int]:
    """How often each operator is drawn for a check, from a pool of all nodes."""
    pool, random, drawn = Pool(), Random(seed), Counter[int]()
    for node in roster.node_ids:
        pool.lend(node, 1, 10)
    for _ in range(draws):
        draw = random.getrandbits(64)
        chosen = pool.choose(draw, BUCKET_LAST, roster.screen_for_check(draw, ()))
        assert chosen is not None
        drawn[roster.operators[chosen]] += 1
    return drawn


@pytest.mark.parametrize(
    "nodes",
    [[1] * 7, [3] * 7, [8, 1, 1, 1, 1, 1, 1, 1, 1], [5, 1, 3, 1, 1, 2, 7, 1, 1, 4], [20, *[1] * 30], [60, *[2] * 60]],
)
def test_who_is_drawn_is_uniform_over_operators_however_many_nodes_each_has(nodes: list[int]) -> None:
    """S3: chi-square over operators, passed by chance all but once in a thousand."""
    roster = roster_of(*(operator for operator, count in enumerate(nodes) for _ in range(count)))
    draws = 100 * len(nodes)

    drawn = share_of_operators(roster, draws)

    chi_square = sum((drawn[operator] - 100) ** 2 / 100 for operator in range(len(nodes)))
    degrees = len(nodes) - 1
    # Wilson and Hilferty's approximation of the quantile at 0.999.
    limit = degrees * (1 - 2 / (9 * degrees) + 3.09 * (2 / (9 * degrees)) ** 0.5) ** 3
    assert chi_square < limit


def test_only_nodes_that_lend_count_for_how_many_an_operator_has() -> None:
    roster = roster_of(0, 0, 0, 0, 1)
    for node in (1, 2, 3):
        roster.set_lending(node, is_lending=False)
        roster.set_lending(node, is_lending=False)

    screens = [roster.screen_for_check(draw, ()) for draw in range(200)]

    assert {screen.fitness(0) for screen in screens} == {Fitness.FIT}


def test_a_node_whose_operator_has_several_is_thinned_in_proportion() -> None:
    roster = roster_of(0, 0, 0, 0, 1)
    random = Random(4)

    screens = [roster.screen_for_check(random.getrandbits(64), ()) for _ in range(4_000)]

    fit = sum(screen.fitness(0) is Fitness.FIT for screen in screens)
    assert 900 < fit < 1_100


def test_after_a_lost_bus_nobody_lends_until_it_says_so_again() -> None:
    roster = roster_of(0, 0, 1)
    roster.nobody_lends()
    roster.set_lending(0, is_lending=True)

    assert roster.screen_for_check(0, ()).fitness(0) is Fitness.FIT
    assert roster.snapshot().lending == bytes([1, 0, 0])


# Shares

SHARE_PPM = 100_000


def capped(operators: int) -> Roster:
    """A tenth of an hour's tasks for each operator, who has one node."""
    roster = roster_of(*range(operators))
    roster.share_ppm = SHARE_PPM
    return roster


def test_no_operator_gets_more_than_its_share_of_an_hour_and_one_task() -> None:
    roster, random, given = capped(20), Random(2), Counter[int]()
    for total in range(500):
        # Whoever may have it, and the first few whenever they may.
        may = [node for node in range(20) if not roster.is_over_share(node)]
        node = may[0] if random.random() < 0.7 else random.choice(may)
        roster.give(HOUR_MS, node)
        given[node] += 1
        assert max(given.values()) * 1_000_000 <= (total + 1) * SHARE_PPM + 1_000_000

    assert given[0] >= 49


def test_a_new_hour_begins_at_nothing() -> None:
    roster = capped(20)
    roster.give(HOUR_MS, 0)
    assert fit_nodes(roster, (), is_check=False) == (list(range(1, 20)), {SkipReason.OVER_SHARE})

    roster.give(2 * HOUR_MS, 1)

    assert not roster.is_over_share(0)
    assert roster.is_over_share(1)


def test_where_few_operators_lend_there_is_no_cap() -> None:
    roster = capped(20)
    roster.give(HOUR_MS, 0)
    assert roster.is_over_share(0)

    roster.set_lending(19, is_lending=False)

    assert not roster.is_over_share(0)


def test_a_share_of_nothing_sets_no_cap() -> None:
    roster = capped(20)
    roster.share_ppm = 0
    roster.give(HOUR_MS, 0)

    assert not roster.is_over_share(0)
    assert roster.snapshot().given == {}


def test_a_restored_roster_is_the_same_roster() -> None:
    roster = capped(25)
    roster.set_tier(3, Tier.BANNED)
    roster.set_lending(4, is_lending=False)
    for node in (0, 0, 1):
        roster.give(HOUR_MS, node)

    restored = Roster()
    restored.share_ppm = SHARE_PPM
    snapshot = msgspec.msgpack.encode(roster.snapshot())
    restored.restore(msgspec.msgpack.decode(snapshot, type=RosterSnapshot))

    assert msgspec.msgpack.encode(restored.snapshot()) == snapshot
    assert (restored.node_index, restored.tier_of(3)) == (roster.node_index, Tier.BANNED)
    assert fit_nodes(restored, (1,)) == fit_nodes(roster, (1,))
    assert [restored.is_over_share(node) for node in range(25)] == [roster.is_over_share(node) for node in range(25)]
