"""Payouts by a payer that is killed at every step, against a Horizon that misbehaves: each line paid once, or back.

`python -m benchmarks.payouts [--payouts 20] [--channels 1] [--seed 1]`; `make payouts` pays 1,000. Each life of the
payer is a process that ends by SIGKILL; chain and Horizon are those of the tests. Ends with an error where a line was
paid twice or not at all, where books and chain differ by a unit, or where some kind of step killed nobody.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table
from tests.outside.horizon import Plan
from tests.outside.killing import Ordeal
from tests.outside.paying import Purse

from gridlight.adapters.payout_store import PayoutStore
from gridlight.adapters.schema import open_engine
from gridlight.client.progress import ProgressListener, StageProgress

GONE_EVERY: Final = 50
"""One operator of so many has no account on the chain, and another one takes nothing."""
ACTIONS_MAX: Final = 1_000_000

STEPS: Final = frozenset(
    [
        *(f"decided {event}" for event in ("PayoutsDue", "TimeCame", "ChannelSeen", "SubmissionAnswered")),
        *(f"committed {effect}" for effect in ("SealBatch", "RecordBatch", "PayLines", "PayFee")),
        *(f"performed {effect}" for effect in ("LookAtChannel", "SubmitBatch")),
        *(f"about to INSERT payout_{table}" for table in ("entries", "batches", "transactions", "channels", "actions")),
        *("about to UPDATE payout_addresses", "about to UPDATE payout_transactions", "about to commit"),
        *("signed", "journalled", "held", "handed back", "ledger heard", "ledger decided", "ledger committed"),
        *(f"{when} {word}" for when in ("about to say", "said") for word in ("PayoutsWanted", "PayoutsEnded")),
        *(f"{when} GET {target}" for when in ("heard", "did") for target in ("ledgers", "accounts", "transactions")),
        *("heard POST transactions", "did POST transactions"),
    ]
)
"""Kinds of steps at which some life must have ended."""

BY_CHANCE: Final = frozenset(["performed SubmitBatch", "decided SubmissionAnswered"])
"""Those that are not come to with few batches: a submission is killed before, or while, it is answered."""


def paid_out(
    folder: Path, *, payouts: int, channels: int, seed: int, told: Callable[[int], None] = lambda _paid: None
) -> Ordeal:
    """Pays them out, and checks each line and each unit. AssertionError."""
    purse = Purse(folder / "payer.db", payouts, channels=channels, network=f"sqlite:///{folder / 'network.db'}")
    unpaid = set()
    for number, (operator, address) in enumerate(purse.operators.items()):
        if number % GONE_EVERY in (3, 7):
            unpaid.add(operator)
        if number % GONE_EVERY == 3:
            del purse.chain.accounts[address]
        if number % GONE_EVERY == 7:
            purse.chain.accounts[address].is_full = True
    ordeal = Ordeal(purse, folder, Plan(seed=seed, lost=20, late=15, silent=20, lies=20, broken=10))
    ordeal.run(told)
    purse.check(unpaid=frozenset(unpaid))
    purse.check_fence()
    return ordeal


def main() -> None:
    """What `python -m benchmarks.payouts` does."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--payouts", type=int, default=20)
    parser.add_argument("--channels", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, StageProgress(Console(stderr=True)) as progress:
        ordeal = paid_out(Path(folder), told=listening(progress, options.payouts), **vars(options))
        figures = figures_of(ordeal) | {"seconds": round(time.monotonic() - began_s)}
    Console(width=120).print(table(ordeal))
    print(
        f"payouts: {figures['paid']:,} of {options.payouts:,} lines paid, each once; {figures['back']} back in "
        f"available; {figures['killed']:,} lives killed; books and chain agree to the unit"
    )
    machine = {"load": os.getloadavg(), "machine": platform.processor() or platform.machine(), "python": sys.version}
    print(json.dumps({"figures": figures, "options": vars(options)} | machine))
    if missing := STEPS - ordeal.ends.keys():
        sys.exit(f"nobody was killed at: {', '.join(sorted(missing))}")


def listening(progress: ProgressListener, payouts: int) -> Callable[[int], None]:
    """Lines that the chain took, of all."""
    return lambda paid: progress("lines paid", paid, payouts)


def figures_of(ordeal: Ordeal) -> dict[str, int]:
    """What the chain, and the payer's database, show in the end."""
    applied = ordeal.purse.chain.applied.values()
    store = PayoutStore(open_engine(ordeal.purse.url))
    refused, actions = store.refused(), Counter(action.what for action in store.actions(ACTIONS_MAX))
    store.close()
    return {
        "paid": sum(len(one.codes) for one in applied if one.is_successful),
        "back": len(refused),
        "killed": sum(ordeal.ends.values()),
        "transactions": len(applied),
        "failed": sum(not one.is_successful for one in applied),
        "bumped": sum(one.is_bumped for one in applied),
        "calls": len(ordeal.horizon.horizon.calls),
        **{f"times {what}": count for what, count in sorted(actions.items())},
    }


def table(ordeal: Ordeal) -> Table:
    """How many lives ended at each kind of step."""
    shown = Table(title="lives that ended by SIGKILL, by the step that they had come to")
    shown.add_column("step")
    shown.add_column("lives", justify="right")
    for step, lives in sorted(ordeal.ends.items()):
        shown.add_row(step, f"{lives:,}")
    return shown


if __name__ == "__main__":
    main()
