"""The ledger in SQL: kept with the journal's record or not at all, and audited from the first entry on."""

from collections.abc import Iterator
from functools import partial

import pytest
from sqlalchemy import Engine, text
from tests.integration.databases import NewDatabase
from tests.unit.core.test_receipts import receipt

from gridlight.adapters.books import BookChanges, Books, EntryTwice
from gridlight.adapters.receipts import ReceiptInvalid
from gridlight.adapters.schema import migrate, open_engine
from gridlight.adapters.signatures import SigningKey
from gridlight.adapters.words import sign_closed
from gridlight.core.ledger import BooksBroken, Ledger
from gridlight.core.receipts import Sheet
from gridlight.messages.ledger import EXT_CHAIN, NET_FEE, Entry, Posting, RecordEntry, op_pending, req_avail
from gridlight.messages.receipts import RecordSheet

KEY, STRANGER = SigningKey.generate(), SigningKey.generate()


sign = partial(sign_closed, KEY)


@pytest.fixture
def engine(new_database: NewDatabase) -> Iterator[Engine]:
    engine = open_engine(new_database())
    migrate(engine)
    yield engine
    engine.dispose()


def write(engine: Engine, *effects: RecordEntry | RecordSheet) -> None:
    with engine.begin() as connection:
        BookChanges(1_000, effects, sign).write(connection)


def earn(ledger: Ledger, count: int) -> list[RecordEntry]:
    """So many entries."""
    account = op_pending("ben") if ledger.seq % 2 else req_avail("anna")
    return [
        RecordEntry(entry=ledger.post(f"k:{ledger.seq}", [Posting(EXT_CHAIN, -3), Posting(account, 3)]))
        for _ in range(count)
    ]


@pytest.fixture
def ledger(engine: Engine) -> Ledger:
    """Eight entries and three sheets: an empty one first, and one after the last entry."""
    ledger, sheet = Ledger(), Sheet()
    for count, receipts in ((0, ()), (5, (1, 2, 3)), (3, (4,))):
        effects: list[RecordEntry | RecordSheet] = list(earn(ledger, count))
        for number in receipts:
            sheet.write(receipt(number, sheet=sheet.number))
        root, sorted_ = sheet.close(1_000, ledger_seq=ledger.seq, ledger_head=ledger.head, epoch=1)
        write(engine, *effects, RecordSheet(root=root, receipts=tuple(sorted_)))
    return ledger


def test_p4_books_are_read_back_as_they_were_written(engine: Engine, ledger: Ledger) -> None:
    books = Books(engine)
    read = books.ledger()
    assert (read.balances, read.seq, read.head) == (ledger.balances, ledger.seq, ledger.head)
    assert books.head() == (ledger.seq, ledger.head)


def test_an_empty_database_has_empty_books(engine: Engine) -> None:
    books = Books(engine)
    assert books.head() == (0, Ledger().head)
    report = books.audit(KEY.public)
    assert (report.entries, report.sheets, report.receipts, report.balances) == (0, 0, 0, {})


def test_books_go_on_from_a_snapshot(engine: Engine, ledger: Ledger) -> None:
    snapshot = ledger.snapshot()
    snapshot.balances = dict(snapshot.balances)
    write(engine, *earn(ledger, 3))
    read = Books(engine).ledger(snapshot)
    assert (read.balances, read.head) == (ledger.balances, ledger.head)


def test_p3_a_key_that_is_on_the_books_takes_its_whole_batch_with_it(engine: Engine, ledger: Ledger) -> None:
    forgetful = Ledger()
    forgetful.restore(ledger.snapshot())
    forgetful._remembered.clear()
    other = forgetful.post("fresh", [Posting(op_pending("ben"), -1), Posting(NET_FEE, 1)])
    again = forgetful.post("k:0", [Posting(op_pending("ben"), -1), Posting(NET_FEE, 1)])
    with pytest.raises(EntryTwice):
        write(engine, RecordEntry(entry=other), RecordEntry(entry=again))
    assert Books(engine).head() == (ledger.seq, ledger.head)


def test_an_audit_of_whole_books_says_what_is_on_them(engine: Engine, ledger: Ledger) -> None:
    report = Books(engine).audit(KEY.public)
    assert (report.entries, report.head, report.accounts) == (8, ledger.head, 3)
    assert (report.sheets, report.sheets_signed, report.receipts) == (3, 3, 4)
    assert report.balances == {EXT_CHAIN: -24, "op:*:pending": 9, "req:*:avail": 15}
    assert Books(engine).audit().sheets_signed == 0


def test_roots_without_a_signature_are_counted_as_such(engine: Engine) -> None:
    root, _ = Sheet().close(1, ledger_seq=0, ledger_head=Ledger().head, epoch=1)
    with engine.begin() as connection:
        BookChanges(1_000, [RecordSheet(root=root, receipts=())]).write(connection)
    report = Books(engine).audit(KEY.public)
    assert (report.sheets, report.sheets_signed) == (1, 0)


ALTERATIONS = {
    "an amount": "UPDATE entries SET postings = :postings WHERE seq = 4",
    "a key": "UPDATE entries SET key = 'other' WHERE seq = 4",
    "no JSON": "UPDATE entries SET postings = :rubbish WHERE seq = 4",
    "a hash": "UPDATE entries SET hash = prev_hash WHERE seq = 4",
    "a missing entry": "DELETE FROM entries WHERE seq = 4",
    "a missing end": "DELETE FROM entries WHERE seq = 8",
    "a receipt": "DELETE FROM receipts WHERE sheet = 1 AND place = 2",
    "a sheet": "DELETE FROM sheets WHERE sheet = 1",
    "a root": "UPDATE sheets SET root = (SELECT root FROM sheets WHERE sheet = 1) WHERE sheet = 2",
    "a word": "UPDATE sheets SET statement = (SELECT statement FROM sheets WHERE sheet = 1) WHERE sheet = 2",
}


@pytest.mark.parametrize("what", ALTERATIONS)
def test_p4_what_was_altered_is_found(engine: Engine, ledger: Ledger, what: str) -> None:
    assert ledger.seq == 8
    given = {"postings": b'[["ext:chain",-4],["req:anna:avail",4]]', "rubbish": b"{"}
    statement = text(ALTERATIONS[what])
    with engine.begin() as connection:
        connection.execute(statement, {name: given[name] for name in statement.compile().params})
    with pytest.raises(BooksBroken):
        Books(engine).audit(KEY.public)


def test_a_word_of_another_key_is_found(engine: Engine, ledger: Ledger) -> None:
    assert ledger.seq == 8
    with pytest.raises(ReceiptInvalid):
        Books(engine).audit(STRANGER.public)


def test_a_key_that_stands_twice_is_found_however_far_apart(engine: Engine, ledger: Ledger) -> None:
    forgetful = Ledger()
    forgetful.restore(ledger.snapshot())
    forgetful._remembered.clear()
    again = forgetful.post("k:0", [Posting(op_pending("ben"), -1), Posting(NET_FEE, 1)])
    with engine.begin() as connection:
        connection.execute(text("DROP INDEX entries_by_key"))
    write(engine, RecordEntry(entry=again))
    with pytest.raises(BooksBroken, match="another entry has"):
        Books(engine).audit(KEY.public)


def test_long_books_are_read_in_parts(engine: Engine, monkeypatch: pytest.MonkeyPatch, ledger: Ledger) -> None:
    monkeypatch.setattr("gridlight.adapters.books.READ_AT_ONCE", 2)
    books = Books(engine)
    entries: list[Entry] = list(books.entries_after(0))
    assert [entry.seq for entry in entries] == list(range(1, ledger.seq + 1))
    assert len(list(books.roots())) == 3
    assert books.audit(KEY.public).entries == 8
