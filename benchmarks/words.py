"""What the network's words cost the coordinator, in CPU time of one run: `python -m benchmarks.words [--pages N]`.

The core's own register, the real signature, and the real tables in SQLite; a commit's waiting for the disk is no CPU
time. The more runs share a page, the less its one signature costs each.
"""

import argparse
import tempfile
from functools import partial
from pathlib import Path
from time import process_time

from gridlight.adapters.kept_words import WordChanges
from gridlight.adapters.schema import migrate, open_engine
from gridlight.adapters.signatures import SigningKey
from gridlight.adapters.words import sign_closed
from gridlight.core.bookkeeping import Bookkeeping
from gridlight.core.notices import RunSeen
from gridlight.core.words import PAGE_MS
from gridlight.messages.host import TimePassed
from gridlight.messages.ids import AssignmentId, JobId, NodeId, WorkloadId
from gridlight.messages.ledger import MoneyParameters, PricesSet

WORKLOAD = WorkloadId("coco-ssd@sha256:" + "5d" * 32)
SETTLES_MS = 6 * 3_600_000
SHAPES = ((1, 1), (7, 20), (7, 200), (1_000, 1_000), (1_000, 10_000))
"""Nodes, and runs of all of them on one page of twenty seconds."""


def measure(nodes: int, runs: int, pages: int, folder: Path) -> tuple[float, float]:
    """Milliseconds of CPU a run: in the core, and with signature and tables."""
    engine = open_engine(f"sqlite:///{folder / f'{nodes}-{runs}.db'}")
    migrate(engine)
    sign, books = partial(sign_closed, SigningKey.generate()), Bookkeeping()
    books.hear(0, PricesSet(money=MoneyParameters(), work={WORKLOAD: 1_000}), [])
    ids = [NodeId(SigningKey.generate().public) for _ in range(nodes)]
    for node in ids:
        books.earnings.know(node, node)
    in_core = in_all = 0.0
    for page in range(pages):
        begun = process_time()
        now_ms = 2 * PAGE_MS * page
        for number in range(runs):
            attempt = AssignmentId(f"{page:08x}{number:08x}")
            job = JobId(f"req_{number:026d}")
            books.run_seen(now_ms, RunSeen(ids[number % nodes], attempt, job, WORKLOAD, now_ms), SETTLES_MS)
            books.register.claim(attempt)
        effects = books.hear(now_ms + PAGE_MS, TimePassed(), [])
        in_core += process_time() - begun
        with engine.begin() as connection:
            WordChanges(effects, sign).write(connection)
        in_all += process_time() - begun
    engine.dispose()
    return 1_000 * in_core / (pages * runs), 1_000 * in_all / (pages * runs)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=30)
    pages = parser.parse_args().pages
    print("nodes  runs a page  core, ms a run  with signature and tables, ms a run")
    with tempfile.TemporaryDirectory() as folder:
        for nodes, runs in SHAPES:
            core, whole = measure(nodes, runs, pages, Path(folder))
            print(f"{nodes:5}  {runs:11}  {core:14.4f}  {whole:35.4f}")


if __name__ == "__main__":
    main()
