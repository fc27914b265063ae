"""An independent account of who is trusted with what, kept to hold a coordinator to verification's promises.

The promises bear the numbers of the design's list of properties. What is broken is noted, so that each can be asked
for by itself; how often each was held to is counted, so that none holds because nothing happened.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from gridlight.core.draw import draw_keyed, is_within
from gridlight.messages.codec import Effect, Event
from gridlight.messages.ids import AssignmentId, JobId, NodeId
from gridlight.messages.jobs import EndJob, JobState, JobSubmitted, SendAssignment
from gridlight.messages.nodes import NodeEnrolled
from gridlight.messages.results import ResultSubmitted
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
    TrustParameters,
    Verification,
)

MILLION = 1_000_000
FOR_GOOD = (Verification.FINAL, Verification.CORRECTED, Verification.VOID)
NEXT = {
    Verification.PROVISIONAL: (Verification.DISPUTED, *FOR_GOOD),
    Verification.DISPUTED: FOR_GOOD,
}
TIER_OF = {Role.AUDIT: Tier.TRUSTED, Role.REFERENCE: Tier.REFERENCE, Role.SHADOW: Tier.SHADOW}
PER_ANSWER_MS = 130_000
"""Beyond what an answer may be provisional: its own audit, if it is bound to one."""


@dataclass
class Standing:
    """A node as everybody may know it."""

    operator: str
    prefix: str
    tier: Tier = Tier.SHADOW
    clean_run: int = 0
    faults: int = 0
    forced: int = 0
    """Answers that must be audited because of a ban."""
    earned: int = 0
    """Executions that count for it, at most, and what an endorsement gave."""
    risen: int = 0
    """By how much its clean run has risen in all."""


@dataclass
class Commit:
    """An answer on record."""

    record: RecordCommit
    now_ms: int
    said: Verification
    matched_by: list[NodeId] = field(default_factory=list)
    canaries: list[CheckOutcome] = field(default_factory=list)


class TrustWitness:
    """Hears each event before the coordinator does, and each effect after."""

    def __init__(self, trust: TrustParameters) -> None:
        self.trust = trust
        self.held: Counter[str] = Counter()
        self.broken: list[str] = []
        self.nodes: dict[NodeId, Standing] = {}
        self.commits: dict[int, Commit] = {}
        self.faults: list[RecordFault] = []
        self._now_ms = 0
        self._event: Event | None = None
        self._secrets: dict[int, str] = {}
        self._epoch = 0
        self._jobs: dict[JobId, JobSubmitted] = {}
        self._ended: set[JobId] = set()
        self._commit_of: dict[JobId, int] = {}
        self._answered: dict[JobId, list[NodeId]] = {}
        self._kept: dict[JobId, int | None] = {}
        """Until when a gateway keeps an input; None for a canary's, which is kept until it is released."""
        self._sent: dict[AssignmentId, tuple[SendAssignment, Tier]] = {}

    def hear(self, now_ms: int, event: Event) -> None:
        """What the event says of nodes and jobs."""
        self._now_ms, self._event = now_ms, event
        match event:
            case JobSubmitted(job_id=job_id):
                self._jobs.setdefault(job_id, event)
            case EpochBegan(epoch=epoch, secret=secret):
                self._epoch, self._secrets[epoch] = epoch, secret
            case NodeEnrolled(node_id=node_id):
                node = self.nodes.setdefault(node_id, Standing(event.operator, event.prefix))
                node.operator, node.prefix = event.operator, event.prefix
                if event.endorsed is Tier.TRUSTED:
                    node.earned += self.trust.trusted_after
            case _:
                pass

    def see(self, effects: list[Effect]) -> None:
        """Whether each effect keeps the promises."""
        graded = _grades(effects)
        for effect in effects:
            match effect:
                case SendAssignment():
                    self._sent_to(effect)
                case EndJob(is_repeated=False):
                    self._job_ended(effect)
                case RecordCommit():
                    self._committed(effect, effects)
                case RecordVerification():
                    self._became(self.commits[effect.commit], effect.verification)
                case SettleCommits():
                    self._settled(effect)
                case RecordCheck():
                    self._checked(effect)
                case RecordFault():
                    self._fault_found(effect)
                case RecordStanding():
                    self._stands(effect, graded)
                case KeepInput() | ReleaseInput():
                    self._input(effect)
                case _:
                    pass

    def nothing_is_overdue(self, now_ms: int) -> None:
        """To be asked once the host has let all due time pass: L2, every answer is settled in time."""
        limit_ms = self.trust.settle_ms_max + self.trust.settle_grace_ms + PER_ANSWER_MS
        for number, commit in self.commits.items():
            if commit.said not in FOR_GOOD:
                self.hold("L2", now_ms < commit.now_ms + limit_ms, f"commit {number} is {commit.said}")

    def all_is_settled(self) -> None:
        """At the end, when nothing is left to wait for."""
        for number, commit in self.commits.items():
            self.hold("L2", commit.said in FOR_GOOD, f"commit {number} stays {commit.said}")

    def hold(self, promise: str, is_kept: bool, what: str = "") -> None:
        """Count a promise that was held to, and note one that was not."""
        self.held[promise] += 1
        if not is_kept:
            self.broken.append(f"{promise} at {self._now_ms}: {what} (after {type(self._event).__name__})")

    # Who gets work

    def _sent_to(self, effect: SendAssignment) -> None:
        job, node_id = self._jobs[effect.job_id], effect.node_id
        tier = self.nodes[node_id].tier
        is_pinned = job.pinned_node == node_id
        self._sent[effect.assignment.assignment_id] = (effect, tier)
        if effect.job_id not in self._ended:
            self.hold("P11", True)
            is_for_newcomers = job.assurance is Assurance.NONE
            allowed = {Tier.TRUSTED, Tier.SHADOW} if is_for_newcomers else {Tier.TRUSTED}
            self.hold("P28", is_pinned or tier in allowed, f"a {tier} node serves")
            return
        number = self._commit_of.get(effect.job_id)
        self.hold("P11", number is not None, "sent again after it ended, though nothing was committed")
        if number is None:
            return
        commit = self.commits[number]
        self.hold("P15", self._now_ms > commit.now_ms, f"commit {number} is asked for at once")
        self.hold("P15", effect.assignment.input_digest == job.input_digest)
        is_kept_until = self._kept.get(effect.job_id, 0)
        is_kept = is_kept_until is None or self._now_ms < is_kept_until + job.deadline_ms
        self.hold("kept", is_kept, "nobody was to be asked so late")
        self.hold("P28", tier is not Tier.BANNED, "a banned node checks")
        for other in self._answered[effect.job_id]:
            self.hold("P14", self._are_strangers(node_id, other), f"{node_id} checks {other}")

    def _are_strangers(self, node_id: NodeId, other: NodeId) -> bool:
        one, two = self.nodes[node_id], self.nodes[other]
        is_near = self.trust.are_prefixes_distinct and bool(one.prefix) and one.prefix == two.prefix
        return node_id != other and one.operator != two.operator and not is_near

    # What is said of answers

    def _job_ended(self, effect: EndJob) -> None:
        self._ended.add(effect.job_id)
        if effect.outcome.state is not JobState.DONE:
            return
        job, node_id = self._jobs[effect.job_id], effect.outcome.node_id
        assert node_id is not None
        is_committed = effect.job_id in self._commit_of
        should_be = self.nodes[node_id].tier is Tier.TRUSTED and job.assurance is not Assurance.NONE
        said = Verification.PROVISIONAL if should_be else Verification.UNVERIFIED
        self.hold("P28", (is_committed, effect.outcome.verification) == (should_be, said), "served for what it is not")

    def _committed(self, record: RecordCommit, effects: Iterable[Effect]) -> None:
        event, number = self._event, record.commit
        self.hold("P16", self._is_own(event, record.node_id), "committed for another node")
        self.hold("P16", isinstance(event, ResultSubmitted) and event.assignment_id == record.assignment_id)
        self.hold("P19", number == len(self.commits) + 1, "commits are not counted on")
        key = bytes.fromhex(self._secrets.get(record.epoch, ""))
        is_drawn = is_within(draw_keyed(key, "audit", number), record.audit_ppm)
        self.hold("P19", (record.epoch, record.is_audited) == (self._epoch, is_drawn), f"commit {number}")
        job = self._jobs[record.job_id]
        if job.assurance in (Assurance.AUDITED, Assurance.ARBITRATED):
            self.hold("P19", record.is_audited and record.is_bound, "an audit that was bought is not made")
        node = self.nodes[record.node_id]
        if node.forced:
            self.hold("P27", record.audit_ppm == MILLION, "after a ban an answer is not audited")
            node.forced -= 1
        kinds = [type(effect) for effect in effects]
        if record.is_bound:
            self.hold("kept", KeepInput in kinds[: kinds.index(EndJob)], "the input is gone before it is kept")
        self.commits[number] = Commit(record, self._now_ms, record.verification)
        self._commit_of[record.job_id] = number
        self._answered[record.job_id] = [record.node_id]

    def _is_own(self, event: Event | None, node_id: NodeId) -> bool:
        if not isinstance(event, ResultSubmitted):
            return False
        sent = self._sent.get(event.assignment_id)
        return sent is not None and event.node_id == sent[0].node_id == node_id

    def _became(self, commit: Commit, verification: Verification) -> None:
        self.hold("states", verification in NEXT.get(commit.said, ()), f"{commit.said} becomes {verification}")
        commit.said = verification
        if verification is Verification.FINAL:
            node = self.nodes[commit.record.node_id]
            node.earned += 1
            others = [one for one in commit.matched_by if one != commit.record.node_id]
            self.hold("P29", bool(others), "final by nobody else's word")

    def _settled(self, effect: SettleCommits) -> None:
        own = [one for one in self.commits.values() if one.record.node_id == effect.node_id]
        is_final = effect.verification is Verification.FINAL
        if is_final:
            is_disputed = any(one.said is Verification.DISPUTED for one in own)
            self.hold("lag", not is_disputed, "settled while another answer of the node is disputed")
            cause = self.commits[effect.commit]
            is_own = cause.record.node_id == effect.node_id and cause.said is Verification.FINAL
            self.hold("P29", is_own and bool(cause.matched_by), "settled by no audit that was passed")
        reached = [
            one
            for one in own
            if one.record.commit <= effect.commit and one.said is Verification.PROVISIONAL and not one.record.is_bound
        ]
        self.hold("lag", bool(reached), "settles nothing")
        for one in reached:
            one.said = effect.verification
            self.nodes[effect.node_id].earned += is_final

    def _checked(self, check: RecordCheck) -> None:
        commit = self.commits[check.commit]
        if check.role is Role.CANARY:
            commit.canaries.append(check.outcome)
            # Of one that was failed, it may turn out that nobody can tell who is right.
            is_issued_once = commit.canaries in ([check.outcome], [CheckOutcome.MISMATCH, CheckOutcome.LOST])
            self.hold("P18", is_issued_once, f"a canary is issued twice: {commit.canaries}")
            self.hold("P18", commit.said is Verification.FINAL, f"a canary of what is {commit.said}")
        if check.node_id is None:
            return
        self.hold("P16", self._is_own(self._event, check.node_id), "a check is counted for another node")
        assert isinstance(self._event, ResultSubmitted)
        sent, tier = self._sent[self._event.assignment_id]
        self.hold("P14", check.role is Role.CANARY or TIER_OF[check.role] is tier, f"a {tier} node for {check.role}")
        if check.role is Role.SHADOW:
            self.hold("P28", commit.said in FOR_GOOD, "a newcomer is heard on what is open")
        elif check.outcome is CheckOutcome.MATCH:
            commit.matched_by.append(check.node_id)
        self.nodes[check.node_id].earned += check.outcome is CheckOutcome.MATCH
        self._answered[sent.job_id].append(check.node_id)

    # What nodes have earned

    def _fault_found(self, fault: RecordFault) -> None:
        self.faults.append(fault)
        if fault.grade is FaultGrade.FALSE:
            operator = self.nodes[fault.node_id].operator
            for node in self.nodes.values():
                if node.operator == operator:
                    node.forced = self.trust.forced_audits

    def _stands(self, standing: RecordStanding, graded: dict[NodeId, list[FaultGrade]]) -> None:
        node = self.nodes[standing.node_id]
        rise = standing.clean_run - node.clean_run
        grades = graded.get(standing.node_id, [])
        is_fault = bool(grades) and standing.faults > node.faults
        self.hold("P13", is_fault or (rise >= 0 and standing.faults == node.faults), "a loss that was no fault")
        if is_fault:
            is_false = grades.pop(0) is FaultGrade.FALSE
            clean_run = 0 if is_false else node.clean_run // 4
            tiers = (Tier.BANNED,) if is_false else (node.tier, Tier.SHADOW)
            is_lower = standing.clean_run == clean_run and standing.tier in tiers
            self.hold("P27", is_lower, f"from {node.clean_run} to {standing.clean_run} and {standing.tier}")
        elif node.tier is Tier.BANNED:
            self.hold("P27", standing.tier is Tier.BANNED, "a ban is lifted")
        node.risen += max(rise, 0)
        self.hold("P29", node.risen <= node.earned, f"{standing.node_id} rose by {node.risen} of {node.earned}")
        node.tier, node.clean_run, node.faults = standing.tier, standing.clean_run, standing.faults

    def _input(self, effect: KeepInput | ReleaseInput) -> None:
        if isinstance(effect, KeepInput):
            self._kept[effect.job_id] = None if effect.is_canary else self._now_ms + effect.keep_ms
        else:
            self.hold("kept", effect.job_id in self._kept, "released twice")
            del self._kept[effect.job_id]


def _grades(effects: Iterable[Effect]) -> dict[NodeId, list[FaultGrade]]:
    """What each node was found to be, in order: one event may tell two faults of it."""
    grades: dict[NodeId, list[FaultGrade]] = {}
    for effect in effects:
        if isinstance(effect, RecordFault):
            grades.setdefault(effect.node_id, []).append(effect.grade)
    return grades
