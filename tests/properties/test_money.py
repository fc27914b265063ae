"""Money in any order of events: what trust demands of the ledger holds after each step.

The machine keeps books of its own, in the simplest way, and holds the real ones against them. Its names cite the
properties by their numbers.
"""

from collections import Counter

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.unit.core.world import WORKLOAD, job_id, node_id, secret

from gridlight.core import postings
from gridlight.core.bookkeeping import Bookkeeping, BookkeepingSnapshot
from gridlight.core.ledger import BooksBroken, KeyReused, Ledger, LedgerRefusal, Overdrawn, audited
from gridlight.core.receipts import is_fork, is_on, prove
from gridlight.messages.codec import Effect, Event
from gridlight.messages.host import RecordNode, TimePassed
from gridlight.messages.ids import AssignmentId, Blake3Digest, GatewayId, JobId, NodeId
from gridlight.messages.jobs import JobSubmitted
from gridlight.messages.ledger import (
    EXT_CHAIN,
    NET_SLASH,
    NET_VERIFY,
    AccountCredited,
    Entry,
    MoneyParameters,
    PayoutLine,
    Posting,
    PricesSet,
    RecordEntry,
    op_avail,
    op_inflight,
    op_pending,
    op_stake,
    req_avail,
    req_escrow,
)
from gridlight.messages.nodes import NodeEnrolled
from gridlight.messages.receipts import Receipt, RecordSheet, SheetRoot
from gridlight.messages.trust import (
    Assurance,
    CheckOutcome,
    EpochBegan,
    FaultGrade,
    KeepInput,
    RecordCheck,
    RecordCommit,
    RecordFault,
    RecordStanding,
    RecordVerification,
    ReleaseInput,
    Role,
    SettleCommits,
    Tier,
    Verification,
)

REQUESTERS = ("anna", "emil")
NODES = 4
HOLD_MS, HOLD_TASKS = 2 * 86_400_000, 1
REWARD = 1_000
GATEWAY = GatewayId("gateway-1")
DIGEST = Blake3Digest("ab" * 32)
MONEY = MoneyParameters(hold_ms=HOLD_MS, hold_tasks=HOLD_TASKS, slash_rewards_max=3)
FOR_GOOD = (Verification.FINAL, Verification.CORRECTED, Verification.VOID)


def enrolled(node: int) -> RecordNode:
    """Two nodes of each operator."""
    word = NodeEnrolled(
        gateway_id=GATEWAY,
        node_id=node_id(node),
        operator=node_id(100 + node // 2),
        agent_version="1",
        cpus=1,
        memory_mib=1_024,
    )
    return RecordNode(enrolled=word, is_online=True, slots=1, workloads=(WORKLOAD,))


def operator(node: int) -> NodeId:
    return node_id(100 + node // 2)


class Told(msgspec.Struct):
    """What the test itself knows of one paid task."""

    account: str
    assurance: Assurance
    commit: int = 0
    node: int = 0
    known: Verification | None = None
    is_bound: bool = False
    checks: int = 0


class Books(RuleBasedStateMachine):
    """Requesters, nodes and a verifier of whom nothing is known but that they speak the protocol."""

    def __init__(self) -> None:
        super().__init__()
        self.books = Bookkeeping()
        self.now_ms = 0
        self.entries: list[Entry] = []
        self.roots: list[SheetRoot] = []
        self.receipts: list[Receipt] = []
        self.tasks: dict[JobId, Told] = {}
        self.commits = self.checks = self.epoch = self.batches = 0
        self.sealed: dict[str, list[PayoutLine]] = {}
        self.trusted: Counter[int] = Counter()
        self.credited = 0
        self.spent: Counter[str] = Counter()
        self.paid_of: Counter[str] = Counter()

    @initialize()
    def begin(self) -> None:
        self.fresh()
        # So that most steps can do what they are there for.
        for account in (*map(req_avail, REQUESTERS), op_stake(operator(0))):
            self.credit(account, 60_000)
        for node in range(NODES - 1):
            self.stand(node, Tier.TRUSTED)

    def fresh(self) -> None:
        """Prices are set and nodes are known; nobody has money, and nobody is trusted."""
        self.hear(PricesSet(money=MONEY, work={WORKLOAD: REWARD}))
        self.hear(TimePassed(), *(enrolled(node) for node in range(NODES)))

    def hear(self, event: Event, *effects: Effect) -> list[Effect]:
        """One event, and all that must hold after each (P1, P2, P4)."""
        before = Counter(self.books.ledger.balances)
        outputs = self.books.hear(self.now_ms, event, list(effects))
        self.books.check()
        for output in outputs:
            if isinstance(output, RecordEntry):
                self.entries.append(output.entry)
                self.weigh(output.entry, before)
            elif isinstance(output, RecordSheet):
                self.close(output)
        return outputs

    def weigh(self, entry: Entry, before: Counter[str]) -> None:
        """P1: an entry makes nothing. P7, P8: what leaves hold-back and stake is bounded."""
        assert sum(posting.amount for posting in entry.postings) == 0
        kind = entry.key.partition(":")[0]
        for posting in entry.postings:
            if kind == "slash" and posting.amount < 0:
                assert -posting.amount <= min(before[posting.account], 3 * REWARD)
            if kind == "claw" and posting.amount < 0:
                assert -posting.amount <= before[posting.account]
            if posting.account.endswith(":pending") and posting.amount < 0:
                assert kind in ("vest", "claw")
        if kind == "vest":
            assert self.now_ms >= HOLD_MS
        if kind == "final":
            task = self.tasks[JobId(entry.key.removeprefix("final:"))]
            self.paid_of[task.account] += REWARD

    def close(self, record: RecordSheet) -> None:
        """P41 to P43: one receipt a run, each provable, and one chain."""
        receipts = list(record.receipts)
        for index in range(len(receipts)):
            assert is_on(record.root, prove(receipts, index))
        assert not any(is_fork(record.root, other) for other in self.roots)
        self.roots.append(record.root)
        self.receipts += receipts
        attempts = Counter((one.task, one.attempt) for one in self.receipts)
        assert all(count == 1 for count in attempts.values())

    # Rules

    @rule(days=st.integers(0, 3))
    def pass_time(self, days: int) -> None:
        self.now_ms += days * 86_400_000

    @rule(
        account=st.sampled_from([*map(req_avail, REQUESTERS), NET_VERIFY, op_stake(operator(0))]),
        amount=st.integers(1, 9_000),
    )
    def credit(self, account: str, amount: int) -> None:
        """P3: told twice, it is credited once; contradicted, not at all."""
        word = AccountCredited(key=f"grant:{self.credited}", account=account, amount=amount)
        self.credited += 1
        assert len(self.hear(word)) == 1
        state = msgspec.msgpack.encode(self.books.snapshot())
        assert self.hear(word) + self.hear(msgspec.structs.replace(word, amount=amount + 1)) == []
        assert msgspec.msgpack.encode(self.books.snapshot()) == state

    @rule(account=st.sampled_from(REQUESTERS), assurance=st.sampled_from(Assurance))
    def submit(self, account: str, assurance: Assurance) -> None:
        """P2: nothing is sent that is not held; who cannot pay is told what is missing."""
        number = len(self.tasks) + 1
        job = JobSubmitted(
            job_id=job_id(number),
            gateway_id=GATEWAY,
            workload=WORKLOAD,
            deadline_ms=4_000,
            input_digest=DIGEST,
            input_bytes=1,
            assurance=assurance,
            account_id=account,
        )
        had, seq = self.books.ledger.balance(req_avail(account)), self.books.ledger.seq
        refused = self.books.refusal(job)
        assert self.books.ledger.seq == seq
        if refused is not None:
            assert refused.hint is not None
            assert "lacks" in refused.hint
            return
        self.hear(job)
        held = self.books.escrow.held(job.job_id)
        assert held == had - self.books.ledger.balance(req_avail(account)) >= REWARD
        self.tasks[job.job_id] = Told(account, assurance)
        self.spent[account] += held

    @rule(data=st.data(), account=st.sampled_from(REQUESTERS), node=st.integers(0, NODES - 1))
    def serve(self, data: st.DataObject, account: str, node: int) -> None:
        """A task as most are: paid for, answered, and often final at once."""
        self.submit(account, Assurance.AUDITED)
        if self.open_tasks(committed=False):
            self.commit(data, node, is_bound=data.draw(st.booleans()))
            if data.draw(st.booleans()):
                self.verify(data, Verification.FINAL)

    @precondition(lambda self: self.open_tasks(committed=True))
    @rule(data=st.data())
    def age(self, data: st.DataObject) -> None:
        """Days go by, and then an epoch begins."""
        self.pass_time(data.draw(st.integers(1, 3)))
        self.begin_epoch()

    def open_tasks(self, *, committed: bool) -> list[JobId]:
        return [
            job for job, told in self.tasks.items() if bool(told.commit) is committed and told.known not in FOR_GOOD
        ]

    @precondition(lambda self: self.open_tasks(committed=False))
    @rule(data=st.data(), node=st.integers(0, NODES - 1), is_bound=st.booleans())
    def commit(self, data: st.DataObject, node: int, *, is_bound: bool) -> None:
        job = data.draw(st.sampled_from(self.open_tasks(committed=False)))
        told = self.tasks[job]
        self.commits += 1
        told.commit, told.node, told.known = self.commits, node, Verification.PROVISIONAL
        told.is_bound = is_bound
        record = RecordCommit(
            commit=self.commits,
            job_id=job,
            node_id=node_id(node),
            assignment_id=AssignmentId(f"{self.commits:016x}"),
            output_digest=DIGEST,
            epoch=0,
            audit_ppm=0,
            is_audited=is_bound,
            is_bound=is_bound,
        )
        keep = [KeepInput(job_id=job, gateway_id=GATEWAY, keep_ms=1)] if is_bound else []
        self.hear(TimePassed(), *keep, record)

    @precondition(lambda self: self.open_tasks(committed=True))
    @rule(
        data=st.data(),
        node=st.integers(0, NODES - 1),
        role=st.sampled_from([Role.AUDIT, Role.SHADOW, Role.REFERENCE]),
        outcome=st.sampled_from([CheckOutcome.MATCH, CheckOutcome.MISMATCH]),
    )
    def check_answer(self, data: st.DataObject, node: int, role: Role, outcome: CheckOutcome) -> None:
        job = data.draw(st.sampled_from(self.open_tasks(committed=True)))
        told = self.tasks[job]
        self.checks += 1
        told.checks += 1
        self.books.check_ended(self.checks, AssignmentId(f"{2**32 + self.checks:016x}"))
        record = RecordCheck(check=self.checks, commit=told.commit, role=role, node_id=node_id(node), outcome=outcome)
        self.hear(TimePassed(), record)

    @precondition(lambda self: self.open_tasks(committed=True))
    @rule(data=st.data(), known=st.sampled_from([Verification.DISPUTED, *FOR_GOOD]))
    def verify(self, data: st.DataObject, known: Verification) -> None:
        """P6: a task ends once; whatever is said of it later changes nothing."""
        job = data.draw(st.sampled_from(self.open_tasks(committed=True)))
        told = self.tasks[job]
        word = RecordVerification(commit=told.commit, verification=known)
        release = [ReleaseInput(job_id=job, gateway_id=GATEWAY)] if known in FOR_GOOD else []
        self.hear(TimePassed(), word, *release)
        told.known = known
        if known in FOR_GOOD:
            head = self.books.ledger.head
            for other in (*FOR_GOOD, Verification.DISPUTED):
                self.hear(TimePassed(), msgspec.structs.replace(word, verification=other))
            assert (self.books.ledger.head, self.books.escrow.held(job)) == (head, 0)

    @rule(node=st.integers(0, NODES - 1), is_void=st.booleans())
    def settle(self, node: int, *, is_void: bool) -> None:
        known = Verification.VOID if is_void else Verification.FINAL
        bound = {job for job, told in self.tasks.items() if told.is_bound}
        self.hear(TimePassed(), SettleCommits(node_id=node_id(node), commit=self.commits, verification=known))
        for job, told in self.tasks.items():
            if told.commit and told.node == node and not self.books.escrow.held(job) and told.known not in FOR_GOOD:
                assert told.known is Verification.PROVISIONAL, "a disputed answer was settled with others"
                assert is_void or job not in bound, "an answer was settled that waits for its own audit"
                told.known = known

    @rule(node=st.integers(0, NODES - 1), tier=st.sampled_from([Tier.TRUSTED, Tier.SHADOW]))
    def stand(self, node: int, tier: Tier) -> None:
        word = RecordStanding(node_id=node_id(node), tier=tier, clean_run=1, checks_passed=1, faults=0)
        self.hear(TimePassed(), word)
        self.trusted[node] = int(tier is Tier.TRUSTED)

    @precondition(lambda self: self.commits)
    @rule(node=st.integers(0, NODES - 1), grade=st.sampled_from(FaultGrade), is_proved=st.booleans())
    def convict(self, node: int, grade: FaultGrade, *, is_proved: bool) -> None:
        """P8: a fault takes what its node has pending, and of others nothing."""
        others = {one: self.books.earnings.pending(node_id(one)) for one in range(NODES) if one != node}
        word = RecordFault(
            node_id=node_id(node),
            grade=grade,
            commit=self.commits,
            role=Role.PRIMARY,
            said=DIGEST,
            reference=DIGEST,
            settled_by=node_id(9) if is_proved else None,
        )
        if self.books.ledger.find(f"claw:{node_id(node)}:{self.commits}:primary") is not None:
            return  # a fault is told once
        if self.books.ledger.find(f"slash:{node_id(node)}:{self.commits}:primary") is not None:
            return
        self.hear(TimePassed(), word)
        assert others == {one: self.books.earnings.pending(node_id(one)) for one in others}
        if grade is FaultGrade.FALSE:
            assert self.books.earnings.pending(node_id(node)) == 0

    @rule()
    def begin_epoch(self) -> None:
        """P7: what vests is old, has later tasks, is trusted and undisputed; the rest stays."""
        self.epoch += 1
        before = {node: self.books.earnings.pending(node_id(node)) for node in range(NODES)}
        avail = {node: self.books.ledger.balance(op_avail(operator(node))) for node in range(NODES)}
        disputed = {told.node for told in self.tasks.values() if told.known is Verification.DISPUTED}
        self.hear(EpochBegan(epoch=self.epoch, secret=secret(self.epoch), next_secret=secret(self.epoch + 1)))
        for node in range(NODES):
            if not self.trusted[node] or node in disputed:
                assert self.books.earnings.pending(node_id(node)) >= before[node], "it vested too early"
            assert self.books.ledger.balance(op_avail(operator(node))) >= avail[node]

    # Payouts

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

    # What always holds

    @invariant()
    def p1_p2_balances_add_up_and_nobody_owes(self) -> None:
        balances = self.books.ledger.balances
        assert sum(balances.values()) == 0
        assert all(balance >= 0 for account, balance in balances.items() if account != EXT_CHAIN)

    @invariant()
    def p6_what_is_over_holds_nothing_and_what_is_open_holds_its_price(self) -> None:
        for job, told in self.tasks.items():
            assert (self.books.escrow.held(job) == 0) is (told.known in FOR_GOOD)

    @invariant()
    def p62_what_is_on_its_way_is_the_lines_of_open_batches(self) -> None:
        on_its_way = sum(line.amount for lines in self.sealed.values() for line in lines)
        accounts = {op_inflight(operator(node)) for node in range(NODES)}
        assert sum(self.books.ledger.balance(account) for account in accounts) == on_its_way

    @invariant()
    def p63_nobody_is_paid_more_for_a_requesters_tasks_than_that_one_spent(self) -> None:
        for account in REQUESTERS:
            assert self.paid_of[account] + REWARD // 10 * (self.paid_of[account] // REWARD) <= self.spent[account]

    def teardown(self) -> None:
        """P4, P47: a replay and a snapshot come to the same books. P5, P44: each run is paid once, with a receipt."""
        self.begin_epoch()
        replayed = audited(self.entries, self.books.ledger.head)
        assert replayed.balances == self.books.ledger.balances
        snapshot = msgspec.msgpack.encode(self.books.snapshot())
        other = Bookkeeping()
        other.restore(msgspec.msgpack.decode(snapshot, type=BookkeepingSnapshot))
        assert msgspec.msgpack.encode(other.snapshot()) == snapshot
        paid = sum(
            posting.amount
            for entry in self.entries
            for posting in entry.postings
            if posting.account.endswith(":pending") and posting.amount > 0
        )
        assert paid == sum(receipt.amount for receipt in self.receipts)
        for job, told in self.tasks.items():
            runs = [one for one in self.receipts if one.task == job]
            assert len(runs) <= 1 + told.checks
            assert len([one for one in runs if one.attempt == f"{told.commit:016x}"]) <= 1


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


@given(order=st.permutations(range(6)))
def test_p9_the_order_of_concurrent_results_does_not_change_a_balance(order: list[int]) -> None:
    machine = Books()
    machine.fresh()
    machine.hear(AccountCredited(key="grant:a", account=req_avail("anna"), amount=50_000))
    machine.hear(AccountCredited(key="grant:s", account=NET_SLASH, amount=50_000))
    for number in range(6):
        job = JobSubmitted(
            job_id=job_id(number),
            gateway_id=GATEWAY,
            workload=WORKLOAD,
            deadline_ms=4_000,
            input_digest=DIGEST,
            input_bytes=1,
            account_id="anna",
        )
        machine.hear(job)
        machine.tasks[job.job_id] = Told("anna", Assurance.SAMPLED)
    for place in order:
        record = RecordCommit(
            commit=place + 1,
            job_id=job_id(place),
            node_id=node_id(place % NODES),
            assignment_id=AssignmentId(f"{place:016x}"),
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
    balances = machine.books.ledger.balances
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
