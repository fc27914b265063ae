"""Bookkeeping: turns what the other machines decide into money held, earned, refused and given back.

It decides nothing about answers: it hears the effects by which verification and scheduling tell what became of them,
and posts what follows. A network whose host set no prices, and a task that nobody pays for, cost it one look.
"""

from collections.abc import Callable
from typing import Any, Final

from msgspec import UNSET, Struct, field

from gridlight.core.crossing import Crossing, CrossingSnapshot
from gridlight.core.earnings import Claim, Earnings, EarningsSnapshot
from gridlight.core.escrow import Escrow, EscrowSnapshot
from gridlight.core.ledger import Ledger, LedgerSnapshot
from gridlight.core.notices import RunSeen
from gridlight.core.paid_tasks import PaidCheck, PaidTask, PaidTasks
from gridlight.core.pricing import pay, quote, too_little
from gridlight.core.receipts import SheetSnapshot
from gridlight.core.register import Entitled, Register
from gridlight.core.words import WordsSnapshot
from gridlight.messages.codec import Effect, Event
from gridlight.messages.host import RecordNode
from gridlight.messages.ids import AssignmentId, NodeId, WorkloadId
from gridlight.messages.jobs import EndJob, JobCode, JobState, JobSubmitted, Outcome
from gridlight.messages.ledger import (
    AccountCredited,
    Entry,
    MoneyParameters,
    PayoutsEnded,
    PayoutsWanted,
    PricesSet,
    RecordEntry,
    req_avail,
)
from gridlight.messages.nodes import NodeEnrolled
from gridlight.messages.operators import SHADOW_ONLY
from gridlight.messages.receipts import ReceiptStatus
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
    SettleCommits,
    Tier,
    Verification,
)

PAYMENTS_AN_EPOCH_MAX: Final = 100
"""Entries that pay checks, at an epoch's begin."""


class BookkeepingSnapshot(Struct):
    """The state as plain values."""

    money: MoneyParameters
    work: dict[WorkloadId, int]
    is_priced: bool
    ledger: LedgerSnapshot
    escrow: EscrowSnapshot
    earnings: EarningsSnapshot
    sheet: SheetSnapshot
    tasks: list[PaidTask]
    unfunded: int
    epoch: int
    next_commitment: str | None
    crossing: CrossingSnapshot = field(default_factory=CrossingSnapshot)
    words: WordsSnapshot = field(default_factory=WordsSnapshot)


class Bookkeeping:
    """The ledger, and the machines that post to it."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.money = MoneyParameters()
        self.escrow = Escrow(self.ledger)
        self.crossing = Crossing(self.ledger)
        self.earnings = Earnings(self.ledger, self.money)
        self.register = Register(self.ledger)
        self.tasks = PaidTasks()
        self.is_priced = False
        self.unfunded = 0
        """Checks that earned nothing because too many waited for the pool."""
        self._work: dict[WorkloadId, int] = {}
        self._attempts: dict[int, AssignmentId] = {}
        """Of checks that ended within this event."""
        self._now_ms = 0
        self._wrong: dict[tuple[int, NodeId], int] = {}
        """Answers that a fault of this event names, whose they are, and what they would have earned."""
        self._out: list[Effect] = []
        self._handlers: dict[type, Callable[[Any], None]] = {
            RecordNode: self._node,
            RecordStanding: self._standing,
            RecordCommit: self._committed,
            EndJob: self._job_ended,
            KeepInput: self._examined,
            ReleaseInput: self._examined,
            RecordCheck: self._checked,
            RecordVerification: self._verified,
            SettleCommits: self._settled,
            RecordFault: self._fault,
        }

    @property
    def is_concerned(self) -> bool:
        """Whether there is anything on the books, or may be."""
        return self.is_priced or self.ledger.seq > 0

    # Before the others hear of it

    def refusal(self, job: JobSubmitted) -> Outcome | None:
        """Why a job cannot be paid for; None where it can, or nobody has to. Nothing is held yet."""
        if not self._is_paid(job) or job.job_id in self.tasks.by_job:
            return None
        assert isinstance(job.account_id, str)
        if not self.escrow.takes(job.job_id):
            return Outcome(state=JobState.REFUSED, code=JobCode.BUSY, hint="it was paid for before: send it anew")
        wanted = self.price(job.workload, job.assurance)
        available = self.ledger.balance(req_avail(job.account_id))
        return None if available >= wanted else too_little(job.account_id, wanted, available)

    def price(self, workload: WorkloadId, assurance: Assurance) -> int:
        """What a task would cost now, in units; nothing where nothing has a price."""
        return quote(self._work.get(workload, 0), assurance, self.money).price if self.is_priced else 0

    def _is_paid(self, job: JobSubmitted) -> bool:
        return self.is_priced and job.account_id is not UNSET

    def check_ended(self, check: int, attempt: AssignmentId | None) -> None:
        """Which assignment a check was; its record, in the same event, does not say."""
        if self.is_priced and attempt is not None:
            self._attempts[check] = attempt

    def run_seen(self, now_ms: int, run: RunSeen, settles_ms: int) -> None:
        """A result came in time: it has the network's word now, and a receipt once it is known what became of it."""
        operator = self.earnings.operator_of(run.node_id)
        if self.is_priced and operator is not None:
            mwu = self._work.get(run.workload, 0)
            run_of = Entitled(run.job_id, run.assignment_id, run.node_id, operator, run.workload, mwu)
            self.register.promise(now_ms, run_of, given_ms=run.given_ms, settles_ms=settles_ms)

    # After they have

    def hear(self, now_ms: int, event: Event, effects: list[Effect]) -> list[Effect]:
        """What follows from an event, and from what the others made of it, for the books. O(effects)."""
        self._out, self._now_ms = [], now_ms
        self.register.begin(now_ms)
        match event:
            case PricesSet():
                self.money, self._work, self.is_priced = event.money, event.work, True
                self.earnings.money = event.money
            case AccountCredited() | PayoutsWanted() | PayoutsEnded():
                self._out += self.crossing.hear(event)
            case JobSubmitted():
                self._submitted(event, effects)
            case NodeEnrolled():  # what it may do is told before the node itself is
                for record in [one for one in effects if type(one) is RecordNode]:
                    self._node(record)
        self._wrong = {(one.commit, one.node_id): self._reward(one) for one in effects if type(one) is RecordFault}
        for effect in effects:
            handler = self._handlers.get(type(effect))
            if handler is not None:
                handler(effect)
        if type(event) is EpochBegan:
            self._begin_epoch(now_ms, event)
        self._attempts.clear()
        return [*self._out, *self.register.end()]

    def _submitted(self, job: JobSubmitted, effects: list[Effect]) -> None:
        """It was taken on, unless it was ended at once; hold its price before anything of it leaves."""
        is_ended = any(type(one) is EndJob and one.job_id == job.job_id for one in effects)
        if not self._is_paid(job) or is_ended or job.job_id in self.tasks.by_job:
            return
        assert isinstance(job.account_id, str)
        mwu = self._work.get(job.workload, 0)
        quoted = quote(mwu, job.assurance, self.money)
        self._record(self.escrow.open(job.job_id, job.account_id, quoted))
        self.tasks.add(PaidTask(job.job_id, job.workload, mwu, quoted))

    def _node(self, effect: RecordNode) -> None:
        enrolled = effect.enrolled
        self.earnings.know(enrolled.node_id, enrolled.operator, is_unpaid=effect.hold in SHADOW_ONLY)

    def _standing(self, effect: RecordStanding) -> None:
        if self.earnings.operator_of(effect.node_id) is not None:
            self.earnings.trust(effect.node_id, is_trusted=effect.tier in (Tier.TRUSTED, Tier.REFERENCE))

    def _examined(self, effect: KeepInput | ReleaseInput) -> None:
        task = self.tasks.by_job.get(effect.job_id)
        if task is not None:
            task.is_examined = type(effect) is KeepInput
            self.tasks.forget(task)

    def _verified(self, effect: RecordVerification) -> None:
        task = self.tasks.of_commit(effect.commit)
        if task is not None and not task.is_over:
            self._known(task, effect.verification)

    def _settled(self, effect: SettleCommits) -> None:
        """VOID takes along answers that wait for an audit of their own: their node's word stands for nothing."""
        for task in self.tasks.provisional(effect.node_id, effect.commit):
            if effect.verification is Verification.VOID or not task.is_bound:
                self._known(task, effect.verification)

    def _committed(self, effect: RecordCommit) -> None:
        task = self.tasks.by_job.get(effect.job_id)
        if task is not None and task.node_id is None:
            task.is_bound, task.operator = effect.is_bound, self.earnings.operator_of(effect.node_id)
            self.register.claim(effect.assignment_id)
            self.tasks.committed(task, effect.node_id, effect.assignment_id, effect.commit)
            if effect.verification is Verification.FINAL:
                self._known(task, effect.verification)

    def _job_ended(self, effect: EndJob) -> None:
        """Without an answer it costs nothing; an answer that nobody checks is final as it is."""
        task, outcome = self.tasks.by_job.get(effect.job_id), effect.outcome
        if task is None or task.node_id is not None or effect.is_repeated:
            return
        if outcome.state is not JobState.DONE:
            self._record(self.escrow.refund(task.job_id))
            self.tasks.end(task)
        else:
            assert outcome.verification is Verification.UNVERIFIED, "an answer that is checked was not committed"
            assert outcome.node_id is not None
            assert outcome.assignment_id is not None
            self.register.claim(outcome.assignment_id)
            task.node_id, task.attempt = outcome.node_id, outcome.assignment_id
            task.operator = self.earnings.operator_of(outcome.node_id)
            if self.earnings.is_unpaid(outcome.node_id):
                self._record(self.escrow.refund(task.job_id))
                self._write(task, 0, "final")
            else:
                self._pay_served(task)
            task.node_id = None  # it was never committed
            self.tasks.end(task)

    def _checked(self, effect: RecordCheck) -> None:
        task, attempt = self.tasks.of_commit(effect.commit), self._attempts.get(effect.check)
        if task is None or effect.node_id is None or attempt is None:
            return
        self.register.claim(attempt)
        is_unpaid, operator = self.earnings.is_unpaid(effect.node_id), self.earnings.operator_of(effect.node_id)
        check = PaidCheck(effect.node_id, attempt, effect.role, effect.outcome, is_unpaid, operator)
        if not task.is_over:
            task.checks.append(check)
        else:
            self._claim(task, check, "final", is_right=check.outcome is CheckOutcome.MATCH)

    def _known(self, task: PaidTask, known: Verification) -> None:
        """What is known of an answer changed; for good, unless it is disputed."""
        assert task.node_id is not None
        is_disputed = known is Verification.DISPUTED
        if is_disputed != task.is_disputed and self.earnings.operator_of(task.node_id) is not None:
            self.earnings.dispute(task.node_id, 1 if is_disputed else -1)
        task.is_disputed = is_disputed
        if is_disputed:
            return
        right = {Verification.FINAL: CheckOutcome.MATCH, Verification.CORRECTED: CheckOutcome.MISMATCH}.get(known)
        status: ReceiptStatus = "void"
        match known:
            case Verification.FINAL:
                status = "final"
                self._pay_served(task)
            case Verification.CORRECTED:
                status = "corrected"
                self._record(self.escrow.corrected(task.job_id))
                self._write(task, 0, status)
            case _:
                self._record(self.escrow.refund(task.job_id))
                self._write(task, 0, status)
        for check in task.checks:
            is_right = check.outcome is right and (task.commit, check.node_id) not in self._wrong
            self._claim(task, check, status, is_right=is_right)
        task.checks = []
        self.tasks.end(task)

    def _pay_served(self, task: PaidTask) -> None:
        assert task.node_id is not None
        operator = task.operator or self.earnings.operator_of(task.node_id)
        if operator is None:  # it was known before there were prices, and said nothing since
            self._record(self.escrow.refund(task.job_id))
            return
        entries = self.escrow.final(task.job_id, operator)
        self._record(entries)
        if entries:
            self.earnings.earned(self._now_ms, task.node_id, operator, task.quote.reward)
        self._write(task, task.quote.reward, "final")

    def _claim(self, task: PaidTask, check: PaidCheck, status: ReceiptStatus, *, is_right: bool) -> None:
        """Who was right is paid from the pool, and has its receipt then; who was not has one at once, over nothing."""
        node, attempt = check.node_id, check.attempt
        operator = check.operator or self.earnings.operator_of(node)
        if is_right and operator is not None and not check.is_unpaid and (amount := pay(task.quote.reward, check.role)):
            claim = Claim(task.job_id, node, attempt, amount, task.workload, task.mwu, status, operator)
            if self.earnings.claim(claim):
                return
            self.unfunded += 1
        self._receipt(task, node, attempt, operator, 0, status)

    def _fault(self, effect: RecordFault) -> None:
        """A node that was found false loses what it earned and did not vest, and of its stake if a referee said so."""
        if effect.grade is not FaultGrade.FALSE or self.earnings.operator_of(effect.node_id) is None:
            return
        for claim in self.earnings.untold(effect.node_id):  # lost, so never to be paid
            self._write_claim(claim, 0, claim.status)
        fault = f"{effect.node_id}:{effect.commit}:{effect.role.value}"
        self._record(self.earnings.claw_back(fault, effect.node_id))
        if effect.settled_by is not None:
            reward = self._wrong[effect.commit, effect.node_id]
            self._record(self.earnings.slash(fault, effect.node_id, reward))

    def _reward(self, fault: RecordFault) -> int:
        """What the task earns that a node was wrong about; nothing where nobody paid for it."""
        task = self.tasks.of_commit(fault.commit)
        return 0 if task is None else task.quote.reward

    # What is said

    def _record(self, entries: list[Entry]) -> None:
        self._out += [RecordEntry(entry=entry) for entry in entries]

    def _write(self, served: PaidTask, amount: int, status: ReceiptStatus) -> None:
        assert served.node_id is not None
        assert served.attempt is not None
        self._receipt(served, served.node_id, served.attempt, served.operator, amount, status)

    def _write_claim(self, claim: Claim, amount: int, status: ReceiptStatus) -> None:
        owed = Entitled(claim.task, claim.attempt, claim.node, claim.operator, claim.workload, claim.mwu)
        self.register.write(owed, amount, status)

    def _receipt(
        self, task: PaidTask, node: NodeId, attempt: AssignmentId, whose: str | None, amount: int, status: ReceiptStatus
    ) -> None:
        """None where nobody knows whose node it is: it had no word of the network's either."""
        operator = whose or self.earnings.operator_of(node)
        if operator is not None:
            self.register.write(Entitled(task.job_id, attempt, node, operator, task.workload, task.mwu), amount, status)

    def _begin_epoch(self, now_ms: int, event: EpochBegan) -> None:
        """Collect, pay checks, let go of what was held back for long enough, and close the sheet."""
        self._record(self.escrow.collect())
        for _ in range(PAYMENTS_AN_EPOCH_MAX):
            entries, paid = self.earnings.pay_claims(now_ms)
            if not paid:
                break
            self._record(entries)
            for claim in paid:
                self._write_claim(claim, claim.amount, claim.status)
        for claim in self.earnings.untold():
            self._write_claim(claim, 0, "unpaid")
        self._record(self.earnings.vest(now_ms))
        self.register.begin_epoch(event)

    def check(self) -> None:
        """Assert that the books hold what the open tasks and the nodes' days say. O(accounts + tasks + nodes)."""
        self.ledger.check()
        self.escrow.check()
        self.crossing.check()
        self.earnings.check()
        self.tasks.check()
        held = {task.job_id for task in self.tasks.by_job.values() if not task.is_over}
        assert len(held) == len(self.escrow), "a task is open that holds nothing, or the other way round"

    def snapshot(self) -> BookkeepingSnapshot:
        """The state, to be encoded at once: it shares the machine's own objects."""
        return BookkeepingSnapshot(
            money=self.money,
            work=self._work,
            is_priced=self.is_priced,
            ledger=self.ledger.snapshot(),
            escrow=self.escrow.snapshot(),
            earnings=self.earnings.snapshot(),
            sheet=self.register.sheet.snapshot(),
            tasks=list(self.tasks.by_job.values()),
            unfunded=self.unfunded,
            epoch=self.register.epoch,
            next_commitment=self.register.next_commitment,
            words=self.register.words.snapshot(),
            crossing=self.crossing.snapshot(),
        )

    def restore(self, snapshot: BookkeepingSnapshot) -> None:
        """Take what `snapshot` gave, after a trip through bytes."""
        self.money = self.earnings.money = snapshot.money
        self._work, self.is_priced, self.unfunded = snapshot.work, snapshot.is_priced, snapshot.unfunded
        self.register.restore(snapshot.sheet, snapshot.words, snapshot.epoch, snapshot.next_commitment)
        self.ledger.restore(snapshot.ledger)
        self.escrow.restore(snapshot.escrow)
        self.crossing.restore(snapshot.crossing)
        self.earnings.restore(snapshot.earnings)
        for task in snapshot.tasks:
            self.tasks.add(task)
