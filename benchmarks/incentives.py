"""Whether ill will pays: what each strategy earns for a second of its nodes' CPU, beside what honesty earns.

Every strategy runs in the world of scenarios/incentives.toml, with the ledger of the core: prices, hold-back, vesting
and claw-back are real, time and nodes are simulated. Two rows are no ill will and say what the others are to be held
against: nodes that begin as young as the liars and stay honest, and nodes that never say anything wrong but copy what
another one of their group has found already.
"""

import argparse
import sys
import time
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from gridlight.simulation.incentives import Earner, Incentives, Rate, earners_of, weigh_earners
from gridlight.simulation.scenario import Adversary, Scenario, Strategy, load_scenario
from gridlight.simulation.world import World

SCENARIO = Path(__file__).resolve().parent.parent / "scenarios" / "incentives.toml"


class Row(Struct, frozen=True, kw_only=True):
    """One strategy, and how it is gone about."""

    name: str
    strategy: Strategy
    rate_ppm: int
    turns_at_age: int = 200
    age_max: int = 200
    operators: int = 0
    turns_after_seconds: int = 0
    is_copying: bool = False


ROWS = (
    Row(name="honest, as young", strategy=Strategy.LAZY, rate_ppm=0),
    Row(name="right, copied", strategy=Strategy.COLLUDERS, rate_ppm=0, is_copying=True),
    Row(name="right, copied if safe", strategy=Strategy.COLLUDERS, rate_ppm=0),
    Row(name="colluders", strategy=Strategy.COLLUDERS, rate_ppm=1_000_000),
    Row(name="colluders", strategy=Strategy.COLLUDERS, rate_ppm=100_000),
    Row(name="colluders", strategy=Strategy.COLLUDERS, rate_ppm=10_000),
    Row(name="sleepers", strategy=Strategy.SLEEPERS, rate_ppm=100_000, age_max=4_000, turns_after_seconds=40),
    Row(name="sybil", strategy=Strategy.SYBIL, rate_ppm=100_000, turns_at_age=0, age_max=0, operators=3),
    Row(name="canary_aware", strategy=Strategy.CANARY_AWARE, rate_ppm=100_000),
    Row(name="duplicate_aware", strategy=Strategy.DUPLICATE_AWARE, rate_ppm=1_000_000),
    Row(name="lazy", strategy=Strategy.LAZY, rate_ppm=1_000_000),
    Row(name="lazy", strategy=Strategy.LAZY, rate_ppm=100_000),
    Row(name="lazy", strategy=Strategy.LAZY, rate_ppm=10_000),
    Row(name="cheap_model", strategy=Strategy.CHEAP_MODEL, rate_ppm=100_000),
    Row(name="cheap_model", strategy=Strategy.CHEAP_MODEL, rate_ppm=10_000),
)
SHORT = (Strategy.LAZY,)


class Line(Struct, frozen=True, kw_only=True):
    """A row with what came out."""

    row: Row
    seeds: list[int]
    answers: int
    banned: int
    honest_banned: int
    found: Incentives
    verdict: str
    seconds: float


def scenario_of(row: Row, seconds: int | None) -> Scenario:
    """The simulated world of a row."""
    scenario = load_scenario(SCENARIO)
    adversary = Adversary(
        strategy=row.strategy,
        fraction_ppm=scenario.adversary.fraction_ppm,
        recognised_ppm=scenario.adversary.recognised_ppm,
        rate_ppm=row.rate_ppm,
        turns_at_age=row.turns_at_age,
        age_max=row.age_max,
        operators=row.operators,
        turns_after_seconds=row.turns_after_seconds,
        is_copying=row.is_copying,
    )
    return replace(scenario, adversary=adversary, seconds=scenario.seconds if seconds is None else seconds)


def weigh(row: Row, *, seeds: list[int], seconds: int | None = None) -> Line:
    """Run it with every seed; machines of all runs together make the figures. CheckFailed if the books do not hold."""
    begun_s = time.monotonic()
    scenario = scenario_of(row, seconds)
    assert scenario.money is not None
    ill, honest = list[Earner](), list[Earner]()
    answers = banned = honest_banned = entries = unpaid = 0
    for seed in seeds:
        world = World(scenario, seed)
        world.run(lambda _stage, _done, _total: None)
        assert world.takings is not None
        of_ill, of_honest = earners_of(world)
        ill, honest = ill + of_ill, honest + of_honest
        answers, entries = answers + world.truth.committed, entries + world.takings.entries
        banned, honest_banned = banned + world.truth.banned, honest_banned + world.truth.honest_banned
        books = world.host.core.bookkeeping
        unpaid += books.unfunded + books.earnings.claims
    found = weigh_earners(scenario.money, ill, honest, entries=entries, unpaid_checks=unpaid)
    return Line(
        row=row,
        seeds=seeds,
        answers=answers,
        banned=banned,
        honest_banned=honest_banned,
        found=found,
        verdict=found.verdict,
        seconds=round(time.monotonic() - begun_s, 1),
    )


HEADER = (
    "strategy           wrong of     wrong   bans  rewards a CPU second:                          beside honesty,"
    "          lost by a  verdict\n"
    "                   its answers  said          honest                 these                   95 % bounds"
    "              wrong one"
)


def text_of(line: Line) -> str:
    """A line of the table."""
    found, row = line.found, line.row
    assert found.ill is not None
    assert found.beside_honest is not None
    lost = "-" if found.lost_per_wrong is None else f"{found.lost_per_wrong:.2f}"
    return (
        f"{row.name:18} {row.rate_ppm / 1e4:9.0f} % {found.ill.wrong:9,d} {line.banned:5d}  "
        f"{_text(found.honest.rewards_per_cpu_s):22} {_text(found.ill.rewards_per_cpu_s):23} "
        f"{_text(found.beside_honest, 3):24} {lost:>8}  {line.verdict}"
    )


def _text(rate: Rate, places: int = 2) -> str:
    return f"{rate.figure:.{places}f} ({rate.lower95:.{places}f}-{rate.upper95:.{places}f})"


def main() -> int:
    """Print the table, misses included; status 1 where a strategy of ill will earns more than honesty."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="every row; those of lazy nodes, if left out")
    parser.add_argument("--strategy", type=Strategy, action="append", help="only rows of this one; may be repeated")
    parser.add_argument("--seconds", type=int, help="that count, of each run; the scenario's own if left out")
    parser.add_argument("--seed", type=int, action="append", help="may be repeated: machines of all runs are one group")
    parser.add_argument("--json", action="store_true", help="one JSON object a line, in place of the table")
    options = parser.parse_args()
    if not options.json:
        print(HEADER, flush=True)
    is_met = True
    for row in ROWS:
        if not options.all and row.strategy not in (options.strategy or SHORT):
            continue
        line = weigh(row, seeds=options.seed or [1], seconds=options.seconds)
        is_met = is_met and line.verdict != "ABOVE honesty"
        print(msgspec.json.encode(line).decode() if options.json else text_of(line), flush=True)
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
