"""The journal and its read models, in SQLite and in a real PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.integration.databases import postgresql

from gridlight.adapters.changes import Changes
from gridlight.adapters.journal import SNAPSHOTS_KEPT, Journal, JournalFenced, Record
from gridlight.adapters.store import Store
from gridlight.messages.codec import Event
from gridlight.messages.host import RecordNode, RequestAllOffers, TimePassed
from gridlight.messages.ids import Blake3Digest, GatewayId, JobId, NodeId, WorkloadId
from gridlight.messages.jobs import EndJob, JobState, JobSubmitted, Outcome, Picture
from gridlight.messages.nodes import NodeEnrolled
from gridlight.messages.operators import Hold

NODE = NodeId("U" + "A" * 55)
JOB = JobId("req_" + "0" * 26)
GATEWAY = GatewayId("gateway")
WORKLOAD = WorkloadId("detector@sha256:" + "0" * 64)
DONE = Outcome(state=JobState.DONE, node_id=NODE, output=b"result")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'gridlight.db'}"
        return
    with postgresql(tmp_path) as url:
        yield url


@pytest.fixture
def journal(database_url: str) -> Iterator[Journal]:
    journal = Journal(database_url)
    yield journal
    journal.close()


@pytest.fixture
def store(database_url: str, journal: Journal) -> Iterator[Store]:
    store = Store.open(database_url)
    yield store
    store.close()


def submitted(job_id: JobId = JOB) -> JobSubmitted:
    return JobSubmitted(
        job_id=job_id,
        gateway_id=GATEWAY,
        workload=WORKLOAD,
        deadline_ms=4_000,
        input_digest=Blake3Digest("0" * 64),
        input_bytes=270_000,
        picture=Picture(width=810, height=1080),
        threshold=2_500,
    )


def enrolled() -> NodeEnrolled:
    return NodeEnrolled(
        gateway_id=GATEWAY, node_id=NODE, operator=NODE, agent_version="0.1.0", cpus=2, memory_mib=1_024
    )


def online(*, is_online: bool = True) -> RecordNode:
    return RecordNode(enrolled=enrolled(), is_online=is_online, slots=1 if is_online else 0, workloads=(WORKLOAD,))


def commit(journal: Journal, sequence: int, events: list[Event], changes: Changes | None = None) -> Record:
    record = Record(sequence, 1_000 + sequence, 1, events)
    journal.commit(record, changes or Changes(record.now_ms, events, []))
    return record


def test_records_come_back_in_order_from_any_point(journal: Journal) -> None:
    records = [commit(journal, sequence, [TimePassed()]) for sequence in (1, 2, 3)]
    assert list(journal.records_after(0)) == records
    assert list(journal.records_after(2)) == records[2:]
    assert journal.last_sequence() == 3


def test_a_second_writer_of_a_sequence_is_refused_and_changes_nothing(journal: Journal, store: Store) -> None:
    commit(journal, 1, [TimePassed()])
    with pytest.raises(JournalFenced, match="record 1"):
        commit(journal, 1, [submitted()])
    assert store.job(JOB) is None


def test_a_job_is_readable_when_it_is_open_and_when_it_has_ended(journal: Journal, store: Store) -> None:
    commit(journal, 1, [submitted()])
    record = store.job(JOB)
    assert record is not None
    assert record.submitted == submitted()
    assert record.outcome is None
    commit(journal, 2, [], Changes(2, [], [EndJob(job_id=JOB, gateway_id=GATEWAY, outcome=DONE)]))
    record = store.job(JOB)
    assert record is not None
    assert record.outcome == DONE


def test_a_job_told_again_keeps_its_first_outcome(journal: Journal, store: Store) -> None:
    ended = EndJob(job_id=JOB, gateway_id=GATEWAY, outcome=DONE)
    commit(journal, 1, [submitted()], Changes(1, [submitted()], [ended]))
    repeated = EndJob(job_id=JOB, gateway_id=GATEWAY, outcome=DONE, is_repeated=True)
    commit(journal, 2, [submitted()], Changes(2, [submitted()], [repeated]))
    record = store.job(JOB)
    assert record is not None
    assert (record.submitted_ms, record.outcome) == (1, DONE)


def test_a_node_counts_its_answers_once_each(journal: Journal, store: Store) -> None:
    other = JobId("req_" + "1" * 26)
    events: list[Event] = [enrolled(), submitted(), submitted(other)]
    commit(journal, 1, events, Changes(1, events, [online()]))
    ends = [EndJob(job_id=job_id, gateway_id=GATEWAY, outcome=DONE) for job_id in (JOB, other)]
    commit(journal, 2, [], Changes(2, [], ends))
    commit(journal, 3, [], Changes(3, [], [online(is_online=False)]))
    [node] = store.nodes()
    assert (node.node_id, node.tasks_answered, node.online, node.slots) == (NODE, 2, False, 0)
    assert store.node_ids() == [NODE]


def test_why_a_node_is_held_is_readable_until_nothing_holds_it(journal: Journal, store: Store) -> None:
    commit(journal, 1, [enrolled()], Changes(1, [], [replace(online(), hold=Hold.LEVEL_0)]))
    [held] = store.nodes()
    commit(journal, 2, [enrolled()], Changes(2, [], [online()]))

    assert held.hold is Hold.LEVEL_0
    assert store.nodes()[0].hold is None


def test_all_nodes_are_offline_when_all_offers_are_asked_for(journal: Journal, store: Store) -> None:
    commit(journal, 1, [enrolled()], Changes(1, [], [online()]))
    assert store.nodes()[0].online
    commit(journal, 2, [], Changes(2, [], [RequestAllOffers()]))
    assert not store.nodes()[0].online


def test_who_offered_before_all_offers_were_asked_for_is_offline_and_who_came_after_is_not(
    journal: Journal, store: Store
) -> None:
    commit(journal, 1, [enrolled()], Changes(1, [], [online(), RequestAllOffers()]))
    [node] = store.nodes()
    assert (node.online, node.slots, node.cpus) == (False, 0, 2)
    commit(journal, 2, [], Changes(2, [], [RequestAllOffers(), online()]))
    assert store.nodes()[0].online


def test_the_newest_snapshot_of_this_core_or_an_older_one_is_used_and_old_ones_go(journal: Journal) -> None:
    for sequence in range(1, SNAPSHOTS_KEPT + 3):
        journal.save_snapshot(sequence, 1, b"state %d" % sequence)
    journal.save_snapshot(SNAPSHOTS_KEPT + 2, 1, b"again")
    assert journal.newest_snapshot(1) == (SNAPSHOTS_KEPT + 2, b"again")
    assert journal.newest_snapshot(2) == journal.newest_snapshot(1)
    assert journal.newest_snapshot(0) is None


def test_a_second_outcome_changes_nothing(journal: Journal, store: Store) -> None:
    commit(journal, 1, [submitted()], Changes(1, [submitted()], [EndJob(job_id=JOB, gateway_id=GATEWAY, outcome=DONE)]))
    other = EndJob(job_id=JOB, gateway_id=GATEWAY, outcome=Outcome(state=JobState.FAILED))
    commit(journal, 2, [], Changes(2, [], [other]))
    record = store.job(JOB)
    assert record is not None
    assert record.outcome == DONE
