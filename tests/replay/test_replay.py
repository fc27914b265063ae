"""Old journals, replayed by today's code: what was once said to requesters is what a fold finds.

Each file is the table of records of some journal, in MessagePack, as it was written at its time. Files are added, never
edited, and neither are their digests: where one does not come out any more, the core decides otherwise than it did, and
wants a new CORE_VERSION. `making.py` writes the next one.
"""

from collections import Counter
from pathlib import Path

import msgspec
import pytest
from tests.replay.making import Row, digest
from tests.unit.core.world import only

from gridlight.core.coordinator import CORE_VERSION, Coordinator
from gridlight.messages.codec import Effect, decode_record, encode_record
from gridlight.messages.jobs import EndJob
from gridlight.messages.trust import (
    FaultGrade,
    RecordCheck,
    RecordCommit,
    RecordEpoch,
    RecordFault,
    RecordVerification,
    Role,
    SettleCommits,
    Verification,
)

FOLDER = Path(__file__).parent
FINAL, DISPUTED, CORRECTED, VOID = (
    Verification.FINAL,
    Verification.DISPUTED,
    Verification.CORRECTED,
    Verification.VOID,
)
DIGESTS = {
    "core_1_first_network.msgpack": "baa84566805f201181ee74f75361a35d09bd3acd23ba8e48432b1ca9ffea72f6",
    "core_2_first_network.msgpack": "a7eeaf053db8adcc70b564f5aef3b39c68b2066e0327c9f79e9fc8b3da7a8ea5",
    "core_3_first_network.msgpack": "a7eeaf053db8adcc70b564f5aef3b39c68b2066e0327c9f79e9fc8b3da7a8ea5",
}


def rows(name: str) -> list[Row]:
    return msgspec.msgpack.decode((FOLDER / name).read_bytes(), type=list[Row])


def replayed(name: str) -> tuple[Coordinator, list[Effect]]:
    """The core after the last record, and all that it said, in order."""
    core, said = Coordinator(), list[Effect]()
    for _, now_ms, _, record in rows(name):
        for event in decode_record(record):
            said += core.handle(now_ms, event)
        core.check()
    return core, said


def test_every_file_has_its_digest() -> None:
    assert {path.name for path in FOLDER.glob("*.msgpack")} == set(DIGESTS)


@pytest.mark.parametrize("name", DIGESTS)
def test_every_journal_is_understood_and_each_of_its_jobs_ends_once(name: str) -> None:
    core, said = replayed(name)

    once = Counter(end.job_id for end in only(EndJob, said) if not end.is_repeated)
    assert once
    assert set(once.values()) == {1}
    assert core.scheduling.placement.table.open_tasks() == []


@pytest.mark.parametrize("name", [name for name in DIGESTS if rows(name)[0][2] == CORE_VERSION])
def test_a_journal_of_this_core_comes_out_as_it_did(name: str) -> None:
    _, said = replayed(name)

    assert digest(said) == DIGESTS[name]


@pytest.mark.parametrize("name", [name for name in DIGESTS if rows(name)[0][2] == CORE_VERSION])
def test_a_restored_snapshot_goes_on_to_the_same_state(name: str) -> None:
    records = rows(name)
    core, _ = replayed(name)
    half = Coordinator()
    for number, (_, now_ms, _, record) in enumerate(records):
        if number == len(records) // 2:
            half = Coordinator.restored(half.snapshot())
        for event in decode_record(record):
            half.handle(now_ms, event)

    assert half.snapshot() == core.snapshot()


@pytest.mark.parametrize(
    "name", ["core_1_first_network.msgpack", "core_2_first_network.msgpack", "core_3_first_network.msgpack"]
)
def test_the_first_network_saw_what_verification_can_come_to(name: str) -> None:
    _, said = replayed(name)

    became = Counter(one.verification for one in only(RecordVerification, said))
    settled = Counter(one.verification for one in only(SettleCommits, said))
    checked = Counter(one.role for one in only(RecordCheck, said))
    assert min(became[one] for one in (FINAL, DISPUTED, CORRECTED)) >= 1
    assert min(settled[one] for one in (FINAL, VOID)) >= 1
    assert min(checked[one] for one in (Role.AUDIT, Role.CANARY, Role.SHADOW, Role.REFERENCE)) >= 1
    assert {one.grade for one in only(RecordFault, said)} == set(FaultGrade)
    assert sum(one.secret is not None for one in only(RecordEpoch, said)) >= 1


@pytest.mark.parametrize("name", DIGESTS)
def test_every_answer_on_record_is_settled_once(name: str) -> None:
    _, said = replayed(name)

    open_commits: dict[int, RecordCommit] = {}
    for effect in said:
        match effect:
            case RecordCommit(commit=commit):
                open_commits[commit] = effect
            case RecordVerification(commit=commit):
                assert commit in open_commits
                if effect.verification is not DISPUTED:
                    del open_commits[commit]
            case SettleCommits(node_id=node_id, commit=last):
                mine = [one for one in open_commits.values() if one.node_id == node_id and not one.is_bound]
                for one in mine:
                    if one.commit <= last:
                        del open_commits[one.commit]
            case _:
                pass
    assert open_commits == {}


@pytest.mark.parametrize("name", DIGESTS)
def test_today_writes_no_less_than_was_written_then(name: str) -> None:
    for _, _, _, record in rows(name):
        events = decode_record(record)
        assert decode_record(encode_record(events)) == events
