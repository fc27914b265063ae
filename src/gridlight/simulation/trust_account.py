"""Holds verification and reputation to their promises, by what the core heard and said alone.

Names begin with the number of the property in the design's list. An examined answer is held from its commit until its
input is released.
"""

from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct

from gridlight.core.draw import draw_keyed
from gridlight.core.epochs import commitment
from gridlight.messages.codec import Event
from gridlight.messages.host import CoordinatorStarted
from gridlight.messages.ids import Blake3Digest, JobId, NodeId
from gridlight.messages.jobs import EndJob, JobState, SendAssignment
from gridlight.messages.limits import DITHER_BITS
from gridlight.messages.nodes import NodeEnrolled
from gridlight.messages.results import ResultSubmitted
from gridlight.messages.tasks import Assignment
from gridlight.messages.trust import (
    PRODUCTION,
    Assurance,
    CheckOutcome,
    EpochBegan,
    FaultGrade,
    KeepInput,
    RecordCheck,
    RecordCommit,
    RecordEpoch,
    RecordFault,
    RecordStanding,
    RecordVerification,
    ReleaseInput,
    Role,
    SettleCommits,
    Tier,
    Verification,
)
from gridlight.simulation.commits import TERMINAL
from gridlight.simulation.demands import demand

MILLION: Final = 1_000_000
PANEL_AGREEING_MIN: Final = 4

_TIER_OF: Final = {Role.AUDIT: Tier.TRUSTED, Role.REFERENCE: Tier.REFERENCE, Role.SHADOW: Tier.SHADOW}
_RANK: Final = {Tier.BANNED: 0, Tier.SHADOW: 1, Tier.TRUSTED: 2, Tier.REFERENCE: 3}
_DECIDING: Final = (Role.AUDIT, Role.REFERENCE)

_TRUSTED: Final = Tier.TRUSTED
_SHADOW: Final = Tier.SHADOW
_BANNED: Final = Tier.BANNED
_DONE: Final = JobState.DONE
_UNVERIFIED: Final = Verification.UNVERIFIED
_UNASSURED: Final = Assurance.NONE
_FINAL: Final = Verification.FINAL


class Standing(Struct, gc=False):
    """A node, as what was said of it shows it."""

    operator: str
    prefix: str
    tier: Tier
    clean_run: int = 0
    checks_passed: int = 0
    credit: int = 0
    """Checks that it passed as a checker, and that its clean run was not yet seen to grow by."""


class Examined(Struct):
    """An answer whose input is kept."""

    commit: int
    primary: NodeId
    asked: Assignment
    """What the primary was sent."""
    executors: list[NodeId]
    """Who was sent the task, in order."""
    tried: tuple[NodeId, ...]
    """Those of them who were sent it before the answer was committed: they would know it for a check."""
    said: dict[NodeId, Blake3Digest]
    checks: list[RecordCheck]
    is_disputed: bool = False


class TrustAccount:
    """Hears each event before the core's answer, and then that answer."""

    def __init__(self) -> None:
        self.standings: dict[NodeId, Standing] = {}
        self.examined: dict[JobId, Examined] = {}
        self._trust = PRODUCTION
        self._by_commit: dict[int, JobId] = {}
        self._secrets: dict[int, bytes] = {}
        self._commitments: dict[int, str] = {}
        self._passed: dict[NodeId, int] = {}
        """By node, the latest of its answers that an audit confirmed."""
        self._disputes: dict[NodeId, int] = {}
        self._released: list[JobId] = []
        self._served: tuple[JobId, Assignment, list[NodeId]] | None = None
        self._result: ResultSubmitted | None = None
        self._commits_now: dict[JobId, RecordCommit] = {}
        self._kept_now: dict[JobId, None] = {}
        self._settled_now: dict[NodeId, None] = {}
        self._faults_now: dict[NodeId, FaultGrade] = {}
        self._hears: dict[type, Callable[[Any], None]] = {
            ResultSubmitted: self._came,
            NodeEnrolled: self._enrolled,
            CoordinatorStarted: self._started,
            EpochBegan: self._epoch_began,
        }
        self.sees: dict[type, Callable[[Any], None]] = {
            RecordCommit: self._committed,
            RecordVerification: self._verified,
            SettleCommits: self._settled,
            RecordCheck: self._checked,
            RecordStanding: self._stood,
            RecordFault: self._faulted,
            RecordEpoch: self._epoch_recorded,
            KeepInput: self._kept,
            ReleaseInput: self._release,
        }

    def begin(self, tiers: dict[NodeId, Tier], clean_run_of: Callable[[int], int]) -> None:
        """How the fleet stands at the start, in the order in which it enrolled."""
        for number, (node_id, tier) in enumerate(tiers.items()):
            standing = self.standings[node_id]
            standing.tier, standing.clean_run = tier, clean_run_of(number)

    def hear(self, event: Event) -> None:
        """What the core is told, and may act upon."""
        self._result = None
        demand(not self._kept_now, "P15: only a committed answer's input is kept", self._kept_now)
        if self._commits_now or self._settled_now or self._faults_now or self._released:
            self._commits_now, self._settled_now, self._faults_now = {}, {}, {}
            for job_id in self._released:
                del self._by_commit[self.examined.pop(job_id).commit]
            self._released = []
        hear = self._hears.get(type(event))
        if hear is not None:
            hear(event)

    def check_is_sent(self, effect: SendAssignment) -> None:
        """An assignment of a job that has ended: somebody checks its answer, and cannot tell that from a task."""
        examined = self.examined.get(effect.job_id)
        demand(
            examined is not None,
            "P15: no check before its commit is in the log; only open jobs are assigned",
            effect.job_id,
        )
        assert examined is not None
        checker, primary = self.standings[effect.node_id], self.standings[examined.primary]
        demand(checker.tier is not _BANNED, "P27: a banned node is asked nothing", effect.node_id)
        is_new = effect.node_id not in examined.tried and effect.node_id not in examined.said
        demand(is_new, "P17, P18: nobody checks what it had before", effect.job_id, "to", effect.node_id)
        self._demand_strangers("P14: a checker and the primary have nothing in common", checker, primary)
        sent, asked = effect.assignment, examined.asked
        is_same = type(sent) is Assignment and (
            (sent.workload, sent.input_digest, sent.input_bytes, sent.probe_seed >> DITHER_BITS)
            == (asked.workload, asked.input_digest, asked.input_bytes, asked.probe_seed >> DITHER_BITS)
        )
        demand(is_same, "P17: a check is sent as the task was", sent, "and", asked)
        examined.executors.append(effect.node_id)

    def job_ends(self, effect: EndJob, assurance: Assurance) -> None:
        """P28: what newcomers say is never served, but to who wants no assurance; whatever is served is committed."""
        outcome = effect.outcome
        if outcome.state is not _DONE:
            return
        assert outcome.node_id is not None
        tier = self.standings[outcome.node_id].tier
        is_unverified = outcome.verification is _UNVERIFIED
        is_for_newcomers = is_unverified and assurance is _UNASSURED
        demand(
            tier is _TRUSTED or (tier is _SHADOW and is_for_newcomers),
            "P28: shadows are never served",
            effect.job_id,
            tier,
        )
        demand(
            is_unverified == (effect.job_id not in self._commits_now),
            "P15: what is served as more than unverified is committed",
            effect.job_id,
        )
        demand(is_unverified == (assurance is _UNASSURED), "who asks for assurance gets it", effect.job_id)

    # What was said

    def tried(self, job_id: JobId, assignment: Assignment, nodes: list[NodeId]) -> None:
        """Who had the task, and what the winner was sent; told before its answer's commit."""
        self._served = job_id, assignment, nodes

    def _came(self, event: ResultSubmitted) -> None:
        self._result = event

    def _started(self, event: CoordinatorStarted) -> None:
        self._trust = event.trust

    def _epoch_began(self, event: EpochBegan) -> None:
        self._secrets[event.epoch] = bytes.fromhex(event.secret)
        self._secrets.pop(event.epoch - 2, None)

    def _enrolled(self, event: NodeEnrolled) -> None:
        standing = self.standings.get(event.node_id)
        if standing is None:
            self.standings[event.node_id] = Standing(event.operator, event.prefix, event.endorsed or _SHADOW)
        else:
            standing.operator, standing.prefix = event.operator, event.prefix

    def _committed(self, effect: RecordCommit) -> None:
        result, trust, standing = self._result, self._trust, self.standings[effect.node_id]
        is_its_own = result is not None and (effect.assignment_id, effect.node_id, effect.output_digest) == (
            result.assignment_id,
            result.node_id,
            result.output_digest,
        )
        demand(is_its_own, "P16: a commit is its own node's word", effect.commit)
        demand(standing.tier is _TRUSTED, "P28: only trusted nodes' answers are committed", effect.node_id)
        rate = MILLION
        if standing.clean_run > trust.trusted_after:
            rate = max(-(-trust.trusted_after * MILLION // standing.clean_run), trust.audit_ppm_min)
        demand(
            effect.audit_ppm in (rate, MILLION),
            "P26: the audit rate is A over the clean run",
            effect,
            "after",
            standing.clean_run,
        )
        secret = self._secrets.get(effect.epoch)
        demand(secret is not None, "P19: an answer is drawn in a known epoch", effect.epoch)
        assert secret is not None
        is_drawn = draw_keyed(secret, "audit", effect.commit) * MILLION >> 64 < effect.audit_ppm
        demand(is_drawn == effect.is_audited, "P19: who is audited follows from the epoch's secret", effect.commit)
        demand(effect.is_audited or not effect.is_bound, "P19: what needs its own audit has one", effect.commit)
        self._commits_now[effect.job_id] = effect
        if effect.is_bound:
            self._examine(effect)
        if effect.verification is _FINAL:
            demand(
                not trust.finality_lag and not effect.is_audited,
                "P15: an answer is final by an audit alone",
                effect.commit,
            )
            self._settled_now[effect.node_id] = None

    def _kept(self, effect: KeepInput) -> None:
        if effect.job_id not in self.examined:
            demand(not effect.is_canary, "P18: a canary is what was examined", effect.job_id)
            self._kept_now[effect.job_id] = None

    def _examine(self, commit: RecordCommit) -> None:
        is_kept = self._kept_now.pop(commit.job_id, True) is None
        demand(is_kept and self._served is not None, "P15: an answer that is audited can be", commit.commit)
        assert self._served is not None
        job_id, assignment, nodes = self._served
        assert job_id == commit.job_id
        said = {commit.node_id: commit.output_digest}
        self.examined[job_id] = Examined(commit.commit, commit.node_id, assignment, list(nodes), tuple(nodes), said, [])
        self._by_commit[commit.commit] = job_id

    def _release(self, effect: ReleaseInput) -> None:
        if effect.job_id in self.examined:
            self._released.append(effect.job_id)

    def _checked(self, effect: RecordCheck) -> None:
        examined = self._find(effect.commit)
        if effect.node_id is None:
            return
        assert effect.output_digest is not None
        result = self._result
        is_its_own = result is not None and (effect.node_id, effect.output_digest) == (
            result.node_id,
            result.output_digest,
        )
        demand(
            is_its_own and effect.node_id in examined.executors,
            "P16: a check is its own node's word",
            "check",
            effect.check,
        )
        checker = self.standings[effect.node_id]
        if effect.role is Role.CANARY:
            is_first = all(one.role is not Role.CANARY for one in examined.checks)
            demand(is_first, "P18: a canary is issued once", "commit", effect.commit)
        else:
            tier = _TIER_OF.get(effect.role)
            demand(checker.tier is tier, "P15: hedges check nothing; P28: a check's role is its node's tier", effect)
        for other in examined.checks:
            assert other.node_id is not None
            other_checker = self.standings[other.node_id]
            self._demand_strangers("P14: checkers have nothing in common", checker, other_checker)
        examined.checks.append(effect)
        examined.said[effect.node_id] = effect.output_digest
        if effect.outcome is CheckOutcome.MATCH:
            checker.credit += 1
            if effect.role in _DECIDING:
                self._passed[examined.primary] = max(self._passed.get(examined.primary, 0), effect.commit)

    def _verified(self, effect: RecordVerification) -> None:
        examined, now = self._find(effect.commit), effect.verification
        primary = examined.primary
        if now is Verification.DISPUTED:
            examined.is_disputed = True
            self._disputes[primary] = self._disputes.get(primary, 0) + 1
            return
        if examined.is_disputed and now in TERMINAL:
            examined.is_disputed = False
            self._disputes[primary] -= 1
        deciding = [one for one in examined.checks if one.role in _DECIDING]
        if now is _FINAL:
            is_passed = any(one.outcome is CheckOutcome.MATCH for one in deciding)
            demand(is_passed, "P15, P28: an answer is final by a passed audit alone", effect.commit)
            self._settled_now[primary] = None
        if now is Verification.CORRECTED:
            is_settled = any(one.role is Role.REFERENCE for one in deciding) or len(deciding) >= PANEL_AGREEING_MIN
            demand(is_settled, "only a reference node or a panel corrects", effect.commit)
            demand(effect.output is not None, "what is corrected is said", effect.commit)

    def _settled(self, effect: SettleCommits) -> None:
        if effect.verification is not _FINAL:
            return
        passed = self._passed.get(effect.node_id, 0)
        demand(
            effect.commit <= passed,
            "P15, P28: an answer is final by a passed audit alone",
            effect,
            "passed",
            passed,
        )
        demand(not self._disputes.get(effect.node_id), "nothing becomes final while its node is in dispute", effect)
        self._settled_now[effect.node_id] = None

    def _faulted(self, effect: RecordFault) -> None:
        said = self._find(effect.commit).said.get(effect.node_id)
        is_proven = said == effect.said and effect.said != effect.reference
        demand(
            is_proven or effect.are_probes_wrong,
            "P13: a fault is what a node said, never what it did not say",
            effect,
        )
        self._faults_now[effect.node_id] = effect.grade

    def _stood(self, effect: RecordStanding) -> None:
        standing, grade = self.standings[effect.node_id], self._faults_now.pop(effect.node_id, None)
        demand(standing.tier is not _BANNED or effect.tier is _BANNED, "P27: a ban is for good", effect.node_id)
        if grade is not None:
            demand(
                _is_graded(grade, standing, effect),
                "P27: a fault takes what its grade says, and gives nothing",
                grade,
                standing,
                "to",
                effect,
            )
        else:
            self._demand_earned(standing, effect)
        standing.tier, standing.clean_run, standing.checks_passed = effect.tier, effect.clean_run, effect.checks_passed

    def _demand_earned(self, standing: Standing, effect: RecordStanding) -> None:
        gained = effect.clean_run - standing.clean_run
        demand(gained >= 0, "P13, P27: only a fault shortens a clean run", standing, "to", effect)
        if gained and effect.node_id not in self._settled_now:
            demand(gained <= standing.credit, "P29: a clean run grows by what others confirmed", standing, "to", effect)
            standing.credit -= gained
        is_raised = _RANK[effect.tier] > _RANK[standing.tier]
        is_earned = effect.tier is _TRUSTED and effect.clean_run >= self._trust.trusted_after
        demand(not is_raised or is_earned, "P29: a tier is earned", standing, "to", effect)

    def _epoch_recorded(self, effect: RecordEpoch) -> None:
        published = self._commitments.setdefault(effect.epoch, effect.commitment)
        demand(published == effect.commitment, "P19: an epoch's secret is the one that was committed to", effect.epoch)
        if effect.secret is not None:
            demand(commitment(effect.secret) == published, "P19: a revealed secret opens its commitment", effect.epoch)
            demand(
                effect.epoch not in self._secrets or len(self._secrets) < 2 or effect.epoch < max(self._secrets) - 1,
                "P19: no secret is revealed while it draws",
                effect.epoch,
            )
            del self._commitments[effect.epoch]

    def _find(self, commit: int) -> Examined:
        job_id = self._by_commit.get(commit)
        demand(job_id is not None, "P15: whatever is told of an answer, it was committed before", "commit", commit)
        assert job_id is not None
        return self.examined[job_id]

    def _demand_strangers(self, check: str, one: Standing, other: Standing) -> None:
        is_strange = one.operator != other.operator
        if self._trust.are_prefixes_distinct and one.prefix:
            is_strange = is_strange and one.prefix != other.prefix
        demand(is_strange, check, one, "and", other)


def _is_graded(grade: FaultGrade, before: Standing, after: RecordStanding) -> bool:
    is_no_gain = after.checks_passed <= before.checks_passed and _RANK[after.tier] <= _RANK[before.tier]
    if grade is FaultGrade.FALSE:
        return is_no_gain and after.tier is _BANNED and not after.clean_run
    return is_no_gain and after.clean_run == before.clean_run // 4
