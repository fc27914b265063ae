"""Randomness as a keyed hash."""

from collections import Counter

import pytest

from gridlight.core import draw as module
from gridlight.core.draw import DRAWS_PER_HASH, draw, draw_many


@pytest.fixture(autouse=True)
def _no_hash_is_kept() -> None:
    """What makes them runs here, whatever ran in this process before."""
    module._seeded.cache_clear()
    module._keyed.cache_clear()


def test_a_draw_depends_on_seed_label_and_numbers_and_on_nothing_else() -> None:
    first = draw(1, "assign", 2, 3)

    assert first == draw(1, "assign", 2, 3)
    assert (
        len({first, draw(2, "assign", 2, 3), draw(1, "audit", 2, 3), draw(1, "assign", 3, 2), draw(1, "assign")}) == 5
    )


def test_numbers_do_not_run_into_each_other() -> None:
    assert draw(1, "assign", 12, 3) != draw(1, "assign", 1, 23)
    assert draw(12, "3") != draw(1, "23")


def test_a_draw_is_known_for_all_time() -> None:
    assert draw(7, "assign", 1, 0) == 0x20C36C5A85C3557B


def test_one_hash_gives_eight_draws_of_64_bits_the_first_being_the_single_one() -> None:
    draws = draw_many(7, "assign", 1)

    assert len(draws) == len(set(draws)) == DRAWS_PER_HASH
    assert all(0 <= one < 2**64 for one in draws)
    assert draws[0] == draw(7, "assign", 1)


def test_draws_fall_evenly() -> None:
    thrown = Counter(draw(7, "die", number) % 6 for number in range(6_000))

    assert set(thrown) == set(range(6))
    assert all(850 <= count <= 1_150 for count in thrown.values())
