"""Tables of integers: they follow the distributions that they are named for."""

from math import exp
from statistics import NormalDist

import pytest

from gridlight.simulation.distributions import ENTRIES, chance, exponential, log_normal, normal


def middle(entry: int) -> float:
    return (entry + 0.5) / ENTRIES


@pytest.mark.parametrize("entry", [0, 1, 700, 20_000, 32_767, 32_768, 50_000, 65_535])
def test_a_normal_quantile_is_where_it_belongs(entry: int) -> None:
    assert normal(entry) / 65_536 == pytest.approx(NormalDist().inv_cdf(middle(entry)), abs=0.001)


@pytest.mark.parametrize("entry", [0, 9, 30_000, 32_768, 60_000, 65_535])
def test_a_log_normal_quantile_is_where_it_belongs(entry: int) -> None:
    wanted = 1_000 * exp(0.45 * NormalDist().inv_cdf(middle(entry)))
    assert log_normal(1_000, 450)[entry] == pytest.approx(wanted, rel=0.01)


def test_a_quantity_without_spread_is_always_its_median() -> None:
    assert set(log_normal(8, 0)) <= {7, 8}


def test_an_exponential_quantity_has_its_mean() -> None:
    assert sum(exponential(4_000)) / ENTRIES == pytest.approx(4_000, rel=0.005)


@pytest.mark.parametrize("ppm", [0, 50_000, 500_000, 1_000_000])
def test_a_chance_is_as_large_as_it_says(ppm: int) -> None:
    assert sum(chance(bits, ppm) for bits in range(ENTRIES)) * 1_000_000 / ENTRIES == pytest.approx(ppm, abs=16)
