"""Quantiles by nearest rank."""

import pytest

from gridlight.client.casestudy.statistics import Spread, WideSpread, quantile, spread, wide_spread


@pytest.mark.parametrize(
    ("per_cent", "expected"),
    [(1, 1), (50, 50), (95, 95), (99, 99), (100, 100)],
)
def test_of_a_hundred_samples_each_per_cent_is_one_sample(per_cent: int, expected: int) -> None:
    assert quantile(list(range(1, 101)), per_cent) == expected


def test_a_quantile_is_always_one_of_the_samples() -> None:
    assert quantile([10, 20, 30], 50) == 20
    assert quantile([10, 20], 50) == 10
    assert quantile([7], 1) == 7


def test_samples_need_not_be_in_order() -> None:
    assert spread([30, 10, 20]) == Spread(p50=20, p95=30, max=30)
    assert wide_spread(range(1000, 0, -1)) == WideSpread(p50=500, p95=950, p99=990, max=1000)


def test_no_samples_have_no_spread() -> None:
    assert spread([]) is None
    assert wide_spread([]) is None
