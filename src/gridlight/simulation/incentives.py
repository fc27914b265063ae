"""What nodes earn for a second of their own CPU: honest ones, and those of ill will beside them.

A machine counts once, whoever it says to be: what all its identities were paid, vested or not, less what was taken of
them, over what all its runs took. So a newcomer's half pay and a second beginning are in it. What is held back at the
end counts as earned, though a liar may yet lose it: that favours ill will.
"""

from collections.abc import Sequence
from math import inf, sqrt
from typing import Final

from msgspec import Struct

from gridlight.core.pricing import quote
from gridlight.messages.trust import Assurance
from gridlight.simulation.scenario import Money
from gridlight.simulation.world import World

_NORMAL_95: Final = 1.959964
_MICROS: Final = 1_000_000


class Earner(Struct, frozen=True):
    """One machine over a whole run."""

    earned: int
    """Units of 1e-7 coin, less what was taken."""
    cpu_us: int
    runs: int = 0
    wrong: int = 0
    taken: int = 0


class Rate(Struct, frozen=True, kw_only=True):
    """A figure and where it is with 95 % confidence, two-sided."""

    figure: float
    lower95: float
    upper95: float


class Group(Struct, frozen=True, kw_only=True):
    """What became of some machines."""

    machines: int
    runs: int
    """Answers, and runs that failed."""
    wrong: int
    cpu_s: float
    earned: float
    """In rewards: what one run of a trusted node is paid."""
    taken: float
    """Clawed back and slashed, which is not in `earned` any more."""
    rewards_per_cpu_s: Rate


class Incentives(Struct, frozen=True, kw_only=True):
    """Whether ill will pays, in one run or in several of the same kind."""

    reward_units: int
    honest: Group
    ill: Group | None
    beside_honest: Rate | None
    """What ill will earns for a second of its CPU, as a part of what honesty does."""
    lost_per_wrong: float | None
    """How many rewards a wrong answer cost: what a bribe for it would have to make up for."""
    entries: int
    """Of the ledger, each held to its checks."""
    unpaid_checks: int
    """That the pool did not reach, or that nobody could keep in mind."""

    @property
    def verdict(self) -> str:
        """In words: what the bounds allow to say."""
        if self.beside_honest is None:
            return "no ill will"
        if self.beside_honest.lower95 > 1:
            return "ABOVE honesty"
        return "below honesty" if self.beside_honest.upper95 < 1 else "not told apart"


def earners_of(world: World) -> tuple[list[Earner], list[Earner]]:
    """The machines of ill will, and the honest ones, of a run with a ledger. Reference nodes are neither."""
    labour, takings = world.nodes.labour, world.takings
    assert takings is not None
    everybody = [
        Earner(paid - lost, cpu_us, runs, wrong, lost)
        for paid, lost, cpu_us, runs, wrong in zip(
            takings.paid, takings.lost, labour.cpu_us, labour.runs, labour.wrong, strict=True
        )
    ]
    ill = world.scenario.adversaries
    return everybody[:ill], everybody[ill : len(everybody) - world.scenario.fleet.references]


def incentives_of(world: World) -> Incentives | None:
    """Read it off a world whose books are closed; None where it has no money."""
    if world.scenario.money is None or world.takings is None:
        return None
    ill, honest = earners_of(world)
    books = world.host.core.bookkeeping
    unpaid = books.unfunded + books.earnings.claims
    return weigh_earners(world.scenario.money, ill, honest, entries=world.takings.entries, unpaid_checks=unpaid)


def weigh_earners(
    money: Money, ill: Sequence[Earner], honest: Sequence[Earner], *, entries: int, unpaid_checks: int
) -> Incentives:
    """Both groups, of one run or of several, beside each other."""
    reward = quote(money.mwu, Assurance.SAMPLED, money.prices).reward
    of_honest, of_ill = _group(honest, reward), _group(ill, reward) if ill else None
    lost = None
    if of_ill is not None and of_ill.wrong:
        lost = (of_honest.rewards_per_cpu_s.figure * of_ill.cpu_s - of_ill.earned) / of_ill.wrong
    return Incentives(
        reward_units=reward,
        honest=of_honest,
        ill=of_ill,
        beside_honest=_beside(of_ill.rewards_per_cpu_s, of_honest.rewards_per_cpu_s) if of_ill else None,
        lost_per_wrong=lost,
        entries=entries,
        unpaid_checks=unpaid_checks,
    )


def said(found: Incentives) -> str:
    """One line for a terminal."""
    honest = _rate(found.honest.rewards_per_cpu_s)
    if found.ill is None or found.beside_honest is None:
        return f"honest nodes earn {honest} rewards a CPU second"
    lost = "" if found.lost_per_wrong is None else f"; a wrong answer cost {found.lost_per_wrong:.3g} rewards"
    return (
        f"honest nodes earn {honest} rewards a CPU second, ill will {_rate(found.ill.rewards_per_cpu_s)}: "
        f"{_rate(found.beside_honest)} of it, {found.verdict}{lost}"
    )


def _rate(rate: Rate) -> str:
    return f"{rate.figure:.3f} ({rate.lower95:.3f} to {rate.upper95:.3f})"


def _group(machines: Sequence[Earner], reward: int) -> Group:
    return Group(
        machines=len(machines),
        runs=sum(one.runs for one in machines),
        wrong=sum(one.wrong for one in machines),
        cpu_s=sum(one.cpu_us for one in machines) / _MICROS,
        earned=sum(one.earned for one in machines) / reward,
        taken=sum(one.taken for one in machines) / reward,
        rewards_per_cpu_s=earned_per_cpu_s(machines, reward),
    )


def earned_per_cpu_s(machines: Sequence[Earner], reward: int) -> Rate:
    """Their earnings over their CPU time, with the ratio estimator's bound over machines.

    The variance is that of the residuals around the ratio (Cochran, Sampling Techniques, 3rd edition, 6.4); few
    machines have Student's quantile. Machines of one group share wrong answers, so their true bound is a little wider.
    """
    count, cpu_s = len(machines), sum(one.cpu_us for one in machines) / _MICROS
    if not cpu_s:
        return Rate(figure=0.0, lower95=0.0, upper95=inf)
    figure = sum(one.earned for one in machines) / reward / cpu_s
    if count < 2:
        return Rate(figure=figure, lower95=0.0, upper95=inf)
    residuals = sum((one.earned / reward - figure * one.cpu_us / _MICROS) ** 2 for one in machines)
    half = student_95(count - 1) * sqrt(residuals * count / (count - 1)) / cpu_s
    return Rate(figure=figure, lower95=max(0.0, figure - half), upper95=figure + half)


def student_95(freedom: int) -> float:
    """Student's two-sided 95 % quantile, by Cornish and Fisher's expansion: within 1 % from three degrees on."""
    z = _NORMAL_95
    first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3


def _beside(one: Rate, other: Rate) -> Rate:
    """The ratio of two figures that were found apart; their relative bounds add up as squares."""
    if not other.figure:
        return Rate(figure=0.0, lower95=0.0, upper95=inf)
    figure = one.figure / other.figure
    of_one, of_other = (one.upper95 - one.figure) / other.figure, (other.upper95 / other.figure - 1) * figure
    half = sqrt(of_one**2 + of_other**2)
    return Rate(figure=figure, lower95=max(0.0, figure - half), upper95=figure + half)
