"""What requesters' open tasks hold: a task's whole price before anybody is sent it, until it is known who gets it.

A task ends in exactly one of three ways: final, corrected or refunded; after that it is forgotten, and whatever comes
of it again moves nothing. What the network and the pool for checks get of final tasks is only counted at first, and
collected for many tasks at once: no account is written for every task of the network.
"""

from msgspec import Struct

from gridlight.core import postings
from gridlight.core.ledger import KeyReused, Ledger
from gridlight.core.postings import Draft
from gridlight.core.pricing import Quote
from gridlight.messages.ledger import NET_SLASH, Entry, req_escrow

COLLECTED_AT_ONCE_MAX = 1_000
"""Requesters' accounts in one entry."""

TASKS_OPEN_MAX = 1_000_000


class Held(Struct, frozen=True, gc=False):
    """What one open task holds, of whom."""

    account_id: str
    quote: Quote


class EscrowSnapshot(Struct):
    """The state as plain values."""

    held: dict[str, Held]
    shares: dict[str, tuple[int, int]]
    number: int


class TooManyOpen(Exception):
    """So many tasks are open that no further one is taken on."""


class Escrow:
    """Open tasks by their ids, and what is to be collected of those that became final."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._held: dict[str, Held] = {}
        self._shares: dict[str, tuple[int, int]] = {}
        """By account: what goes to the network, and to the pool for checks."""
        self._number = 0

    def __len__(self) -> int:
        """Tasks that are open."""
        return len(self._held)

    def held(self, task: str) -> int:
        """What a task holds; nothing once it has ended."""
        held = self._held.get(task)
        return 0 if held is None else held.quote.price

    def takes(self, task: str) -> bool:
        """Whether the task can be opened, if its account can pay for it."""
        return len(self._held) < TASKS_OPEN_MAX and self._ledger.find(postings.open_key(task)) is None

    def open(self, task: str, account_id: str, quote: Quote) -> list[Entry]:
        """Hold a task's price. Overdrawn says what is missing; TooManyOpen, and KeyReused where the task ended before.

        A task that is open is told again by its gateway now and then; that holds nothing twice.
        """
        if task in self._held:
            return []
        if len(self._held) >= TASKS_OPEN_MAX:
            raise TooManyOpen(f"{TASKS_OPEN_MAX} paid tasks are open: try again when some have ended")
        draft = postings.open_task(task, account_id, quote.price)
        if self._ledger.find(draft.key) is not None:
            raise KeyReused(draft.key)  # it was held before, and went where it had to
        entries = self._post(draft) if quote.price else []
        self._held[task] = Held(account_id, quote)
        return entries

    def final(self, task: str, operator: str) -> list[Entry]:
        """The answer that was served stands: its operator earned the reward."""
        held = self._held.pop(task, None)
        if held is None:
            return []
        account_id, quote = held.account_id, held.quote
        fee, verify = self._shares.get(account_id, (0, 0))
        if quote.fee or quote.verify:
            self._shares[account_id] = (fee + quote.fee, verify + quote.verify)
        return self._post(postings.final(task, account_id, operator, quote.reward)) if quote.reward else []

    def refund(self, task: str) -> list[Entry]:
        """Void, late, failed or refused: the requester has it all back."""
        held = self._held.pop(task, None)
        if held is None or not held.quote.price:
            return []
        return self._post(postings.refund(task, held.account_id, held.quote.price))

    def corrected(self, task: str) -> list[Entry]:
        """A wrong answer was served: all of it back, and its price once more as far as liars' losses reach."""
        held = self._held.get(task)
        entries = self.refund(task)
        if held is None:
            return entries
        amount = min(held.quote.price, self._ledger.balance(NET_SLASH))
        return entries + (self._post(postings.credit(task, held.account_id, amount)) if amount else [])

    def collect(self) -> list[Entry]:
        """Give the network, and the pool for checks, their shares of what became final. O(requesters who had some)."""
        entries: list[Entry] = []
        shares = sorted(self._shares.items())
        self._shares = {}
        for first in range(0, len(shares), COLLECTED_AT_ONCE_MAX):
            self._number += 1
            some = [(account_id, *share) for account_id, share in shares[first : first + COLLECTED_AT_ONCE_MAX]]
            entries += self._post(postings.collect(self._number, some))
        return entries

    def _post(self, draft: Draft) -> list[Entry]:
        return [self._ledger.post(draft.key, draft.postings)]

    def check(self) -> None:
        """Assert that what is in escrow is what open tasks hold and what is to be collected. O(tasks + accounts)."""
        wanted = {account_id: sum(share) for account_id, share in self._shares.items()}
        for held in self._held.values():
            wanted[held.account_id] = wanted.get(held.account_id, 0) + held.quote.price
        for account, balance in self._ledger.balances.items():
            if account.startswith("req:") and account.endswith(":escrow"):
                assert balance == wanted.get(account.split(":")[1], 0), f"{account} holds for nothing"
        assert all(self._ledger.balance(req_escrow(account_id)) == sum_ for account_id, sum_ in wanted.items())

    def snapshot(self) -> EscrowSnapshot:
        """The state, to be encoded at once: it shares the machine's own objects."""
        return EscrowSnapshot(self._held, self._shares, self._number)

    def restore(self, snapshot: EscrowSnapshot) -> None:
        """Take what `snapshot` gave, after a trip through bytes."""
        self._held, self._shares = dict(snapshot.held), dict(snapshot.shares)
        self._number = snapshot.number
