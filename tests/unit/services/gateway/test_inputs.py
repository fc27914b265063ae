"""What is kept of others' pictures is bounded in number, in bytes and in time, and only what was allowed is reused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.services.gateway.conftest import Gateway

from gridlight.adapters.signatures import blake3_digest
from gridlight.messages.ids import JobId
from gridlight.services.gateway.inputs import CANARY_MS_MAX, CHECK_MS_MAX, Input, KeptInputs
from gridlight.services.gateway.jobs import new_job_id
from gridlight.services.gateway.metrics import Metrics
from gridlight.workloads.contract import Manifest, catalogue

DAY_MS = 86_400_000
MINUTE_MS = 60_000


@pytest.fixture
def kept() -> KeptInputs:
    return KeptInputs(Metrics("test"), checks_max=3, check_bytes_max=100, canaries_max=3, canary_bytes_max=100)


def an_input(tensor: bytes = b"tensor", *, is_public: bool = False) -> Input:
    manifest: Manifest = next(iter(catalogue().values()))
    return Input(blake3_digest(tensor), manifest, tensor, is_public)


def keep(
    kept: KeptInputs, now_ms: int = 0, *, of: Input | None = None, keep_ms: int = 1_000, is_canary: bool = False
) -> JobId:
    job_id = new_job_id()
    kept.keep(now_ms, job_id, of or an_input(), keep_ms=keep_ms, is_canary=is_canary)
    return job_id


def test_an_input_is_there_until_its_time_is_over(kept: KeptInputs) -> None:
    of = an_input()
    job_id = keep(kept, 5_000, of=of, keep_ms=1_000)

    assert kept.find(5_999, job_id) is of
    assert kept.find(6_000, job_id) is None


def test_an_input_drawn_for_a_check_is_never_kept_for_more_than_a_minute(kept: KeptInputs) -> None:
    job_id = keep(kept, keep_ms=DAY_MS)
    kept.keep(CHECK_MS_MAX - 1, job_id, None, keep_ms=DAY_MS, is_canary=False)

    assert kept.find(CHECK_MS_MAX - 1, job_id) is not None
    assert kept.find(CHECK_MS_MAX, job_id) is None
    assert CHECK_MS_MAX < MINUTE_MS


def test_a_canary_is_kept_for_three_days_at_most(kept: KeptInputs) -> None:
    job_id = keep(kept, of=an_input(is_public=True), keep_ms=30 * DAY_MS, is_canary=True)

    assert kept.find(3 * DAY_MS - 1, job_id) is not None
    assert kept.find(3 * DAY_MS, job_id) is None
    assert CANARY_MS_MAX == 3 * DAY_MS


def test_what_was_not_given_for_reuse_is_never_kept_as_a_canary(kept: KeptInputs) -> None:
    job_id = keep(kept, of=an_input(is_public=False), keep_ms=DAY_MS, is_canary=True)

    assert len(kept.canaries) == 0
    assert kept.find(MINUTE_MS, job_id) is None


def test_a_kept_input_becomes_a_canary_although_its_job_is_closed(kept: KeptInputs) -> None:
    job_id = keep(kept, of=an_input(is_public=True))

    kept.keep(500, job_id, None, keep_ms=DAY_MS, is_canary=True)

    assert kept.find(DAY_MS, job_id) is not None
    assert (len(kept.checks), len(kept.canaries)) == (0, 1)


def test_a_canary_stays_one_when_it_is_drawn_for_a_check(kept: KeptInputs) -> None:
    job_id = keep(kept, of=an_input(is_public=True), keep_ms=DAY_MS, is_canary=True)

    kept.keep(500, job_id, None, keep_ms=1_000, is_canary=False)

    assert kept.find(DAY_MS - 1, job_id) is not None
    assert (len(kept.checks), len(kept.canaries)) == (0, 1)


def test_an_input_that_is_gone_is_not_kept(kept: KeptInputs) -> None:
    job_id = new_job_id()
    kept.keep(0, job_id, None, keep_ms=1_000, is_canary=False)

    assert kept.find(0, job_id) is None


@pytest.mark.parametrize("is_canary", [False, True])
def test_a_released_input_is_let_go(kept: KeptInputs, is_canary: bool) -> None:
    job_id = keep(kept, of=an_input(is_public=True), is_canary=is_canary)

    kept.release(job_id)
    kept.release(job_id)

    assert kept.find(0, job_id) is None
    assert kept.checks.bytes == kept.canaries.bytes == 0


@pytest.mark.parametrize("is_canary", [False, True])
def test_the_oldest_make_way(kept: KeptInputs, is_canary: bool) -> None:
    small, large = an_input(b"x", is_public=True), an_input(b"x" * 99, is_public=True)
    few = [keep(kept, of=small, is_canary=is_canary) for _ in range(4)]
    assert [kept.find(0, job_id) is not None for job_id in few] == [False, True, True, True]

    latest = keep(kept, of=large, is_canary=is_canary)

    assert [kept.find(0, job_id) is not None for job_id in few] == [False, False, False, True]
    assert kept.find(0, latest) is large


def test_checks_and_canaries_do_not_take_each_others_room(kept: KeptInputs) -> None:
    canary = keep(kept, of=an_input(is_public=True), is_canary=True, keep_ms=DAY_MS)
    for _ in range(10):
        keep(kept)

    assert kept.find(0, canary) is not None


def test_an_input_too_large_for_its_pool_is_not_kept(kept: KeptInputs) -> None:
    job_id = keep(kept, of=an_input(b"x" * 101))

    assert kept.find(0, job_id) is None
    assert kept.checks.bytes == 0


def test_expired_inputs_are_let_go_although_nobody_asks(kept: KeptInputs) -> None:
    keep(kept, keep_ms=1_000)
    keep(kept, keep_ms=2_000)

    kept.expire(1_000)

    assert len(kept.checks) == 1
    assert kept.checks.bytes == len(b"tensor")


async def test_how_many_are_kept_is_told_to_scrapers(gateway: Gateway) -> None:
    job_id = gateway.open_job()
    gateway.inputs.keep(0, job_id, gateway.jobs.input(job_id), keep_ms=1_000, is_canary=False)

    assert gateway.metrics.registry.get_sample_value("gridlight_inputs_kept", {"kind": "check"}) == 1
    assert gateway.metrics.registry.get_sample_value("gridlight_inputs_kept", {"kind": "canary"}) == 0


JOBS = [new_job_id() for _ in range(6)]
STEPS = st.one_of(
    st.tuples(st.just("keep"), st.sampled_from(JOBS), st.integers(0, 200_000), st.booleans(), st.booleans()),
    st.tuples(st.just("release"), st.sampled_from(JOBS), st.just(0), st.just(False), st.just(False)),
    st.tuples(st.just("wait"), st.sampled_from(JOBS), st.integers(0, 100_000), st.just(False), st.just(False)),
)


@settings(deadline=None, derandomize=True)
@given(st.lists(STEPS, max_size=40), st.lists(st.integers(0, 60), min_size=6, max_size=6), st.integers(0, 5))
def test_whatever_is_asked_bounds_hold_and_private_inputs_go_within_a_minute(
    steps: list[tuple[str, JobId, int, bool, bool]], sizes: list[int], public: int
) -> None:
    kept = KeptInputs(Metrics("test"), checks_max=3, check_bytes_max=100, canaries_max=2, canary_bytes_max=80)
    inputs = {
        job_id: an_input(bytes(size), is_public=row < public)
        for row, (job_id, size) in enumerate(zip(JOBS, sizes, strict=True))
    }
    now_ms = 0
    given_ms: dict[JobId, int] = {}
    for verb, job_id, number, is_canary, is_open in steps:
        if verb == "keep":
            if kept.find(now_ms, job_id) is None and is_open:
                given_ms[job_id] = now_ms
            kept.keep(now_ms, job_id, inputs[job_id] if is_open else None, keep_ms=number, is_canary=is_canary)
        elif verb == "release":
            kept.release(job_id)
            assert kept.find(now_ms, job_id) is None
        else:
            now_ms += number
            kept.expire(now_ms)

        for pool, inputs_max, bytes_max in ((kept.checks, 3, 100), (kept.canaries, 2, 80)):
            here = [one for one in JOBS if pool.find(one) is not None]
            assert len(here) == len(pool) <= inputs_max
            assert sum(len(inputs[one].tensor) for one in here) == pool.bytes <= bytes_max
        for one in JOBS:
            assert kept.checks.find(one) is None or kept.canaries.find(one) is None
            if kept.find(now_ms, one) is None:
                continue
            assert kept.find(now_ms, one) is inputs[one]
            if not inputs[one].is_public:
                assert now_ms - given_ms[one] < MINUTE_MS
