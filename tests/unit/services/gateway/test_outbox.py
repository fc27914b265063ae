import asyncio

from gridlight.messages.jobs import JobWithdrawn
from gridlight.services.gateway.jobs import new_job_id
from gridlight.services.gateway.outbox import BUSY_JOBS, COMPANY, COMPANY_SHARE, EVENTS_PER_BATCH_MAX, Outbox

LONG_MS = 600_000


def withdrawals(count: int) -> list[JobWithdrawn]:
    return [JobWithdrawn(job_id=new_job_id()) for _ in range(count)]


async def test_events_of_one_turn_go_as_one_batch_in_order() -> None:
    outbox = Outbox()
    events = withdrawals(3)
    for event in events:
        outbox.add(event)

    await outbox.wait()

    assert outbox.take() == events
    assert outbox.take() == []


async def test_more_than_a_batch_is_sent_in_several() -> None:
    outbox = Outbox()
    for event in withdrawals(EVENTS_PER_BATCH_MAX + 1):
        outbox.add(event)

    assert len(outbox.take()) == EVENTS_PER_BATCH_MAX
    await outbox.wait()
    assert len(outbox.take()) == 1


async def test_a_full_outbox_forgets_the_oldest() -> None:
    outbox = Outbox(events_max=2)
    events = withdrawals(3)
    for event in events:
        outbox.add(event)

    assert outbox.take() == events[1:]


async def test_a_cleared_outbox_waits_for_new_events() -> None:
    outbox = Outbox()
    outbox.add(withdrawals(1)[0])
    outbox.clear()

    waiting = asyncio.ensure_future(outbox.wait())
    await asyncio.sleep(0)
    assert not waiting.done()

    outbox.add(withdrawals(1)[0])
    await waiting


async def test_what_is_patient_goes_with_the_next_that_is_not() -> None:
    outbox = Outbox()
    first, second, third = withdrawals(3)
    outbox.add(first, patience_ms=LONG_MS)
    outbox.add(second, patience_ms=LONG_MS)

    waiting = asyncio.ensure_future(outbox.wait())
    await asyncio.sleep(0)
    assert not waiting.done()

    outbox.add(third)
    await waiting
    assert outbox.take() == [first, second, third]


async def test_the_least_patient_says_when_all_go() -> None:
    outbox = Outbox()
    first, second, third = withdrawals(3)
    outbox.add(first, patience_ms=LONG_MS)
    outbox.add(second, patience_ms=1)
    outbox.add(third, patience_ms=LONG_MS)

    await asyncio.wait_for(outbox.wait(), 10)

    assert outbox.take() == [first, second, third]


async def test_patience_ends_with_what_it_was_for() -> None:
    outbox = Outbox()
    outbox.add(withdrawals(1)[0], patience_ms=1)
    outbox.take()
    outbox.add(withdrawals(1)[0], patience_ms=LONG_MS)

    await asyncio.sleep(0.01)  # in which the first one's patience would have ended

    waiting = asyncio.ensure_future(outbox.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()


async def test_a_busy_gateway_waits_a_moment_for_company() -> None:
    jobs = ["a job"] * BUSY_JOBS
    outbox = Outbox(jobs)
    first, second, third = withdrawals(3)
    outbox.add(first)
    outbox.add(second, patience_ms=LONG_MS)

    waiting = asyncio.ensure_future(outbox.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    outbox.add(third)

    await asyncio.wait_for(waiting, 10)
    assert outbox.take() == [first, second, third]


async def test_a_gateway_that_is_busy_no_more_does_not_wait() -> None:
    jobs = ["a job"] * BUSY_JOBS
    outbox = Outbox(jobs)
    first, second = withdrawals(2)
    outbox.add(first)
    jobs.pop()
    outbox.add(second)

    waiting = asyncio.ensure_future(outbox.wait())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert waiting.done()
    assert outbox.take() == [first, second]


async def test_what_has_a_short_deadline_waits_for_nobody() -> None:
    outbox = Outbox(["a job"] * BUSY_JOBS)
    first, second = withdrawals(2)
    outbox.add(first)
    outbox.add(second, deadline_ms=COMPANY_SHARE - 1)

    waiting = asyncio.ensure_future(outbox.wait())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert waiting.done()
    assert outbox.take() == [first, second]


async def test_once_enough_are_together_they_need_not_wait() -> None:
    outbox = Outbox()
    events = withdrawals(COMPANY)
    for event in events[:-1]:
        outbox.add(event, patience_ms=LONG_MS)
    waiting = asyncio.ensure_future(outbox.wait())
    await asyncio.sleep(0)
    assert not waiting.done()

    outbox.add(events[-1], patience_ms=LONG_MS)

    await waiting
    assert outbox.take() == events
