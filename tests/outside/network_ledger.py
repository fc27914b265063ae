"""A network's ledger for payers under test: the real core on its real journal, which may die at each step of a word."""

from collections.abc import Callable, Mapping
from random import Random

from gridlight.adapters.books import Books
from gridlight.adapters.changes import Changes
from gridlight.adapters.coordinator_ledger import LedgerUnreachable
from gridlight.adapters.journal import Journal, Record
from gridlight.core.coordinator import CORE_VERSION
from gridlight.core.ledger import Ledger
from gridlight.messages.codec import Event, PayerQuestion, encode, payer_answers, payer_words
from gridlight.messages.ledger import NET_FEE, AccountCredited, TellPayouts, op_avail
from gridlight.services.coordinator.loop import fold


class JournalledLedger:
    """What the coordinator's loop does with a payer's word, one at a time."""

    def __init__(
        self, url: str, *, seed: int = 0, dies: int = 0, reached: Callable[[str], None] = lambda _: None
    ) -> None:
        self.journal = Journal(url)
        self.core, self.sequence = fold(self.journal)
        self.random, self.dies = Random(seed), dies
        self.reached = reached

    def start_anew(self) -> None:
        """As another process would, from the journal."""
        self.core, self.sequence = fold(self.journal)

    def close(self) -> None:
        """Let go of the database."""
        self.journal.close()

    async def say(self, word: PayerQuestion) -> TellPayouts:
        """The answer, after the commit; or none, in `dies` per cent of the steps, as if another process went on."""
        self._step("ledger heard")
        told = self.commit([payer_words.decode(encode(word))])
        self._step("ledger committed")
        [answer] = told
        return payer_answers.decode(encode(answer))

    async def tell(self, credit: AccountCredited) -> None:
        """The same with a deposit, which has no answer but the ledger's entry."""
        self._step("ledger heard")
        self.commit([payer_words.decode(encode(credit))])
        self._step("ledger committed")

    def commit(self, events: list[Event]) -> list[TellPayouts]:
        """Events as one batch."""
        now_ms = self.core.now_ms + 1
        effects = [effect for event in events for effect in self.core.handle(now_ms, event)]
        self._step("ledger decided")
        self.sequence += 1
        self.journal.commit(Record(self.sequence, now_ms, CORE_VERSION, events), Changes(now_ms, events, effects))
        return [effect for effect in effects if isinstance(effect, TellPayouts)]

    def _step(self, point: str) -> None:
        self.reached(point)
        if self.random.randrange(100) < self.dies:
            self.start_anew()
            raise LedgerUnreachable(f"the coordinator died: {point}")


def fill_network(url: str, owed: Mapping[str, int], fees_units: int) -> None:
    """Operators have this available, and the network its own part."""
    accounts = {op_avail(operator): units for operator, units in owed.items()} | {NET_FEE: fees_units}
    ledger = JournalledLedger(url)
    ledger.commit(
        [
            AccountCredited(key=f"grant:{account}", account=account, amount=amount)
            for account, amount in accounts.items()
        ]
    )
    ledger.close()


def audited_network(url: str) -> Ledger:
    """The books as `gridlight ledger audit` reads them, held to what the core folds from its journal."""
    ledger = JournalledLedger(url)
    ledger.core.check()
    books = Books.open(url)
    books.audit(None)
    assert books.ledger().balances == ledger.core.bookkeeping.ledger.balances
    books.close()
    ledger.close()
    return ledger.core.bookkeeping.ledger
