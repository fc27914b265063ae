"""The ledger and its receipts in SQL: added to with the journal's record, read back to audit and to go on.

Entries are only ever inserted, many at once; a key or a number that is there already is refused by its index, and
with it the whole batch. There is no table of balances: they are in the core's snapshot, and follow from the entries.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, Engine, func, insert, select
from sqlalchemy.exc import IntegrityError

from gridlight.adapters.prepared import Prepared
from gridlight.adapters.receipts import read_root
from gridlight.adapters.schema import entries, ledger_lines, migrate, open_engine, receipts, sheets
from gridlight.core.ledger import BooksBroken, Ledger, LedgerSnapshot
from gridlight.core.merkle import merkle_root
from gridlight.core.receipts import leaf_hash
from gridlight.messages.codec import encode
from gridlight.messages.ledger import GENESIS, Entry, Posting, RecordEntry
from gridlight.messages.receipts import Receipt, RecordSheet, SheetRoot, receipt_bytes, root_hash
from gridlight.messages.words import WordsRoot

READ_AT_ONCE: Final = 10_000
_POSTINGS: Final = msgspec.json.Decoder(tuple[Posting, ...])
_RECEIPT: Final = msgspec.json.Decoder(Receipt)
_ROOT: Final = msgspec.json.Decoder(SheetRoot)
_INSERT_ENTRY: Final = Prepared(insert(entries))
_INSERT_LINE: Final = Prepared(insert(ledger_lines))
_INSERT_SHEET: Final = Prepared(insert(sheets))
_INSERT_RECEIPT: Final = Prepared(insert(receipts))
_encode: Final = msgspec.json.Encoder().encode

Sign = Callable[[SheetRoot | WordsRoot], str | None]
"""Signs the root of a sheet of receipts, or of a page of words."""


def unsigned(_root: SheetRoot | WordsRoot) -> None:
    """Where the host has no key of the network: roots are kept, and can be signed later."""
    return


class EntryTwice(Exception):
    """An entry's key or number is on the books already: nothing of the batch was written."""


class BookChanges:
    """One batch's share in the ledger's tables."""

    def __init__(self, now_ms: int, effects: Iterable[Any], sign: Sign = unsigned) -> None:
        self._entries: list[dict[str, Any]] = []
        self._lines: list[dict[str, Any]] = []
        self._sheets: list[dict[str, Any]] = []
        self._receipts: list[dict[str, Any]] = []
        for effect in effects:
            if type(effect) is RecordEntry:
                self._entries.append(_entry_row(now_ms, effect.entry))
                self._lines += [{"owner": owner, "seq": effect.entry.seq} for owner in owners(effect.entry)]
            elif type(effect) is RecordSheet:
                self._gather_sheet(effect, sign)

    def _gather_sheet(self, effect: RecordSheet, sign: Sign) -> None:
        root = effect.root
        row = {"sheet": root.sheet, "root": encode(root), "statement": sign(root), "closed_ms": root.closed_ms}
        self._sheets.append(row)
        self._receipts += [
            {
                "sheet": root.sheet,
                "place": place,
                "node_id": receipt.node,
                "attempt": receipt.attempt,
                "receipt": receipt_bytes(receipt),
            }
            for place, receipt in enumerate(effect.receipts)
        ]

    def write(self, connection: Connection) -> None:
        """Within the transaction of the journal's record. EntryTwice."""
        try:
            for statement, rows in (
                (_INSERT_ENTRY, self._entries),
                (_INSERT_LINE, self._lines),
                (_INSERT_SHEET, self._sheets),
                (_INSERT_RECEIPT, self._receipts),
            ):
                if rows:
                    statement.write(connection, rows)
        except IntegrityError as error:
            raise EntryTwice(f"the books have this already: {error.orig}") from error


def owners(entry: Entry) -> list[str]:
    """Whom an entry concerns beside the network: `req:ID` and `op:ID`."""
    accounts = (posting.account for posting in entry.postings)
    return sorted({account.rpartition(":")[0] for account in accounts if account.startswith(("req:", "op:"))})


def _entry_row(now_ms: int, entry: Entry) -> dict[str, Any]:
    return {
        "seq": entry.seq,
        "key": entry.key,
        "postings": _encode(entry.postings),
        "prev_hash": entry.prev_hash,
        "hash": entry.hash,
        "posted_ms": now_ms,
    }


class AuditReport(Struct, frozen=True, kw_only=True):
    """What an audit of the books found: they are whole, and say this."""

    entries: int
    head: str
    accounts: int
    sheets: int
    sheets_signed: int
    """Whose signature was checked; 0 where no key was given."""
    receipts: int
    balances: dict[str, int]
    """Of the network's own accounts and of all others together, in units of 1e-7 coin."""


class Books:
    """Reads one network's ledger. Blocking."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @classmethod
    def open(cls, database_url: str) -> "Books":
        """Connect, and bring the tables to the newest schema."""
        engine = open_engine(database_url)
        migrate(engine)
        return cls(engine)

    def head(self) -> tuple[int, str]:
        """Number and hash of the newest entry."""
        query = select(entries.c.seq, entries.c.hash).order_by(entries.c.seq.desc()).limit(1)
        with self._engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        return (0, GENESIS) if row is None else (row.seq, row.hash)

    def entries_after(self, seq: int) -> Iterator[Entry]:
        """Entries in their order, from the one after this number. BooksBroken where one cannot be read."""
        while True:
            query = select(entries).where(entries.c.seq > seq).order_by(entries.c.seq).limit(READ_AT_ONCE)
            with self._engine.connect() as connection:
                rows = connection.execute(query).all()
            for row in rows:
                yield Entry(row.seq, row.key, _postings(row.seq, row.postings), row.prev_hash, row.hash)
            if len(rows) < READ_AT_ONCE:
                return
            seq = rows[-1].seq

    def ledger(self, snapshot: LedgerSnapshot | None = None) -> Ledger:
        """The ledger as the entries tell it, from a snapshot on. BooksBroken where they do not go on from it."""
        ledger = Ledger()
        if snapshot is not None:
            ledger.restore(snapshot)
        for entry in self.entries_after(ledger.seq):
            ledger.add(entry)
        return ledger

    def roots(self) -> Iterator[tuple[SheetRoot, str | None]]:
        """Every sheet's root, with the network's word on it where there is one."""
        number = -1
        while True:
            query = select(sheets).where(sheets.c.sheet > number).order_by(sheets.c.sheet).limit(READ_AT_ONCE)
            with self._engine.connect() as connection:
                rows = connection.execute(query).all()
            for row in rows:
                yield _ROOT.decode(row.root), row.statement
            if len(rows) < READ_AT_ONCE:
                return
            number = rows[-1].sheet

    def receipts_of(self, sheet: int) -> list[Receipt]:
        """A sheet's receipts, in their order."""
        query = select(receipts.c.receipt).where(receipts.c.sheet == sheet).order_by(receipts.c.place)
        with self._engine.connect() as connection:
            return [_RECEIPT.decode(data) for data in connection.execute(query).scalars()]

    def audit(self, network_key: str | None = None) -> AuditReport:
        """Add every entry again from the first on, and hold each sheet against its receipts and the ledger.

        BooksBroken and ReceiptInvalid say where they are not what was once written. O(entries + receipts).
        """
        self._demand_single_keys()
        roots = self.roots()
        ledger, root = Ledger(), next(roots, None)
        chain, counted, signed, total = GENESIS, 0, 0, 0
        for entry in self.entries_after(0):
            while root is not None and root[0].ledger_seq == ledger.seq:
                total += self._audit_sheet(ledger, counted, chain, root[0])
                signed += _is_signed(*root, network_key)
                chain, counted, root = root_hash(root[0]), counted + 1, next(roots, None)
            ledger.add(entry)
        while root is not None:
            total += self._audit_sheet(ledger, counted, chain, root[0])
            signed += _is_signed(*root, network_key)
            chain, counted, root = root_hash(root[0]), counted + 1, next(roots, None)
        return AuditReport(
            entries=ledger.seq,
            head=ledger.head,
            accounts=len(ledger.balances),
            sheets=counted,
            sheets_signed=signed,
            receipts=total,
            balances=_summed(ledger),
        )

    def _demand_single_keys(self) -> None:
        query = select(func.min(entries.c.seq)).group_by(entries.c.key).having(func.count() > 1).limit(1)
        with self._engine.connect() as connection:
            seq = connection.execute(query).scalar()
        if seq is not None:
            raise BooksBroken(seq, "has a key that another entry has, too")

    def _audit_sheet(self, ledger: Ledger, number: int, chain: str, root: SheetRoot) -> int:
        """How many receipts the sheet has; BooksBroken where it is not what its root says."""
        if root.sheet != number or root.prev_root != chain:
            raise BooksBroken(root.ledger_seq, f"is where sheet {root.sheet} does not go on from the sheet before it")
        if (root.ledger_seq, root.ledger_head) != (ledger.seq, ledger.head):
            raise BooksBroken(root.ledger_seq, f"is not the one that sheet {root.sheet} was closed at")
        found = self.receipts_of(number)
        if len(found) != root.receipts or merkle_root([leaf_hash(one) for one in found]) != root.merkle_root:
            raise BooksBroken(root.ledger_seq, f"is where sheet {root.sheet} has other receipts than its root says")
        return len(found)

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()


def _postings(seq: int, data: bytes) -> tuple[Posting, ...]:
    try:
        return _POSTINGS.decode(data)
    except msgspec.MsgspecError as error:
        raise BooksBroken(seq, f"cannot be read ({error})") from error


def _is_signed(root: SheetRoot, statement: str | None, network_key: str | None) -> bool:
    """Whether the network's word on the root was there and checked."""
    if network_key is None or statement is None:
        return False
    if read_root(statement, network_key) != root:
        raise BooksBroken(root.ledger_seq, f"is where the network signed another root for sheet {root.sheet}")
    return True


def _summed(ledger: Ledger) -> dict[str, int]:
    """What requesters and operators have, all of a kind together: an audit names nobody."""
    summed: dict[str, int] = {}
    for account, balance in sorted(ledger.balances.items()):
        first, *_, last = account.split(":")
        name = account if first in ("ext", "net") else f"{first}:*:{last}"
        summed[name] = summed.get(name, 0) + balance
    return summed
