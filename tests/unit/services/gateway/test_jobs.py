import re

import pytest
from tests.unit.services.gateway.conftest import TENSOR, Gateway

from gridlight.messages.ids import JobId
from gridlight.messages.jobs import JobCode, JobState, Outcome
from gridlight.services.gateway.errors import Refusal
from gridlight.services.gateway.jobs import OpenJobs, new_job_id

DONE = Outcome(state=JobState.DONE)


def test_job_ids_have_the_form_that_the_wire_asks_for_and_differ() -> None:
    ids = {new_job_id() for _ in range(1_000)}

    assert len(ids) == 1_000
    assert all(re.fullmatch(r"req_[0-9a-z]{26}", job_id) for job_id in ids)


async def test_the_first_word_ends_a_job_and_a_second_changes_nothing(gateway: Gateway) -> None:
    submitted = gateway.submitted()
    job = gateway.jobs.open(0, submitted, gateway.manifest, TENSOR)

    assert gateway.jobs.end(submitted.job_id, DONE)
    assert not gateway.jobs.give_up(submitted.job_id)
    assert await job.outcome is DONE


async def test_a_job_that_nobody_speaks_of_ends_in_an_explicit_error(gateway: Gateway) -> None:
    submitted = gateway.submitted()
    job = gateway.jobs.open(0, submitted, gateway.manifest, TENSOR)

    assert gateway.jobs.give_up(submitted.job_id)

    outcome = await job.outcome
    assert outcome.code is JobCode.DEADLINE_EXCEEDED


async def test_word_of_an_unknown_or_closed_job_is_passed_over(gateway: Gateway) -> None:
    job_id = gateway.open_job()
    gateway.jobs.close(job_id)

    assert not gateway.jobs.end(job_id, DONE)
    assert not gateway.jobs.end(JobId("req_" + "0" * 26), DONE)
    assert gateway.jobs.find(job_id) is None
    assert len(gateway.jobs) == 0


async def test_open_jobs_are_announced_with_the_time_they_have_left(gateway: Gateway) -> None:
    early, late, ended, over = (gateway.submitted(deadline_ms=ms) for ms in (2_000, 4_000, 4_000, 1_000))
    for submitted in (early, late, ended, over):
        gateway.jobs.open(10_000, submitted, gateway.manifest, TENSOR)
    gateway.jobs.end(ended.job_id, DONE)

    announced = gateway.jobs.announcements(11_500)

    assert [(one.job_id, one.deadline_ms) for one in announced] == [(early.job_id, 500), (late.job_id, 2_500)]


async def test_more_jobs_or_bytes_than_fit_are_refused_as_busy(gateway: Gateway) -> None:
    few = OpenJobs(jobs_max=1)
    small = OpenJobs(bytes_max=len(TENSOR))
    for jobs in (few, small):
        first = gateway.submitted()
        jobs.open(0, first, gateway.manifest, TENSOR)
        with pytest.raises(Refusal) as caught:
            jobs.open(0, gateway.submitted(), gateway.manifest, TENSOR)
        assert caught.value.code == "BUSY"

        jobs.close(first.job_id)
        jobs.open(0, gateway.submitted(), gateway.manifest, TENSOR)
