"""Payouts of what the machine of `money_machine` has made available to operators: sealed, and paid or given back."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.properties.money_words import NODES, operator

from gridlight.core import postings
from gridlight.core.bookkeeping import Bookkeeping
from gridlight.core.ledger import Overdrawn
from gridlight.messages.ledger import Entry, PayoutLine, op_avail, op_inflight


class PaidOut(RuleBasedStateMachine):
    """Books, and the batches that are on their way."""

    def __init__(self) -> None:
        super().__init__()
        self.books = Bookkeeping()
        self.entries: list[Entry] = []
        self.batches = 0
        self.sealed: dict[str, list[PayoutLine]] = {}

    @rule(node=st.integers(0, NODES - 1), share=st.integers(1, 3))
    def seal(self, node: int, share: int) -> None:
        """P46: no more than is available is ever on its way."""
        amount = self.books.ledger.balance(op_avail(operator(node)))
        batch = f"b{self.batches}"
        self.batches += 1
        line = PayoutLine(operator(node), amount // share + (share == 3) * (amount + 1))
        if not line.amount:
            return
        draft = postings.seal(batch, [line])
        try:
            self.post(draft)
        except Overdrawn:
            assert line.amount > amount
        else:
            self.sealed[batch] = [line]

    @precondition(lambda self: self.sealed)
    @rule(data=st.data(), is_confirmed=st.booleans())
    def resolve(self, data: st.DataObject, *, is_confirmed: bool) -> None:
        batch = data.draw(st.sampled_from(sorted(self.sealed)))
        lines = self.sealed.pop(batch)
        self.post(postings.confirm(f"tx{batch}", lines) if is_confirmed else postings.give_back(batch, lines))

    def post(self, draft: postings.Draft) -> None:
        entry = self.books.ledger.post(draft.key, draft.postings)
        if entry.seq > len(self.entries):
            self.entries.append(entry)

    @invariant()
    def p62_what_is_on_its_way_is_the_lines_of_open_batches(self) -> None:
        on_its_way = sum(line.amount for lines in self.sealed.values() for line in lines)
        accounts = {op_inflight(operator(node)) for node in range(NODES)}
        assert sum(self.books.ledger.balance(account) for account in accounts) == on_its_way
