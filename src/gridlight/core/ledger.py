"""The ledger: double-entry books that only grow, each entry sealed by the hash of all before it.

It knows accounts and amounts, not what they are for. Whoever posts says so in the entry's key, and a key is posted
once. The newest entries are remembered to tell a repetition; a key older than that is the business of whoever posts,
which forgets a task only once nothing more can come of it, and of the store's unique index, which refuses the batch.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from gridlight.messages.ledger import (
    AMOUNT_MAX,
    EXT_CHAIN,
    GENESIS,
    POSTINGS_MAX,
    Entry,
    Posting,
    entry_hash,
    is_account,
    is_key,
)

ENTRIES_REMEMBERED_MAX: Final = 4_096


class LedgerRefusal(Exception):
    """An entry that the books do not take; nothing changed."""


class EntryMalformed(LedgerRefusal):
    """Names, number or size of its postings are none that an entry can have."""


class EntryUnbalanced(LedgerRefusal):
    """Its postings do not add up to nothing."""


class KeyReused(LedgerRefusal):
    """Another entry has this key already."""

    def __init__(self, key: str) -> None:
        super().__init__(f"{key} was posted before, with other postings: use a key of its own")
        self.key = key


class Overdrawn(LedgerRefusal):
    """An account has less than the entry takes from it."""

    def __init__(self, account: str, missing: int) -> None:
        super().__init__(f"{account} lacks {missing} units (1e-7 coin): credit it first, or take less")
        self.account = account
        self.missing = missing


class BooksBroken(Exception):
    """An entry is not what was once posted: the books were altered."""

    def __init__(self, seq: int, what: str) -> None:
        super().__init__(f"entry {seq} {what}: restore the books from a copy whose audit passes")
        self.seq = seq


class LedgerSnapshot(Struct):
    """The books as they stand: enough to go on, and to tell whether older entries are the same."""

    seq: int
    head: str
    balances: dict[str, int]
    remembered: list[Entry]


class Ledger:
    """Balances, and the newest entries by their keys."""

    def __init__(self) -> None:
        self.seq = 0
        self.head = GENESIS
        """The newest entry's hash."""
        self._balances: dict[str, int] = {}
        self._remembered: dict[str, Entry] = {}

    @property
    def balances(self) -> dict[str, int]:
        """Every account that is not at zero; not to be written to."""
        return self._balances

    def balance(self, account: str) -> int:
        """What an account has, in 1e-7 coin."""
        return self._balances.get(account, 0)

    def find(self, key: str) -> Entry | None:
        """The entry of this key, if it is among the newest."""
        return self._remembered.get(key)

    def post(self, key: str, postings: Sequence[Posting]) -> Entry:
        """Add an entry, or give back the one that says the same. O(postings).

        EntryMalformed, EntryUnbalanced, KeyReused and Overdrawn leave the books as they are.
        """
        postings = tuple(postings)
        known = self._remembered.get(key)
        if known is not None:
            if known.postings != postings:
                raise KeyReused(key)
            return known
        after = self._weigh(key, postings)
        seq = self.seq + 1
        entry = Entry(seq, key, postings, self.head, entry_hash(seq, key, postings, self.head))
        self._take(entry, after)
        return entry

    def add(self, entry: Entry) -> None:
        """Fold in an entry that was posted before. BooksBroken where it is not the one that comes next."""
        if entry.seq != self.seq + 1:
            raise BooksBroken(entry.seq, f"does not follow entry {self.seq}")
        if entry.prev_hash != self.head:
            raise BooksBroken(entry.seq, "does not go on from the entry before it")
        if entry.hash != entry_hash(entry.seq, entry.key, entry.postings, entry.prev_hash):
            raise BooksBroken(entry.seq, "is not what its hash was made of")
        if entry.key in self._remembered:
            raise BooksBroken(entry.seq, f"has a key that was posted before, {entry.key}")
        try:
            after = self._weigh(entry.key, entry.postings)
        except LedgerRefusal as refusal:
            raise BooksBroken(entry.seq, f"could never be posted ({refusal})") from refusal
        self._take(entry, after)

    def _weigh(self, key: str, postings: tuple[Posting, ...]) -> dict[str, int]:
        """The balances after it, of the accounts that it touches."""
        if not is_key(key):
            raise EntryMalformed(f"{key!r} is no key: letters, digits and _.:=@- only, at most 160")
        if not 2 <= len(postings) <= POSTINGS_MAX:
            raise EntryMalformed(f"{key} has {len(postings)} postings: 2 to {POSTINGS_MAX} make an entry")
        balances, after, total = self._balances, dict[str, int](), 0
        for posting in postings:
            account, amount = posting.account, posting.amount
            before = after.get(account)
            if before is None:
                before = balances.get(account)
                if before is None:
                    if not is_account(account):
                        raise EntryMalformed(f"{key} posts to {account!r}, which is no account's name")
                    before = 0
            if amount == 0 or not -AMOUNT_MAX <= amount <= AMOUNT_MAX:
                raise EntryMalformed(f"{key} posts {amount} to {account}: at most {AMOUNT_MAX} either way, and not 0")
            after[account] = before + amount
            total += amount
        if total:
            raise EntryUnbalanced(f"the postings of {key} add up to {total}, not to 0")
        for account, balance in after.items():
            lowest = -AMOUNT_MAX if account == EXT_CHAIN else 0
            if balance < lowest:
                raise Overdrawn(account, lowest - balance)
        return after

    def _take(self, entry: Entry, after: dict[str, int]) -> None:
        for account, balance in after.items():
            if balance:
                self._balances[account] = balance
            else:
                self._balances.pop(account, None)
        self.seq, self.head = entry.seq, entry.hash
        self._remembered[entry.key] = entry
        if len(self._remembered) > ENTRIES_REMEMBERED_MAX:
            del self._remembered[next(iter(self._remembered))]

    def check(self) -> None:
        """Assert that nothing was made of nothing, and that nobody owes but the chain. O(accounts)."""
        assert sum(self._balances.values()) == 0, "the balances do not add up to nothing"
        assert all(balance > 0 for account, balance in self._balances.items() if account != EXT_CHAIN)
        assert len(self._remembered) == min(self.seq, ENTRIES_REMEMBERED_MAX)

    def snapshot(self) -> LedgerSnapshot:
        """The state, to be encoded at once: it shares the ledger's own objects."""
        return LedgerSnapshot(self.seq, self.head, self._balances, list(self._remembered.values()))

    def restore(self, snapshot: LedgerSnapshot) -> None:
        """Take what `snapshot` gave, after a trip through bytes."""
        self.seq, self.head = snapshot.seq, snapshot.head
        self._balances = dict(snapshot.balances)
        self._remembered = {entry.key: entry for entry in snapshot.remembered}


def audited(entries: Iterable[Entry], head: str | None = None) -> Ledger:
    """Books refolded from the first entry on; `head` is the last hash as it was published or kept elsewhere.

    BooksBroken names the first entry that was altered. O(entries), and memory for the accounts alone.
    """
    ledger = Ledger()
    for entry in entries:
        ledger.add(entry)
    if head is not None and head != ledger.head:
        raise BooksBroken(ledger.seq, f"ends the books at {ledger.head}, but {head} was published")
    return ledger
