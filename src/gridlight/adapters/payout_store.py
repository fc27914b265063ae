"""Payouts in SQL: one transaction for all that an event decided, before anything is done outside; and how they stand.

One writer: it counts the lines of the audit log itself, so a second writer's insert is refused, and it ends.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol, TypeVar

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, Engine, delete, func, insert, select, update

from gridlight.adapters.schema import (
    migrate,
    open_engine,
    payout_actions,
    payout_addresses,
    payout_batches,
    payout_channels,
    payout_transactions,
)
from gridlight.core.payout_postings import entry_of
from gridlight.core.postings import Draft
from gridlight.messages.ledger import Posting
from gridlight.messages.payouts import (
    ChannelRecord,
    DurableEffect,
    HoldLines,
    PayFee,
    PayLines,
    PayoutBatch,
    PayoutLine,
    Rail,
    RecordAction,
    RecordBatch,
    RecordChannel,
    RefuseAddress,
    ReleaseLines,
    SealBatch,
)

T = TypeVar("T")


class Books(Protocol):
    """The ledger, as payouts need it."""

    def available(self) -> dict[str, int]:
        """Units by operator, of those who have any."""

    def fees(self) -> int:
        """Units that the network has for the chain's fees."""

    def post(self, connection: Connection, key: str, postings: Sequence[Posting]) -> None:
        """One entry, in the caller's transaction; a key that was posted with the same content changes nothing."""


class SealedTransaction(Struct, frozen=True):
    """What was made of a sealed batch, and its signed form once there is one."""

    hash: str
    batch_id: str
    channel: str
    sequence: int
    max_time_s: int
    xdr: str
    signed_xdr: str | None = None


class Stored(Struct, frozen=True):
    """What the core goes on from."""

    channels: tuple[ChannelRecord, ...]
    batches: tuple[PayoutBatch, ...]
    """Those in flight, and those of which the platform was not told the end."""
    day: int
    drawn_units: int


class Action(Struct, frozen=True):
    """One line of the audit log."""

    action: int
    at_ms: int
    what: str
    channel: str
    batch_id: str
    detail: str


Build = Callable[[PayoutBatch], SealedTransaction]
_encode = msgspec.msgpack.Encoder().encode


def _decoded(record: bytes, kind: type[T]) -> T:
    return msgspec.msgpack.decode(record, type=kind)


class PayoutStore:
    """The payer's tables. Blocking."""

    def __init__(self, engine: Engine) -> None:
        self.engine: Final = engine
        with engine.connect() as connection:
            self._actions = connection.execute(select(func.max(payout_actions.c.action))).scalar() or 0

    @classmethod
    def open(cls, database_url: str) -> "PayoutStore":
        """With all tables in place."""
        engine = open_engine(database_url)
        migrate(engine)
        return cls(engine)

    def close(self) -> None:
        """Let go of the database."""
        self.engine.dispose()

    def load(self) -> Stored:
        """What is durable."""
        with self.engine.connect() as connection:
            channels = connection.execute(select(payout_channels.c.record)).scalars().all()
            active = select(payout_batches.c.record).where(payout_batches.c.is_active)
            batches = connection.execute(active).scalars().all()
            day = connection.execute(select(func.max(payout_batches.c.day))).scalar() or 0
        return Stored(
            tuple(_decoded(record, ChannelRecord) for record in channels),
            tuple(_decoded(record, PayoutBatch) for record in batches),
            day,
            self.drawn_units(day),
        )

    def commit(self, now_ms: int, effects: Sequence[DurableEffect], books: Books, build: Build) -> None:
        """All of it, or nothing: whatever is raised, the process must end and start from what is durable."""
        if not effects:
            return
        assert any(isinstance(effect, RecordAction) for effect in effects), "nothing is done that the audit log misses"
        with self.engine.begin() as connection:
            for effect in effects:
                self._write(connection, now_ms, effect, books, build)

    def _write(self, connection: Connection, now_ms: int, effect: DurableEffect, books: Books, build: Build) -> None:
        match effect:
            case SealBatch(batch=batch):
                connection.execute(insert(payout_transactions), msgspec.structs.asdict(build(batch)))
                self._write_batch(connection, now_ms, batch)
            case RecordBatch(batch=batch):
                self._write_batch(connection, now_ms, batch)
            case RecordChannel(channel=channel):
                self.write_channel(connection, channel)
            case HoldLines() | PayLines() | PayFee() | ReleaseLines():
                if (draft := entry_of(effect)) is not None:
                    books.post(connection, draft.key, draft.postings)
            case RefuseAddress(operator=operator, reason=reason):
                row = update(payout_addresses).where(payout_addresses.c.operator == operator)
                connection.execute(row.values(refused=reason))
            case RecordAction():
                self._write_action(connection, now_ms, effect)

    def post(self, now_ms: int, draft: Draft, books: Books, action: RecordAction) -> None:
        """An entry that follows from no event of the core's, with its line of the audit log."""
        with self.engine.begin() as connection:
            books.post(connection, draft.key, draft.postings)
            self._write_action(connection, now_ms, action)

    def _write_action(self, connection: Connection, now_ms: int, effect: RecordAction) -> None:
        self._actions += 1
        row_of = {"action": self._actions, "at_ms": now_ms, "what": effect.action, "channel": effect.channel}
        said = {"batch_id": effect.batch_id, "detail": effect.detail}
        connection.execute(insert(payout_actions), row_of | said)

    def _write_batch(self, connection: Connection, now_ms: int, batch: PayoutBatch) -> None:
        row = {
            "batch_id": batch.batch_id,
            "state": batch.state.value,
            "is_active": batch.is_open or not batch.is_closed,
            "day": batch.day,
            "drawn_units": batch.drawn_units,
            "record": _encode(batch),
            "changed_ms": now_ms,
        }
        connection.execute(delete(payout_batches).where(payout_batches.c.batch_id == batch.batch_id))
        connection.execute(insert(payout_batches), row)

    def write_channel(self, connection: Connection, channel: ChannelRecord) -> None:
        """Anew, or over what it was."""
        connection.execute(delete(payout_channels).where(payout_channels.c.account == channel.account))
        connection.execute(insert(payout_channels), {"account": channel.account, "record": _encode(channel)})

    def add_channels(self, channels: Sequence[ChannelRecord]) -> None:
        """Those that are not there yet."""
        known = {channel.account for channel in self.load().channels}
        with self.engine.begin() as connection:
            for channel in channels:
                if channel.account not in known:
                    self.write_channel(connection, channel)

    def transactions(self, channel: str, sequence: int) -> list[SealedTransaction]:
        """All that was ever sealed for one number of a channel, the oldest first."""
        table = payout_transactions
        query = select(table).where(table.c.channel == channel, table.c.sequence == sequence)
        with self.engine.connect() as connection:
            rows = connection.execute(query.order_by(table.c.max_time_s)).all()
        return [SealedTransaction(*row) for row in rows]

    def transaction(self, digest: str) -> SealedTransaction | None:
        """By its hash."""
        query = select(payout_transactions).where(payout_transactions.c.hash == digest)
        with self.engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else SealedTransaction(*row)

    def drawn_units(self, day: int) -> int:
        """What batches took of a day's cap."""
        query = select(func.sum(payout_batches.c.drawn_units)).where(payout_batches.c.day == day)
        with self.engine.connect() as connection:
            return int(connection.execute(query).scalar() or 0)

    def write_signed(self, digest: str, signed_xdr: str) -> None:
        """Before it is submitted."""
        row = update(payout_transactions).where(payout_transactions.c.hash == digest)
        with self.engine.begin() as connection:
            connection.execute(row.values(signed_xdr=signed_xdr))

    def batch(self, batch_id: str) -> PayoutBatch | None:
        """As it was written last."""
        query = select(payout_batches.c.record).where(payout_batches.c.batch_id == batch_id)
        with self.engine.connect() as connection:
            record = connection.execute(query).scalar()
        return None if record is None else _decoded(record, PayoutBatch)

    def batches(self) -> list[PayoutBatch]:
        """All that there ever were."""
        with self.engine.connect() as connection:
            records = connection.execute(select(payout_batches.c.record)).scalars().all()
        return [_decoded(record, PayoutBatch) for record in records]

    def set_addresses(self, addresses: Mapping[str, tuple[Rail, str]]) -> None:
        """Where operators are paid from now on; what was refused before is tried again."""
        with self.engine.begin() as connection:
            for operator, (rail, destination) in addresses.items():
                row = {"operator": operator, "rail": rail.value, "destination": destination, "refused": None}
                connection.execute(delete(payout_addresses).where(payout_addresses.c.operator == operator))
                connection.execute(insert(payout_addresses), row)

    def lines(self, available: dict[str, int]) -> tuple[PayoutLine, ...]:
        """Whoever has something available and an address that was not refused, in the order of names."""
        table = payout_addresses
        query = select(table.c.operator, table.c.destination, table.c.rail).where(table.c.refused.is_(None))
        with self.engine.connect() as connection:
            rows = connection.execute(query.order_by(table.c.operator)).all()
        return tuple(
            PayoutLine(operator=operator, destination=destination, units=units, rail=Rail(rail))
            for operator, destination, rail in rows
            if (units := available.get(operator, 0)) > 0
        )

    def payable(self) -> list[str]:
        """Operators with an address that was not refused, in the order of names."""
        query = select(payout_addresses.c.operator).where(payout_addresses.c.refused.is_(None))
        with self.engine.connect() as connection:
            return list(connection.execute(query.order_by(payout_addresses.c.operator)).scalars())

    def refused(self) -> dict[str, str]:
        """Operators whose address took nothing, and why."""
        table = payout_addresses
        query = select(table.c.operator, table.c.refused).where(table.c.refused.is_not(None))
        with self.engine.connect() as connection:
            return dict(connection.execute(query.order_by(table.c.operator)).tuples().all())

    def counts(self) -> dict[str, int]:
        """Batches by state."""
        query = select(payout_batches.c.state, func.count()).group_by(payout_batches.c.state)
        with self.engine.connect() as connection:
            return dict(connection.execute(query).tuples().all())

    def actions(self, limit: int) -> list[Action]:
        """The newest lines of the audit log, the newest first."""
        query = select(payout_actions).order_by(payout_actions.c.action.desc()).limit(limit)
        with self.engine.connect() as connection:
            return [Action(*row) for row in connection.execute(query)]
