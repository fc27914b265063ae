"""The host's loop on a real journal: what it takes at once, what is on the disk when it performs, what a fold finds."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError
from tests.unit.core.world import (
    WORKLOAD,
    ends,
    enrolled,
    job_id,
    offer,
    sends,
    slots,
    submitted,
)
from tests.unit.services.coordinator.hosting import (
    JOINED,
    NODE,
    STARTED,
    WAIT_S,
    Performed,
    acknowledged,
    loop_of,
    put,
    result,
    running,
    until_handled,
    whole_fold,
)

from gridlight.adapters.changes import Changes
from gridlight.adapters.journal import Journal, JournalFenced, Record
from gridlight.adapters.store import Store
from gridlight.core.coordinator import CORE_VERSION, Coordinator
from gridlight.messages.host import AnnounceCoordinator, BusReconnected, CoordinatorStarted, TimePassed
from gridlight.messages.jobs import JobCode
from gridlight.messages.results import ResultSubmitted
from gridlight.messages.tasks import AssignmentAcknowledged
from gridlight.services.coordinator.loop import BATCH_EVENTS_MAX, INBOX_EVENTS_MAX, Loop, fold


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'gridlight.db'}"


@pytest.fixture
def journal(url: str) -> Iterator[Journal]:
    journal = Journal(url)
    yield journal
    journal.close()


@pytest.fixture
def performed() -> Performed:
    return Performed()


async def live_some_lives(loop: Loop, performed: Performed, jobs: range) -> None:
    """Jobs that were answered, and every third one that is only acknowledged."""
    put(loop, *(submitted(job_id(number), deadline_ms=60_000) for number in jobs))
    sent_before = len(sends(performed.effects)) if performed.batches else 0
    await performed.until(lambda effects: len(sends(effects)) >= sent_before + len(jobs))
    for number, send in enumerate(sends(performed.effects)[sent_before:]):
        put(loop, acknowledged(send), *([result(send)] if number % 3 else []))
    done = sum(1 for number in range(len(jobs)) if number % 3)
    ended_before = len(ends(performed.effects))
    await performed.until(lambda effects: len(ends(effects)) >= ended_before + done)


async def test_a_batch_is_bounded_and_nothing_of_the_rest_is_lost(journal: Journal, performed: Performed) -> None:
    loop = loop_of(journal, performed)
    put(loop, STARTED, *[BusReconnected()] * (2 * BATCH_EVENTS_MAX + 499))
    async with running(loop):
        await performed.until(lambda _: len(performed.batches) == 3)

    assert [len(record.events) for record in journal.records_after(0)] == [BATCH_EVENTS_MAX, BATCH_EVENTS_MAX, 500]


async def test_between_batches_others_have_their_turn(journal: Journal, performed: Performed) -> None:
    loop = loop_of(journal, performed)
    put(loop, STARTED, *[BusReconnected()] * (3 * BATCH_EVENTS_MAX))
    turns: list[int] = []

    async def take_turns() -> None:
        while len(performed.batches) < 3:
            turns.append(len(performed.batches))
            await asyncio.sleep(0)

    async with running(loop), asyncio.TaskGroup() as tasks:
        tasks.create_task(take_turns())

    assert {1, 2} <= set(turns)


async def test_what_comes_while_the_inbox_is_full_is_dropped_counted_and_told(
    journal: Journal, performed: Performed
) -> None:
    loop = loop_of(journal, performed)
    put(loop, STARTED, *[BusReconnected()] * (INBOX_EVENTS_MAX - 1))
    assert loop.refused == 0
    was_taken = [loop.put(TimePassed()), loop.put(TimePassed())]

    assert was_taken == [False, False]
    assert loop.refused == 2


async def test_nothing_is_performed_before_its_record_is_on_the_disk(
    journal: Journal, performed: Performed, url: str
) -> None:
    reader = Journal(url)
    on_disk: list[int] = []
    performed.during = lambda: on_disk.append(reader.last_sequence())
    loop = loop_of(journal, performed)
    async with running(loop):
        put(loop, *JOINED)
        await performed.until(lambda _: len(performed.batches) == 1)
        put(loop, submitted(job_id(1)))
        await performed.until(sends)
    reader.close()

    assert on_disk == [1, 2]


async def test_what_changes_nothing_outside_is_written_with_the_next_that_does(
    journal: Journal, performed: Performed, url: str
) -> None:
    reader = Journal(url)
    loop = loop_of(journal, performed)
    async with running(loop):
        put(loop, *JOINED, submitted(job_id(1)))
        await performed.until(sends)
        [send] = sends(performed.effects)
        put(loop, acknowledged(send))
        await until_handled(loop)
        after_the_ack = reader.last_sequence()
        put(loop, result(send))
        await performed.until(ends)
        after_the_result = reader.last_sequence()
    reader.close()

    assert (after_the_ack, after_the_result) == (1, 3)
    assert [type(record.events[0]) for record in journal.records_after(1)] == [AssignmentAcknowledged, ResultSubmitted]
    assert whole_fold(journal).snapshot() == loop.core.snapshot()


async def test_what_changes_nothing_outside_is_written_within_a_second_if_nothing_follows(
    journal: Journal, performed: Performed
) -> None:
    loop = loop_of(journal, performed)
    put(loop, *JOINED)
    async with running(loop):
        await performed.until(lambda _: performed.batches)
        put(loop, TimePassed())
        await until_handled(loop)
        assert journal.last_sequence() == 1
        async with asyncio.timeout(WAIT_S):
            while journal.last_sequence() == 1:  # noqa: ASYNC110  (the disk tells nobody)
                await asyncio.sleep(0.01)

    assert [record.events for record in journal.records_after(1)] == [[TimePassed()]]


async def test_a_job_that_waits_for_a_node_is_written_with_what_gives_it_one(
    journal: Journal, performed: Performed, url: str
) -> None:
    store = Store.open(url)
    loop = loop_of(journal, performed)
    async with running(loop):
        put(loop, STARTED, enrolled(NODE), offer(NODE, slots(1)), submitted(job_id(1)))
        await performed.until(sends)
        put(loop, submitted(job_id(2)))
        await until_handled(loop)
        while_it_waits = store.job(job_id(2))
        waits_since_ms = loop.core.now_ms
        put(loop, result(sends(performed.effects)[0]))
        await performed.until(lambda effects: len(sends(effects)) == 2)
        sent = store.job(job_id(2))
    store.close()

    assert while_it_waits is None
    assert sent is not None
    assert sent.submitted_ms == waits_since_ms
    assert whole_fold(journal).snapshot() == loop.core.snapshot()


async def test_a_job_that_goes_on_waiting_is_written_within_a_second(
    journal: Journal, performed: Performed, url: str
) -> None:
    store = Store.open(url)
    loop = loop_of(journal, performed)
    async with running(loop):
        put(loop, STARTED, enrolled(NODE), offer(NODE, slots(1)), submitted(job_id(1)))
        await performed.until(sends)
        put(loop, submitted(job_id(2)))
        async with asyncio.timeout(WAIT_S):
            while store.job(job_id(2)) is None:  # noqa: ASYNC110  (the disk tells nobody)
                await asyncio.sleep(0.01)
    store.close()

    assert len(sends(performed.effects)) == 1


async def test_time_passes_without_any_word_from_outside(journal: Journal, performed: Performed) -> None:
    loop = loop_of(journal, performed)
    async with running(loop):
        put(loop, *JOINED, submitted(job_id(1), deadline_ms=200))
        await performed.until(ends)

    [end] = ends(performed.effects)
    assert end.outcome.code is JobCode.DEADLINE_EXCEEDED
    *_, last = journal.records_after(0)
    assert last.events == [TimePassed()]


async def test_a_stop_ends_after_the_batch_under_way_and_keeps_a_snapshot(
    journal: Journal, performed: Performed
) -> None:
    loop = loop_of(journal, performed)
    put(loop, *JOINED, *[TimePassed()] * BATCH_EVENTS_MAX, submitted(job_id(1)))
    performed.during = loop.stop
    await asyncio.wait_for(loop.run(), WAIT_S)

    assert journal.last_sequence() == 1
    newest = journal.newest_snapshot(CORE_VERSION)
    assert newest == (1, loop.core.snapshot())


async def test_a_snapshot_and_the_records_after_it_give_what_all_records_give(
    journal: Journal, performed: Performed
) -> None:
    loop = loop_of(journal, performed, snapshot_each_events=40)
    async with running(loop):
        put(loop, *JOINED)
        for start in range(1, 91, 30):
            await live_some_lives(loop, performed, range(start, start + 30))
        before_stop = journal.newest_snapshot(CORE_VERSION)
        folded, sequence = fold(journal)
    assert before_stop is not None
    assert 1 < before_stop[0] <= sequence
    assert folded.snapshot() == whole_fold(journal).snapshot() == loop.core.snapshot()
    after_stop = journal.newest_snapshot(CORE_VERSION)
    assert after_stop == (journal.last_sequence(), loop.core.snapshot())


async def test_a_new_process_goes_on_from_a_clean_stop_as_the_old_one_would(
    journal: Journal, performed: Performed
) -> None:
    first = loop_of(journal, performed)
    async with running(first):
        put(first, *JOINED)
        await live_some_lives(first, performed, range(1, 31))
    second_performed = Performed()
    second = loop_of(journal, second_performed)
    assert second.core.snapshot() == first.core.snapshot()
    async with running(second):
        put(second, CoordinatorStarted(seed=8, workloads=(WORKLOAD,)))
        await second_performed.until(lambda effects: AnnounceCoordinator() in effects)

    codes = {end.outcome.code for end in ends(second_performed.effects)}
    assert codes == {JobCode.COORDINATOR_RESTARTED}
    assert len(ends(second_performed.effects)) == 10
    assert second.core.snapshot() == whole_fold(journal).snapshot()


async def test_an_ended_job_is_answered_again_after_a_fold_and_kept_once(
    journal: Journal, performed: Performed, url: str
) -> None:
    first = loop_of(journal, performed)
    async with running(first):
        put(first, *JOINED, submitted(job_id(1)))
        await performed.until(sends)
        put(first, *(result(send) for send in sends(performed.effects)))
        await performed.until(ends)
    second_performed = Performed()
    second = loop_of(journal, second_performed)
    async with running(second):
        put(second, CoordinatorStarted(seed=8, workloads=(WORKLOAD,)), submitted(job_id(1)))
        await second_performed.until(ends)

    [end], [again] = ends(performed.effects), ends(second_performed.effects)
    assert (end.is_repeated, again.is_repeated) == (False, True)
    assert again.outcome == end.outcome
    store = Store.open(url)
    stored, [node] = store.job(job_id(1)), store.nodes()
    store.close()
    assert stored is not None
    assert stored.outcome == end.outcome
    assert node.tasks_answered == 1


async def test_the_slower_of_two_writers_performs_nothing(journal: Journal, performed: Performed, url: str) -> None:
    slower = loop_of(journal, performed)
    other_journal, other_performed = Journal(url), Performed()
    quicker = loop_of(other_journal, other_performed)
    async with running(quicker):
        put(quicker, *JOINED)
        await other_performed.until(lambda effects: effects)
        put(slower, *JOINED, submitted(job_id(1)))
        with pytest.raises(JournalFenced, match="record 1 was written by another coordinator"):
            await asyncio.wait_for(slower.run(), WAIT_S)
    other_journal.close()

    assert performed.batches == []
    assert slower.core.snapshot() != quicker.core.snapshot()
    assert journal.newest_snapshot(CORE_VERSION) == (1, quicker.core.snapshot())


@pytest.fixture
def _full_disk() -> Iterator[None]:
    """Databases opened from here on hold 80 pages and no more, as on a disk with no room."""

    def cap(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA max_page_count=96").close()

    event.listen(Engine, "connect", cap)
    yield
    event.remove(Engine, "connect", cap)


@pytest.mark.usefixtures("_full_disk")
async def test_a_failed_commit_ends_the_loop_and_performs_nothing_of_its_batch(
    performed: Performed, url: str, tmp_path: Path
) -> None:
    journal = Journal(url)
    loop = loop_of(journal, performed)
    put(loop, *JOINED)

    async def submit_for_ever() -> None:
        number = 0
        while True:
            number += 1
            put(loop, submitted(job_id(number), deadline_ms=60_000))
            await asyncio.sleep(0)

    submitting = asyncio.ensure_future(submit_for_ever())
    with pytest.raises(OperationalError, match="database or disk is full"):
        await asyncio.wait_for(loop.run(), WAIT_S)
    submitting.cancel()

    recorded = [one.job_id for record in journal.records_after(0) for one in record.events if hasattr(one, "job_id")]
    assert journal.last_sequence() == len(performed.batches)
    assert {send.job_id for send in sends(performed.effects)} <= set(recorded)
    folded, sequence = fold(journal)
    folded.check()
    assert sequence == len(performed.batches)
    journal.close()


@pytest.mark.parametrize("version", [CORE_VERSION - 1, CORE_VERSION + 1])
def test_a_record_of_another_core_is_refused_with_what_to_do(journal: Journal, version: int) -> None:
    journal.commit(Record(1, 1_000, version, [STARTED]), Changes(1_000, [STARTED], []))

    said = (
        f"record 1 was written by core version {version}, this is {CORE_VERSION}: start the old version once and stop"
    )
    with pytest.raises(ValueError, match=said):
        fold(journal)


def test_an_older_cores_snapshot_is_what_an_upgrade_begins_with(journal: Journal) -> None:
    old = Coordinator()
    for number, one in enumerate([*JOINED, submitted(job_id(1))], start=1):
        old.handle(1_000, one)
        journal.commit(Record(number, 1_000, CORE_VERSION - 1, [one]), Changes(1_000, [one], []))
    journal.save_snapshot(4, CORE_VERSION - 1, old.snapshot())

    core, sequence = fold(journal)

    assert sequence == 4
    assert core.snapshot() == old.snapshot()


def test_a_newer_cores_snapshot_is_not_read(journal: Journal) -> None:
    journal.save_snapshot(3, CORE_VERSION + 1, b"what this core does not know")

    assert fold(journal)[1] == 0


def test_an_empty_journal_is_a_new_network(journal: Journal) -> None:
    core, sequence = fold(journal)

    assert sequence == 0
    assert core.snapshot() == Coordinator().snapshot()
