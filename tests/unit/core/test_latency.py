"""The latency sketch against a plain reference: right within a bucket, and what is old fades."""

import random

import pytest

from gridlight.core.latency import (
    BOUNDS_MS,
    BUCKET_LAST,
    BUCKETS,
    PRIOR_P99_MS_DEFAULT,
    SAMPLES_MIN,
    Latency,
    bucket_of,
)


def learned(samples: list[int]) -> Latency:
    """One node's service times."""
    latency = Latency()
    latency.admit(0, None)
    for ms in samples:
        latency.add(0, ms)
    return latency


def plain_quantile_ms(samples: list[int], permille: int) -> int:
    """The smallest sample that at least this share of all samples does not exceed."""
    ordered = sorted(samples)
    above = len(ordered) * (1000 - permille) // 1000
    return ordered[len(ordered) - 1 - above]


def test_the_buckets_are_eight_an_octave_from_16_ms() -> None:
    assert len(BOUNDS_MS) == BUCKETS
    assert BOUNDS_MS[0] == 16
    assert all(
        BOUNDS_MS[i + 8] // 2 == BOUNDS_MS[i] or BOUNDS_MS[i + 8] == 2 * BOUNDS_MS[i] for i in range(BUCKETS - 8)
    )
    assert list(BOUNDS_MS) == sorted(set(BOUNDS_MS))


@pytest.mark.parametrize(("ms", "bucket"), [(0, 0), (16, 0), (17, 1), (32, 8), (33, 9), (10_000_000, BUCKET_LAST)])
def test_a_time_belongs_to_the_first_bucket_whose_bound_it_does_not_pass(ms: int, bucket: int) -> None:
    assert bucket_of(ms) == bucket


@pytest.mark.parametrize("seed", range(10))
def test_quantiles_are_those_of_the_samples_to_within_a_bucket(seed: int) -> None:
    draws = random.Random(seed)
    count = draws.choice([56, 80, 200, 240])
    samples = [int(draws.lognormvariate(5.5, 0.25)) for _ in range(count)]

    latency = learned(samples)

    assert latency.p95_ms(0) == BOUNDS_MS[bucket_of(plain_quantile_ms(samples, 950))]
    assert latency.p99_ms(0) == BOUNDS_MS[bucket_of(plain_quantile_ms(samples, 990))]


def test_quantiles_hold_when_samples_fall_far_apart() -> None:
    samples = [20] * 90 + [5_000] * 10

    latency = learned([*samples, 20, 20, 20, 20])

    assert latency.p95_ms(0) == BOUNDS_MS[bucket_of(5_000)]


def test_a_full_counter_halves_all_and_keeps_their_proportions() -> None:
    samples = ([100] * 19 + [1_000]) * 30

    latency = learned(samples)

    assert latency.p95_ms(0) in (BOUNDS_MS[bucket_of(100)], BOUNDS_MS[bucket_of(1_000)])
    assert latency.p99_ms(0) == BOUNDS_MS[bucket_of(1_000)]
    (sketch,) = latency.snapshot()[0].values()
    assert max(sketch) <= 255
    assert 18 <= sketch[bucket_of(100)] / sketch[bucket_of(1_000)] <= 22


def test_a_node_that_became_fast_is_known_as_fast() -> None:
    latency = learned([3_000] * 200)
    assert latency.p99_ms(0) == BOUNDS_MS[bucket_of(3_000)]

    for _ in range(5_000):
        latency.add(0, 50)

    assert latency.p99_ms(0) == BOUNDS_MS[bucket_of(50)]


def test_until_enough_samples_the_prior_stands() -> None:
    latency = Latency()
    latency.admit(0, 200)
    assert (latency.p95_ms(0), latency.p99_ms(0)) == (300, 360)

    recomputed = [latency.add(0, 20) for _ in range(SAMPLES_MIN - 1)]

    assert not any(recomputed)
    assert (latency.p95_ms(0), latency.p99_ms(0)) == (300, 360)


def test_without_a_benchmark_the_prior_is_two_seconds() -> None:
    latency = Latency()

    latency.admit(3, None)

    assert latency.p99_ms(3) == latency.p99_ms(0) == PRIOR_P99_MS_DEFAULT == 2_000


def test_quantiles_are_computed_anew_each_eighth_sample() -> None:
    latency = Latency()
    latency.admit(0, 200)

    recomputed = [count for count in range(1, 81) if latency.add(0, 20)]

    assert recomputed == [56, 64, 72, 80]


def test_a_new_benchmark_changes_the_prior_of_a_newcomer_only() -> None:
    latency = learned([20] * 56)
    latency.admit(1, 100)

    latency.admit(0, 1_000)
    latency.admit(1, 1_000)

    assert latency.p99_ms(0) == BOUNDS_MS[bucket_of(20)]
    assert latency.p99_ms(1) == 1_800


def test_a_restored_sketch_goes_on_counting() -> None:
    latency = learned([20] * 55)
    restored = Latency()
    restored.restore(latency.snapshot())

    assert restored.add(0, 20) is latency.add(0, 20) is True
    assert restored.snapshot() == latency.snapshot()
