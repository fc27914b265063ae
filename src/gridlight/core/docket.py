"""The docket: every case that is open, every provisional answer, and the moves by which they are settled.

The tables that verification works on are here, with the moves that keep them true; when to make which is
verification's.
"""

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from gridlight.core import evidence, rechecks
from gridlight.core.canaries import Canaries, Canary
from gridlight.core.cases import PANEL, Answer, Case, Finding
from gridlight.core.comparing import Compared, is_dithered
from gridlight.core.deadlines import Deadlines
from gridlight.core.draw import draw_keyed
from gridlight.core.notices import (
    NOBODY,
    AnswersVoided,
    CheckDecided,
    CheckWanted,
    CommitsSettled,
    FaultFound,
    Output,
)
from gridlight.core.open_commits import OpenCommits
from gridlight.messages.ids import NodeId, WorkloadId
from gridlight.messages.trust import (
    PRODUCTION,
    CheckOutcome,
    Comparison,
    KeepInput,
    RecordCheck,
    RecordVerification,
    ReleaseInput,
    Role,
    SettleCommits,
    TrustParameters,
    Verification,
)

INPUT_KEPT_MS: Final = 60_000
"""A drawn input is kept so long and no longer."""

ASK_AGAIN_MS: Final = 500
"""A checker is looked for again after so long, and later after an eighth of the time it has been looked for: a network
that has none to give must not spend its time on asking for one."""

REFERENCE_TRIES_MAX: Final = 6
"""After so many tries without a reference node a panel of operators decides."""

_EXACT: Final = Comparison(name="exact", parameters={})


class DocketSnapshot(Struct):
    """The docket as plain values; what follows from the cases is not kept twice."""

    next_number: int
    cases: list[Case]
    open: dict[int, bytes]
    held: dict[int, int]
    canaries: list[Canary]
    deadlines: list[tuple[int, int]]


class Docket:
    """Cases by number, and by the check that is asked for and the node whose answer is examined."""

    def __init__(self) -> None:
        self.trust: TrustParameters = PRODUCTION
        self.comparisons: dict[WorkloadId, Comparison] = {}
        self.cases: dict[int, Case] = {}
        self.open = OpenCommits()
        self.canaries = Canaries()
        self.deadlines = Deadlines()
        self._next_number = 1
        self._cases_by_check: dict[int, int] = {}
        self._cases_of: dict[int, list[int]] = {}
        self._held: dict[int, int] = {}
        """Nodes with an open dispute: up to where their answers may become final once that is over."""

    def __contains__(self, number: object) -> bool:
        """Whether a deadline's number stands for a case that is open (even) or a listed node (odd)."""
        assert isinstance(number, int)
        return number >> 1 in self.open if number & 1 else number >> 1 in self.cases

    def number_next(self) -> int:
        """The number of the next case or check."""
        self._next_number += 1
        return self._next_number - 1

    def find_by_check(self, check: int) -> Case | None:
        """The case that a check was asked for, if it is still open and still waits for it."""
        number = self._cases_by_check.pop(check, None)
        return None if number is None else self.cases[number]

    def cases_of(self, node: int) -> list[Case]:
        """Cases in which an answer of this node is examined."""
        return [self.cases[number] for number in self._cases_of.get(node, ())]

    def open_case(self, case: Case) -> None:
        """From now on it is looked at when it is due."""
        self.cases[case.number] = case
        if case.served.node != NOBODY:
            self._cases_of.setdefault(case.served.node, []).append(case.number)
        self.arm(case, case.due_ms)

    def arm(self, case: Case, due_ms: int) -> None:
        """Look at the case then."""
        case.due_ms = due_ms
        self.deadlines.arm(due_ms, case.number << 1)

    def watch_node(self, node: int, due_ms: int) -> None:
        """See whether the node's oldest open answer was settled by then."""
        self.deadlines.arm(due_ms, node << 1 | 1)

    def compared(self, case: Case, one: Answer, other: Answer) -> Compared:
        """By the rule of the case's workload."""
        return evidence.compared(self._rule(case), one, other)

    def judge(self, case: Case) -> Finding:
        """What follows from all that was said of the case."""
        return evidence.judge(self._rule(case), case)

    def is_dithered(self, workload: WorkloadId) -> bool:
        """Whether each run of this workload has a seed of its own."""
        return is_dithered(self.comparisons.get(workload, _EXACT))

    def _rule(self, case: Case) -> Comparison:
        return self.comparisons.get(case.job.workload, _EXACT)

    # Asking

    def ask(self, case: Case) -> CheckWanted:
        """Ask for the next check that is wanted. One at a time: who is asked next has nothing in common with the last.

        Two asked at once could be two nodes of one operator, or one node twice.
        """
        others = (*case.executors, *(answer.node for answer in case.answers if answer.node != NOBODY))
        role, check = case.wanted.pop(0), self.number_next()
        case.outstanding[check] = role
        self._cases_by_check[check] = case.number
        case.asked += 1
        case.reference_tries += role is Role.REFERENCE
        draw = draw_keyed(case.draw.to_bytes(8, "little"), "checker", case.commit, case.asked)
        case.asked_seed = rechecks.seed_for(case, role) if self.is_dithered(case.job.workload) else None
        probe_seed = case.probe_seed if case.asked_seed is None else case.asked_seed
        return CheckWanted(check, role, case.job, probe_seed, others, case.tested, draw)

    def ask_reference(self, case: Case, about: Answer | None, *, now_ms: int) -> None:
        """A reference node shall repeat a run: this one, or the first."""
        case.wanted = [Role.REFERENCE]
        case.repeated = None if about is None else about.probe_seed
        self.arm(case, now_ms + 1)

    def recheck(self, case: Case, *, now_ms: int) -> bool:
        """Whether a run of a case that agrees is repeated; drawn once."""
        if case.is_rechecked or now_ms >= case.until_ms or not self.is_dithered(case.job.workload):
            return False
        case.is_rechecked = True
        run = rechecks.drawn(case, self.trust.recheck_ppm)
        case.is_rechecking = run is not None
        if run is not None:
            self.ask_reference(case, run, now_ms=now_ms)
        return case.is_rechecking

    def ask_again(self, case: Case, role: Role, *, now_ms: int, is_nobody_there: bool) -> None:
        """Nobody did it: somebody else shall, in a moment. Newcomers and canaries are not insisted on.

        A reference node that is busy is waited for; one that is not there is done without, after some tries.
        """
        if role in (Role.SHADOW, Role.CANARY):
            case.wanted.clear()
            return
        if case.is_rechecking and is_nobody_there:
            return
        if role is Role.REFERENCE:
            is_contested = case.is_disputed or case.is_settled or case.is_canary
            is_tried = is_nobody_there and case.reference_tries >= REFERENCE_TRIES_MAX
            if is_contested and is_tried:
                case.lacks_reference = True
                return
            if not is_contested and (is_tried or not case.insists):
                role = Role.AUDIT
        case.wanted.append(role)
        waited_ms = now_ms - (case.until_ms - INPUT_KEPT_MS)
        self.arm(case, min(now_ms + max(ASK_AGAIN_MS, waited_ms // 8), case.until_ms))

    def ask_panel(self, case: Case, *, now_ms: int) -> None:
        """There is no reference node: as many operators as a panel has must have answered."""
        case.is_panel = True
        case.wanted = [Role.AUDIT] * (PANEL - sum(answer.role is not Role.SHADOW for answer in case.answers))
        self.arm(case, now_ms + 1)

    def answered(self, case: Case, check: int, answer: Answer) -> RecordCheck:
        """Somebody ran it again."""
        is_match = self.compared(case, case.served, answer).is_match
        case.answers.append(answer)
        case.is_rechecking = False
        return RecordCheck(
            check=check,
            commit=case.commit,
            role=answer.role,
            node_id=answer.node_id,
            outcome=CheckOutcome.MATCH if is_match else CheckOutcome.MISMATCH,
            output_digest=answer.output_digest,
        )

    # What becomes of it

    def dispute(self, case: Case) -> list[Output]:
        """Somebody contradicts, or its node was found false: nothing of the node is final until that is over."""
        if case.is_disputed or case.is_settled or case.is_canary:
            return []
        case.is_disputed = True
        self._held.setdefault(case.served.node, 0)
        return [RecordVerification(commit=case.commit, verification=Verification.DISPUTED)]

    def agree(self, case: Case) -> list[Output]:
        """All who were asked say the same, and it is final if it is not yet."""
        checkers = [answer for answer in case.answers[1:] if answer.node not in case.rewarded]
        is_informative = all(self.compared(case, case.served, other).is_informative for other in checkers)
        outputs: list[Output] = []
        if not case.is_settled and not case.is_canary:
            outputs += self._finalise(case, is_informative=is_informative)
        return outputs + self._reward(case, checkers, is_informative=is_informative)

    def _finalise(self, case: Case, *, is_informative: bool) -> list[Output]:
        """The answer itself is final; where something was found in the picture, so are its node's older ones."""
        case.is_settled = True
        node, node_id = case.served.node, case.served.node_id
        assert node_id is not None
        final = RecordVerification(commit=case.commit, verification=Verification.FINAL)
        if not is_informative:
            return [final]
        counted = CommitsSettled(node, 1)
        if self.has_dispute(node, besides=case):
            self._held[node] = max(self._held.get(node, 0), case.commit)
            return [final, counted]
        return [final, counted, *self.settle(node, node_id, max(self._held.pop(node, 0), case.commit))]

    def settle(self, node: int, node_id: NodeId, commit: int) -> list[Output]:
        """The node passed: what it said up to there is final."""
        count = self.open.take_until(node, commit)
        if not count:
            return []
        settled = SettleCommits(node_id=node_id, commit=commit, verification=Verification.FINAL)
        return [settled, CommitsSettled(node, count)]

    def has_dispute(self, node: int, *, besides: Case) -> bool:
        """Whether another answer of the node is disputed."""
        return any(case.is_disputed and case is not besides for case in self.cases_of(node))

    def _reward(self, case: Case, checkers: list[Answer], *, is_informative: bool) -> list[Output]:
        """Who agreed passed a check, each once a case."""
        served = [] if case.served.node in case.rewarded else [case.served]
        outputs: list[Output] = []
        for answer in [*served, *checkers]:
            if answer.node != NOBODY and answer.role is not Role.REFERENCE:
                case.rewarded.append(answer.node)
                is_execution = answer is not case.served
                outputs.append(CheckDecided(answer.node, CheckOutcome.MATCH, is_informative, is_execution))
        return outputs

    def convict(self, case: Case, finding: Finding) -> list[Output]:
        """Some were wrong: what the requester is told, and who was right."""
        served = case.served
        outputs: list[Output] = []
        if served in finding.wrong and not case.is_settled and not case.is_canary:
            case.is_settled = True
            if served.node in self._held:
                self._held[served.node] = 0  # what it passed meanwhile makes nothing final: it may be banned for this
            output = evidence.corrected(self._rule(case), case, finding)
            outputs.append(RecordVerification(commit=case.commit, verification=Verification.CORRECTED, output=output))
        elif not case.is_settled and not case.is_canary:
            outputs += self._finalise(case, is_informative=True)
        right = [answer for answer in case.answers if answer not in finding.wrong and answer is not served]
        right = [answer for answer in right if answer.node not in case.rewarded]
        if served not in finding.wrong:
            outputs += self._reward(case, right, is_informative=True)
        return outputs

    def faults(self, case: Case, finding: Finding) -> list[FaultFound]:
        """Who was wrong, with the evidence. A canary's known answer is nobody's any more."""
        wrong = [answer for answer in finding.wrong if answer.node != NOBODY]
        return [evidence.fault(self._rule(case), case, answer, finding) for answer in wrong]

    def reward_agreeing(self, case: Case) -> list[Output]:
        """Nobody can tell who of the newcomers is wrong; those who agree with what is final passed in any case."""
        if not case.is_settled:
            return []
        agreeing = [
            answer
            for answer in case.answers[1:]
            if answer.node not in case.rewarded and self.compared(case, case.served, answer).is_informative
        ]
        return self._reward(case, agreeing, is_informative=True)

    def void(self, case: Case) -> list[Output]:
        """It cannot be told whether the answer is right."""
        if case.is_settled or case.is_canary:
            return []
        case.is_settled = True
        voided = AnswersVoided(case.served.node, 1, case.job.workload)
        return [RecordVerification(commit=case.commit, verification=Verification.VOID), voided]

    def close(self, case: Case, *, keeps_input: bool = False) -> list[Output]:
        """Nothing more is asked of this case; a dispute that ends with it lets its node's other answers go on."""
        assert not case.outstanding
        del self.cases[case.number]
        node, node_id = case.served.node, case.served.node_id
        outputs: list[Output] = []
        if node != NOBODY:
            self._cases_of[node].remove(case.number)
            if not self._cases_of[node]:
                del self._cases_of[node]
            if node in self._held and not self.has_dispute(node, besides=case):
                assert node_id is not None
                outputs += self.settle(node, node_id, self._held.pop(node))
        if not keeps_input:
            outputs.append(ReleaseInput(job_id=case.job.job_id, gateway_id=case.job.gateway_id))
        return outputs

    def issue(self, canary: Canary, node: int, draw: int, *, now_ms: int) -> None:
        """Have the node asked what is known."""
        self.open_case(
            Case(
                number=self.number_next(),
                commit=canary.commit,
                job=canary.job,
                probe_seed=canary.probe_seed,
                draw=draw,
                answers=[canary.answer],
                due_ms=now_ms + 1 + draw % (self.trust.audit_delay_ms_max + 1),
                until_ms=now_ms + INPUT_KEPT_MS,
                wanted=[Role.CANARY],
                tested=node,
                executors=canary.executors,
                is_canary=True,
            )
        )

    def keep_canary(self, case: Case, *, now_ms: int) -> list[Output]:
        """The answer is known now, and may be asked once more."""
        ready_ms = now_ms + case.draw % (self.trust.canary_delay_ms_max + 1)
        executors = (*case.executors, *(answer.node for answer in case.answers))
        answer = replace(case.served, node=NOBODY, node_id=None)
        gone = self.canaries.add(Canary(case.commit, case.job, case.probe_seed, answer, executors, ready_ms))
        job = case.job
        kept = KeepInput(
            job_id=job.job_id, gateway_id=job.gateway_id, keep_ms=ready_ms - now_ms + INPUT_KEPT_MS, is_canary=True
        )
        released = [] if gone is None else [ReleaseInput(job_id=gone.job.job_id, gateway_id=gone.job.gateway_id)]
        return [kept, *released]

    def check(self) -> None:
        """Assert that cases, checks and nodes say the same."""
        for number, case in self.cases.items():
            assert case.number == number
            assert case.served.node == NOBODY or number in self._cases_of[case.served.node]
            assert all(self._cases_by_check[check] == number for check in case.outstanding)
            assert case.outstanding or case.wanted, "a case waits for nothing"
            assert len(case.outstanding) <= 1
        assert sum(map(len, self._cases_of.values())) <= len(self.cases)

    def snapshot(self) -> DocketSnapshot:
        """The docket, to be encoded at once: it shares its own objects."""
        return DocketSnapshot(
            next_number=self._next_number,
            cases=list(self.cases.values()),
            open=self.open.snapshot(),
            held=self._held,
            canaries=self.canaries.kept,
            deadlines=self.deadlines.entries(self),
        )

    def restore(self, snapshot: DocketSnapshot) -> None:
        """Take what `snapshot` gave, after a trip through bytes."""
        self._next_number = snapshot.next_number
        self.open.restore(snapshot.open)
        self._held = dict(snapshot.held)
        self.canaries.kept = list(snapshot.canaries)
        self.deadlines.restore(snapshot.deadlines)
        for case in snapshot.cases:
            self.cases[case.number] = case
            if case.served.node != NOBODY:
                self._cases_of.setdefault(case.served.node, []).append(case.number)
            for check in case.outstanding:
                self._cases_by_check[check] = case.number
