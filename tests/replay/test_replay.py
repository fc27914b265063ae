"""Old journals, replayed by today's code: what was once said to requesters is what a fold finds.

Each file is the table of records of some journal, in MessagePack, as it was written at its time. Files are added, never
edited, and neither are their digests: where one does not come out any more, the core decides otherwise than it did, and
wants a new CORE_VERSION. `making.py` writes the next one.
"""

from collections import Counter
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
from tests.replay.making import Row

from gridlight.core.coordinator import CORE_VERSION, Coordinator
from gridlight.messages.codec import decode_record, encode_record
from gridlight.messages.jobs import EndJob

FOLDER = Path(__file__).parent
DIGESTS = {
    "core_1_first_network.msgpack": "7d904a714f3a28808e32f5ee8d3a797d53548e6fa1bcf72dff07d8016c1d676f",
}


def rows(name: str) -> list[Row]:
    return msgspec.msgpack.decode((FOLDER / name).read_bytes(), type=list[Row])


def replayed(name: str) -> tuple[Coordinator, list[EndJob]]:
    """The core after the last record, and how every job ended, in order."""
    core, ends = Coordinator(), []
    for _, now_ms, _, record in rows(name):
        for event in decode_record(record):
            ends += [effect for effect in core.handle(now_ms, event) if isinstance(effect, EndJob)]
        core.check()
    return core, ends


def digest(ends: list[EndJob]) -> str:
    """Of all that a requester or a ledger would hold us to; not of the words of hints."""
    bare = [msgspec.structs.replace(end.outcome, hint=None, retry_after_ms=None) for end in ends]
    said = [(end.job_id, end.is_repeated, outcome) for end, outcome in zip(ends, bare, strict=True)]
    return sha256(msgspec.json.encode(said)).hexdigest()


def test_every_file_has_its_digest() -> None:
    assert {path.name for path in FOLDER.glob("*.msgpack")} == set(DIGESTS)


@pytest.mark.parametrize("name", DIGESTS)
def test_every_journal_is_understood_and_each_of_its_jobs_ends_once(name: str) -> None:
    core, ends = replayed(name)

    once = Counter(end.job_id for end in ends if not end.is_repeated)
    assert once
    assert set(once.values()) == {1}
    assert core.scheduling.placement.table.open_tasks() == []


@pytest.mark.parametrize("name", [name for name in DIGESTS if rows(name)[0][2] == CORE_VERSION])
def test_a_journal_of_this_core_comes_out_as_it_did(name: str) -> None:
    _, ends = replayed(name)

    assert digest(ends) == DIGESTS[name]


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


@pytest.mark.parametrize("name", DIGESTS)
def test_today_writes_no_less_than_was_written_then(name: str) -> None:
    for _, _, _, record in rows(name):
        events = decode_record(record)
        assert decode_record(encode_record(events)) == events
