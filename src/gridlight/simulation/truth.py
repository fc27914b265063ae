"""The truth, which no node knows: which answers were right, and what became of the wrong ones."""

from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct

from gridlight.messages.ids import NodeId
from gridlight.messages.trust import (
    CheckOutcome,
    RecordCheck,
    RecordCommit,
    RecordFault,
    RecordStanding,
    RecordVerification,
    Role,
    SettleCommits,
    Tier,
    Verification,
)
from gridlight.simulation.answers import right_digest, right_output
from gridlight.simulation.commits import Commits
from gridlight.simulation.gateways import number_of_job
from gridlight.simulation.measures import Span
from gridlight.simulation.population import Population

TIERS: Final = tuple(Tier)
_NUMBERS: Final = {tier: number for number, tier in enumerate(TIERS)}
_REPLICATING: Final = (Role.AUDIT, Role.CANARY, Role.REFERENCE)
_FINAL: Final = Verification.FINAL
_DISPUTED: Final = Verification.DISPUTED
_CORRECTED: Final = Verification.CORRECTED
_BANNED: Final = Tier.BANNED
_SHADOW: Final = Role.SHADOW
_TRUSTED: Final = _NUMBERS[Tier.TRUSTED]


class Stretch(Struct):
    """What became of answers in a stretch of the run."""

    commits: int = 0
    wrong: int = 0
    """Of those that were committed in this stretch."""
    finals: int = 0
    wrong_finals: int = 0
    """Of those that became final in this stretch."""
    checks: int = 0
    shadow_runs: int = 0
    tiers: tuple[int, ...] = ()
    """Nodes of each tier, at its end."""


class Truth:
    """Hears what the core has recorded. Counts answers from the moment on from which all is counted."""

    def __init__(self, *, population: Population, adversaries: int, span: Span, on_ban: Callable[[int], None]) -> None:
        self.is_counting = False
        self.commits = Commits(population.count)
        self.wrong_open: dict[int, int] = {}
        """Places of wrong answers that are not settled, and whose they are."""
        self.settled: dict[Verification, int] = dict.fromkeys(Verification, 0)
        """Answers by what they were settled as; FINAL includes the wrong ones."""
        self.wrong_final = 0
        self.wrong_corrected = 0
        """A dispute that ended with a wrong result: as bad as a wrong answer that became final."""
        self.committed = 0
        self.wrong_provisional = 0
        self.disputed = 0
        self.checks: dict[tuple[Role, CheckOutcome], int] = {}
        """Checks that somebody ran, and those that nobody did as LOST."""
        self.executed: dict[Role, int] = dict.fromkeys(Role, 0)
        self.banned = 0
        self.honest_banned = 0
        self.faults = 0
        self.honest_faults = 0
        self.seconds_to_final: dict[int, int] = {}
        self.stretches = [Stretch() for _ in range(span.count)]
        self.tier = bytearray(population.count)
        self._tier_counts = [0] * len(TIERS)
        self._population = population
        self._adversaries = adversaries
        self._span = span
        self._on_ban = on_ban
        self._counted_from = 0
        self._stretch = self.stretches[0]
        self._now_ms = 0
        self.hears: dict[type, Callable[[Any], None]] = {
            RecordCommit: self._committed,
            RecordVerification: self._changed,
            SettleCommits: self._settled,
            RecordCheck: self._checked,
            RecordStanding: self._stood,
            RecordFault: self._faulted,
        }

    def begin(self, tiers: list[Tier]) -> None:
        """How the fleet stands at the start."""
        self.tier = bytearray(_NUMBERS[tier] for tier in tiers)
        self._tier_counts = [self.tier.count(number) for number in range(len(TIERS))]

    def count_from_now(self) -> None:
        """Answers that are committed from now on are counted."""
        self.is_counting = True
        self._counted_from = len(self.commits)

    def at(self, now_ms: int) -> None:
        """It is so late."""
        self._now_ms = now_ms
        stretch = self.stretches[self._span.place(now_ms)]
        if stretch is not self._stretch:
            self._stretch.tiers = tuple(self._tier_counts)
            self._stretch = stretch

    def end(self) -> None:
        """The run is over."""
        self._stretch.tiers = tuple(self._tier_counts)

    def tier_count(self, tier: Tier) -> int:
        """How many nodes are of it now."""
        return self._tier_counts[_NUMBERS[tier]]

    def is_trusted(self, node: int) -> bool:
        """Whether the node's answers are served."""
        return self.tier[node] == _TRUSTED

    def is_adversary(self, node: int) -> bool:
        """Whether the node is of ill will."""
        return node < self._adversaries

    @property
    def finals(self) -> int:
        """Answers that were finally accepted, right or wrong."""
        return self.settled[_FINAL]

    @property
    def wrong_accepted(self) -> int:
        """Wrong answers that a requester was told to rely on."""
        return self.wrong_final + self.wrong_corrected

    def replication(self, *, with_shadows: bool = False) -> float:
        """Runs a committed answer: its own, and those of its checks."""
        runs = sum(self.executed[role] for role in _REPLICATING) + with_shadows * self.executed[_SHADOW]
        return 1 + runs / self.committed if self.committed else 1.0

    def renewed(self, node: int) -> None:
        """The machine is a newcomer again, under another id."""
        self._set_tier(node, Tier.SHADOW)

    def _committed(self, effect: RecordCommit) -> None:
        node = self._population.node_of(effect.node_id)
        place = self.commits.add(
            self._now_ms,
            effect.commit,
            node,
            verification=effect.verification,
            is_audited=effect.is_audited,
            is_bound=effect.is_bound,
        )
        is_wrong = effect.output_digest != right_digest(number_of_job(effect.job_id))
        if is_wrong:
            self.wrong_open[place] = number_of_job(effect.job_id)
        if self.is_counting:
            self.committed += 1
            self.wrong_provisional += is_wrong
            self._stretch.commits += 1
            self._stretch.wrong += is_wrong
        if effect.verification is _FINAL:
            self._end_of(place, _FINAL)

    def _changed(self, effect: RecordVerification) -> None:
        place = self.commits.change(effect.commit, effect.verification)
        if effect.verification is _DISPUTED:
            self.disputed += place >= self._counted_from and self.is_counting
            return
        if effect.verification is _CORRECTED and self.is_counting:
            number = self.wrong_open.get(place)
            self.wrong_corrected += number is None or effect.output != right_output(number)
        self._end_of(place, effect.verification)

    def _settled(self, effect: SettleCommits) -> None:
        for place in self.commits.settle(effect.commit, self._population.node_of(effect.node_id)):
            self._end_of(place, effect.verification)

    def _end_of(self, place: int, verification: Verification) -> None:
        is_wrong = self.wrong_open.pop(place, None) is not None
        if not self.is_counting or place < self._counted_from:
            return
        self.settled[verification] += 1
        if verification is _FINAL:
            self.wrong_final += is_wrong
            self._stretch.finals += 1
            self._stretch.wrong_finals += is_wrong
            seconds = (self._now_ms - self.commits.committed_ms(place)) // 1_000
            self.seconds_to_final[seconds] = self.seconds_to_final.get(seconds, 0) + 1

    def _checked(self, effect: RecordCheck) -> None:
        if not self.is_counting:
            return
        key = effect.role, effect.outcome
        self.checks[key] = self.checks.get(key, 0) + 1
        if effect.node_id is not None:
            self.executed[effect.role] += 1
            self._stretch.checks += effect.role in _REPLICATING
            self._stretch.shadow_runs += effect.role is _SHADOW

    def _stood(self, effect: RecordStanding) -> None:
        node = self._of(effect.node_id)
        if node is None or not self._set_tier(node, effect.tier):
            return
        if effect.tier is _BANNED:
            self.banned += 1
            self.honest_banned += not self.is_adversary(node)
            self._on_ban(node)

    def _faulted(self, effect: RecordFault) -> None:
        node = self._population.node_of(effect.node_id)
        self.faults += 1
        self.honest_faults += not self.is_adversary(node)

    def _set_tier(self, node: int, tier: Tier) -> bool:
        """Whether it is another than before."""
        before, number = self.tier[node], _NUMBERS[tier]
        self._tier_counts[before] -= 1
        self._tier_counts[number] += 1
        self.tier[node] = number
        return before != number

    def _of(self, node_id: NodeId) -> int | None:
        """The machine that has this id now; none where it has taken on another."""
        node = self._population.node_of(node_id)
        return node if self._population.ids[node] == node_id else None
