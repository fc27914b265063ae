"""What joins the payer to the network's ledger: has held there what operators have available, and tells how it ended.

The payer's books are the record of both. What came in has an entry, and so has what left; the coordinator says up to
which it knows them. So nothing else is kept, and whichever of the two is killed, the next word goes on from there.
"""

import secrets
from collections.abc import Callable, Container
from typing import Final, Protocol

import structlog
from msgspec import UNSET

from gridlight.adapters.coordinator_ledger import LedgerUnreachable
from gridlight.adapters.payout_store import PayoutStore
from gridlight.adapters.stored_books import StoredBooks
from gridlight.core.payout_postings import end_of, handed_back, held
from gridlight.core.payouts import FEES_RESERVED
from gridlight.messages.codec import PayerQuestion
from gridlight.messages.ledger import PAYEES_MAX, PayoutsWanted, TellPayouts
from gridlight.messages.payouts import PayoutParameters, RecordAction

_log = structlog.get_logger()


class LedgersDisagree(Exception):
    """The network's ledger and the payer's books tell different stories: somebody must look before anything is held."""


class LedgerPort(Protocol):
    """Whoever keeps the network's ledger."""

    async def say(self, word: PayerQuestion) -> TellPayouts:
        """The answer once it is durable. LedgerUnreachable where there is none in time."""


class Feed:
    """One payer's words to the network's ledger, one after the other."""

    def __init__(
        self,
        ledger: LedgerPort,
        store: PayoutStore,
        books: StoredBooks,
        parameters: PayoutParameters,
        *,
        now_ms: Callable[[], int],
        reached: Callable[[str], None],
    ) -> None:
        self._ledger: Final = ledger
        self._store: Final = store
        self._books: Final = books
        self._parameters: Final = parameters
        self._now_ms: Final = now_ms
        self._reached: Final = reached
        self._told = 0
        """Ends that the coordinator is known to have heard of."""

    async def settle(self) -> None:
        """Tell of all that ended. LedgerUnreachable and LedgersDisagree."""
        while self._told < self._books.ends():
            number = self._told + 1
            told = await self._say(end_of(self._books.end(number), number=number, question=_question()))
            if told.refused:
                raise LedgersDisagree(f"the network's ledger refuses end {number}: {told.refused}")
            if told.ended == self._told:
                raise LedgerUnreachable(f"end {number} was not heard")
            self._told = told.ended

    async def hold(self, base_fee_units: int) -> None:
        """Have held what operators with an address have available. LedgerUnreachable and LedgersDisagree."""
        parameters = self._parameters
        payees = self._store.payees()
        for first in range(0, len(payees), PAYEES_MAX):
            some = payees[first : first + PAYEES_MAX]
            own = {payee.operator: payee.least_units for payee in some if payee.least_units}
            number = self._books.holds() + 1
            told = await self._say(
                PayoutsWanted(
                    question=_question(),
                    number=number,
                    operators=tuple(payee.operator for payee in some),
                    least_units=max(parameters.threshold_units, parameters.threshold_fees * base_fee_units, 1),
                    fee_units=FEES_RESERVED * base_fee_units,
                    waiting=self._books.waiting(),
                    own_least_units=own or UNSET,
                )
            )
            if told.held == number:
                said = f"{len(told.lines)} lines, {sum(line.amount for line in told.lines)} units"
                action = RecordAction(action="held", channel="", detail=f"{said}, and {told.fees_units} for fees")
                self._store.post(self._now_ms(), held(told), self._books, action)
                self._reached("held")

    def hand_back(self, under_way: Container[str]) -> bool:
        """What is not to be paid now: where the operator has no address, or its address took nothing, or it is less
        than they want. Whether there was anything. Of those under way nothing is given back.
        """
        least = {payee.operator: payee.least_units for payee in self._store.payees()}
        units = [
            (operator, amount)
            for operator, amount in self._books.available().items()
            if operator not in under_way and (operator not in least or amount < least[operator])
        ]
        for first in range(0, len(units), PAYEES_MAX):
            some = units[first : first + PAYEES_MAX]
            action = RecordAction(action="returned", channel="", detail=f"{len(some)} lines")
            draft = handed_back(self._books.ends() + 1, dict(some))
            self._store.post(self._now_ms(), draft, self._books, action)
            self._reached("handed back")
        return bool(units)

    async def _say(self, word: PayerQuestion) -> TellPayouts:
        self._reached(f"about to say {type(word).__name__}")
        told = await self._ledger.say(word)
        self._reached(f"said {type(word).__name__}")
        holds, ends = self._books.holds(), self._books.ends()
        asked = word.number if isinstance(word, PayoutsWanted) else holds + 1
        if not holds <= told.held <= max(holds, asked) or told.ended > ends:
            raise LedgersDisagree(
                f"the network's ledger knows {told.held} holds and {told.ended} ends, the payer {holds} and {ends}"
            )
        return told


def _question() -> str:
    return secrets.token_hex(8)
