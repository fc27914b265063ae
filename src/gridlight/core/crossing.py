"""Money that crosses between the books and the chain: credited, held for payouts, and told of as paid or not payable.

What comes from outside the core comes twice, or late. A credit has a key of its own. The payer waits for an answer to
each word and numbers what it says, so that one number of each kind, and the newest answer, are all there is to keep:
what has an older number is known already, and what has a newer one than the next has lost its predecessors.
"""

from typing import assert_never

from msgspec import UNSET, Struct

from gridlight.core import postings
from gridlight.core.ledger import ENTRIES_REMEMBERED_MAX, Ledger, LedgerRefusal
from gridlight.core.postings import Draft
from gridlight.messages.codec import Effect
from gridlight.messages.ledger import (
    EXT_CHAIN,
    NET_CHAINFEE,
    NET_FEE,
    AccountCredited,
    Entry,
    PayoutLine,
    PayoutsEnded,
    PayoutsWanted,
    Posting,
    RecordEntry,
    TellPayouts,
    op_avail,
)

WordFromOutside = AccountCredited | PayoutsWanted | PayoutsEnded


class CrossingSnapshot(Struct):
    """The state as plain values."""

    held: int = 0
    ended: int = 0
    lines: tuple[PayoutLine, ...] = ()
    """Of the newest hold."""
    fees_units: int = 0
    """Given with it."""
    lent_units: int = 0
    """What the payer was given for the chain's fees in all, less what it told as spent."""


class Crossing:
    """The machine that hears of money from outside."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._state = CrossingSnapshot()

    def hear(self, event: WordFromOutside) -> list[Effect]:
        """What is posted, and what the payer is told. O(lines)."""
        match event:
            case AccountCredited():
                return self._credited(event)
            case PayoutsWanted():
                return [*self._wanted(event), self._tell(event.question)]
            case PayoutsEnded():
                return self._ended(event)
            case _:
                assert_never(event)

    def _credited(self, event: AccountCredited) -> list[Effect]:
        """A word that contradicts an earlier one is not acted upon; whoever sent it sees that nothing was credited."""
        if event.looked_to is not UNSET and self._ledger.seq - event.looked_to > ENTRIES_REMEMBERED_MAX:
            return []  # it may be posted, and forgotten since: its sender looks again
        moved = (Posting(EXT_CHAIN, -event.amount), Posting(event.account, event.amount))
        try:
            return self._post(Draft(event.key, moved))
        except LedgerRefusal:
            return []

    def _wanted(self, event: PayoutsWanted) -> list[Effect]:
        """No line is held that there is no fee for. A hold of nothing does not count, and its number is still free."""
        state, balance, own = self._state, self._ledger.balance, event.own_least_units or {}
        if event.number != state.held + 1:
            return []
        spare = balance(NET_CHAINFEE) - state.lent_units
        within_reach = spare + balance(NET_FEE)
        lines = tuple(
            PayoutLine(operator, units)
            for operator in dict.fromkeys(event.operators)
            if (units := balance(op_avail(operator))) >= max(event.least_units, own.get(operator, 0))
        )
        if event.fee_units:
            affordable = (state.lent_units + within_reach) // event.fee_units - event.waiting
            lines = lines[: max(0, affordable)]
        wanted = event.fee_units * (event.waiting + len(lines)) - state.lent_units
        fees_units = max(0, min(wanted, within_reach))
        if not lines and not fees_units:
            return []
        effects: list[Effect] = []
        if fees_units > spare:
            effects += self._post(postings.set_aside_chain_fees(event.number, fees_units - spare))
        if lines:
            effects += self._post(postings.seal(str(event.number), lines))
        state.held, state.lines, state.fees_units = event.number, lines, fees_units
        state.lent_units += fees_units
        return effects

    def _ended(self, event: PayoutsEnded) -> list[Effect]:
        state = self._state
        if event.number != state.ended + 1:
            return [self._tell(event.question)]
        if event.fee_units > state.lent_units:
            return [self._tell(event.question, f"the payer was given {state.lent_units} units for fees")]
        if event.hash:
            draft = postings.confirm(event.hash, event.lines, event.fee_units)
        else:
            draft = postings.give_back(str(event.number), event.lines)
        try:
            effects = self._post(draft)
        except LedgerRefusal as refusal:
            return [self._tell(event.question, str(refusal))]
        state.ended = event.number
        state.lent_units -= event.fee_units
        return [*effects, self._tell(event.question)]

    def _post(self, draft: Draft) -> list[Effect]:
        before = self._ledger.seq
        entry: Entry = self._ledger.post(draft.key, draft.postings)
        return [RecordEntry(entry=entry)] if self._ledger.seq > before else []

    def _tell(self, question: str, refused: str = "") -> TellPayouts:
        state = self._state
        return TellPayouts(
            question=question,
            held=state.held,
            ended=state.ended,
            lines=state.lines,
            fees_units=state.fees_units,
            refused=refused,
        )

    def check(self) -> None:
        """Assert that the payer has no more for fees than the books have."""
        assert 0 <= self._state.lent_units <= self._ledger.balance(NET_CHAINFEE)

    def snapshot(self) -> CrossingSnapshot:
        """The state, to be encoded at once: it is the machine's own object."""
        return self._state

    def restore(self, snapshot: CrossingSnapshot) -> None:
        """Take what `snapshot` gave, after a trip through bytes."""
        self._state = snapshot
