"""Payouts in SQL: one transaction for all that an event decided, before anything is done outside; and how they stand.

One writer: it counts the lines of the audit log itself, so a second writer's insert is refused, and it ends.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol, TypeVar

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, Engine, delete, func, insert, literal, select, union_all, update

from gridlight.adapters.payout_tables import payout_addresses, payout_own_addresses
from gridlight.adapters.schema import (
    migrate,
    open_engine,
    payout_actions,
    payout_batches,
    payout_channels,
    payout_transactions,
)
from gridlight.core.payout_postings import entry_of
from gridlight.core.postings import Draft
from gridlight.messages.ledger import Posting
from gridlight.messages.operators import PayoutStatement
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


class Payee(Struct, frozen=True):
    """Where an operator can be paid now, and what is too little by their own word."""

    operator: str
    rail: Rail
    destination: str
    least_units: int


class Taken(Struct, frozen=True):
    """What was taken over of an operator's own word."""

    serial: int
    refused: str | None
    taken_ms: int


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
            case RefuseAddress():
                _refuse(connection, effect)
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
        """Where operators are paid who say nothing themselves; what was refused before is tried again. A running payer
        counts the audit log's lines, so it is the one that writes these.
        """
        with self.engine.begin() as connection:
            for operator, (rail, destination) in addresses.items():
                row = {"operator": operator, "rail": rail.value, "destination": destination, "refused": None}
                connection.execute(delete(payout_addresses).where(payout_addresses.c.operator == operator))
                connection.execute(insert(payout_addresses), row | {"is_logged": False})

    def log_given(self, now_ms: int) -> bool:
        """Write what administrators named into the audit log; whether there was anything."""
        table = payout_addresses
        fresh = select(table.c.operator, table.c.rail, table.c.destination).where(~table.c.is_logged)
        with self.engine.begin() as connection:
            rows = connection.execute(fresh.order_by(table.c.operator)).all()
            for operator, rail, destination in rows:
                said = f"{operator}, by an administrator: {rail} {destination}"
                self._write_action(connection, now_ms, RecordAction(action="address", channel="", detail=said))
                connection.execute(update(table).where(table.c.operator == operator).values(is_logged=True))
        return bool(rows)

    def taken(self) -> dict[str, Taken]:
        """What was taken over of operators' own words."""
        table = payout_own_addresses
        query = select(table.c.operator, table.c.serial, table.c.refused, table.c.taken_ms)
        with self.engine.connect() as connection:
            return {operator: Taken(*rest) for operator, *rest in connection.execute(query)}

    def take_over(self, now_ms: int, statements: Sequence[PayoutStatement]) -> None:
        """Operators' own words, from now on, each with its line of the audit log; batches stay as they were sealed."""
        table = payout_own_addresses
        with self.engine.begin() as connection:
            for one in statements:
                row = {"operator": one.operator, "serial": one.serial, "destination": one.address, "refused": None}
                connection.execute(delete(table).where(table.c.operator == one.operator))
                connection.execute(insert(table), row | {"threshold_units": one.threshold, "taken_ms": now_ms})
                where = "nowhere" if one.address is None else f"{one.address} from {one.threshold} units on"
                said = f"{one.operator}, by statement {one.serial}: {where}"
                self._write_action(connection, now_ms, RecordAction(action="address", channel="", detail=said))

    def lines(self, available: dict[str, int]) -> tuple[PayoutLine, ...]:
        """Whoever has something available and an address that was not refused, in the order of names."""
        return tuple(
            PayoutLine(
                operator=payee.operator,
                destination=payee.destination,
                units=units,
                rail=payee.rail,
                least_units=payee.least_units,
            )
            for payee in self.payees()
            if (units := available.get(payee.operator, 0)) > 0
        )

    def payees(self) -> list[Payee]:
        """Operators with an address that was not refused, in the order of names: their own, else one that was given."""
        own, given = payout_own_addresses, payout_addresses
        chosen = select(
            own.c.operator, literal(Rail.CHAIN.value).label("rail"), own.c.destination, own.c.threshold_units
        )
        named = select(given.c.operator, given.c.rail, given.c.destination, literal(0))
        both = union_all(
            chosen.where(own.c.destination.is_not(None), own.c.refused.is_(None)),
            named.where(given.c.refused.is_(None), given.c.operator.not_in(select(own.c.operator))),
        ).subquery()
        with self.engine.connect() as connection:
            rows = connection.execute(select(both).order_by(both.c.operator)).all()
        return [Payee(operator, Rail(rail), destination, least) for operator, rail, destination, least in rows]

    def refused(self) -> dict[str, str]:
        """Operators whose address took nothing, and why."""
        own, given = payout_own_addresses, payout_addresses
        both = union_all(
            select(own.c.operator, own.c.refused).where(own.c.refused.is_not(None)),
            select(given.c.operator, given.c.refused).where(
                given.c.refused.is_not(None), given.c.operator.not_in(select(own.c.operator))
            ),
        )
        with self.engine.connect() as connection:
            return {row.operator: row.refused for row in connection.execute(both)}

    def counts(self) -> dict[str, int]:
        """Batches by state."""
        query = select(payout_batches.c.state, func.count().label("number")).group_by(payout_batches.c.state)
        with self.engine.connect() as connection:
            return {row.state: row.number for row in connection.execute(query)}

    def actions(self, limit: int) -> list[Action]:
        """The newest lines of the audit log, the newest first."""
        query = select(payout_actions).order_by(payout_actions.c.action.desc()).limit(limit)
        with self.engine.connect() as connection:
            return [Action(*row) for row in connection.execute(query)]


def _refuse(connection: Connection, effect: RefuseAddress) -> None:
    """The address that took nothing; one that was named meanwhile is still to be tried. Pi's platform chose where its
    payment went, so there whatever was named is refused.
    """
    own, given = payout_own_addresses, payout_addresses
    of_given = [given.c.operator == effect.operator, given.c.rail == effect.rail.value]
    if effect.rail is Rail.CHAIN:
        of_given.append(given.c.destination == effect.destination)
        of_own = (own.c.operator == effect.operator) & (own.c.destination == effect.destination)
        connection.execute(update(own).where(of_own).values(refused=effect.reason))
    connection.execute(update(given).where(*of_given).values(refused=effect.reason))
