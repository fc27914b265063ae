"""The journal: the ordered log of accepted events, in SQL, and snapshots to start from.

One writer a shard: a record's sequence is the table's key, so a second writer's insert is refused and it stops.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import delete, func, insert, select
from sqlalchemy.exc import IntegrityError

from gridlight.adapters.changes import Changes
from gridlight.adapters.prepared import Prepared
from gridlight.adapters.schema import journal, migrate, open_engine, snapshots
from gridlight.messages.codec import Event, decode_record, encode_record

SNAPSHOTS_KEPT: Final = 2
_READ_AT_ONCE: Final = 1_000
_INSERT_RECORD: Final = Prepared(insert(journal))


class JournalFenced(Exception):
    """Another coordinator writes this journal: this one must stop, having performed nothing of its last batch."""


class Record(Struct, frozen=True):
    """One batch: the time it was handled at, by which core, and its events in order."""

    sequence: int
    now_ms: int
    core_version: int
    events: list[Event]


class Journal:
    """One shard's journal. Blocking."""

    def __init__(self, database_url: str) -> None:
        self._engine = open_engine(database_url)
        migrate(self._engine)
        self._writer = self._engine.connect()
        """Kept open: taking one from the pool for each record costs as much as the insert."""

    def newest_snapshot(self, core_version: int) -> tuple[int, bytes] | None:
        """Sequence and state of the newest snapshot of this core or an older one: an upgrade begins with a snapshot."""
        query = (
            select(snapshots.c.sequence, snapshots.c.state)
            .where(snapshots.c.core_version <= core_version)
            .order_by(snapshots.c.sequence.desc())
            .limit(1)
        )
        with self._engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else (row.sequence, row.state)

    def records_after(self, sequence: int) -> Iterator[Record]:
        """The records to fold, in order."""
        while True:
            query = select(journal).where(journal.c.sequence > sequence).order_by(journal.c.sequence)
            with self._engine.connect() as connection:
                rows = connection.execute(query.limit(_READ_AT_ONCE)).all()
            for row in rows:
                yield Record(row.sequence, row.now_ms, row.core_version, decode_record(row.record))
            if len(rows) < _READ_AT_ONCE:
                return
            sequence = rows[-1].sequence

    def last_sequence(self) -> int:
        """The newest record's sequence; 0 where there is none."""
        with self._engine.connect() as connection:
            return connection.execute(select(func.max(journal.c.sequence))).scalar() or 0

    def commit(self, record: Record, changes: Changes, earlier: Sequence[Record] = ()) -> None:
        """Write one record and the read models it changed, on the disk when this returns. JournalFenced.

        `earlier` are the records just before it that waited for this transaction.
        """
        with self._writer.begin():
            try:
                _INSERT_RECORD.write(self._writer, [_row(one) for one in (*earlier, record)])
            except IntegrityError as error:
                first = earlier[0] if earlier else record
                raise JournalFenced(f"record {first.sequence} was written by another coordinator") from error
            changes.write(self._writer)

    def save_snapshot(self, sequence: int, core_version: int, state: bytes) -> None:
        """Keep the state as it is after the record of this sequence; older snapshots go."""
        with self._engine.begin() as connection:
            connection.execute(delete(snapshots).where(snapshots.c.sequence == sequence))
            connection.execute(insert(snapshots).values(sequence=sequence, core_version=core_version, state=state))
            kept = connection.execute(
                select(snapshots.c.sequence).order_by(snapshots.c.sequence.desc()).limit(SNAPSHOTS_KEPT)
            ).scalars()
            connection.execute(delete(snapshots).where(snapshots.c.sequence < min(kept)))

    def close(self) -> None:
        """Close the connections."""
        self._writer.close()
        self._engine.dispose()


def _row(record: Record) -> dict[str, Any]:
    return {
        "sequence": record.sequence,
        "now_ms": record.now_ms,
        "core_version": record.core_version,
        "record": encode_record(record.events),
    }
