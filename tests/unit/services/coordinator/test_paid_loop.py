"""Paid jobs on a real journal: the books are in the same transaction, and a fold comes to the same ones."""

import asyncio
from functools import partial
from pathlib import Path

import msgspec
from sqlalchemy import text
from tests.unit.core.world import WORKLOAD, enrolled, job_id, node_id, offer, secret, sends, slots, submitted
from tests.unit.services.coordinator.hosting import Performed, loop_of, put, result, running

from gridlight.adapters.books import Books
from gridlight.adapters.journal import Journal
from gridlight.adapters.receipts import verify_receipt, write_receipt
from gridlight.adapters.schema import open_engine
from gridlight.adapters.signatures import SigningKey
from gridlight.adapters.words import sign_closed
from gridlight.core.receipts import prove
from gridlight.messages.host import CoordinatorStarted
from gridlight.messages.ledger import NET_FEE, AccountCredited, MoneyParameters, PricesSet, op_pending, req_avail
from gridlight.messages.receipts import RecordSheet
from gridlight.messages.trust import EpochBegan
from gridlight.services.coordinator.loop import fold

NODE, KEY = node_id(1), SigningKey.generate()


def begin(epoch: int) -> EpochBegan:
    return EpochBegan(epoch=epoch, secret=secret(epoch), next_secret=secret(epoch + 1))


async def live(journal: Journal) -> Performed:
    """One paid job from its submission to its receipt."""
    performed = Performed()
    loop = loop_of(journal, performed, sign=partial(sign_closed, KEY))
    async with running(loop):
        put(loop, CoordinatorStarted(seed=7, workloads=(WORKLOAD,)))
        put(loop, PricesSet(money=MoneyParameters(), work={WORKLOAD: 1_000}))
        put(loop, AccountCredited(key="grant:anna", account=req_avail("anna"), amount=5_000))
        put(loop, begin(1), enrolled(NODE), offer(NODE, slots(1)))
        put(loop, msgspec.structs.replace(submitted(job_id(1), deadline_ms=60_000), account_id="anna"))
        await performed.until(sends)
        put(loop, result(sends(performed.effects)[0]), begin(2))
        await performed.until(lambda effects: sum(isinstance(one, RecordSheet) for one in effects) == 2)
    return performed


async def test_books_are_whole_after_a_run_and_a_fold_comes_to_the_same(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'gridlight.db'}"
    journal = Journal(url)
    await live(journal)
    core, _ = fold(journal)
    books = Books.open(url)
    report = books.audit(KEY.public)
    ledger = core.bookkeeping.ledger

    assert books.ledger().balances == ledger.balances
    assert (report.entries, report.head) == (ledger.seq, ledger.head)
    assert (report.sheets, report.sheets_signed, report.receipts) == (2, 2, 1)
    assert (ledger.balance(op_pending(NODE)), ledger.balance(NET_FEE)) == (1_000, 100)
    assert ledger.balance(req_avail("anna")) == 3_900
    books.close()
    journal.close()


async def test_a_receipt_of_the_run_is_genuine_by_the_networks_key_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'gridlight.db'}"
    journal = Journal(url)
    performed = await live(journal)
    journal.close()
    books = Books.open(url)
    [_, (root, statement)] = books.roots()
    assert statement is not None
    file = write_receipt(prove(books.receipts_of(root.sheet), 0), statement)
    books.close()

    receipt = verify_receipt(file, KEY.public).receipt
    assert (receipt.node, receipt.amount) == (NODE, 1_000)
    assert receipt.attempt == sends(performed.effects)[0].assignment.assignment_id


async def test_the_books_of_a_record_that_was_not_written_are_not_there(tmp_path: Path) -> None:
    """A key that stands already takes the whole batch back, and the process ends."""
    url = f"sqlite:///{tmp_path / 'gridlight.db'}"
    journal = Journal(url)
    await live(journal)
    engine = open_engine(url)
    with engine.begin() as connection:
        sequence = connection.execute(text("SELECT max(sequence) FROM journal")).scalar()
        seq = connection.execute(text("SELECT max(seq) FROM entries")).scalar()
        connection.execute(text("UPDATE entries SET key = 'grant:emil' WHERE key = 'grant:anna'"))
    engine.dispose()
    loop = loop_of(journal, Performed())
    put(loop, AccountCredited(key="grant:emil", account=req_avail("emil"), amount=1))
    ended = (await asyncio.gather(loop.run(), return_exceptions=True))[0]
    assert type(ended).__name__ == "EntryTwice"
    assert journal.last_sequence() == sequence
    books = Books.open(url)
    assert books.head()[0] == seq
    books.close()
    journal.close()
