"""A machine of requesters, nodes and a verifier, for `test_money`: what must hold of money is asserted after each step.

The machine keeps books of its own, in the simplest way, and holds the real ones against them. Its names cite the
properties by their numbers.
"""

from collections import Counter

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule
from tests.properties.held_earnings import HeldEarnings
from tests.properties.money_words import (
    DIGEST,
    FEE,
    FOR_GOOD,
    GATEWAY,
    MONEY,
    NODES,
    REQUESTERS,
    REWARD,
    Told,
    assert_bounded,
    enrolled,
    operator,
    paid_job,
)
from tests.properties.paid_out import PaidOut
from tests.unit.core.world import WORKLOAD, job_id, node_id, secret

from gridlight.core.bookkeeping import Bookkeeping, BookkeepingSnapshot
from gridlight.core.ledger import audited
from gridlight.core.receipts import is_fork, is_on, prove
from gridlight.messages.codec import Effect, Event
from gridlight.messages.host import TimePassed
from gridlight.messages.ids import AssignmentId, JobId
from gridlight.messages.ledger import (
    EXT_CHAIN,
    NET_VERIFY,
    AccountCredited,
    Entry,
    PricesSet,
    RecordEntry,
    op_avail,
    op_stake,
    req_avail,
)
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

NODE_IDS = [node_id(node) for node in range(NODES)]
STAKES = sorted({op_stake(operator(node)) for node in range(NODES)})


class Books(PaidOut):
    """Requesters, nodes and a verifier of whom nothing is known but that they speak the protocol."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ms = 0
        self.roots: list[SheetRoot] = []
        self.receipts: list[Receipt] = []
        self.tasks: dict[JobId, Told] = {}
        self.commits = self.checks = self.epoch = 0
        self.held = [HeldEarnings() for _ in range(NODES)]
        self.credited = 0
        self.spent: Counter[str] = Counter()
        self.paid_of: Counter[str] = Counter()

    @initialize()
    def begin(self) -> None:
        self.fresh()
        # So that most steps can do what they are there for.
        for account in (*map(req_avail, REQUESTERS), NET_VERIFY, *STAKES):
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
        """P1, P8 and P63, and who earned it."""
        assert_bounded(entry, before)
        if entry.key.startswith("final:"):
            task = self.tasks[JobId(entry.key.removeprefix("final:"))]
            self.paid_of[task.account] += REWARD
            self.held[task.node].earn(self.now_ms, REWARD)

    def close(self, record: RecordSheet) -> None:
        """P41 to P43: one receipt a run, each provable, and one chain."""
        receipts = list(record.receipts)
        for index in range(len(receipts)):
            assert is_on(record.root, prove(receipts, index))
        assert not any(is_fork(record.root, other) for other in self.roots)
        self.roots.append(record.root)
        self.receipts += [one for one in receipts if one.status != "unpaid"]  # another one follows once it is paid
        served = {(job, f"{told.commit:016x}") for job, told in self.tasks.items()}
        for one in receipts:
            if one.amount and (one.task, one.attempt) not in served:  # a check, which is paid as an epoch begins
                self.held[NODE_IDS.index(one.node)].earn(self.now_ms, one.amount)
        attempts = Counter((one.task, one.attempt) for one in self.receipts)
        assert all(count == 1 for count in attempts.values())

    # Rules

    @rule(days=st.integers(0, 3))
    def pass_time(self, days: int) -> None:
        self.now_ms += days * 86_400_000

    @rule(
        account=st.sampled_from([*map(req_avail, REQUESTERS), NET_VERIFY, *STAKES]),
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
        job = paid_job(job_id(len(self.tasks) + 1), account, assurance)
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

    @rule(
        node=st.integers(0, NODES - 1),
        account=st.sampled_from(REQUESTERS),
        days=st.sampled_from([0, 3]),
        is_disputed=st.booleans(),
    )
    def season(self, node: int, account: str, days: int, *, is_disputed: bool) -> None:
        """A node's earnings of one day, a later task, and perhaps as much time as they are held for; or a dispute."""
        for wait, known in ((1, Verification.FINAL), (days, Verification.FINAL), (0, Verification.DISPUTED)):
            if known is Verification.FINAL or is_disputed:
                self.submit(account, Assurance.SAMPLED)
                waiting = self.open_tasks(committed=False)
                if waiting:
                    self.answer(waiting[-1], node, is_bound=True)
                    self.check(waiting[-1], (node + 1) % NODES, Role.AUDIT, CheckOutcome.MATCH)
                    self.know(waiting[-1], known)
            self.pass_time(wait)
        self.begin_epoch()

    def open_tasks(self, *, committed: bool) -> list[JobId]:
        return [
            job for job, told in self.tasks.items() if bool(told.commit) is committed and told.known not in FOR_GOOD
        ]

    @precondition(lambda self: self.open_tasks(committed=False))
    @rule(data=st.data(), node=st.integers(0, NODES - 1), is_bound=st.booleans())
    def commit(self, data: st.DataObject, node: int, *, is_bound: bool) -> None:
        self.answer(data.draw(st.sampled_from(self.open_tasks(committed=False))), node, is_bound=is_bound)

    def answer(self, job: JobId, node: int, *, is_bound: bool) -> None:
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
        self.check(data.draw(st.sampled_from(self.open_tasks(committed=True))), node, role, outcome)

    def check(self, job: JobId, node: int, role: Role, outcome: CheckOutcome) -> None:
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
        self.know(data.draw(st.sampled_from(self.open_tasks(committed=True))), known)

    def know(self, job: JobId, known: Verification) -> None:
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
        self.held[node].is_trusted = tier is Tier.TRUSTED

    @precondition(lambda self: self.open_tasks(committed=True))
    @rule(data=st.data(), grade=st.sampled_from(FaultGrade), is_proved=st.booleans())
    def convict(self, data: st.DataObject, grade: FaultGrade, *, is_proved: bool) -> None:
        told = self.tasks[data.draw(st.sampled_from(self.open_tasks(committed=True)))]
        self.fault(told.commit, data.draw(st.integers(0, NODES - 1)), grade, is_proved=is_proved)

    @rule(node=st.integers(0, NODES - 1), account=st.sampled_from(REQUESTERS))
    def lie(self, node: int, account: str) -> None:
        """An answer is disputed, and a referee proves it false."""
        self.submit(account, Assurance.SAMPLED)
        for job in self.open_tasks(committed=False)[-1:]:
            self.answer(job, node, is_bound=True)
            self.know(job, Verification.DISPUTED)
            self.fault(self.commits, node, FaultGrade.FALSE, is_proved=True)

    def fault(self, commit: int, node: int, grade: FaultGrade, *, is_proved: bool) -> None:
        """P8: a fault takes what its node has pending, and of others nothing."""
        others = {one: self.books.earnings.pending(node_id(one)) for one in range(NODES) if one != node}
        word = RecordFault(
            node_id=node_id(node),
            grade=grade,
            commit=commit,
            role=Role.PRIMARY,
            said=DIGEST,
            reference=DIGEST,
            settled_by=node_id(9) if is_proved else None,
        )
        key = f"{node_id(node)}:{commit}:primary"
        if self.books.ledger.find(f"claw:{key}") or self.books.ledger.find(f"slash:{key}"):
            return  # a fault is told once
        self.hear(TimePassed(), word)
        assert others == {one: self.books.earnings.pending(node_id(one)) for one in others}
        if grade is FaultGrade.FALSE:
            assert self.books.earnings.pending(node_id(node)) == 0
            self.held[node].runs = []

    @rule()
    def begin_epoch(self) -> None:
        """P7: what vests is old, has later tasks, is trusted and undisputed; the rest stays."""
        self.epoch += 1
        avail = {operator(node): self.books.ledger.balance(op_avail(operator(node))) for node in range(NODES)}
        disputed = Counter(told.node for told in self.tasks.values() if told.known is Verification.DISPUTED)
        self.hear(EpochBegan(epoch=self.epoch, secret=secret(self.epoch), next_secret=secret(self.epoch + 1)))
        for node, held in enumerate(self.held):
            held.disputes = disputed[node]
            vested = held.amount - self.books.earnings.pending(node_id(node))
            held.vest(self.now_ms, vested)
            avail[operator(node)] += vested
        assert all(self.books.ledger.balance(op_avail(one)) == amount for one, amount in avail.items())

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
    def p63_nobody_is_paid_more_for_a_requesters_tasks_than_that_one_spent(self) -> None:
        for account, paid in self.paid_of.items():
            assert paid + FEE * (paid // REWARD) <= self.spent[account]

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
