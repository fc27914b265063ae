"""A whole coordinator whose requesters pay: what is held, who earns what, and when it goes back."""

import msgspec
import pytest
from tests.unit.core.audits import checked_world, next_check, next_effects
from tests.unit.core.hearing import TRUST
from tests.unit.core.paying import FEE, PRICES, REWARD, balance, begin_epoch, pinned, priced, serve, submit
from tests.unit.core.world import (
    OTHER_WORKLOAD,
    World,
    ends,
    job_id,
    node_id,
    only,
    outcome,
    sends,
    slots,
    submitted,
)

from gridlight.core.bookkeeping import Bookkeeping
from gridlight.core.coordinator import Coordinator
from gridlight.messages.codec import Effect
from gridlight.messages.ids import NodeId
from gridlight.messages.jobs import JobCode, JobState, Shortfall
from gridlight.messages.ledger import (
    EXT_CHAIN,
    NET_FEE,
    NET_SLASH,
    NET_VERIFY,
    AccountCredited,
    RecordEntry,
    op_avail,
    op_pending,
    op_stake,
    req_avail,
    req_escrow,
)
from gridlight.messages.receipts import RecordSheet
from gridlight.messages.trust import Assurance, RecordCommit, RecordVerification, Tier, Verification

WRONG = b"\1" * 12


@pytest.fixture
def world() -> World:
    """Six trusted nodes; Anna has 100,000 units."""
    return priced(checked_world())


def test_p2_the_price_is_on_the_books_before_anything_is_sent(world: World) -> None:
    effects = submit(world)
    assert isinstance(effects[0], RecordEntry)
    assert len(sends(effects)) == 1
    assert (balance(world, req_escrow("anna")), balance(world, req_avail("anna"))) == (2_150, 97_850)


def test_who_has_too_little_is_refused_with_what_is_missing() -> None:
    world = priced(checked_world(), funds=150)
    effects = submit(world)
    refused = outcome(effects)
    assert (refused.state, refused.code) == (JobState.REFUSED, JobCode.INSUFFICIENT_FUNDS)
    assert "costs 0.0002150 coin" in (refused.hint or "")
    assert "lacks 0.0002000" in (refused.hint or "")
    assert refused.shortfall == Shortfall(price=2_150, available=150)
    assert sends(effects) + only(RecordEntry, effects) == []


def test_a_job_that_nobody_pays_for_is_done_as_ever(world: World) -> None:
    send = world.assign(assurance=Assurance.AUDITED)
    world.result(send)
    world.result(next_check(world))
    assert world.coordinator.bookkeeping.ledger.seq == 1
    receipts = begin_epoch(world)[1]
    assert [(one.amount, one.status) for one in receipts] == [(0, "unpaid")] * 2, "run and check alike"


def test_a_network_without_prices_has_no_books() -> None:
    world = checked_world()
    _, effects = serve(world)
    assert only(RecordEntry, effects) == []
    assert only(RecordSheet, world.begin_epoch(2)) == []
    assert not world.coordinator.bookkeeping.is_concerned
    world.go_on_from_a_snapshot()


def test_a_refused_job_holds_nothing() -> None:
    world = priced(World())
    effects = submit(world)
    assert outcome(effects).state is JobState.REFUSED
    assert balance(world, req_avail("anna")) == 100_000


def test_a_job_told_again_is_paid_once(world: World) -> None:
    submit(world)
    world.jobs_made -= 1
    assert submit(world) == []
    assert balance(world, req_escrow("anna")) == 2_150


def test_a_job_told_again_after_its_end_is_paid_once(world: World) -> None:
    serve(world, Assurance.NONE)
    world.jobs_made -= 1
    (end,) = ends(submit(world, Assurance.NONE))
    assert end.is_repeated
    assert balance(world, req_avail("anna")) == 100_000 - REWARD - FEE


def test_a_job_that_was_paid_for_and_forgotten_is_not_paid_twice(world: World) -> None:
    serve(world, Assurance.NONE)
    world.coordinator.scheduling.placement.table.recent.clear()
    world.jobs_made -= 1
    assert outcome(submit(world, Assurance.NONE)).code is JobCode.BUSY
    assert balance(world, req_avail("anna")) == 100_000 - REWARD - FEE


def test_a_workload_without_a_price_costs_nothing() -> None:
    world = World(workloads=(OTHER_WORKLOAD,))
    world.tell(PRICES)
    job = msgspec.structs.replace(submitted(job_id(1), workload=OTHER_WORKLOAD), account_id="anna")
    assert outcome(world.tell(job)).code is not JobCode.INSUFFICIENT_FUNDS


def test_an_answer_that_nobody_checks_is_paid_at_once(world: World) -> None:
    send, _ = serve(world, Assurance.NONE)
    assert balance(world, op_pending(send.node_id)) == REWARD
    begin_epoch(world)
    assert (balance(world, NET_FEE), balance(world, req_escrow("anna"))) == (FEE, 0)


def test_a_job_that_fails_gives_all_of_it_back(world: World) -> None:
    submit(world)
    world.pass_ms(20_000)
    assert balance(world, req_avail("anna")) == 100_000


def test_a_start_gives_back_what_open_jobs_held(world: World) -> None:
    submit(world)
    world.restart()
    assert balance(world, req_avail("anna")) == 100_000


def test_primary_and_auditor_earn_the_same_and_have_receipts_alike(world: World) -> None:
    served, _ = serve(world)
    audit = next_check(world)
    world.result(audit)
    sheet, receipts = begin_epoch(world)
    assert balance(world, op_pending(served.node_id)) == balance(world, op_pending(audit.node_id)) == REWARD
    assert balance(world, NET_VERIFY) == 50
    assert {one.attempt for one in receipts} == {
        served.assignment.assignment_id,
        audit.assignment.assignment_id,
    }
    assert {(one.amount, one.mwu, one.status) for one in receipts} == {(REWARD, REWARD, "final")}
    assert sheet.root.ledger_head == world.coordinator.bookkeeping.ledger.head
    assert sheet.root.next_commitment is not None


def test_what_a_passed_audit_settles_is_paid_with_it(world: World) -> None:
    for node in range(world.nodes_made):
        world.coordinator.reputation.seed_standing(node, tier=Tier.TRUSTED, clean_run=1_000_000)
    first, effects = serve(world, Assurance.SAMPLED)
    assert not only(RecordCommit, effects)[0].is_audited
    while serve(world)[0].node_id != first.node_id:
        pass
    assert balance(world, op_pending(first.node_id)) == 0
    while found := sends(next_effects(world)):
        world.result(found[0])
    _, receipts = begin_epoch(world)
    [paid] = [one for one in receipts if one.attempt == first.assignment.assignment_id]
    assert (paid.amount, paid.status) == (REWARD, "final")


def test_a_wrong_answer_is_refunded_and_credited_and_its_checker_is_paid() -> None:
    world = priced(checked_world(references=1))
    world.tell(AccountCredited(key="grant:slash", account=NET_SLASH, amount=300))
    liar, _ = serve(world, Assurance.NONE)
    while serve(world, output=WRONG)[0].node_id != liar.node_id:
        pass
    world.tell(AccountCredited(key="grant:pool", account=NET_VERIFY, amount=100_000))
    effects: list[Effect] = []
    while found := sends(next_effects(world)):
        effects += world.result(found[0])
    known = {one.verification for one in only(RecordVerification, effects)}
    assert Verification.CORRECTED in known
    _, receipts = begin_epoch(world)
    assert any(one.amount == 0 and one.status == "corrected" for one in receipts)
    assert any(one.amount == REWARD and one.status == "corrected" for one in receipts)
    assert balance(world, req_escrow("anna")) == 0


def lie(world: World) -> NodeId:
    """One node is served for what is right, then found false by a reference node on another job."""
    liar, _ = serve(world, Assurance.NONE)
    world.tell(AccountCredited(key="stake:liar", account=op_stake(liar.node_id), amount=5_000_000))
    (send,) = sends(pinned(world, liar.node_id, Assurance.AUDITED))
    world.result(send, output=WRONG, probes=(1,))
    while found := sends(next_effects(world)):
        world.result(found[0])
    return liar.node_id


def test_p8_a_node_found_false_loses_what_is_pending_and_a_part_of_its_stake() -> None:
    world = priced(checked_world(references=1))
    liar = lie(world)
    assert world.coordinator.reputation.tiers()[Tier.BANNED] == 1
    assert balance(world, op_pending(liar)) == 0
    assert balance(world, op_stake(liar)) == 5_000_000 - 1_000 * REWARD


def test_earnings_vest_at_an_epochs_begin(world: World) -> None:
    send, _ = serve(world, Assurance.NONE)
    world.now_ms += 86_400_001
    while serve(world, Assurance.NONE)[0].node_id != send.node_id:
        pass
    begin_epoch(world)
    assert balance(world, op_avail(send.node_id)) == REWARD


def test_a_founders_node_is_trusted_in_the_books_from_its_enrolment_on() -> None:
    world = priced(World())
    node = world.enrol()
    world.offer(node, slots(1))
    serve(world, Assurance.NONE)
    world.now_ms += 86_400_001
    serve(world, Assurance.NONE)
    begin_epoch(world)
    assert balance(world, op_avail(node)) == REWARD


def test_what_nobody_settles_in_time_is_refunded(world: World) -> None:
    world.coordinator.reputation.seed_standing(0, tier=Tier.TRUSTED, clean_run=1_000_000)
    (send,) = sends(pinned(world, node_id(1)))
    served, _ = send, world.result(send)
    world.pass_ms(world.trust.settle_ms_max + world.trust.settle_grace_ms + 120_000)
    assert balance(world, req_avail("anna")) == 100_000
    assert balance(world, op_pending(served.node_id)) == 0
    _, [receipt] = begin_epoch(world)
    assert (receipt.status, receipt.amount) == ("void", 0)


def test_a_newcomers_run_earns_half() -> None:
    trust = msgspec.structs.replace(TRUST, shadow_ppm=1_000_000, shadows_per_check_max=1)
    world = priced(checked_world(newcomers=1, trust=trust))
    world.tell(AccountCredited(key="grant:pool", account=NET_VERIFY, amount=10_000))
    for _ in range(12):  # so many tasks allow one newcomer's run
        serve(world, Assurance.NONE)
    serve(world)
    newcomer = node_id(world.nodes_made)
    while found := sends(next_effects(world)):
        world.go_on_from_a_snapshot()
        world.result(found[0])
    begin_epoch(world)
    assert balance(world, op_pending(newcomer)) == REWARD // 2


def test_checks_that_the_pool_cannot_pay_wait_for_it(world: World) -> None:
    for _ in range(3):
        serve(world)
    while found := sends(next_effects(world)):
        world.result(found[0])
    begin_epoch(world)
    world.tell(AccountCredited(key="grant:pool", account=NET_VERIFY, amount=10_000))
    begin_epoch(world, 3)
    assert world.coordinator.bookkeeping.earnings.pay_claims(world.now_ms) == ([], [])


def test_an_answer_that_waits_for_its_own_audit_is_not_paid_by_another(world: World) -> None:
    world.coordinator.reputation.seed_standing(0, tier=Tier.TRUSTED, clean_run=1_000_000)
    for assurance in (Assurance.SAMPLED, *[Assurance.AUDITED] * 5):
        (send,) = sends(pinned(world, node_id(1), assurance))
        world.result(send)
    paid = []
    checks = [next_check(world) for _ in range(5)]
    for check in sorted(checks, key=lambda one: one.job_id, reverse=True):
        world.result(check)
        paid.append(balance(world, op_pending(node_id(1))))
    assert paid == [2 * REWARD, 3 * REWARD, 4 * REWARD, 5 * REWARD, 6 * REWARD]


def test_without_a_lag_what_is_not_drawn_is_paid_at_once() -> None:
    world = priced(checked_world(trust=msgspec.structs.replace(TRUST, finality_lag=0)))
    for node in range(world.nodes_made):
        world.coordinator.reputation.seed_standing(node, tier=Tier.TRUSTED, clean_run=1_000_000)
    send, _ = serve(world, Assurance.SAMPLED)
    assert balance(world, op_pending(send.node_id)) == REWARD


def test_work_that_costs_nothing_is_on_record_all_the_same(world: World) -> None:
    world.tell(msgspec.structs.replace(PRICES, work={}))
    serve(world, Assurance.NONE)
    _, [receipt] = begin_epoch(world)
    assert (receipt.amount, world.coordinator.bookkeeping.ledger.seq) == (0, 1)


def test_p8_whom_no_referee_proved_false_keeps_the_stake(world: World) -> None:
    liar = lie(world)
    assert world.coordinator.reputation.tiers()[Tier.BANNED] == 1
    assert (balance(world, op_pending(liar)), balance(world, op_stake(liar))) == (0, 5_000_000)


def test_an_epoch_pays_so_many_entries_and_the_next_goes_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gridlight.core.bookkeeping.PAYMENTS_AN_EPOCH_MAX", 1)
    monkeypatch.setattr("gridlight.core.earnings.PAID_AT_ONCE_MAX", 1)
    for _ in range(2):
        serve(world)
    for _ in range(2):
        world.result(next_check(world))
    assert [len(begin_epoch(world, epoch)[1]) for epoch in (2, 3, 4)] == [4, 1, 0]
    # The second epoch pays what the first had on record over nothing.


def test_what_becomes_known_of_a_node_that_the_books_do_not_know_moves_nothing_of_its(world: World) -> None:
    (send,) = sends(submit(world))
    world.coordinator.bookkeeping.earnings._nodes.pop(send.node_id)
    world.result(send)
    world.pass_ms(world.trust.settle_ms_max + world.trust.settle_grace_ms + 120_000)
    assert balance(world, req_avail("anna")) == 100_000
    assert begin_epoch(world)[1] == []
    assert world.coordinator.bookkeeping.earnings.pay_claims(world.now_ms) == ([], [])


def test_a_checker_that_the_books_do_not_know_earns_nothing(world: World) -> None:
    (send,) = sends(submit(world))
    world.coordinator.bookkeeping.earnings._nodes.clear()
    world.result(send)
    world.result(next_check(world))
    assert balance(world, req_avail("anna")) == 100_000
    assert begin_epoch(world)[1] == []


def test_money_is_credited_once_and_a_contradicting_word_is_not_acted_upon(world: World) -> None:
    word = AccountCredited(key="grant:anna", account=req_avail("anna"), amount=100_000)
    assert world.tell(word) == []
    assert world.tell(msgspec.structs.replace(word, amount=7)) == []
    assert (balance(world, req_avail("anna")), balance(world, EXT_CHAIN)) == (100_000, -100_000)


def test_p47_a_restored_coordinator_goes_on_with_the_same_books(world: World) -> None:
    serve(world)
    serve(world, Assurance.SAMPLED)
    submit(world)
    world.go_on_from_a_snapshot()
    twin = Coordinator.restored(world.coordinator.snapshot())
    audit = next_check(world)
    effects = world.result(audit) + world.begin_epoch(2)
    assert only(RecordSheet, effects)[0].receipts
    assert twin.bookkeeping.ledger.head != world.coordinator.bookkeeping.ledger.head


def test_a_full_sheet_is_closed_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gridlight.core.receipts.SHEET_RECEIPTS_MAX", 1)
    serve(world, Assurance.NONE)
    _, effects = serve(world, Assurance.NONE)
    (sheet,) = only(RecordSheet, effects)
    assert len(sheet.receipts) == 1


def test_an_answer_of_a_node_that_the_books_do_not_know_costs_nothing(world: World) -> None:
    world.coordinator.bookkeeping.earnings._nodes.clear()
    serve(world, Assurance.NONE)
    assert balance(world, req_avail("anna")) == 100_000


def test_books_alone_hear_of_no_strangers() -> None:
    books = Bookkeeping()
    assert books.hear(0, PRICES, []) == []
    books.check()
