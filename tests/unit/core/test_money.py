"""How money moves: prices, what is held for a task, what becomes of it, and how earnings are held back."""

import msgspec
import pytest
from tests.unit.core.test_waiting_checks import claimed

from gridlight.core import escrow as escrow_module
from gridlight.core import postings
from gridlight.core.earnings import DAY_MS, DAYS_MAX, Earnings, EarningsSnapshot
from gridlight.core.escrow import Escrow, EscrowSnapshot, TooManyOpen
from gridlight.core.ledger import KeyReused, Ledger, Overdrawn
from gridlight.core.pricing import Quote, pay, quote
from gridlight.messages.ledger import (
    EXT_CHAIN,
    NET_CHAINFEE,
    NET_FEE,
    NET_SLASH,
    NET_VERIFY,
    MoneyParameters,
    PayoutLine,
    op_avail,
    op_inflight,
    op_pending,
    op_stake,
    req_avail,
    req_escrow,
)
from gridlight.messages.trust import Assurance, Role

MONEY = MoneyParameters()
QUOTE = Quote(reward=1_000, fee=100, verify=120)
FREE = Quote(reward=0, fee=0, verify=0)


def post(ledger: Ledger, draft: postings.Draft) -> None:
    ledger.post(draft.key, draft.postings)


@pytest.fixture
def ledger() -> Ledger:
    """Anna has 10,000 units."""
    ledger = Ledger()
    post(ledger, postings.deposit("ab" * 32, 0, "anna", 10_000))
    return ledger


@pytest.fixture
def escrow(ledger: Ledger) -> Escrow:
    return Escrow(ledger)


@pytest.fixture
def earnings(ledger: Ledger) -> Earnings:
    earnings = Earnings(ledger, msgspec.structs.replace(MONEY, hold_tasks=2))
    earnings.know("node-1", "ben")
    return earnings


# Prices


@pytest.mark.parametrize(
    ("assurance", "verify"),
    [(Assurance.NONE, 0), (Assurance.SAMPLED, 120), (Assurance.AUDITED, 1_050), (Assurance.ARBITRATED, 2_300)],
)
def test_a_price_is_reward_fee_and_checks(assurance: Assurance, verify: int) -> None:
    quoted = quote(1_000, assurance, MONEY)
    assert quoted == Quote(reward=1_000, fee=100, verify=verify)
    assert quoted.price == 1_100 + verify


def test_the_smallest_task_costs_something_in_every_part() -> None:
    assert quote(1, Assurance.SAMPLED, msgspec.structs.replace(MONEY, units_per_million_mwu=1)) == Quote(1, 1, 1)


def test_what_a_trusted_node_is_paid_does_not_tell_its_role() -> None:
    assert {pay(1_001, role) for role in (Role.PRIMARY, Role.HEDGE, Role.AUDIT, Role.CANARY)} == {1_001}
    assert (pay(1_001, Role.SHADOW), pay(1_001, Role.REFERENCE)) == (500, 0)


# Escrow


def test_p2_a_task_that_cannot_be_paid_is_not_opened(ledger: Ledger, escrow: Escrow) -> None:
    with pytest.raises(Overdrawn) as refused:
        escrow.open("t1", "anna", Quote(reward=20_000, fee=0, verify=0))
    assert refused.value.missing == 10_000
    assert (escrow.held("t1"), len(escrow), ledger.seq) == (0, 0, 1)


def test_a_task_told_again_holds_nothing_twice(ledger: Ledger, escrow: Escrow) -> None:
    assert len(escrow.open("t1", "anna", QUOTE)) == 1
    assert escrow.open("t1", "anna", QUOTE) == []
    assert (ledger.balance(req_escrow("anna")), escrow.held("t1")) == (1_220, 1_220)
    escrow.check()


def test_a_final_answer_pays_its_operator_and_the_rest_is_collected_later(ledger: Ledger, escrow: Escrow) -> None:
    escrow.open("t1", "anna", QUOTE)
    escrow.open("t2", "anna", QUOTE)
    escrow.final("t1", "ben")
    escrow.final("t2", "ben")
    escrow.check()
    assert ledger.balance(NET_FEE) == 0
    [collected] = escrow.collect()
    assert len(collected.postings) == 3
    assert ledger.balances == {
        EXT_CHAIN: -10_000,
        req_avail("anna"): 7_560,
        op_pending("ben"): 2_000,
        NET_FEE: 200,
        NET_VERIFY: 240,
    }
    assert escrow.collect() == []
    escrow.check()


def test_p6_a_task_ends_once_whatever_is_said_of_it_later(ledger: Ledger, escrow: Escrow) -> None:
    escrow.open("t1", "anna", QUOTE)
    escrow.final("t1", "ben")
    before = ledger.head
    assert escrow.final("t1", "eve") + escrow.refund("t1") + escrow.corrected("t1") == []
    with pytest.raises(KeyReused):
        escrow.open("t1", "anna", QUOTE)
    assert (ledger.head, escrow.held("t1")) == (before, 0)


def test_a_refund_gives_all_of_it_back(ledger: Ledger, escrow: Escrow) -> None:
    escrow.open("t1", "anna", QUOTE)
    escrow.refund("t1")
    assert ledger.balances == {EXT_CHAIN: -10_000, req_avail("anna"): 10_000}


@pytest.mark.parametrize(("slashed", "credit"), [(0, 0), (700, 700), (5_000, 1_220)])
def test_a_corrected_answer_is_refunded_and_credited_as_far_as_liars_lost(slashed: int, credit: int) -> None:
    ledger = Ledger()
    post(ledger, postings.deposit("ab", 0, "anna", 10_000))
    if slashed:
        post(ledger, postings.grant("g", NET_SLASH, slashed))
    escrow = Escrow(ledger)
    escrow.open("t1", "anna", QUOTE)
    escrow.corrected("t1")
    assert ledger.balance(req_avail("anna")) == 10_000 + credit
    assert ledger.balance(NET_SLASH) == slashed - credit


def test_a_task_that_costs_nothing_moves_nothing(ledger: Ledger, escrow: Escrow) -> None:
    for number, end in enumerate((lambda task: escrow.final(task, "ben"), escrow.refund, escrow.corrected)):
        assert escrow.open(f"t{number}", "anna", FREE) == []
        assert end(f"t{number}") == []
    assert (ledger.seq, len(escrow), escrow.collect()) == (1, 0, [])


def test_without_a_fee_everything_collected_goes_to_checks(ledger: Ledger, escrow: Escrow) -> None:
    escrow.open("t1", "anna", Quote(reward=1, fee=0, verify=2))
    escrow.final("t1", "ben")
    escrow.collect()
    assert (ledger.balance(NET_FEE), ledger.balance(NET_VERIFY)) == (0, 2)


def test_many_accounts_are_collected_in_several_entries(monkeypatch: pytest.MonkeyPatch, escrow: Escrow) -> None:
    monkeypatch.setattr(escrow_module, "COLLECTED_AT_ONCE_MAX", 2)
    for number in range(3):
        post(escrow._ledger, postings.grant(f"g{number}", req_avail(f"r{number}"), 2_000))
        escrow.open(f"t{number}", f"r{number}", QUOTE)
        escrow.final(f"t{number}", "ben")
    assert [len(entry.postings) for entry in escrow.collect()] == [4, 3]


def test_open_tasks_have_a_bound(monkeypatch: pytest.MonkeyPatch, escrow: Escrow) -> None:
    monkeypatch.setattr(escrow_module, "TASKS_OPEN_MAX", 1)
    escrow.open("t1", "anna", QUOTE)
    with pytest.raises(TooManyOpen):
        escrow.open("t2", "anna", QUOTE)


def test_restored_escrow_goes_on(ledger: Ledger, escrow: Escrow) -> None:
    escrow.open("t1", "anna", QUOTE)
    escrow.open("t2", "anna", QUOTE)
    escrow.final("t2", "ben")
    snapshot = msgspec.msgpack.decode(msgspec.msgpack.encode(escrow.snapshot()), type=EscrowSnapshot)
    other = Escrow(ledger)
    other.restore(snapshot)
    other.check()
    other.final("t1", "ben")
    assert ledger.balance(NET_FEE) == 0
    other.collect()
    assert ledger.balance(NET_FEE) == 200


# Earnings


def earn(ledger: Ledger, earnings: Earnings, now_ms: int, amount: int = 100, node: str = "node-1") -> None:
    """As a final answer does."""
    operator = earnings.operator_of(node)
    assert operator is not None
    post(ledger, postings.grant(f"earned:{ledger.seq}", op_pending(operator), amount))
    earnings.earned(now_ms, node, operator, amount)
    earnings.check()


def test_p7_earnings_vest_after_time_tasks_and_trust(ledger: Ledger, earnings: Earnings) -> None:
    for at_ms in (0, 2 * DAY_MS, 4 * DAY_MS):
        earn(ledger, earnings, at_ms)
    assert earnings.next_vesting_ms() == MONEY.hold_ms
    assert earnings.vest(MONEY.hold_ms) == []  # not trusted
    earnings.trust("node-1", is_trusted=True)
    due_ms = earnings.next_vesting_ms()
    assert due_ms is not None
    assert earnings.vest(due_ms - 1) == []
    assert len(earnings.vest(due_ms)) == 1
    assert (ledger.balance(op_avail("ben")), earnings.pending("node-1")) == (100, 200)
    # The second day's money has one later task, and two are wanted.
    assert earnings.vest(100 * DAY_MS) == []
    earn(ledger, earnings, 100 * DAY_MS)
    earnings.vest(102 * DAY_MS)
    assert ledger.balance(op_avail("ben")) == 200


def test_p7_an_open_dispute_holds_everything_back(ledger: Ledger, earnings: Earnings) -> None:
    for _ in range(3):
        earn(ledger, earnings, 0)
    earnings.trust("node-1", is_trusted=True)
    earnings.dispute("node-1", 1)
    assert earnings.vest(20 * DAY_MS) == []
    earnings.dispute("node-1", -1)
    earn(ledger, earnings, 30 * DAY_MS)
    earn(ledger, earnings, 30 * DAY_MS)
    assert earnings.vest(60 * DAY_MS) != []
    assert ledger.balance(op_avail("ben")) == 300


def test_what_is_earned_within_a_day_is_one_sum_and_vests_with_its_newest(ledger: Ledger, earnings: Earnings) -> None:
    earnings.trust("node-1", is_trusted=True)
    earn(ledger, earnings, 0)
    earn(ledger, earnings, DAY_MS - 1)
    earn(ledger, earnings, DAY_MS)
    earn(ledger, earnings, DAY_MS)
    assert earnings.vest(MONEY.hold_ms) == []
    assert len(earnings.vest(MONEY.hold_ms + 2 * DAY_MS)) == 1
    assert ledger.balance(op_avail("ben")) == 200


def test_a_node_that_vested_all_is_looked_at_again_once_it_earns(ledger: Ledger) -> None:
    earnings = Earnings(ledger, msgspec.structs.replace(MONEY, hold_ms=0, hold_tasks=0))
    earnings.know("node-1", "ben")
    earnings.trust("node-1", is_trusted=True)
    for now_ms in (0, 10):
        earn(ledger, earnings, now_ms)
        assert len(earnings.vest(now_ms)) == 1
        assert earnings.next_vesting_ms() is None
    assert ledger.balance(op_avail("ben")) == 200


def test_a_call_looks_at_so_many_nodes_and_the_next_goes_on(
    monkeypatch: pytest.MonkeyPatch, ledger: Ledger, earnings: Earnings
) -> None:
    monkeypatch.setattr("gridlight.core.earnings.LOOKED_AT_MAX", 1)
    earnings.know("node-2", "carl")
    for node in ("node-1", "node-2"):
        earnings.trust(node, is_trusted=True)
        earn(ledger, earnings, 0, node=node)
        earn(ledger, earnings, 2 * DAY_MS, node=node)
        earn(ledger, earnings, 2 * DAY_MS, node=node)
    assert len(earnings.vest(MONEY.hold_ms)) == 1
    assert len(earnings.vest(MONEY.hold_ms)) == 1
    assert (ledger.balance(op_avail("ben")), ledger.balance(op_avail("carl"))) == (100, 100)


def test_a_node_that_changes_hands_earns_for_each_what_is_theirs(ledger: Ledger, earnings: Earnings) -> None:
    earnings.trust("node-1", is_trusted=True)
    earn(ledger, earnings, 0, 100)
    earnings.know("node-1", "carl")
    earn(ledger, earnings, 0, 30)
    earn(ledger, earnings, 0, 1)
    earn(ledger, earnings, 40 * DAY_MS, 1)
    earn(ledger, earnings, 40 * DAY_MS, 1)
    earnings.vest(41 * DAY_MS)
    assert (ledger.balance(op_avail("ben")), ledger.balance(op_avail("carl"))) == (100, 31)


def test_a_hold_shorter_than_a_fortnight_is_kept_in_shorter_days(ledger: Ledger) -> None:
    earnings = Earnings(ledger, msgspec.structs.replace(MONEY, hold_ms=14_000, hold_tasks=1))
    earnings.know("node-1", "ben")
    earnings.trust("node-1", is_trusted=True)
    for at_ms in (0, 999, 1_000):
        earn(ledger, earnings, at_ms)
    assert len(earnings.vest(14_999)) == 1
    assert (ledger.balance(op_avail("ben")), earnings.pending("node-1")) == (200, 100)


def test_checks_that_wait_for_the_pool_are_counted(earnings: Earnings) -> None:
    assert earnings.claims == 0
    assert earnings.claim(claimed("t1", "node-1", 100))
    assert earnings.claims == 1


def test_days_beyond_the_bound_wait_with_the_newest(ledger: Ledger, earnings: Earnings) -> None:
    for day in range(DAYS_MAX + 3):
        earn(ledger, earnings, day * DAY_MS)
    assert len(earnings.snapshot().nodes["node-1"].days) == DAYS_MAX
    assert earnings.pending("node-1") == 100 * (DAYS_MAX + 3)


def test_p8_a_claw_back_takes_what_is_pending_of_the_window_and_no_more(ledger: Ledger, earnings: Earnings) -> None:
    earnings.know("node-2", "ben")
    earn(ledger, earnings, 0, 100)
    earn(ledger, earnings, 2 * DAY_MS, 10)
    earn(ledger, earnings, 2 * DAY_MS, 1_000, node="node-2")
    assert len(earnings.claw_back("f1", "node-1", since_ms=DAY_MS)) == 1
    assert (ledger.balance(NET_SLASH), earnings.pending("node-1")) == (10, 100)
    assert len(earnings.claw_back("f2", "node-1")) == 1
    assert (ledger.balance(NET_SLASH), ledger.balance(op_pending("ben"))) == (110, 1_000)
    assert earnings.claw_back("f3", "node-1") == []
    earnings.check()


@pytest.mark.parametrize(("stake", "lost"), [(0, 0), (500, 500), (5_000_000, 2_000_000)])
def test_p8_a_slash_takes_no_more_than_the_stake_and_a_thousand_rewards(stake: int, lost: int) -> None:
    ledger = Ledger()
    if stake:
        post(ledger, postings.put_up_stake("cd", 1, "ben", stake))
    earnings = Earnings(ledger, MONEY)
    earnings.know("node-1", "ben")
    assert len(earnings.slash("f1", "node-1", 2_000)) == bool(lost)
    assert (ledger.balance(NET_SLASH), ledger.balance(op_stake("ben"))) == (lost, stake - lost)


def test_checks_are_paid_from_the_pool_together_and_in_the_order_of_their_tasks(
    ledger: Ledger, earnings: Earnings
) -> None:
    earnings.know("node-2", "carl")
    post(ledger, postings.grant("g", NET_VERIFY, 250))
    claims = [claimed("t3", "node-1", 100), claimed("t1", "node-1", 100), claimed("t2", "node-2", 100)]
    assert all(earnings.claim(claim) for claim in [*claims, claims[0]])
    entries, paid = earnings.pay_claims(0)
    assert (len(entries), [claim.task for claim in paid]) == (1, ["t1", "t2"])
    assert (ledger.balance(op_pending("ben")), ledger.balance(op_pending("carl"))) == (100, 100)
    assert earnings.pay_claims(0) == ([], [])
    post(ledger, postings.grant("g2", NET_VERIFY, 50))
    assert [claim.task for claim in earnings.pay_claims(0)[1]] == ["t3"]
    earnings.check()


def test_claims_have_a_bound(monkeypatch: pytest.MonkeyPatch, earnings: Earnings) -> None:
    monkeypatch.setattr("gridlight.core.earnings.CLAIMS_MAX", 1)
    assert earnings.claim(claimed("t1", "node-1", 1))
    assert not earnings.claim(claimed("t2", "node-1", 1))


def test_a_liar_is_not_paid_for_checks_that_wait(ledger: Ledger, earnings: Earnings) -> None:
    earnings.claim(claimed("t1", "node-1", 100))
    earnings.claw_back("f1", "node-1")
    post(ledger, postings.grant("g", NET_VERIFY, 250))
    assert earnings.pay_claims(0) == ([], [])


def test_restored_earnings_go_on(ledger: Ledger, earnings: Earnings) -> None:
    earn(ledger, earnings, 0)
    earnings.claim(claimed("t1", "node-1", 1))
    snapshot = msgspec.msgpack.decode(msgspec.msgpack.encode(earnings.snapshot()), type=EarningsSnapshot)
    other = Earnings(ledger, earnings.money)
    other.restore(snapshot)
    assert msgspec.msgpack.encode(other.snapshot()) == msgspec.msgpack.encode(earnings.snapshot())
    other.check()


def test_who_is_not_known_earned_nothing(earnings: Earnings) -> None:
    assert (earnings.operator_of("nobody"), earnings.pending("nobody")) == (None, 0)


# Payouts


def test_p62_a_payout_is_on_its_way_until_the_chain_has_it_or_never_will(ledger: Ledger) -> None:
    lines = [PayoutLine("ben", 300), PayoutLine("carl", 200)]
    for line in lines:
        post(ledger, postings.grant(f"g:{line.operator}", op_avail(line.operator), line.amount))
    post(ledger, postings.grant("fees", NET_FEE, 50))
    post(ledger, postings.set_aside_chain_fees(1, 40))
    post(ledger, postings.seal("b1", lines))
    assert (ledger.balance(op_inflight("ben")), ledger.balance(op_avail("ben"))) == (300, 0)
    post(ledger, postings.give_back("b1", lines[1:]))
    assert ledger.balance(op_avail("carl")) == 200
    before = ledger.balance(EXT_CHAIN)
    post(ledger, postings.confirm("ef" * 32, lines[:1], chain_fee=3))
    assert (ledger.balance(EXT_CHAIN), ledger.balance(NET_CHAINFEE)) == (before + 303, 37)
    assert ledger.balance(op_inflight("ben")) == 0


def test_a_chain_without_fees_takes_none(ledger: Ledger) -> None:
    post(ledger, postings.grant("g", op_inflight("ben"), 7))
    post(ledger, postings.confirm("ef", [PayoutLine("ben", 7)]))
    assert ledger.balance(EXT_CHAIN) == -10_000
