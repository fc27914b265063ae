"""What each machine of a run earned and lost, and whether the books hold: an account of the ledger of its own.

It adds every entry again, by nothing that the core added it with, and knows nodes by their receipts alone. Its checks
are named by the numbers of the properties that the ledger was designed with.
"""

from array import array
from collections.abc import Callable
from typing import Any, Final

from gridlight.core.coordinator import Coordinator
from gridlight.messages.codec import Event
from gridlight.messages.ids import NodeId
from gridlight.messages.ledger import (
    EXT_CHAIN,
    GENESIS,
    NET_VERIFY,
    AccountCredited,
    PricesSet,
    RecordEntry,
    entry_hash,
    req_avail,
    req_escrow,
)
from gridlight.messages.receipts import RecordSheet
from gridlight.messages.words import RecordWords
from gridlight.simulation.demands import demand
from gridlight.simulation.gateways import number_of_job
from gridlight.simulation.minds import WORKLOAD
from gridlight.simulation.population import Population
from gridlight.simulation.scenario import Money

ACCOUNT_ID: Final = "requesters"
"""Who pays for all that is asked."""


def money_events(money: Money | None, *, is_first: bool) -> list[Event]:
    """What a host with prices says at each of its starts, and at the first what is on the books before anybody asks."""
    if money is None:
        return []
    prices = PricesSet(money=money.prices, work={WORKLOAD: money.mwu})
    if not is_first:
        return [prices]
    return [
        prices,
        AccountCredited(key="grant:requesters", account=req_avail(ACCOUNT_ID), amount=money.credited),
        AccountCredited(key="grant:checks", account=NET_VERIFY, amount=money.pool),
    ]


class Takings:
    """The books as they were told, and by machine what it earned and what was taken of it.

    All entries are held to the checks. Only tasks that were asked for before `last` was set are in `paid` and `lost`:
    what a node that is found false earned by later ones is taken first, since what is older vests first.
    """

    def __init__(self, population: Population) -> None:
        self.entries = 0
        self.balances: dict[str, int] = {}
        self.last: int | None = None
        """The number of the last task that counts; without it all do."""
        self.paid = array("q", bytes(8 * population.count))
        self.lost = array("q", bytes(8 * population.count))
        """Clawed back and slashed."""
        self.hears: dict[type, Callable[[Any], None]] = {RecordEntry: self._entry, RecordSheet: self._sheet}
        self.hears[RecordWords] = self._words
        self._population = population
        self._later: dict[NodeId, int] = {}
        """What each node was paid for tasks that do not count."""
        self._taken: dict[NodeId, int] = {}
        self._total = 0
        """What all nodes were paid and kept, for whatever task."""
        self._head = GENESIS
        self._keys: set[str] = set()
        self._attempts: set[str] = set()
        self._promised: set[str] = set()
        """Runs with the network's word and no receipt."""

    def close(self, core: Coordinator) -> None:
        """Once all is settled and the last epoch was paid: the books say what receipts do, and no task holds money."""
        ledger = core.bookkeeping.ledger
        demand(self._head == ledger.head, "P4: the ledger is what its entries add up to", "another head")
        demand(self.balances == ledger.balances, "P4: the ledger is what its entries add up to", "other balances")
        held = self.balances.get(req_escrow(ACCOUNT_ID), 0)
        demand(not held and not len(core.bookkeeping.escrow), "P6: nothing is held for tasks that are over", held)
        earned = sum(balance for account, balance in self.balances.items() if account.startswith("op:"))
        for node_id, taken in self._taken.items():  # only now every receipt is on a sheet that was told
            self.lost[self._population.node_of(node_id)] += max(0, taken - self._later.get(node_id, 0))
        demand(not self._promised, "P45: each word has a receipt", len(self._promised), "have none")
        demand(earned == self._total, "P44: what was earned has receipts", earned, "and receipts over", self._total)

    def _entry(self, effect: RecordEntry) -> None:
        entry, balances, total = effect.entry, self.balances, 0
        self.entries += 1
        is_next = entry.seq == self.entries and entry.prev_hash == self._head
        self._head = entry_hash(entry.seq, entry.key, entry.postings, entry.prev_hash)
        demand(is_next and entry.hash == self._head, "P4: each entry seals all before it", entry.key)
        demand(entry.key not in self._keys, "P3: a key is posted once", entry.key)
        self._keys.add(entry.key)
        for posting in entry.postings:
            total += posting.amount
            after = balances.pop(posting.account, 0) + posting.amount
            if after:
                balances[posting.account] = after
            is_covered = after >= 0 or posting.account == EXT_CHAIN
            demand(is_covered, "P2: no account is below zero", posting.account, after, "by", entry.key)
        demand(total == 0, "P1: postings add up to nothing", entry.key, total)
        kind, _, fault = entry.key.partition(":")
        if kind in ("claw", "slash"):
            node_id = NodeId(fault.partition(":")[0])
            taken = sum(-one.amount for one in entry.postings if one.amount < 0)
            self._total -= taken
            self._taken[node_id] = self._taken.get(node_id, 0) + taken

    def _words(self, effect: RecordWords) -> None:
        self._promised |= {word.attempt for part in effect.parts for word in part.words}

    def _sheet(self, effect: RecordSheet) -> None:
        for receipt in effect.receipts:
            self._promised.discard(receipt.attempt)
            if receipt.status == "unpaid":  # it may be paid later, and has another one then
                continue
            demand(receipt.attempt not in self._attempts, "P41: a run has one receipt", receipt.attempt)
            self._attempts.add(receipt.attempt)
            self._total += receipt.amount
            if self.last is None or number_of_job(receipt.task) <= self.last:
                self.paid[self._population.node_of(receipt.node)] += receipt.amount
            else:
                self._later[receipt.node] = self._later.get(receipt.node, 0) + receipt.amount
