"""The ledger's rules: what it takes, what it refuses, and how a changed bit is found."""

from hashlib import sha256

import msgspec
import pytest

from gridlight.core.ledger import (
    ENTRIES_REMEMBERED_MAX,
    BooksBroken,
    EntryMalformed,
    EntryUnbalanced,
    KeyReused,
    Ledger,
    LedgerRefusal,
    LedgerSnapshot,
    Overdrawn,
    audited,
)
from gridlight.messages.ledger import (
    AMOUNT_MAX,
    EXT_CHAIN,
    GENESIS,
    NET_CHAINFEE,
    NET_FEE,
    NET_SLASH,
    NET_VERIFY,
    Entry,
    Posting,
    is_account,
    op_avail,
    op_inflight,
    op_pending,
    op_stake,
    req_avail,
    req_escrow,
)

ANNA = req_avail("anna")


def move(source: str, target: str, amount: int) -> list[Posting]:
    return [Posting(source, -amount), Posting(target, amount)]


@pytest.fixture
def ledger() -> Ledger:
    """With a hundred units of Anna's."""
    ledger = Ledger()
    ledger.post("deposit:1", move(EXT_CHAIN, ANNA, 100))
    return ledger


def test_an_entry_moves_what_it_says_and_nothing_else(ledger: Ledger) -> None:
    ledger.post("open:1", move(ANNA, req_escrow("anna"), 40))
    assert ledger.balances == {EXT_CHAIN: -100, ANNA: 60, req_escrow("anna"): 40}
    assert ledger.balance("op:nobody:avail") == 0
    ledger.check()


def test_an_emptied_account_takes_no_room(ledger: Ledger) -> None:
    ledger.post("back", move(ANNA, EXT_CHAIN, 100))
    assert ledger.balances == {}


def test_p3_a_repeated_key_gives_the_stored_entry_and_changes_nothing(ledger: Ledger) -> None:
    before = ledger.head
    again = ledger.post("deposit:1", move(EXT_CHAIN, ANNA, 100))
    assert (again.seq, ledger.seq, ledger.head) == (1, 1, before)
    assert again == ledger.find("deposit:1")


def test_p3_a_key_with_other_postings_is_refused(ledger: Ledger) -> None:
    with pytest.raises(KeyReused, match="use a key of its own"):
        ledger.post("deposit:1", move(EXT_CHAIN, ANNA, 101))
    assert ledger.balance(ANNA) == 100


def test_p2_who_has_too_little_is_refused_with_what_is_missing(ledger: Ledger) -> None:
    with pytest.raises(Overdrawn) as refused:
        ledger.post("open:1", move(ANNA, req_escrow("anna"), 130))
    assert (refused.value.account, refused.value.missing) == (ANNA, 30)
    assert ledger.seq == 1


def test_more_than_there_ever_was_cannot_come_in() -> None:
    ledger = Ledger()
    ledger.post("all", move(EXT_CHAIN, ANNA, AMOUNT_MAX))
    with pytest.raises(Overdrawn):
        ledger.post("more", move(EXT_CHAIN, ANNA, 1))


@pytest.mark.parametrize(
    ("key", "postings", "refusal"),
    [
        ("k", move(ANNA, NET_FEE, 1)[:1], EntryMalformed),
        ("", move(ANNA, NET_FEE, 1), EntryMalformed),
        ("with space", move(ANNA, NET_FEE, 1), EntryMalformed),
        ("k" * 161, move(ANNA, NET_FEE, 1), EntryMalformed),
        ("k", move(ANNA, "net:mine", 1), EntryMalformed),
        ("k", move(ANNA, NET_FEE, 0), EntryMalformed),
        ("k", move(NET_FEE, ANNA, AMOUNT_MAX + 1), EntryMalformed),
        ("k", [Posting(ANNA, -1), Posting(NET_FEE, 2)], EntryUnbalanced),
    ],
)
def test_what_is_no_entry_is_refused_and_changes_nothing(
    ledger: Ledger, key: str, postings: list[Posting], refusal: type[LedgerRefusal]
) -> None:
    before = msgspec.msgpack.encode(ledger.snapshot())
    with pytest.raises(refusal):
        ledger.post(key, postings)
    assert msgspec.msgpack.encode(ledger.snapshot()) == before


def test_postings_to_one_account_are_taken_together(ledger: Ledger) -> None:
    ledger.post("k", [Posting(ANNA, -150), Posting(NET_FEE, 60), Posting(ANNA, 90)])
    assert (ledger.balance(ANNA), ledger.balance(NET_FEE)) == (40, 60)


@pytest.mark.parametrize(
    "name",
    [
        *(EXT_CHAIN, NET_FEE, NET_VERIFY, NET_SLASH, NET_CHAINFEE, ANNA, req_escrow("a")),
        *(op_pending("U" + "A" * 55), op_avail("b"), op_stake("b"), op_inflight("b")),
    ],
)
def test_every_account_that_is_named_by_a_helper_is_one(name: str) -> None:
    assert is_account(name)


@pytest.mark.parametrize(
    "name", ["", "ext:bank", "req::avail", "req:a:pending", "op:a b:avail", "net:fee\n", "NET:FEE"]
)
def test_what_is_no_account_has_no_balance_to_change(name: str) -> None:
    assert not is_account(name)


def test_the_hash_is_the_documented_one(ledger: Ledger) -> None:
    entry = ledger.find("deposit:1")
    assert entry is not None
    said = b"led1" + bytes(32) + b'[1,"deposit:1",[["ext:chain",-100],["req:anna:avail",100]]]'
    assert (entry.prev_hash, entry.hash) == (GENESIS, sha256(said).hexdigest())


def test_old_keys_are_forgotten_and_the_newest_are_not() -> None:
    ledger = Ledger()
    for number in range(ENTRIES_REMEMBERED_MAX + 1):
        ledger.post(f"k:{number}", move(EXT_CHAIN, ANNA, 1))
    assert ledger.find("k:0") is None
    assert ledger.find("k:1") is not None
    ledger.check()


def test_restored_books_go_on_where_they_were(ledger: Ledger) -> None:
    ledger.post("open:1", move(ANNA, req_escrow("anna"), 40))
    snapshot = msgspec.msgpack.decode(msgspec.msgpack.encode(ledger.snapshot()), type=LedgerSnapshot)
    other = Ledger()
    other.restore(snapshot)
    assert other.post("next", move(ANNA, NET_FEE, 1)) == ledger.post("next", move(ANNA, NET_FEE, 1))
    assert other.find("deposit:1") == ledger.find("deposit:1")
    assert other.balances == ledger.balances


@pytest.fixture
def entries(ledger: Ledger) -> list[Entry]:
    """Three entries, one after the other."""
    ledger.post("open:1", move(ANNA, req_escrow("anna"), 40))
    ledger.post("final:1", move(req_escrow("anna"), op_pending("ben"), 40))
    return [entry for key in ("deposit:1", "open:1", "final:1") if (entry := ledger.find(key))]


def test_p4_a_replay_comes_to_the_same_balances_and_head(ledger: Ledger, entries: list[Entry]) -> None:
    replayed = audited(entries, ledger.head)
    assert (replayed.balances, replayed.head, replayed.seq) == (ledger.balances, ledger.head, 3)


@pytest.mark.parametrize("bit", range(8))
def test_p4_any_flipped_bit_is_found(ledger: Ledger, entries: list[Entry], bit: int) -> None:
    told = msgspec.msgpack.encode(entries)
    for place in range(len(told)):
        flipped = bytearray(told)
        flipped[place] ^= 1 << bit
        try:
            read = msgspec.msgpack.decode(bytes(flipped), type=list[Entry])
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue
        with pytest.raises(BooksBroken):
            audited(read, ledger.head)


def test_an_entry_that_could_never_be_posted_is_found_although_its_hash_is_right() -> None:
    liar = Ledger()
    liar._balances[ANNA] = 50
    entry = liar.post("gift", move(ANNA, NET_FEE, 50))
    with pytest.raises(BooksBroken, match="could never be posted"):
        audited([entry])


def test_a_key_that_stands_twice_is_found(entries: list[Entry], ledger: Ledger) -> None:
    ledger._remembered.clear()
    twice = ledger.post("open:1", move(ANNA, NET_FEE, 1))
    with pytest.raises(BooksBroken, match="posted before"):
        audited([*entries, twice])


def test_missing_ends_and_swapped_entries_are_found(entries: list[Entry], ledger: Ledger) -> None:
    with pytest.raises(BooksBroken, match="was published"):
        audited(entries[:2], ledger.head)
    with pytest.raises(BooksBroken, match="does not follow"):
        audited([entries[0], entries[2]])
    assert audited([]).head == GENESIS
