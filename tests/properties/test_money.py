"""Money in any order of events: what trust demands of the ledger, each test named for the property it holds it to."""

from collections.abc import Sequence

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.properties.money_machine import Books
from tests.properties.money_words import DIGEST, FOR_GOOD, GATEWAY, NODES, REWARD, Told, operator, paid_job
from tests.unit.core.world import job_id, node_id

from gridlight.core import postings
from gridlight.core.ledger import BooksBroken, KeyReused, Ledger, LedgerRefusal, audited
from gridlight.messages.host import TimePassed
from gridlight.messages.ids import AssignmentId
from gridlight.messages.ledger import (
    EXT_CHAIN,
    NET_SLASH,
    NET_VERIFY,
    AccountCredited,
    Entry,
    Posting,
    op_pending,
    req_avail,
    req_escrow,
)
from gridlight.messages.trust import (
    Assurance,
    CheckOutcome,
    KeepInput,
    RecordCheck,
    RecordCommit,
    RecordVerification,
    ReleaseInput,
    Role,
)

TestBooks = Books.TestCase
TestBooks.settings = settings(max_examples=60, stateful_step_count=40)


@given(flips=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 10_000), st.integers(0, 7)), min_size=1, max_size=20))
def test_p4_any_flipped_bit_of_any_entry_is_detected(flips: list[tuple[int, int, int]]) -> None:
    ledger = Ledger()
    drafts = [
        postings.deposit("ab" * 32, 0, "anna", 5_000),
        postings.open_task("t1", "anna", 1_220),
        postings.final("t1", "anna", "ben", 1_000),
        postings.collect(1, [("anna", 100, 120)]),
    ]
    entries = [ledger.post(draft.key, draft.postings) for draft in drafts]
    for place, byte, bit in flips:
        told = bytearray(msgspec.msgpack.encode(entries[place]))
        told[byte % len(told)] ^= 1 << bit
        try:
            changed = msgspec.msgpack.decode(bytes(told), type=Entry)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue
        altered = [*entries[:place], changed, *entries[place + 1 :]]
        try:
            audited(altered, ledger.head)
        except BooksBroken:
            continue
        raise AssertionError("a flipped bit went unnoticed")


def balances_after(order: Sequence[int]) -> dict[str, int]:
    """Six tasks of one requester: two final, two corrected, two void, each heard of in its turn."""
    machine = Books()
    machine.fresh()
    machine.hear(AccountCredited(key="grant:a", account=req_avail("anna"), amount=50_000))
    machine.hear(AccountCredited(key="grant:s", account=NET_SLASH, amount=50_000))
    for number in range(6):
        machine.hear(paid_job(job_id(number), "anna", Assurance.SAMPLED))
        machine.tasks[job_id(number)] = Told("anna", Assurance.SAMPLED, number + 1, number % NODES)
    for place in order:
        record = RecordCommit(
            commit=place + 1,
            job_id=job_id(place),
            node_id=node_id(place % NODES),
            assignment_id=AssignmentId(f"{place + 1:016x}"),
            output_digest=DIGEST,
            epoch=0,
            audit_ppm=0,
            is_audited=True,
            is_bound=True,
        )
        keep = KeepInput(job_id=job_id(place), gateway_id=GATEWAY, keep_ms=1)
        machine.books.check_ended(place, AssignmentId(f"{100 + place:016x}"))
        check = RecordCheck(
            check=place,
            commit=place + 1,
            role=Role.AUDIT,
            node_id=node_id((place + 1) % NODES),
            outcome=CheckOutcome.MATCH,
        )
        known = RecordVerification(commit=place + 1, verification=FOR_GOOD[place % 3])
        release = ReleaseInput(job_id=job_id(place), gateway_id=GATEWAY)
        machine.hear(TimePassed(), keep, record, check, known, release)
    machine.begin_epoch()
    return machine.books.ledger.balances


@given(order=st.permutations(range(6)))
def test_p9_the_order_of_concurrent_results_does_not_change_a_balance(order: list[int]) -> None:
    balances = balances_after(order)
    assert balances[op_pending(operator(0))] + balances[op_pending(operator(2))] == 2 * REWARD
    assert balances == {
        EXT_CHAIN: -100_000,
        req_avail("anna"): 50_000 - 2 * 1_220 + 2 * 1_220,
        "net:fee": 200,
        NET_VERIFY: 240,
        NET_SLASH: 50_000 - 2 * 1_220,
        op_pending(operator(0)): balances[op_pending(operator(0))],
        op_pending(operator(2)): balances[op_pending(operator(2))],
    }
    assert (balances[op_pending(operator(0))], req_escrow("anna") in balances) == (REWARD, False)


@given(
    amounts=st.lists(st.integers(-50, 50), min_size=2, max_size=6),
    accounts=st.lists(st.sampled_from([EXT_CHAIN, "net:fee", "req:anna:avail", "op:ben:pending"]), min_size=6),
)
def test_p3_a_key_is_posted_once_and_a_refusal_changes_nothing(amounts: list[int], accounts: list[str]) -> None:
    ledger = Ledger()
    ledger.post("start", [Posting(EXT_CHAIN, -60), Posting("net:fee", 20), Posting("req:anna:avail", 40)])
    drafted = [Posting(account, amount) for account, amount in zip(accounts, amounts, strict=False)]
    before = msgspec.msgpack.encode(ledger.snapshot())
    try:
        entry = ledger.post("once", drafted)
    except LedgerRefusal:
        assert msgspec.msgpack.encode(ledger.snapshot()) == before
        return
    assert ledger.post("once", drafted) == entry
    after = msgspec.msgpack.encode(ledger.snapshot())
    try:
        ledger.post("once", [*drafted, Posting("net:fee", 1)])
    except KeyReused:
        assert msgspec.msgpack.encode(ledger.snapshot()) == after
    else:
        raise AssertionError("a key was used twice")
