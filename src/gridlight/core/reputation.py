"""How far each node is trusted: its clean run, the rate at which its answers are audited, and its tier.

The rate falls as A over the clean run, so what a node has passed, not what it passes now, buys its answers' safety.
A fault is graded here: FAULTY quarters the clean run, FALSE bans the node and has its operator's others audited anew.
"""

from array import array
from typing import Final

from msgspec import Struct

from gridlight.core.kin import Kin
from gridlight.core.notices import (
    AnswerCommitted,
    CheckDecided,
    CommitsSettled,
    FaultFound,
    Hears,
    KeySucceeded,
    NodeKnown,
    Output,
    TaskAnswered,
    TierChanged,
    TrustLost,
)
from gridlight.messages.host import CoordinatorStarted
from gridlight.messages.ids import NodeId
from gridlight.messages.operators import SHADOW_ONLY, Hold
from gridlight.messages.trust import (
    PRODUCTION,
    CheckOutcome,
    FaultGrade,
    RecordFault,
    RecordStanding,
    Tier,
    TrustParameters,
)

ReputationEvent = (
    TaskAnswered | CommitsSettled | CheckDecided | FaultFound | NodeKnown | KeySucceeded | CoordinatorStarted
)

MILLION: Final = 1_000_000
FAULTS_MAX: Final = 255

_TIERS: Final = tuple(Tier)
_NUMBERS: Final = {tier: number for number, tier in enumerate(_TIERS)}


class ReputationSnapshot(Struct):
    """The machine's state as plain values."""

    trust: TrustParameters
    node_ids: list[NodeId]
    tiers: bytes
    operators: bytes
    clean_runs: bytes
    passed: bytes
    faults: bytes
    suspicions: bytes
    forgiven_at: bytes
    forced: bytes
    known_ms: bytes
    holds: dict[int, Hold] = {}


class Reputation:
    """The machine that knows what nodes have earned."""

    def __init__(self) -> None:
        self._trust = PRODUCTION
        self._node_ids: list[NodeId] = []
        self._tiers = bytearray()
        self._clean_runs = array("q")
        self._passed = array("I")
        self._faults = bytearray()
        self._suspicions = bytearray()
        """Faults of late."""
        self._forgiven_at = array("q")
        """The clean run at which they are forgotten: longer by what brings a node from nothing to the lowest rate."""
        self._forced = array("H")
        self._known_ms = array("q")
        self._holds: dict[int, Hold] = {}
        """Of the nodes that are held, why: they are not trusted, whatever they have earned."""
        self._kin = Kin()
        self.hears: Hears = {
            TaskAnswered: self._answered,
            CommitsSettled: self._settled,
            CheckDecided: self._decided,
            NodeKnown: self._known,
            KeySucceeded: self._succeeded,
            FaultFound: self._fault,
            CoordinatorStarted: self._started,
        }

    def tier_of(self, node: int) -> Tier:
        """What the node may do."""
        return _TIERS[self._tiers[node]]

    def clean_run(self, node: int) -> int:
        """Executions since its last fault, each counted once it is final."""
        return self._clean_runs[node]

    def audit_ppm(self, node: int) -> int:
        """The share of the node's answers that is audited now: A over its clean run, within bounds."""
        trust, clean_run = self._trust, self._clean_runs[node]
        if self._forced[node] or clean_run <= trust.trusted_after:
            return MILLION
        return max(-(-trust.trusted_after * MILLION // clean_run), trust.audit_ppm_min)

    def tiers(self) -> dict[Tier, int]:
        """How many nodes are of each tier; for figures, since it is O(nodes)."""
        return {tier: self._tiers.count(number) for tier, number in _NUMBERS.items()}

    def handle(self, now_ms: int, event: ReputationEvent) -> list[Output]:
        """O(1), but for a fault and a succession: O(nodes of one operator)."""
        return self.hears[type(event)](now_ms, event)

    def _answered(self, _now_ms: int, event: TaskAnswered) -> list[Output]:
        committed = AnswerCommitted(event, self.audit_ppm(event.node))
        if self._forced[event.node]:
            self._forced[event.node] -= 1
        return [committed]

    def _settled(self, now_ms: int, event: CommitsSettled) -> list[Output]:
        self._clean_runs[event.node] += event.count
        return self._changed(now_ms, event.node)

    def _started(self, _now_ms: int, event: CoordinatorStarted) -> list[Output]:
        self._trust = event.trust
        return []

    def _known(self, now_ms: int, event: NodeKnown) -> list[Output]:
        node = event.node
        if node == len(self._tiers):
            self._node_ids.append(event.node_id)
            self._tiers.append(_NUMBERS[Tier.SHADOW])
            for column in (self._clean_runs, self._passed, self._forced, self._forgiven_at):
                column.append(0)
            self._faults.append(0)
            self._suspicions.append(0)
            self._known_ms.append(now_ms)
            self._kin.add(node, event.operator)
        else:
            self._kin.move(node, event.operator)
        return [*self._held(now_ms, node, event.hold), *self._endorsed(node, event.endorsed)]

    def _held(self, now_ms: int, node: int, hold: Hold | None) -> list[Output]:
        """What a node earned stays its own: it goes on from there once nothing holds it."""
        before = self._holds.pop(node, None)
        if hold is not None:
            self._holds[node] = hold
        if hold in SHADOW_ONLY and self.tier_of(node) is Tier.TRUSTED:
            return self._set_tier(node, Tier.SHADOW)
        return [] if before is None or hold is not None else self._changed(now_ms, node)

    def _succeeded(self, _now_ms: int, event: KeySucceeded) -> list[Output]:
        """Clean runs stay; whoever bought or stole them with a key shows within the next answers how far they hold."""
        for one in self._kin.of(event.node):
            self._forced[one] = self._trust.forced_audits
        return []

    def _endorsed(self, node: int, endorsed: Tier | None) -> list[Output]:
        """The network's own word stands for what a node would have to earn; what it did since is not undone by it."""
        tier = self.tier_of(node)
        if endorsed is None or self._faults[node] or tier in (endorsed, Tier.BANNED):
            return []
        if endorsed is Tier.TRUSTED:
            self._clean_runs[node] = max(self._clean_runs[node], self._trust.trusted_after)
        return self._set_tier(node, endorsed)

    def _decided(self, now_ms: int, event: CheckDecided) -> list[Output]:
        """Agreeing on nothing that was found earns nothing."""
        if event.outcome is not CheckOutcome.MATCH or not event.is_informative:
            return []
        self._passed[event.node] += 1
        if event.is_execution:
            self._clean_runs[event.node] += 1
        return self._changed(now_ms, event.node)

    def _changed(self, now_ms: int, node: int) -> list[Output]:
        """More clean executions: a newcomer may have become trusted, and an old suspicion may be over."""
        trust, clean_run = self._trust, self._clean_runs[node]
        if self._suspicions[node] and clean_run >= self._forgiven_at[node]:
            self._suspicions[node] = 0
        is_old = now_ms - self._known_ms[node] >= trust.age_ms_min
        is_free = node not in self._holds
        if is_free and self.tier_of(node) is Tier.SHADOW and clean_run >= trust.trusted_after and is_old:
            return self._set_tier(node, Tier.TRUSTED)
        return [self._record(node)]

    def _fault(self, now_ms: int, event: FaultFound) -> list[Output]:
        node, trust = event.node, self._trust
        before = self.tier_of(node)
        if before is Tier.BANNED:
            return []
        seen = sum(self._suspicions[one] for one in self._kin.of(node))
        is_false = event.are_probes_wrong or seen >= trust.faults_forgiven
        self._faults[node] = min(self._faults[node] + 1, FAULTS_MAX)
        self._suspicions[node] = min(self._suspicions[node] + 1, FAULTS_MAX)
        self._clean_runs[node] = 0 if is_false else self._clean_runs[node] // 4
        to_lowest_rate = -(-trust.trusted_after * MILLION // max(trust.audit_ppm_min, 1))
        self._forgiven_at[node] = self._clean_runs[node] + to_lowest_rate
        fault = RecordFault(
            node_id=event.node_id,
            grade=FaultGrade.FALSE if is_false else FaultGrade.FAULTY,
            commit=event.commit,
            role=event.role,
            said=event.said,
            reference=event.reference,
            settled_by=event.settled_by,
            are_probes_wrong=event.are_probes_wrong,
        )
        if is_false:
            return [fault, *self._ban(node)]
        is_demoted = before is Tier.TRUSTED and self._clean_runs[node] < trust.trusted_after
        told = self._set_tier(node, Tier.SHADOW) if is_demoted else [self._record(node)]
        # What it said beside the answer that was contradicted must not become final by the next one that is not; and
        # whoever is forgiven is watched, or a liar would gain a second cycle.
        self._forced[node] = trust.forced_audits
        return [fault, *told, TrustLost(node)]

    def _ban(self, node: int) -> list[Output]:
        """The node is out; whatever its operator's nodes have open stands for nothing, and each is audited anew."""
        outputs = self._set_tier(node, Tier.BANNED)
        for one in self._kin.of(node):
            self._forced[one] = self._trust.forced_audits
            outputs.append(TrustLost(one))
        return outputs

    def _set_tier(self, node: int, tier: Tier) -> list[Output]:
        """It is on record before work is given or taken on its account."""
        self._tiers[node] = _NUMBERS[tier]
        return [self._record(node), TierChanged(node, tier)]

    def _record(self, node: int) -> RecordStanding:
        return RecordStanding(
            node_id=self._node_ids[node],
            tier=self.tier_of(node),
            clean_run=self._clean_runs[node],
            checks_passed=self._passed[node],
            faults=self._faults[node],
        )

    def seed_standing(self, node: int, *, tier: Tier, clean_run: int, checks_passed: int = 0) -> TierChanged:
        """A settled fleet to begin with, for simulations and tests; the notice is for scheduling."""
        self._clean_runs[node], self._passed[node] = clean_run, checks_passed
        self._tiers[node] = _NUMBERS[tier]
        return TierChanged(node, tier)

    def check(self) -> None:
        """Assert what holds of every node."""
        self._kin.check()
        for node in range(len(self._tiers)):
            assert self._clean_runs[node] >= 0
            assert self._trust.audit_ppm_min <= self.audit_ppm(node) <= MILLION

    def snapshot(self) -> ReputationSnapshot:
        """The state, to be encoded at once: it shares the machine's own objects."""
        return ReputationSnapshot(
            trust=self._trust,
            node_ids=self._node_ids,
            tiers=bytes(self._tiers),
            operators=self._kin.snapshot(),
            clean_runs=self._clean_runs.tobytes(),
            passed=self._passed.tobytes(),
            faults=bytes(self._faults),
            suspicions=bytes(self._suspicions),
            forgiven_at=self._forgiven_at.tobytes(),
            forced=self._forced.tobytes(),
            known_ms=self._known_ms.tobytes(),
            holds=self._holds,
        )

    def restore(self, snapshot: ReputationSnapshot) -> None:
        """Take what `snapshot` gave, after a trip through bytes."""
        self._trust = snapshot.trust
        self._node_ids = list(snapshot.node_ids)
        self._tiers = bytearray(snapshot.tiers)
        self._kin.restore(snapshot.operators)
        self._clean_runs = array("q", snapshot.clean_runs)
        self._passed = array("I", snapshot.passed)
        self._faults = bytearray(snapshot.faults)
        self._suspicions = bytearray(snapshot.suspicions)
        self._forgiven_at = array("q", snapshot.forgiven_at)
        self._forced = array("H", snapshot.forced)
        self._known_ms = array("q", snapshot.known_ms)
        self._holds = dict(snapshot.holds)
