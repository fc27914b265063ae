"""Each result that came in time has the network's word, and each word has a receipt when it is due (P45)."""

import msgspec
import pytest
from tests.unit.core.audits import checked_world, next_check, next_effects
from tests.unit.core.hearing import TRUST
from tests.unit.core.paying import REWARD, balance, begin_epoch, pinned, priced, serve, submit
from tests.unit.core.world import World, enrolled, node_id, only, sends

from gridlight.core.docket import INPUT_KEPT_MS
from gridlight.core.words import PAGE_MS
from gridlight.messages.codec import Effect, Event
from gridlight.messages.jobs import SendAssignment
from gridlight.messages.ledger import NET_VERIFY, AccountCredited, Posting, op_pending
from gridlight.messages.limits import DEADLINE_MS_MAX
from gridlight.messages.receipts import Receipt, RecordSheet
from gridlight.messages.trust import Assurance
from gridlight.messages.words import RecordWords, Word

SETTLED_MS = max(TRUST.settle_ms_max + TRUST.settle_grace_ms, INPUT_KEPT_MS) + DEADLINE_MS_MAX


class Told(World):
    """Hears what the network says of runs and of money."""

    def follow(self, *, references: int = 0) -> "Told":
        other = checked_world(references=references)
        self.coordinator, self.now_ms, self.nodes_made = other.coordinator, other.now_ms, other.nodes_made
        self.effects: list[Effect] = []
        priced(self)
        return self

    def tell(self, event: Event) -> list[Effect]:
        effects = super().tell(event)
        if hasattr(self, "effects"):
            self.effects += effects
        return effects

    @property
    def words(self) -> dict[str, tuple[str, int]]:
        """Runs that have the network's word: for which operator, and on which page."""
        pages = only(RecordWords, self.effects)
        return {
            word.attempt: (part.operator, record.root.page)
            for record in pages
            for part in record.parts
            for word in part.words
        }

    @property
    def receipts(self) -> list[Receipt]:
        return [one for record in only(RecordSheet, self.effects) for one in record.receipts]

    def settle(self) -> None:
        """Everything that is open is settled, and its sheet closed; what was promised was kept."""
        self.pass_ms(SETTLED_MS)
        epoch = self.coordinator.verification.epoch
        assert epoch is not None
        self.begin_epoch(epoch + 1)
        on_record = {one.attempt: one.operator for one in self.receipts}
        assert {attempt: operator for attempt, (operator, _) in self.words.items()} == on_record

    def status_of(self, send: SendAssignment) -> list[tuple[int, str]]:
        return [(one.amount, one.status) for one in self.receipts if one.attempt == send.assignment.assignment_id]


@pytest.fixture
def world() -> Told:
    return Told(trust=TRUST).follow()


def test_a_run_and_its_check_have_words_alike_within_seconds(world: Told) -> None:
    send, _ = serve(world)
    served_ms = world.now_ms
    world.result(check := next_check(world))
    checked_ms = world.now_ms
    world.pass_ms(2 * PAGE_MS)
    assert world.words.keys() == {send.assignment.assignment_id, check.assignment.assignment_id}
    roots = [record.root for record in only(RecordWords, world.effects)]
    assert roots[0].closed_ms <= served_ms + PAGE_MS
    assert roots[-1].closed_ms <= checked_ms + PAGE_MS
    assert roots[-1].due_ms == checked_ms + SETTLED_MS
    world.settle()
    assert world.status_of(send) == world.status_of(check) == [(REWARD, "final")]


def test_a_word_says_when_it_was_given_and_when_the_result_came(world: Told) -> None:
    (send,) = sends(submit(world, Assurance.NONE))
    given_ms = world.now_ms
    world.now_ms += 321
    world.result(send)
    world.pass_ms(PAGE_MS)
    (record,) = only(RecordWords, world.effects)
    assert record.parts[0].words == (Word(send.assignment.assignment_id, given_ms, given_ms + 321),)
    assert record.parts[0].node == send.node_id


def test_what_comes_too_late_has_neither_word_nor_receipt(world: Told) -> None:
    (send,) = sends(submit(world, Assurance.NONE))
    world.ack(send)
    world.pass_ms(4_000)
    world.result(send)
    world.settle()
    assert send.assignment.assignment_id not in world.words


def test_what_is_taken_although_its_time_is_over_has_both(world: Told) -> None:
    """The host did not call in between, and nobody was told that it failed."""
    (send,) = sends(submit(world, Assurance.NONE))
    world.ack(send)
    world.now_ms += 4_000
    world.result(send)
    world.settle()
    assert send.assignment.assignment_id in world.words


def test_a_hedge_that_comes_second_has_a_receipt_over_nothing(world: Told) -> None:
    (send,) = sends(submit(world, Assurance.NONE))
    world.ack(send, eta_ms=10_000)
    (hedge,) = sends(world.effects)[-1:]
    assert hedge != send
    world.result(hedge)
    world.result(send)
    world.settle()
    assert (world.status_of(hedge), world.status_of(send)) == ([(REWARD, "final")], [(0, "unpaid")])


def test_a_run_that_nobody_pays_for_has_a_receipt_over_nothing(world: Told) -> None:
    send = world.assign(assurance=Assurance.AUDITED)
    world.result(send)
    check = next_check(world)
    world.result(check)
    world.settle()
    assert world.status_of(send) == world.status_of(check) == [(0, "unpaid")]


def test_a_check_that_waits_for_the_pool_has_a_receipt_over_nothing_and_another_once_it_is_paid(world: Told) -> None:
    send, _ = serve(world)
    world.result(check := next_check(world))
    pool = world.coordinator.bookkeeping.ledger
    world.coordinator.bookkeeping.escrow.collect()
    taken = pool.balance(NET_VERIFY)
    pool.post("spent", [Posting(NET_VERIFY, -taken), Posting(op_pending("somebody"), taken)])
    begin_epoch(world, 2)
    begin_epoch(world, 3)
    assert world.status_of(check) == [(0, "unpaid")], "told once"
    world.go_on_from_a_snapshot()
    world.tell(AccountCredited(key="fill", account=NET_VERIFY, amount=5_000))
    begin_epoch(world, 4)
    assert world.status_of(check) == [(0, "unpaid"), (REWARD, "final")]
    assert balance(world, op_pending(check.node_id)) == REWARD
    assert world.status_of(send) == [(REWARD, "final")]


def test_a_check_that_too_many_wait_before_has_a_receipt_over_nothing(
    world: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gridlight.core.earnings.CLAIMS_MAX", 0)
    serve(world)
    world.result(check := next_check(world))
    world.settle()
    assert world.status_of(check) == [(0, "final")]
    assert world.coordinator.bookkeeping.unfunded == 1


def test_a_check_whose_node_was_found_false_before_it_was_paid_has_a_receipt_over_nothing() -> None:
    world = Told(trust=TRUST).follow(references=1)
    serve(world)
    world.result(check := next_check(world))
    (send,) = sends(pinned(world, check.node_id, Assurance.AUDITED))
    world.result(send, output=b"\1" * 12, probes=(1,))
    while found := sends(next_effects(world)):
        world.result(found[0])
    world.settle()
    assert (world.status_of(check), world.status_of(send)) == ([(0, "final")], [(0, "corrected")])


def test_a_run_earns_for_whose_node_it_was_when_its_result_came(world: Told) -> None:
    """Else a node could change its operator, and show that the first one's receipt is missing."""
    send, _ = serve(world)
    for number in range(1, 7):
        world.tell(enrolled(node_id(number), operator=node_id(number + 20)))
    world.result(check := next_check(world))
    world.settle()
    owned = {one.attempt: one.operator for one in world.receipts}
    assert owned[send.assignment.assignment_id] == send.node_id != owned[check.assignment.assignment_id]
    assert balance(world, op_pending(send.node_id)) == REWARD


def test_a_node_that_the_books_do_not_know_has_neither_word_nor_receipt() -> None:
    world = Told(trust=TRUST).follow()
    world.coordinator.bookkeeping.earnings._nodes.clear()
    serve(world, Assurance.NONE)
    world.settle()
    assert (world.words, world.receipts) == ({}, [])


def test_a_network_without_prices_gives_no_words() -> None:
    world = checked_world()
    _, effects = serve(world)
    effects += world.pass_ms(PAGE_MS * 2)
    assert only(RecordWords, effects) == []


def test_no_sheet_is_closed_before_the_page_that_promises_its_receipts(
    world: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gridlight.core.receipts.SHEET_RECEIPTS_MAX", 1)
    for _ in range(3):
        serve(world, Assurance.NONE)
    said = [one for one in world.effects if isinstance(one, RecordWords | RecordSheet)]
    assert [type(one) for one in said] == [RecordWords, RecordSheet] * 2
    assert [one.root.sheet for one in said] == [0, 0, 1, 1]
    world.settle()


def test_a_full_page_is_closed_at_once(world: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gridlight.core.words.PAGE_WORDS_MAX", 1)
    for _ in range(2):
        serve(world, Assurance.NONE)
    assert [record.root.page for record in only(RecordWords, world.effects)] == [0]
    world.settle()


def test_the_same_events_give_the_same_words_also_from_a_snapshot(world: Told) -> None:
    other = Told(trust=TRUST).follow()
    for number, one in enumerate((world, other)):
        serve(one, Assurance.NONE)
        if number:
            one.go_on_from_a_snapshot()
        serve(one)
        one.pass_ms(PAGE_MS)
    assert only(RecordWords, world.effects) == only(RecordWords, other.effects) != []


def test_words_go_out_with_nobody_asking_again(world: Told) -> None:
    """The host is called when the page's time is over, and not again and again."""
    serve(world, Assurance.NONE)
    due_ms = world.coordinator.next_deadline_ms()
    assert due_ms is not None
    assert due_ms <= world.now_ms + PAGE_MS
    world.pass_ms(PAGE_MS)
    assert world.coordinator.bookkeeping.register.words.closes_ms() is None


def test_a_snapshot_of_before_has_no_open_page(world: Told) -> None:
    snapshot = world.coordinator.bookkeeping.snapshot()
    old = msgspec.to_builtins(snapshot)
    del old["words"]
    restored = msgspec.convert(old, type(snapshot))
    assert (restored.words.page, restored.words.words) == (0, [])
