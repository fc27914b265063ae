"""What the ledger says of one requester or operator, and its nodes' receipts: read from SQL, a page at a time."""

from typing import Final

import msgspec
from msgspec import Struct
from sqlalchemy import and_, func, select

from gridlight.adapters.schema import entries, ledger_lines, open_engine, receipts, sheets
from gridlight.adapters.word_tables import word_pages, words
from gridlight.messages.ledger import Posting
from gridlight.messages.receipts import Receipt, SheetRoot
from gridlight.messages.words import NodeWords

_POSTINGS: Final = msgspec.json.Decoder(tuple[Posting, ...])
_ROOT: Final = msgspec.json.Decoder(SheetRoot)
_RECEIPT: Final = msgspec.json.Decoder(Receipt)
_PART: Final = msgspec.json.Decoder(NodeWords)


class Line(Struct, frozen=True):
    """What one entry did to one owner's accounts."""

    seq: int
    at_ms: int
    key: str
    changes: dict[str, int]
    """Units by the account's last word: avail, escrow, pending, stake or inflight."""


class Place(Struct, frozen=True):
    """Where a node's receipt stands."""

    sheet: int
    place: int


class Part(Struct, frozen=True):
    """A node's words on a page, and where they stand."""

    page: int
    place: int
    words: NodeWords


class LedgerLines:
    """Blocking, and only reads."""

    def __init__(self, database_url: str) -> None:
        self._engine = open_engine(database_url)

    def posting(self, key: str) -> tuple[int, tuple[Posting, ...]] | None:
        """The entry with this key: its number, and what it moves. None where nothing was posted under it."""
        with self._engine.connect() as connection:
            row = connection.execute(select(entries).where(entries.c.key == key)).one_or_none()
        return None if row is None else (row.seq, _POSTINGS.decode(row.postings))

    def lines(self, owner: str, *, after: int, until: int, limit: int) -> list[Line]:
        """Of `req:ID` or `op:ID`, in their order: entries after one and up to another. O(limit)."""
        query = (
            select(entries)
            .join(ledger_lines, and_(ledger_lines.c.seq == entries.c.seq, ledger_lines.c.owner == owner))
            .where(ledger_lines.c.seq > after, ledger_lines.c.seq <= until)
            .order_by(ledger_lines.c.seq)
            .limit(limit)
        )
        with self._engine.connect() as connection:
            rows = connection.execute(query).all()
        return [
            Line(row.seq, row.posted_ms, row.key, changes_of(owner, _POSTINGS.decode(row.postings))) for row in rows
        ]

    def roots(self, after_sheet: int, limit: int) -> list[tuple[SheetRoot, str | None]]:
        """Closed sheets' roots in their order, with the network's word on each where it gave one."""
        query = select(sheets).where(sheets.c.sheet > after_sheet).order_by(sheets.c.sheet).limit(limit)
        with self._engine.connect() as connection:
            return [(_ROOT.decode(row.root), row.statement) for row in connection.execute(query)]

    def sheet(self, number: int) -> tuple[str | None, list[Receipt]]:
        """One closed sheet: the network's signed word, and all its receipts in their order. O(receipts)."""
        query = select(receipts.c.receipt).where(receipts.c.sheet == number).order_by(receipts.c.place)
        with self._engine.connect() as connection:
            statement = connection.execute(select(sheets.c.statement).where(sheets.c.sheet == number)).scalar()
            return statement, [_RECEIPT.decode(data) for data in connection.execute(query).scalars()]

    def places(self, node_id: str, after: Place, limit: int) -> list[Place]:
        """Where a node's receipts stand, in their order, after one of them."""
        is_later = (receipts.c.sheet > after.sheet) | (
            (receipts.c.sheet == after.sheet) & (receipts.c.place > after.place)
        )
        query = (
            select(receipts.c.sheet, receipts.c.place)
            # The first condition is the index's; the second only cuts off the sheet that was begun.
            .where(receipts.c.node_id == node_id, receipts.c.sheet >= after.sheet, is_later)
            .order_by(receipts.c.sheet, receipts.c.place)
            .limit(limit)
        )
        with self._engine.connect() as connection:
            return [Place(row.sheet, row.place) for row in connection.execute(query)]

    def words(self, node_id: str, after_page: int, limit: int) -> list[Part]:
        """A node's parts of pages of words, in the order of pages, after one."""
        query = (
            select(words)
            .where(words.c.node_id == node_id, words.c.page > after_page)
            .order_by(words.c.page, words.c.place)
            .limit(limit)
        )
        with self._engine.connect() as connection:
            return [Part(row.page, row.place, _PART.decode(row.part)) for row in connection.execute(query)]

    def words_page(self, page: int) -> tuple[str, list[bytes]] | None:
        """The network's signed word on a page, and all parts of it in their order. None where it is not kept."""
        query = select(words.c.part).where(words.c.page == page).order_by(words.c.place)
        with self._engine.connect() as connection:
            statement = connection.execute(select(word_pages.c.statement).where(word_pages.c.page == page)).scalar()
            return None if statement is None else (statement, list(connection.execute(query).scalars()))

    def newest_words(self) -> int | None:
        """The newest page of words, whoever's; None where the network gave none."""
        with self._engine.connect() as connection:
            return connection.execute(select(func.max(word_pages.c.page))).scalar()

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()


def read_postings(data: bytes) -> tuple[Posting, ...]:
    """Of an entry, as its row has them."""
    return _POSTINGS.decode(data)


def changes_of(owner: str, postings: tuple[Posting, ...]) -> dict[str, int]:
    """What an entry's postings do to an owner's accounts."""
    changes: dict[str, int] = {}
    for posting in postings:
        whose, _, part = posting.account.rpartition(":")
        if whose == owner:
            changes[part] = changes.get(part, 0) + posting.amount
    return changes
