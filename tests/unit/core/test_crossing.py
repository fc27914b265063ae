"""Money that crosses between the books and the chain: each word counts once, whenever and however often it comes."""

import msgspec
import pytest
from msgspec import UNSET, UnsetType

from gridlight.core.crossing import Crossing, CrossingSnapshot, WordFromOutside
from gridlight.core.ledger import ENTRIES_REMEMBERED_MAX, Ledger, audited
from gridlight.core.payout_postings import end_of, handed_back, held
from gridlight.core.postings import grant
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
    is_told_deposit,
    op_avail,
    op_inflight,
    req_avail,
)

HASH, OTHER = "ab" * 32, "cd" * 32
ANNA, BEN = PayoutLine("anna", 700), PayoutLine("ben", 500)


class Books:
    """A ledger with two operators who have something, 10,000 units of fees, and what was said to it."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.crossing = Crossing(self.ledger)
        self.entries: list[Entry] = []
        for key, account, amount in (("a", op_avail("anna"), 700), ("b", op_avail("ben"), 500), ("n", NET_FEE, 10_000)):
            self.hear(AccountCredited(key=f"grant:{key}", account=account, amount=amount))

    def hear(self, event: WordFromOutside) -> TellPayouts | None:
        """What the payer is told; all that must hold holds."""
        told = None
        for effect in self.crossing.hear(event):
            if isinstance(effect, RecordEntry):
                self.entries.append(effect.entry)
            else:
                assert isinstance(effect, TellPayouts)
                told = effect
        self.ledger.check()
        self.crossing.check()
        assert audited(self.entries).balances == self.ledger.balances
        return told

    def wants(
        self,
        number: int,
        *,
        least_units: int = 1,
        fee_units: int = 400,
        waiting: int = 0,
        own: dict[str, int] | UnsetType = UNSET,
    ) -> TellPayouts:
        told = self.hear(
            PayoutsWanted(
                question="00" * 8,
                number=number,
                operators=("anna", "ben", "carl", "anna"),
                least_units=least_units,
                fee_units=fee_units,
                waiting=waiting,
                own_least_units=own,
            )
        )
        assert told is not None
        return told

    def ends(self, number: int, *lines: PayoutLine, digest: str = HASH, fee_units: int = 0) -> TellPayouts:
        told = self.hear(PayoutsEnded(question="00" * 8, number=number, lines=lines, hash=digest, fee_units=fee_units))
        assert told is not None
        return told

    def balances(self, *accounts: str) -> tuple[int, ...]:
        return tuple(self.ledger.balance(account) for account in accounts)


@pytest.fixture
def books() -> Books:
    return Books()


def test_what_operators_have_available_is_held_with_its_fees(books: Books) -> None:
    told = books.wants(1)

    assert (told.held, told.ended, told.lines, told.fees_units, told.refused) == (1, 0, (ANNA, BEN), 800, "")
    assert books.balances(op_avail("anna"), op_inflight("anna"), op_inflight("ben")) == (0, 700, 500)
    assert books.balances(NET_FEE, NET_CHAINFEE) == (9_200, 800)


def test_whoever_has_less_than_the_least_waits(books: Books) -> None:
    assert books.wants(1, least_units=501).lines == (ANNA,)
    assert books.balances(op_avail("ben")) == (500,)


def test_whoever_has_less_than_they_want_at_once_waits_and_wanting_less_than_the_least_helps_nobody(
    books: Books,
) -> None:
    assert books.wants(1, least_units=501, own={"anna": 701, "ben": 1}).lines == ()
    assert books.wants(1, own={"anna": 700, "ben": 501}).lines == (ANNA,)


def test_a_hold_that_is_asked_for_again_is_answered_alike_and_held_once(books: Books) -> None:
    first = books.wants(1)
    entries = list(books.entries)
    books.hear(AccountCredited(key="grant:more", account=op_avail("anna"), amount=90))

    assert books.wants(1) == first
    assert books.entries[: len(entries)] == entries
    assert books.balances(op_avail("anna"), op_inflight("anna")) == (90, 700)
    assert books.wants(2).lines == (PayoutLine("anna", 90),)


@pytest.mark.parametrize("number", [2, 9])
def test_a_hold_out_of_turn_is_not_posted(books: Books, number: int) -> None:
    assert books.wants(number).held == 0
    assert books.balances(op_avail("anna")) == (700,)


def test_a_hold_of_nothing_leaves_its_number_free(books: Books) -> None:
    assert books.wants(1, least_units=10_000).held == 0
    assert books.wants(1).held == 1


def test_no_line_is_held_that_there_is_no_fee_for(books: Books) -> None:
    told = books.wants(1, fee_units=6_000)
    assert (told.lines, told.fees_units) == ((ANNA,), 6_000)

    assert books.wants(2, fee_units=20_000).held == 1
    assert books.balances(NET_FEE, NET_CHAINFEE, op_avail("ben")) == (4_000, 6_000, 500)


def test_fees_of_lines_that_wait_are_made_up_for_and_unspent_ones_are_counted(books: Books) -> None:
    books.wants(1, fee_units=100)
    told = books.wants(2, fee_units=300, waiting=2)

    assert (told.lines, told.fees_units) == ((), 400)
    assert books.balances(NET_CHAINFEE) == (600,)


def test_what_was_granted_for_fees_is_used_before_the_networks_own_part(books: Books) -> None:
    books.hear(AccountCredited(key="grant:fees", account=NET_CHAINFEE, amount=1_000))

    assert books.wants(1).fees_units == 800
    assert books.balances(NET_FEE, NET_CHAINFEE) == (10_000, 1_000)


def test_without_a_fee_nothing_is_set_aside(books: Books) -> None:
    told = books.wants(1, fee_units=0)
    assert (told.lines, told.fees_units) == ((ANNA, BEN), 0)


def test_a_paid_line_leaves_the_books_with_its_fee_once(books: Books) -> None:
    books.wants(1)
    told = books.ends(1, ANNA, fee_units=100)
    assert (told.ended, told.refused) == (1, "")

    assert books.ends(1, ANNA, fee_units=100) == told
    assert books.balances(op_inflight("anna"), op_inflight("ben"), NET_CHAINFEE) == (0, 500, 700)
    assert books.entries[-1].key == f"confirm:{HASH}"


def test_a_failed_transaction_takes_its_fee_and_a_line_that_cannot_be_paid_is_available_again(books: Books) -> None:
    books.wants(1)
    books.ends(1, fee_units=100)
    told = books.ends(2, BEN, digest="")

    assert told.ended == 2
    assert books.balances(op_avail("ben"), op_inflight("ben"), NET_CHAINFEE) == (500, 0, 700)
    assert books.wants(2).lines == (BEN,)


def test_an_end_whose_predecessor_is_missing_waits_for_it(books: Books) -> None:
    books.wants(1)
    assert books.ends(2, ANNA).ended == 0
    assert books.balances(op_inflight("anna")) == (700,)


@pytest.mark.parametrize(
    ("line", "fee_units", "said"),
    [(PayoutLine("anna", 701), 0, "lacks 1 units"), (ANNA, 801, "800 units for fees")],
)
def test_an_end_beyond_what_was_held_is_refused_and_says_why(
    books: Books, line: PayoutLine, fee_units: int, said: str
) -> None:
    books.wants(1)
    told = books.ends(1, line, fee_units=fee_units)

    assert said in told.refused
    assert told.ended == 0
    assert books.balances(op_inflight("anna"), NET_CHAINFEE) == (700, 800)
    assert books.ends(1, ANNA).ended == 1


def test_a_credit_that_contradicts_an_earlier_one_is_not_acted_upon(books: Books) -> None:
    books.hear(AccountCredited(key="grant:a", account=op_avail("anna"), amount=9))
    books.hear(AccountCredited(key="grant:a", account=op_avail("anna"), amount=700))
    assert books.balances(op_avail("anna")) == (700,)


def test_a_credit_is_taken_only_while_the_core_remembers_every_entry_since_its_sender_looked(books: Books) -> None:
    first = AccountCredited(key=f"deposit:{HASH}:0", account=req_avail("carl"), amount=5, looked_to=3)
    books.hear(first)
    books.hear(first)
    assert books.balances(req_avail("carl")) == (5,)
    for number in range(ENTRIES_REMEMBERED_MAX):
        books.ledger.post(f"grant:n{number}", grant(f"n{number}", NET_FEE, 1).postings)
    assert books.ledger.find(first.key) is None, "the core has forgotten it"

    assert books.crossing.hear(first) == [], "its key is refused by the table's index, and would end the coordinator"
    second = msgspec.structs.replace(first, key=f"deposit:{HASH}:1", looked_to=4)
    [effect] = books.crossing.hear(second)
    assert isinstance(effect, RecordEntry)
    assert effect.entry.key == second.key
    assert books.crossing.hear(msgspec.structs.replace(second, key=f"deposit:{HASH}:2")) == []


@pytest.mark.parametrize(
    ("changes", "is_told"),
    [
        ({}, True),
        ({"key": "grant:start"}, False),
        ({"key": f"stake:{HASH}:0"}, False),
        ({"key": f"deposit:{HASH[:-1]}:0"}, False),
        ({"account": NET_FEE}, False),
        ({"account": op_avail("anna")}, False),
        ({"looked_to": UNSET}, False),
    ],
)
def test_the_payer_tells_requesters_deposits_alone(changes: dict[str, object], *, is_told: bool) -> None:
    credit = AccountCredited(key=f"deposit:{HASH}:0", account=req_avail("carl"), amount=5, looked_to=3)
    assert is_told_deposit(msgspec.structs.replace(credit, **changes)) == is_told


def test_a_restored_machine_answers_as_the_one_before(books: Books) -> None:
    first = books.wants(1)
    state = msgspec.msgpack.decode(msgspec.msgpack.encode(books.crossing.snapshot()), type=CrossingSnapshot)
    books.crossing = Crossing(books.ledger)
    books.crossing.restore(state)

    assert books.wants(1) == first
    assert books.ends(1, ANNA, BEN, fee_units=200).ended == 1


# The payer's side of it


def test_the_payers_books_have_what_is_held_and_tell_of_what_left_them(books: Books) -> None:
    payer = Ledger()
    told = books.wants(1)
    first, second = held(told), handed_back(1, {"ben": 500})
    payer.post(first.key, first.postings)
    entry = payer.post(second.key, second.postings)
    assert payer.balances == {op_avail("anna"): 700, NET_CHAINFEE: 800, EXT_CHAIN: -1_500}

    end = end_of(entry, number=1, question="00" * 8)
    assert (end.lines, end.hash, end.fee_units) == ((BEN,), "", 0)
    assert books.hear(end) == msgspec.structs.replace(told, ended=1)


def test_a_hold_without_fees_and_a_confirmed_payout_are_told_as_they_are(books: Books) -> None:
    payer = Ledger()
    draft = held(books.wants(1, fee_units=0))
    payer.post(draft.key, draft.postings)
    assert payer.balance(NET_CHAINFEE) == 0
    moved = (Posting("op:anna:inflight", -700), Posting(NET_CHAINFEE, -3), Posting(EXT_CHAIN, 703))
    entry = Entry(2, f"confirm:{OTHER}", moved, prev_hash=HASH, hash=HASH)
    end = end_of(entry, number=4, question="00" * 8)
    assert (end.number, end.lines, end.hash, end.fee_units) == (4, (ANNA,), OTHER, 3)
