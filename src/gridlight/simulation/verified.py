"""What a run found of verification: how many wrong answers were accepted, what checking cost, and whom it hit."""

from math import exp, sqrt
from typing import Final

from msgspec import Struct

from gridlight.messages.trust import CheckOutcome, Tier, Verification
from gridlight.simulation.truth import TIERS, Stretch
from gridlight.simulation.world import World

WRONG_TARGET: Final = 1e-4
REPLICATION_TARGET: Final = 1.15

_EXACT_MAX: Final = 500
_NORMAL_95: Final = 1.645


class SecondsToFinal(Struct, frozen=True, kw_only=True):
    """Of answers that became final, from their commit."""

    p50: int | None
    p90: int | None
    p99: int | None
    max: int | None


class Verified(Struct, frozen=True, kw_only=True):
    """Answers, from the moment on from which is counted, and nodes, in the whole run."""

    adversaries: int
    strategy: str | None
    committed: int
    """Answers of trusted nodes to who asked for assurance."""
    final: int
    wrong_final: int
    provisional_wrong: int
    """Wrong answers that were served, whatever became of them."""
    corrected: int
    wrong_corrected: int
    void: int
    disputed: int
    seconds_to_final: SecondsToFinal
    comparisons: int
    checks: dict[str, dict[str, int]]
    """By role, how they came out."""
    banned: int
    honest_banned: int
    faulted: int
    honest_faulted: int
    renewed: int
    """How often a node came back as somebody else."""
    trusted_at_end: int
    newcomers_at_end: int


class TrustMoment(Struct, frozen=True, kw_only=True):
    """A stretch of the run, for plots; shares are of all that there was until its end."""

    at_s: int
    wrong_provisional: float
    wrong_final: float
    replication: float
    replication_with_shadows: float
    tiers: dict[str, int]


def verified_of(world: World) -> Verified:
    """Read it off a world that is settled."""
    truth = world.truth
    checks: dict[str, dict[str, int]] = {}
    for (role, outcome), count in sorted(truth.checks.items()):
        checks.setdefault(role.value, {})[outcome.value] = count
    has_adversaries = bool(world.scenario.adversaries)
    return Verified(
        adversaries=world.scenario.adversaries,
        strategy=world.scenario.adversary.strategy.value if has_adversaries else None,
        committed=truth.committed,
        final=truth.finals,
        wrong_final=truth.wrong_final,
        provisional_wrong=truth.wrong_provisional,
        corrected=truth.settled[Verification.CORRECTED],
        wrong_corrected=truth.wrong_corrected,
        void=truth.settled[Verification.VOID],
        disputed=truth.disputed,
        seconds_to_final=_seconds_to_final(truth.seconds_to_final),
        comparisons=sum(count for (_, outcome), count in truth.checks.items() if outcome is not CheckOutcome.LOST),
        checks=checks,
        banned=truth.banned,
        honest_banned=truth.honest_banned,
        faulted=truth.faults,
        honest_faulted=truth.honest_faults,
        renewed=world.population.renewals,
        trusted_at_end=truth.tier_count(Tier.TRUSTED),
        newcomers_at_end=truth.tier_count(Tier.SHADOW),
    )


def wrong_accept(world: World) -> tuple[float, float]:
    """Wrong ones of the answers that were finally accepted, and what their share is at most with 95 % confidence."""
    truth = world.truth
    accepted = truth.finals + truth.settled[Verification.CORRECTED]
    if not accepted:
        return 0.0, 1.0
    return truth.wrong_accepted / accepted, min(1.0, poisson_upper95(truth.wrong_accepted) / accepted)


def trust_moments(world: World) -> list[TrustMoment]:
    """How it went, stretch by stretch."""
    moments: list[TrustMoment] = []
    total = Stretch()
    for place, stretch in enumerate(world.truth.stretches[:-1]):  # the last one has checks of earlier answers alone
        total.commits += stretch.commits
        total.wrong += stretch.wrong
        total.finals += stretch.finals
        total.wrong_finals += stretch.wrong_finals
        if not stretch.tiers or not stretch.commits:
            continue
        moments.append(
            TrustMoment(
                at_s=place * world.measures.span.interval_ms // 1_000,
                wrong_provisional=total.wrong / total.commits,
                wrong_final=total.wrong_finals / max(total.finals, 1),
                replication=1 + stretch.checks / stretch.commits,
                replication_with_shadows=1 + (stretch.checks + stretch.shadow_runs) / stretch.commits,
                tiers={tier.value: count for tier, count in zip(TIERS, stretch.tiers, strict=True)},
            )
        )
    return moments


def poisson_upper95(count: int) -> float:
    """What the mean is at most with 95 % confidence, one-sided, where so many rare things happened."""
    if count > _EXACT_MAX:
        return count + _NORMAL_95 * sqrt(count) + 1.9
    low, high = float(count), count + 4 * sqrt(count + 1) + 4
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _poisson_at_most(count, middle) > 0.05 else (low, middle)
    return high


def _poisson_at_most(count: int, mean: float) -> float:
    term = total = exp(-mean)
    for number in range(1, count + 1):
        term *= mean / number
        total += term
    return total


def _seconds_to_final(seconds: dict[int, int]) -> SecondsToFinal:
    total, ordered = sum(seconds.values()), sorted(seconds.items())

    def quantile(percent: int) -> int | None:
        rank = -(-total * percent // 100)
        for second, count in ordered:
            rank -= count
            if rank <= 0:
                return second
        return None

    return SecondsToFinal(p50=quantile(50), p90=quantile(90), p99=quantile(99), max=quantile(100))
