"""The machines of money have teeth: each rule is broken once, on purpose, and they find it within their examples."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test
from msgspec.structs import replace
from tests.properties.money_machine import Books
from tests.properties.test_money import balances_after
from tests.properties.test_payouts import PayoutSchedules

from gridlight.core import postings
from gridlight.core.bookkeeping import Bookkeeping
from gridlight.core.earnings import Earnings
from gridlight.core.escrow import Escrow
from gridlight.core.ledger import BooksBroken, EntryUnbalanced, Ledger, LedgerRefusal, Overdrawn
from gridlight.core.payouts import Payouts
from gridlight.core.postings import Draft
from gridlight.core.receipts import ReceiptTwice
from gridlight.messages.ledger import NET_SLASH, Posting, req_avail
from gridlight.messages.payouts import HoldLines

Patch = pytest.MonkeyPatch
DAY_MS = 86_400_000


def around(patch: Patch, owner: Any, name: str, change: Callable[..., Any]) -> None:
    """Let `change` have what does it properly, and what that would be given."""
    kept = getattr(owner, name)
    patch.setattr(owner, name, lambda *given, **options: change(kept, *given, **options))


def vests_with(patch: Patch, **wrong: int | bool) -> None:
    """Vesting believes something else of each node than what it was told."""

    def vest(kept: Any, self: Earnings, now_ms: int, node: str) -> Any:
        known = self._nodes[node]
        right = {name: getattr(known, name) for name in wrong}
        for name, value in wrong.items():
            setattr(known, name, value)
        outputs = kept(self, now_ms, node)
        for name, value in right.items():
            setattr(known, name, value)
        return outputs

    around(patch, Earnings, "_vest_node", vest)


def lets_pass(patch: Patch, refusal: type[LedgerRefusal]) -> None:
    """A ledger that posts what it should refuse, so that what is wrong gets as far as it can."""

    def weigh(kept: Any, self: Ledger, key: str, moved: tuple[Posting, ...]) -> Any:
        try:
            return kept(self, key, moved)
        except refusal:
            after: dict[str, int] = {}
            for one in moved:
                after[one.account] = after.get(one.account, self.balance(one.account)) + one.amount
            return after

    around(patch, Ledger, "_weigh", weigh)
    patch.setattr(Ledger, "check", lambda _self: None)


def p1_makes_a_unit(patch: Patch) -> None:
    lets_pass(patch, EntryUnbalanced)

    def more(kept: Any, *given: Any) -> Draft:
        draft = kept(*given)
        source, target = draft.postings
        return Draft(draft.key, (source, Posting(target.account, target.amount + 1)))

    around(patch, postings, "refund", more)


def p2_lends_to_requesters(patch: Patch) -> None:
    lets_pass(patch, Overdrawn)
    patch.setattr(Bookkeeping, "refusal", lambda _self, _job: None)


def p2_holds_nothing(patch: Patch) -> None:
    patch.setattr(Bookkeeping, "_submitted", lambda _self, _job, _effects: None)


def p3_posts_again(patch: Patch) -> None:
    def forget(kept: Any, self: Ledger, key: str, moved: Any) -> Any:
        self._remembered.pop(key, None)
        return kept(self, key, moved)

    around(patch, Ledger, "post", forget)
    patch.setattr(Ledger, "find", lambda _self, _key: None)
    patch.setattr(Ledger, "check", lambda _self: None)


def p4_tells_nobody_what_vested(patch: Patch) -> None:
    def hide(kept: Any, self: Earnings, now_ms: int) -> Any:
        kept(self, now_ms)
        return []

    around(patch, Earnings, "vest", hide)


def p5_pays_checks_again(patch: Patch) -> None:
    def keep(kept: Any, self: Earnings, now_ms: int) -> Any:
        entries, paid = kept(self, now_ms)
        self._claims |= {(claim.task, claim.attempt): claim for claim in paid[:1]}
        return entries, paid

    around(patch, Earnings, "pay_claims", keep)


def p6_goes_on_holding(patch: Patch) -> None:
    def keep(kept: Any, self: Escrow, task: str) -> Any:
        held = self._held.get(task)
        entries = kept(self, task)
        if held is not None:
            self._held[task] = held
        return entries

    around(patch, Escrow, "refund", keep)
    patch.setattr(Escrow, "check", lambda _self: None)
    patch.setattr(Bookkeeping, "check", lambda _self: None)


def p7_vests_what_is_disputed(patch: Patch) -> None:
    vests_with(patch, disputes=0)


def p7_vests_what_newcomers_earned(patch: Patch) -> None:
    vests_with(patch, is_trusted=True)


def p7_vests_without_later_tasks(patch: Patch) -> None:
    vests_with(patch, tasks=10**6)


def p7_vests_a_day_early(patch: Patch) -> None:
    around(patch, Earnings, "vest", lambda kept, self, now_ms: kept(self, now_ms + DAY_MS))


def p8_claws_back_of_the_operators_other_nodes(patch: Patch) -> None:
    def all_of_them(kept: Any, self: Earnings, fault: str, node: str, since_ms: int = 0) -> Any:
        operator = self._nodes[node].operator
        nodes = [one for one, known in self._nodes.items() if known.operator == operator]
        return [entry for one in nodes for entry in kept(self, fault if one == node else f"{one}:{fault}", one)]

    around(patch, Earnings, "claw_back", all_of_them)


def p8_slashes_tenfold(patch: Patch) -> None:
    around(patch, Earnings, "slash", lambda kept, self, fault, node, reward: kept(self, fault, node, 10 * reward))


def p63_pays_the_fee_to_operators(patch: Patch) -> None:
    def all_of_it(kept: Any, self: Escrow, task: str, operator: str) -> Any:
        held = self._held.get(task)
        if held is not None:
            quote = replace(held.quote, reward=held.quote.reward + held.quote.fee, fee=0)
            self._held[task] = replace(held, quote=quote)
        return kept(self, task, operator)

    around(patch, Escrow, "final", all_of_it)


def p60_gives_back_what_the_chain_may_have(patch: Patch) -> None:
    def give_up(kept: Any, self: Payouts, now_ms: int, channel: Any, batch: Any, seen: Any) -> Any:
        if seen.closed_s > batch.max_time_s:
            return self._give_back(now_ms, channel, batch, seen.sequence, "expired")
        return kept(self, now_ms, channel, batch, seen)

    around(patch, Payouts, "_missing", give_up)


def p61_seals_again_before_the_time_is_over(patch: Patch) -> None:
    def early(kept: Any, self: Payouts, now_ms: int, channel: Any, batch: Any, seen: Any) -> Any:
        return kept(self, now_ms, channel, batch, replace(seen, closed_s=seen.closed_s + 600))

    around(patch, Payouts, "_missing", early)


def p62_sets_nothing_apart(patch: Patch) -> None:
    def drop(kept: Any, *given: Any) -> Any:
        return [one for one in kept(*given) if not isinstance(one, HoldLines)]

    around(patch, Payouts, "_seal", drop)


BREAKS: dict[Callable[[Patch], None], tuple[type[RuleBasedStateMachine], str]] = {
    p1_makes_a_unit: (Books, "an entry makes something of nothing"),
    p2_lends_to_requesters: (Books, ""),
    p2_holds_nothing: (Books, ""),
    p3_posts_again: (Books, ""),
    p4_tells_nobody_what_vested: (Books, "does not follow"),
    p5_pays_checks_again: (Books, ""),
    p6_goes_on_holding: (Books, ""),
    p7_vests_what_is_disputed: (Books, "it vested in spite of an open dispute"),
    p7_vests_what_newcomers_earned: (Books, "a newcomer's earnings vested"),
    p7_vests_without_later_tasks: (Books, "it vested without a later task"),
    p7_vests_a_day_early: (Books, "it vested too early"),
    p8_claws_back_of_the_operators_other_nodes: (Books, ""),
    p8_slashes_tenfold: (Books, "more was slashed than may be"),
    p63_pays_the_fee_to_operators: (Books, "an answer earned another amount than its reward"),
    p60_gives_back_what_the_chain_may_have: (PayoutSchedules, ""),
    p61_seals_again_before_the_time_is_over: (PayoutSchedules, ""),
    p62_sets_nothing_apart: (PayoutSchedules, ""),
}


@pytest.fixture
def patch() -> Iterator[Patch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def run(machine: type[RuleBasedStateMachine]) -> None:
    """As its own test does; what is found is not made smaller first."""
    tries = settings(max_examples=200, stateful_step_count=50, phases=[Phase.generate])
    run_state_machine_as_test(machine, settings=tries)


def words(error: BaseException | None) -> Iterator[str]:
    """What is said of the failure, and of the one before it: a machine that failed is torn down all the same."""
    while error is not None:
        yield str(error)
        error = error.__context__


@pytest.mark.parametrize("break_it", BREAKS, ids=lambda break_it: break_it.__name__)
def test_broken_books_are_caught(break_it: Callable[[Patch], None], patch: Patch) -> None:
    machine, said = BREAKS[break_it]
    break_it(patch)

    with pytest.raises((AssertionError, LedgerRefusal, BooksBroken, ReceiptTwice)) as caught:
        run(machine)

    assert any(said in one for one in words(caught.value))


def test_p9_books_that_depend_on_the_order_are_caught(patch: Patch) -> None:
    def by_its_turn(kept: Any, self: Escrow, task: str) -> Any:
        entries, left = kept(self, task), len(self._held)
        more = (Posting(NET_SLASH, -1 - left), Posting(req_avail("anna"), 1 + left))
        return [*entries, self._ledger.post(f"more:{task}", more)]

    orders = (0, 1, 2, 3, 4, 5), (4, 1, 0, 2, 3, 5)
    assert balances_after(orders[0]) == balances_after(orders[1])
    around(patch, Escrow, "corrected", by_its_turn)

    assert balances_after(orders[0]) != balances_after(orders[1])
