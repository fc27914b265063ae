"""What the ledger says of one owner, in SQL: every entry that concerns it, and no other."""

from sqlalchemy import Engine, delete
from tests.integration.test_migrations import migrate_to
from tests.unit.core.test_receipts import receipt

from gridlight.adapters.books import BookChanges
from gridlight.adapters.ledger_lines import LedgerLines, Line, Place
from gridlight.adapters.schema import entries, migrate
from gridlight.core.ledger import Ledger
from gridlight.core.receipts import Sheet
from gridlight.messages.ledger import (
    EXT_CHAIN,
    NET_FEE,
    Entry,
    Posting,
    RecordEntry,
    op_avail,
    op_pending,
    req_avail,
    req_escrow,
)
from gridlight.messages.receipts import RecordSheet


def posted() -> list[Entry]:
    """Anna is granted money, pays Ben with it, and Ben's vests; what concerns the network alone is nobody's line."""
    ledger = Ledger()
    return [
        ledger.post("grant:a", [Posting(EXT_CHAIN, -900), Posting(req_avail("anna"), 900)]),
        ledger.post("grant:n", [Posting(EXT_CHAIN, -5), Posting(NET_FEE, 5)]),
        ledger.post("open:1", [Posting(req_avail("anna"), -100), Posting(req_escrow("anna"), 100)]),
        ledger.post("final:1", [Posting(req_escrow("anna"), -100), Posting(op_pending("ben"), 100)]),
        ledger.post("vest:1", [Posting(op_pending("ben"), -100), Posting(op_avail("ben"), 100)]),
    ]


def lines_of(engine: Engine) -> LedgerLines:
    return LedgerLines(engine.url.render_as_string(hide_password=False))


def check(lines: LedgerLines) -> None:
    anna = lines.lines("req:anna", after=0, until=99, limit=99)
    assert [(line.seq, line.key, line.changes) for line in anna] == [
        (1, "grant:a", {"avail": 900}),
        (3, "open:1", {"avail": -100, "escrow": 100}),
        (4, "final:1", {"escrow": -100}),
    ]
    ben = lines.lines("op:ben", after=0, until=99, limit=99)
    assert [(line.seq, line.changes) for line in ben] == [(4, {"pending": 100}), (5, {"pending": -100, "avail": 100})]
    assert lines.lines("op:be", after=0, until=99, limit=99) == []


def test_each_has_the_lines_that_concern_it(engine: Engine) -> None:
    migrate(engine)
    with engine.begin() as connection:
        BookChanges(7, [RecordEntry(entry=entry) for entry in posted()]).write(connection)
    lines = lines_of(engine)

    check(lines)
    assert lines.lines("req:anna", after=1, until=3, limit=9) == [Line(3, 7, "open:1", {"avail": -100, "escrow": 100})]
    assert [line.seq for line in lines.lines("req:anna", after=0, until=9, limit=2)] == [1, 3]
    found = lines.posting("grant:n")
    assert found is not None
    assert (found[0], found[1][1]) == (2, Posting(NET_FEE, 5))
    assert lines.posting("grant:z") is None
    lines.close()


def test_entries_from_before_the_index_are_in_it(engine: Engine) -> None:
    migrate(engine)
    with engine.begin() as connection:
        BookChanges(7, [RecordEntry(entry=entry) for entry in posted()]).write(connection)
        rows = [dict(row._mapping) for row in connection.execute(entries.select())]
        connection.execute(delete(entries))
        connection.exec_driver_sql("DROP TABLE ledger_lines")
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0006'")
        connection.execute(entries.insert(), rows)

    migrate_to(engine, "0007")

    lines = lines_of(engine)
    check(lines)
    lines.close()


def test_a_nodes_receipts_are_found_by_sheet_and_place(engine: Engine) -> None:
    migrate(engine)
    sheet = Sheet()
    for numbers in ((1, 2, 3), (4,), (1, 5)):
        for number in numbers:
            sheet.write(receipt(number, sheet=sheet.number))
        root, receipts = sheet.close(1, ledger_seq=0, ledger_head="0" * 64, epoch=1)
        with engine.begin() as connection:
            record = RecordSheet(root=root, receipts=tuple(receipts))
            BookChanges(1, [record], lambda root: f"signed {root.sheet}").write(connection)
    lines, node = lines_of(engine), receipt(1).node

    found = lines.places(node, Place(-1, 0), 9)
    statement, receipts = lines.sheet(2)

    assert [place.sheet for place in found] == [0, 2]
    assert (statement, receipts[found[1].place].node) == ("signed 2", node)
    assert lines.places(node, found[0], 9) == found[1:]
    assert lines.places(node, Place(-1, 0), 1) == found[:1]
    assert [root.sheet for root, _ in lines.roots(0, 9)] == [1, 2]
    lines.close()
