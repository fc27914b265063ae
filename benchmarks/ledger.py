"""The ledger on a disk: postings a second, and how long a restart and an audit of long books take.

`python -m benchmarks.ledger [--entries 1000000] [--batch 500] [--folder DIR]`. Entries are those of paid tasks: one
that holds a price, one that pays a node, and now and then one that collects. They are posted to the core's ledger and
committed to SQLite in batches, each in one transaction that is on the disk when it returns. A snapshot is kept each
100,000 entries, as the coordinator does; the restart takes the one before the newest, which is the worst that can be:
it adds more than 100,000 entries.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import msgspec

from benchmarks.machine import random_read_ns
from gridlight.adapters.books import BookChanges, Books
from gridlight.adapters.schema import migrate, open_engine
from gridlight.core.escrow import Escrow
from gridlight.core.ledger import Ledger, LedgerSnapshot
from gridlight.core.postings import deposit
from gridlight.core.pricing import Quote
from gridlight.messages.ledger import Entry, RecordEntry

SNAPSHOT_EACH_ENTRIES = 100_000
REQUESTERS = 1_000
OPERATORS = 50_000
POSTINGS_TARGET = 20_000
RESTART_TARGET_S = 10.0
COLLECT_EACH_BATCHES = 100
QUOTE = Quote(reward=1_000, fee=100, verify=120)


def main() -> None:
    """Print the figures as JSON; end with 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--batch", type=int, default=500, help="entries in one transaction")
    parser.add_argument("--folder", type=Path, default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        figures = measure(f"sqlite:///{Path(folder) / 'books.db'}", options.entries, options.batch)
    print(json.dumps(figures, indent=2))
    is_met = figures["postings_per_s"] >= POSTINGS_TARGET and figures["restart_s"] <= RESTART_TARGET_S
    raise SystemExit(0 if is_met else 1)


def measure(url: str, wanted: int, batch: int) -> dict[str, float]:
    """Fill books of so many entries, then read them back in both ways."""
    engine = open_engine(url)
    migrate(engine)
    ledger = Ledger()
    escrow, kept, batches, posted, spent_s = Escrow(ledger), [b"", b""], 0, 0, 0.0
    with engine.connect() as writer:
        while ledger.seq < wanted:
            began, first = perf_counter(), ledger.seq
            entries = [*fund(ledger)] if not first else tasks(escrow, batches, batch // 2)
            entries += escrow.collect() if batches % COLLECT_EACH_BATCHES == 0 else []
            with writer.begin():
                BookChanges(batches, [RecordEntry(entry=entry) for entry in entries]).write(writer)
            spent_s += perf_counter() - began
            posted += sum(len(entry.postings) for entry in entries)
            batches += 1
            if first // SNAPSHOT_EACH_ENTRIES != ledger.seq // SNAPSHOT_EACH_ENTRIES:
                kept = [kept[1], msgspec.msgpack.encode(ledger.snapshot())]
            if batches == 1:
                posted, spent_s = 0, 0.0  # the deposits are no part of the measured load
    books = Books(engine)
    restart_s = timed(lambda: restart(books, kept[0], ledger))
    audit_s = timed(books.audit)
    books.close()
    return {
        "entries": ledger.seq,
        "postings": posted,
        "postings_per_s": round(posted / spent_s),
        "batch_entries": batch,
        "restart_s": round(restart_s, 2),
        "audit_s": round(audit_s, 1),
        "snapshot_bytes": len(kept[1]),
        "random_read_ns": random_read_ns(),
    }


def fund(ledger: Ledger) -> list[Entry]:
    """Every requester can pay for all that is to come."""
    drafts = (deposit("ab" * 32, number, f"r{number}", 10**12) for number in range(REQUESTERS))
    return [ledger.post(draft.key, draft.postings) for draft in drafts]


def tasks(escrow: Escrow, batches: int, count: int) -> list[Entry]:
    """So many tasks, each paid for and done."""
    entries = []
    for number in range(count):
        place = batches * count + number
        task = f"req_{place:026d}"
        entries += escrow.open(task, f"r{place * 7919 % REQUESTERS}", QUOTE)
        entries += escrow.final(task, f"U{place * 104729 % OPERATORS:055d}")
    return entries


def restart(books: Books, snapshot: bytes, ledger: Ledger) -> None:
    """As a coordinator starts: the newest snapshot, and the entries after it."""
    state = msgspec.msgpack.decode(snapshot, type=LedgerSnapshot) if snapshot else None
    restored = books.ledger(state)
    assert (restored.head, restored.balances) == (ledger.head, ledger.balances)


def timed(act: Callable[[], object]) -> float:
    """Seconds that it took."""
    began = perf_counter()
    act()
    return perf_counter() - began


if __name__ == "__main__":
    main()
