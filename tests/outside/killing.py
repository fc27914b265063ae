"""A payer that is killed by SIGKILL wherever it can be told apart where it stands, once at each step, until it is done.

Each life is a process of its own, forked off one that has imported everything. It kills itself at the first step at
which no life ended before: where the core decided, before each statement of a transaction, before and after its commit,
around signing, and after each thing done outside. Horizon's calls are steps, too: there the server kills it, before
it acts on the call or when it did. `python -m tests.outside.killing` is the process that lives are forked off.
"""

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import event
from tests.outside.horizon import DROPPED, Answer, Horizon, Plan, served
from tests.outside.network_ledger import JournalledLedger
from tests.outside.paying import MovedClock, Purse, Wallet

from gridlight.adapters.chain.calls import certificates
from gridlight.adapters.payout_store import PayoutStore
from gridlight.adapters.schema import open_engine
from gridlight.services.payer.payer import Payer

LIVES_MAX = 20_000
CALLS_AT_ONE_FEE = 60
OF_ANY_BATCH = ("about to INSERT", "about to UPDATE", "about to DELETE", "about to say", "said", "ledger")
LEDGER_DIES = 10
"""In per cent of its steps, the coordinator alone."""


class DeadlyHorizon:
    """Answers as `horizon` does, but whoever calls may be killed; then nothing is answered."""

    def __init__(self, horizon: Horizon, kills: Callable[[str], bool]) -> None:
        self.horizon = horizon
        self.kills = kills
        """Told of a step, `heard` or `did` and the call, it says whether the process ends there."""
        self.pid: int | None = None
        """Who is killed; nobody while there is none."""

    def answer(self, method: str, target: str, body: bytes) -> Answer:
        """To one call."""
        if self._is_killed("heard", method, target):
            return DROPPED
        answer = self.horizon.answer(method, target, body)
        return DROPPED if self._is_killed("did", method, target) else answer

    def _is_killed(self, when: str, method: str, target: str) -> bool:
        if self.pid is None or not self.kills(f"{when} {method} {target}"):
            return False
        pid, self.pid = self.pid, None
        os.kill(pid, signal.SIGKILL)
        return True


class Ordeal:
    """One purse, paid out by a payer that is killed at every step."""

    def __init__(self, purse: Purse, folder: Path, plan: Plan) -> None:
        self.purse = purse
        self.steps = folder / "steps"
        self.steps.touch()
        self.horizon = DeadlyHorizon(Horizon(purse.chain, plan), self._kills)
        self.called: set[str] = set()
        self.ends: Counter[str] = Counter()
        """Lives that ended at each kind of step."""

    def run(self, told: Callable[[int], None] = lambda _paid: None) -> None:
        """Until a life comes to its end with nothing left to do. Hears how many lines were paid."""
        with served(self.horizon) as url, _template() as template:
            order = {"path": self.purse.url.removeprefix("sqlite:///"), "channels": len(self.purse.channel_keys)}
            order |= {"horizon": url, "steps": str(self.steps), "network": self.purse.network}
            for _life in range(LIVES_MAX):
                ended = self._live(template, json.dumps(order))
                told(sum(len(one.codes) for one in self.purse.chain.applied.values() if one.is_successful))
                if ended == 0 and not self._is_open():
                    self.ends.update(step.split(" | ")[0] for step in self.steps.read_text().splitlines())
                    return
                assert ended in (0, -signal.SIGKILL), f"a payer ended with {ended}"
        raise AssertionError(f"not done in {LIVES_MAX} lives")

    def _is_open(self) -> bool:
        """Whether a batch is in flight: a life is patient for a minute with what Horizon denies, and ends then."""
        store = PayoutStore(open_engine(self.purse.url))
        batches = store.load().batches
        store.close()
        return bool(batches)

    def _live(self, template: "subprocess.Popen[str]", order: str) -> int:
        assert template.stdin is not None
        assert template.stdout is not None
        template.stdin.write(order + "\n")
        template.stdin.flush()
        self.horizon.pid = int(template.stdout.readline())
        ended = int(template.stdout.readline())
        self.horizon.pid = None
        return ended

    def _kills(self, step: str) -> bool:
        """Once at each call between the same two transactions that stand in a ledger; and raise fees now and then."""
        chain = self.purse.chain
        chain.fee_least = 100 if len(self.horizon.horizon.calls) // CALLS_AT_ONE_FEE % 3 else 200
        place = f"{step} {len(chain.order)}"
        if place in self.called:
            return False
        self.called.add(place)
        when, method, target = step.split(" ")
        self.ends[f"{when} {method} {target.split('?')[0].split('/')[1]}"] += 1
        return True


def _template() -> "subprocess.Popen[str]":
    words = [sys.executable, "-m", "tests.outside.killing"]
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


class Life:
    """This process's payer, which ends at the first step that is new."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.file = os.open(order["steps"], os.O_RDWR | os.O_APPEND)
        self.known = set(Path(order["steps"]).read_text(encoding="utf-8").splitlines())
        self.payer: Payer | None = None
        wallet = Wallet(Path(order["path"]), channels=order["channels"])
        store, ledger = PayoutStore(open_engine(wallet.url)), None
        if order["network"] is not None:
            seed = len(self.known)
            ledger = JournalledLedger(order["network"], seed=seed, dies=LEDGER_DIES, reached=self.reach)
        self.payer, self.close = wallet.make_payer(
            order["horizon"], MovedClock(), reached=self.reach, store=store, ledger=ledger
        )
        event.listen(store.engine, "before_cursor_execute", self.reach_statement)
        event.listen(store.engine, "commit", lambda _connection: self.reach("about to commit"))

    def reach(self, point: str) -> None:
        """Ends here if no life did before, of those whose open batches stood as they do now.

        What is the payer's own is a step of each batch; words to the ledger and single statements are steps of each
        state that a batch is in. Each kill costs time, in which a batch expires; so its later seals count as one, or it
        would never be done.
        """
        assert self.payer is not None
        step = f"{point} | "
        for one in sorted(self.payer.core.open_batches, key=lambda batch: batch.batch_id):
            step += f"{one.state.value} {min(one.seal, 2)} "
            step += "" if point.startswith(OF_ANY_BATCH) else one.batch_id
        if step not in self.known:
            os.write(self.file, (step + "\n").encode())
            os.kill(os.getpid(), signal.SIGKILL)

    def reach_statement(self, _connection: object, _cursor: object, statement: str, *_: object) -> None:
        """Before each statement that changes something."""
        verb, *words = statement.split()
        if verb != "SELECT":
            self.reach(f"about to {verb} {next(word for word in words if word.startswith('payout_'))}")

    async def live(self) -> None:
        """To the end, if it comes so far."""
        assert self.payer is not None
        try:
            await self.payer.run(is_once=True)
        finally:
            await self.close()
        assert not self.payer.disagreement, self.payer.disagreement


def main() -> None:
    """Fork a life for each order on the standard input; say its number, and how it ended."""
    certificates()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            life = Life(json.loads(line))
            asyncio.run(life.live())
            os._exit(0)
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
