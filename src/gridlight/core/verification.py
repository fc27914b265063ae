"""Which answers are checked, and what becomes of them: committed, audited later by somebody else, settled or disputed.

The primary commits before an audit exists, so it answers blind; an audit checks both who are asked; an answer becomes
final by its node's next passed audit, or by its own. docs/verification.md derives what this is worth.
"""

from array import array
from typing import Final, assert_never

from msgspec import Struct

from gridlight.core.cases import Answer, Case, Finding, Step
from gridlight.core.docket import INPUT_KEPT_MS, Docket, DocketSnapshot
from gridlight.core.draw import draw_keyed, is_within
from gridlight.core.epochs import Epochs
from gridlight.core.notices import (
    AnswerCommitted,
    AnswersVoided,
    CheckEnded,
    CommitsSettled,
    FaultFound,
    Hears,
    Output,
    TrustLost,
    WorkloadOpened,
)
from gridlight.messages.host import CoordinatorStarted, TimePassed
from gridlight.messages.ids import NodeId, WorkloadId
from gridlight.messages.trust import (
    Assurance,
    CheckOutcome,
    Comparison,
    EpochBegan,
    KeepInput,
    RecordCheck,
    RecordCommit,
    Role,
    SettleCommits,
    TrustParameters,
    Verification,
)

VerificationEvent = (
    AnswerCommitted | CheckEnded | TimePassed | TrustLost | EpochBegan | CoordinatorStarted | WorkloadOpened
)

MILLION: Final = 1_000_000
DUE_MAX: Final = 1_000
"""Cases and nodes attended to in one `TimePassed`."""

_ALWAYS_AUDITED: Final = (Assurance.AUDITED, Assurance.ARBITRATED)
_FINAL: Final = Verification.FINAL
_PROVISIONAL: Final = Verification.PROVISIONAL
_NEVER: Final = -1
_OWED: Final = 0
_CHECKS: Final = {
    Assurance.SAMPLED: (Role.AUDIT,),
    Assurance.AUDITED: (Role.AUDIT,),
    Assurance.ARBITRATED: (Role.AUDIT, Role.AUDIT, Role.REFERENCE),
}


class VerifierSnapshot(Struct):
    """The machine's state as plain values."""

    trust: TrustParameters
    comparisons: dict[WorkloadId, Comparison]
    epochs: Epochs
    commit: int
    docket: DocketSnapshot
    node_ids: list[NodeId | None]
    checked_ms: bytes
    since_check: bytes


class Verifier:
    """The machine that has answers checked."""

    def __init__(self) -> None:
        self.docket = Docket()
        self.commit = 0
        """Answers committed so far; what an answer's draw is keyed with."""
        self._epochs = Epochs()
        self._node_ids: list[NodeId | None] = []
        self._checked_ms = array("q")
        """When each node was last drawn for an audit; _OWED where it is due for one."""
        self._since_check = array("I")
        self.hears: Hears = {
            AnswerCommitted: self._committed,
            CheckEnded: self._check_ended,
            TimePassed: self._time_passed,
            TrustLost: self._trust_lost,
            EpochBegan: self._epoch_began,
            CoordinatorStarted: self._started,
            WorkloadOpened: self._opened,
        }

    @property
    def epoch(self) -> int | None:
        """The present epoch."""
        return self._epochs.epoch

    @property
    def next_secret(self) -> str | None:
        """The secret that was committed to for the next epoch."""
        return self._epochs.next_secret

    def next_deadline_ms(self) -> int | None:
        """When the host must call again with TimePassed."""
        return self.docket.deadlines.next_ms(self.docket)

    def handle(self, now_ms: int, event: VerificationEvent) -> list[Output]:
        """O(open answers of one node + canaries)."""
        return self.hears[type(event)](now_ms, event)

    def _epoch_began(self, _now_ms: int, event: EpochBegan) -> list[Output]:
        return list(self._epochs.begin(event))

    def _started(self, _now_ms: int, event: CoordinatorStarted) -> list[Output]:
        """Of what was approved later the host knows nothing: that was said with its approval, and stands."""
        self.docket.trust, self.docket.comparisons = event.trust, self.docket.comparisons | event.comparisons
        return []

    def _opened(self, _now_ms: int, event: WorkloadOpened) -> list[Output]:
        if event.comparison is not None:
            self.docket.comparisons = {**self.docket.comparisons, event.workload: event.comparison}
        return []

    # Commits

    def _committed(self, now_ms: int, event: AnswerCommitted) -> list[Output]:
        answered, trust = event.answered, self.docket.trust
        job, node = answered.job, answered.node
        self.commit += 1
        if node >= len(self._node_ids):
            self._make_room(node)
        self._node_ids[node] = answered.node_id
        is_due = self._is_due(now_ms, node) or job.assurance in _ALWAYS_AUDITED
        audit_ppm = MILLION if is_due else event.audit_ppm
        is_drawn = is_within(draw_keyed(self._epochs.key, "audit", self.commit), audit_ppm)
        check = self._draw_check(now_ms, event) if is_drawn else []
        is_bound = bool(check)
        is_final = not is_drawn and not trust.finality_lag
        record = RecordCommit(
            commit=self.commit,
            job_id=job.job_id,
            node_id=answered.node_id,
            assignment_id=answered.assignment_id,
            output_digest=answered.output_digest,
            epoch=self._epochs.epoch or 0,
            audit_ppm=audit_ppm,
            is_audited=is_drawn,
            is_bound=is_bound,
            verification=_FINAL if is_final else _PROVISIONAL,
        )
        if is_final:
            return [record, CommitsSettled(node, 1)]
        if not is_bound and self.docket.open.add(node, self.commit, now_ms):
            self.docket.watch_node(node, now_ms + self._open_ms_max())
        return [*check, record]

    def _make_room(self, node: int) -> None:
        missing = node + 1 - len(self._node_ids)
        self._node_ids.extend([None] * missing)
        self._checked_ms.extend([_NEVER] * missing)
        self._since_check.extend([0] * missing)

    def _is_due(self, now_ms: int, node: int) -> bool:
        """Whether the node went unaudited for so long that this answer is audited whatever is drawn."""
        trust = self.docket.trust
        if self._checked_ms[node] == _OWED:
            return True
        if self._checked_ms[node] == _NEVER:
            self._checked_ms[node] = now_ms
        self._since_check[node] += 1
        since_ms = now_ms - self._checked_ms[node]
        if since_ms >= trust.settle_ms_max:
            return True
        return since_ms >= trust.settle_ms_min and self._since_check[node] > trust.settle_tasks

    def _draw_check(self, now_ms: int, event: AnswerCommitted) -> list[Output]:
        """The node is checked: by an audit of this answer, or now and then by a canary."""
        node, trust, assurance = event.answered.node, self.docket.trust, event.answered.job.assurance
        self._checked_ms[node], self._since_check[node] = now_ms, 0
        draw = draw_keyed(self._epochs.key, "check", self.commit)
        if assurance is Assurance.SAMPLED and is_within(
            draw_keyed(self._epochs.key, "canary", self.commit), trust.canary_ppm
        ):
            canary = self.docket.canaries.take(now_ms, node)
            if canary is not None:
                self.docket.issue(canary, node, draw, now_ms=now_ms)
                return []
        return [self._open_case(now_ms, event, draw)]

    def _open_case(self, now_ms: int, event: AnswerCommitted, draw: int) -> KeepInput:
        answered, trust = event.answered, self.docket.trust
        job = answered.job
        wanted = list(_CHECKS[job.assurance])
        is_for_reference = is_within(draw_keyed(self._epochs.key, "reference", self.commit), trust.reference_ppm)
        if is_for_reference and wanted == [Role.AUDIT]:
            wanted = [Role.REFERENCE]
        served = Answer(
            role=Role.PRIMARY,
            node=answered.node,
            node_id=answered.node_id,
            output=answered.output,
            output_digest=answered.output_digest,
            probes=answered.probes,
            probe_seed=answered.probe_seed if self.docket.is_dithered(job.workload) else None,
        )
        self.docket.open_case(
            Case(
                number=self.docket.number_next(),
                commit=self.commit,
                job=job,
                probe_seed=answered.probe_seed,
                draw=draw,
                answers=[served],
                due_ms=now_ms + 1 + draw % (trust.audit_delay_ms_max + 1),
                until_ms=now_ms + INPUT_KEPT_MS,
                wanted=wanted,
                executors=answered.tried,
                insists=job.assurance is Assurance.ARBITRATED,
            )
        )
        return KeepInput(job_id=job.job_id, gateway_id=job.gateway_id, keep_ms=INPUT_KEPT_MS)

    # Checks

    def _check_ended(self, now_ms: int, event: CheckEnded) -> list[Output]:
        case = self.docket.find_by_check(event.check)
        if case is None:
            return []
        role = case.outstanding.pop(event.check)
        outputs: list[Output] = []
        if event.node_id is not None:
            assert event.output_digest is not None
            said = event.output, event.output_digest, event.probes, case.asked_seed
            answer = Answer(role, event.node, event.node_id, *said)
            outputs.append(self.docket.answered(case, event.check, answer))
        elif event.is_input_gone or now_ms >= case.until_ms:
            case.wanted.clear()
            case.until_ms = now_ms
        else:
            self.docket.ask_again(case, role, now_ms=now_ms, is_nobody_there=event.is_nobody_there)
        if not case.wanted:
            return outputs + self._conclude(now_ms, case)
        if case.due_ms <= now_ms:
            self.docket.arm(case, now_ms + 1)
        return outputs

    def _conclude(self, now_ms: int, case: Case) -> list[Output]:
        """Nobody is asked any more: judge by what was said."""
        docket = self.docket
        if len(case.answers) == 1 and (case.is_canary or now_ms >= case.until_ms):
            return self._give_up(case)
        finding = docket.judge(case)
        match finding.step:
            case Step.AGREED:
                return self._agreed(now_ms, case)
            case Step.SETTLED:
                return self._convicted(case, finding)
            case Step.UNDECIDED:
                return self._give_up(case)
            case Step.ASK_REFERENCE | Step.ASK_PANEL if now_ms >= case.until_ms:
                return self._give_up(case)
            case Step.ASK_REFERENCE:
                docket.ask_reference(case, finding.about, now_ms=now_ms)
            case Step.ASK_PANEL:
                docket.ask_panel(case, now_ms=now_ms)
            case _:
                assert_never(finding.step)
        return docket.dispute(case)

    def _agreed(self, now_ms: int, case: Case) -> list[Output]:
        """It is final; newcomers may be tried on it, and it may be a canary one day."""
        docket = self.docket
        was_settled = case.is_settled
        outputs = docket.agree(case)
        runs = docket.trust.shadows_per_check_max if docket.trust.shadow_ppm else 0
        if runs and not was_settled and not case.is_canary:
            case.wanted = [Role.SHADOW] * runs
            docket.arm(case, now_ms + 1)
            return outputs
        if docket.recheck(case, now_ms=now_ms):
            return outputs
        is_kept = case.job.is_public and not case.is_canary and now_ms < case.until_ms
        if is_kept:
            outputs += docket.keep_canary(case, now_ms=now_ms)
        return outputs + docket.close(case, keeps_input=is_kept)

    def _convicted(self, case: Case, finding: Finding) -> list[Output]:
        """The requester is told first, and the case is closed, before anybody is held to account."""
        told = self.docket.convict(case, finding)
        return [*told, *self.docket.close(case), *self.docket.faults(case, finding)]

    def _give_up(self, case: Case) -> list[Output]:
        """Nobody could tell. Its node is audited the next time, whatever is drawn."""
        if not case.is_settled:
            self._checked_ms[case.tested if case.is_canary else case.served.node] = _OWED
        lost = RecordCheck(
            check=self.docket.number_next(),
            commit=case.commit,
            role=Role.CANARY if case.is_canary else Role.AUDIT,
            node_id=None,
            outcome=CheckOutcome.LOST,
        )
        told = [*self.docket.void(case), *self.docket.reward_agreeing(case)]
        return [lost, *told, *self.docket.close(case)]

    # Nodes and time

    def _trust_lost(self, _now_ms: int, event: TrustLost) -> list[Output]:
        """What is examined of it must be cleared by a reference or a panel; the rest of what is open is void."""
        node = event.node
        outputs: list[Output] = []
        for case in self.docket.cases_of(node):
            if not case.is_settled:
                case.is_suspect = True
                outputs += self.docket.dispute(case)
        node_id = self._node_ids[node] if node < len(self._node_ids) else None
        return outputs if node_id is None else outputs + self._void_open(node, node_id, self.commit)

    def _void_open(self, node: int, node_id: NodeId, commit: int) -> list[Output]:
        """What the node has open up to this answer stands for nothing."""
        count = self.docket.open.take_until(node, commit)
        if not count:
            return []
        void = SettleCommits(node_id=node_id, commit=commit, verification=Verification.VOID)
        return [void, AnswersVoided(node, count)]

    def _time_passed(self, now_ms: int, _event: TimePassed) -> list[Output]:
        outputs: list[Output] = []
        for _ in range(DUE_MAX):
            number = self.docket.deadlines.pop_due(now_ms)
            if number is None:
                break
            if number & 1:
                outputs += self._expire(now_ms, number >> 1)
            else:
                outputs += self._ask(now_ms, self.docket.cases[number >> 1])
        # Whom it concerns hears of a fault after all else that is said of its answers.
        return sorted(outputs, key=lambda output: isinstance(output, FaultFound))

    def _ask(self, now_ms: int, case: Case) -> list[Output]:
        assert not case.outstanding
        assert now_ms >= case.due_ms
        if now_ms < case.until_ms:
            return [self.docket.ask(case)]
        case.wanted.clear()
        return self._conclude(now_ms, case)

    def _expire(self, now_ms: int, node: int) -> list[Output]:
        """What nobody could settle in time is void."""
        docket, limit_ms = self.docket, self._open_ms_max()
        commit = docket.open.last_before(node, now_ms - limit_ms + 1)
        outputs: list[Output] = []
        if commit is not None:
            node_id = self._node_ids[node]
            assert node_id is not None
            outputs += self._void_open(node, node_id, commit)
        oldest_ms = docket.open.oldest_ms(node)
        if oldest_ms is None:
            docket.open.forget(node)
        else:
            docket.watch_node(node, oldest_ms + limit_ms)
        return outputs

    def _open_ms_max(self) -> int:
        """How long an answer may be provisional."""
        return self.docket.trust.settle_ms_max + self.docket.trust.settle_grace_ms

    def check(self) -> None:
        """Assert that nothing is lost, and that nothing waits without being watched."""
        self.docket.check()
        assert len(self._node_ids) == len(self._checked_ms) == len(self._since_check)

    def snapshot(self) -> VerifierSnapshot:
        """The state, to be encoded at once: it shares the machine's own objects."""
        return VerifierSnapshot(
            trust=self.docket.trust,
            comparisons=self.docket.comparisons,
            epochs=self._epochs,
            commit=self.commit,
            docket=self.docket.snapshot(),
            node_ids=self._node_ids,
            checked_ms=self._checked_ms.tobytes(),
            since_check=self._since_check.tobytes(),
        )

    def restore(self, snapshot: VerifierSnapshot) -> None:
        """Take what `snapshot` gave, after a trip through bytes."""
        self.docket.trust, self.docket.comparisons = snapshot.trust, snapshot.comparisons
        self._epochs = snapshot.epochs
        self.commit = snapshot.commit
        self.docket.restore(snapshot.docket)
        self._node_ids = list(snapshot.node_ids)
        self._checked_ms = array("q", snapshot.checked_ms)
        self._since_check = array("I", snapshot.since_check)
