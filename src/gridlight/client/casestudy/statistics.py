"""Quantiles of small samples of milliseconds, by nearest rank: every figure named is one that was measured."""

from collections.abc import Iterable

from msgspec import Struct


class Spread(Struct, frozen=True):
    """Milliseconds of a few dozen samples; with fewer than 20, `p95` is the largest."""

    p50: int
    p95: int
    max: int


class WideSpread(Struct, frozen=True):
    """Milliseconds of a few hundred samples; with fewer than 100, `p99` is the largest."""

    p50: int
    p95: int
    p99: int
    max: int


def quantile(ordered: list[int], per_cent: int) -> int:
    """The smallest sample that at least `per_cent` of the ordered samples do not exceed."""
    assert ordered
    assert 0 < per_cent <= 100
    rank = -(-len(ordered) * per_cent // 100)
    return ordered[rank - 1]


def spread(samples_ms: Iterable[int]) -> Spread | None:
    """None where there are no samples: absent, never zero."""
    ordered = sorted(samples_ms)
    if not ordered:
        return None
    return Spread(p50=quantile(ordered, 50), p95=quantile(ordered, 95), max=ordered[-1])


def wide_spread(samples_ms: Iterable[int]) -> WideSpread | None:
    """None where there are no samples: absent, never zero."""
    ordered = sorted(samples_ms)
    if not ordered:
        return None
    return WideSpread(p50=quantile(ordered, 50), p95=quantile(ordered, 95), p99=quantile(ordered, 99), max=ordered[-1])
