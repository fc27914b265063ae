"""Whether the core, simulated, lets as many wrong answers through as the recurrence that its design was derived with.

The recurrence: every trusted node does one task a round and is audited at the rate A over its clean run; an audit goes
to any trusted node and checks both; newcomers do one shadow run a round; colluders have one wrong answer, cover each
other's, are honest until trusted and old enough, and then wrong at a rate; who is caught begins anew at once. Both
columns are of a tenth of the design's lengths (A = 80), with nothing else ever going wrong.
"""

import argparse
import sys
import time
from math import ceil, sqrt
from pathlib import Path

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from gridlight.simulation.scenario import Scenario, load_scenario
from gridlight.simulation.truth import Truth
from gridlight.simulation.world import World

SCENARIO = Path(__file__).resolve().parent.parent / "scenarios" / "oracle.toml"
TRUSTED_AFTER = 80
RATE_MIN = 0.05
AGE_MAX = 8_000
REFERENCES = 3

FRACTIONS_PPM = (10_000, 100_000, 300_000)
ROWS = ((1_000_000, 1_200), (100_000, 1_200), (10_000, 0), (1_000_000, 400), (100_000, 400), (1_000_000, 1_600))
"""Cheating rate and age of the design's rows for single audits without lag."""

TOLERANCE = 0.30
WRONG_MIN = 200
"""Wrong answers accepted, below which a cell says too little."""

ANSWERS_MIN = 200_000


class Cell(Struct, frozen=True):
    """One row of the table at one fraction."""

    fraction_ppm: int
    rate_ppm: int
    turns_at_age: int

    @property
    def age_max(self) -> int:
        """How old colluders are at the start: spread over a cycle, as they will be later."""
        return max(self.turns_at_age, TRUSTED_AFTER)

    @property
    def warm_rounds(self) -> int:
        """Until it no longer matters how it began."""
        return 200 if self.turns_at_age else 800


class Figures(Struct, frozen=True):
    """What came out."""

    wrong: float
    replication: float
    wrong_count: int
    caught: int


SHORT = (Cell(300_000, 1_000_000, 400), Cell(300_000, 100_000, 400))


def expected(cell: Cell, *, nodes: int = 10_000, rounds: int = 4_000, seed: int = 1) -> Figures:
    """The recurrence, for all nodes at once."""
    random = np.random.default_rng(seed)
    is_ill = np.arange(nodes) < nodes * cell.fraction_ppm // 1_000_000
    age = np.where(is_ill, random.integers(0, cell.age_max, nodes), random.integers(0, AGE_MAX, nodes))
    cheating = cell.rate_ppm / 1_000_000
    wrong = answers = runs = caught_total = 0
    for number in range(cell.warm_rounds + rounds):
        is_trusted = age >= TRUSTED_AFTER
        has_turned = is_ill & is_trusted & (age >= cell.turns_at_age)
        cheats = has_turned & (random.random(nodes) < cheating)
        rate = np.clip(TRUSTED_AFTER / np.maximum(age, 1), RATE_MIN, 1.0)
        primary = np.flatnonzero(is_trusted & (random.random(nodes) < rate))
        trusted = np.flatnonzero(is_trusted)
        checker = trusted[random.integers(0, trusted.size, primary.size)]
        is_caught = np.zeros(nodes, bool)
        is_caught[primary[cheats[primary] & ~is_ill[checker]]] = True
        accepted = int(np.count_nonzero(cheats & ~is_caught))
        # Who checks an honest node cannot tell that it does, and cheats as ever.
        betrayed = has_turned[checker] & ~is_ill[primary] & (random.random(primary.size) < cheating)
        is_caught[checker[betrayed]] = True
        if number >= cell.warm_rounds:
            disputes = np.count_nonzero(cheats[primary] & ~is_ill[checker]) + np.count_nonzero(betrayed)
            wrong, answers = wrong + accepted, answers + trusted.size
            runs += int(primary.size + disputes + nodes - trusted.size)
            caught_total += int(np.count_nonzero(is_caught))
        age += 1
        age[is_caught] = 0
    return Figures(wrong / answers, 1 + runs / answers, wrong, caught_total)


def scenario_of(cell: Cell, answers: int, nodes: int | None = None) -> Scenario:
    """The simulated world of a cell, for about so many answers; with so many nodes beside the reference nodes."""
    scenario = load_scenario(SCENARIO)
    if nodes is not None:
        scenario = replace(scenario, nodes=replace(scenario.nodes, count=nodes + REFERENCES))
    nodes, a_second = scenario.nodes.count - REFERENCES, scenario.demand.tasks_per_second
    ill = nodes * cell.fraction_ppm // 1_000_000
    adversary = replace(
        scenario.adversary,
        fraction_ppm=ceil(ill * 1_000_000 / scenario.nodes.count),
        rate_ppm=cell.rate_ppm,
        turns_at_age=cell.turns_at_age,
        age_max=cell.age_max,
    )
    return replace(
        scenario,
        adversary=adversary,
        warm_seconds=ceil(cell.warm_rounds * nodes / a_second),
        seconds=ceil(answers / a_second),
    )


def simulated(cell: Cell, *, answers: int, seed: int = 1, nodes: int | None = None) -> tuple[Figures, Truth]:
    """The same with the real core."""
    world = World(scenario_of(cell, answers, nodes), seed)
    world.run(lambda _stage, _done, _total: None)
    truth = world.truth
    wrong = truth.wrong_accepted / max(truth.finals, 1)
    return Figures(wrong, truth.replication(with_shadows=True), truth.wrong_accepted, truth.banned), truth


def weigh(cell: Cell, *, wrong_aim: int, answers_max: int, seed: int) -> tuple[str, bool]:
    """A line of the table, and whether both figures are within the tolerance."""
    begun_s = time.monotonic()
    ours = expected(cell, nodes=max(10_000, 200_000_000 // cell.fraction_ppm))
    answers = min(max(ceil(wrong_aim / ours.wrong), ANSWERS_MIN), answers_max)
    found, truth = simulated(cell, answers=answers, seed=seed)
    ratio = found.wrong / ours.wrong
    # Wrong answers come in runs that end with a ban: so many runs, each of a random length.
    bound = 1.96 * sqrt(2 / max(found.caught, 1))
    overhead = (found.replication - 1) / (ours.replication - 1)
    is_within = abs(ratio - 1) <= TOLERANCE and abs(overhead - 1) <= TOLERANCE
    word = "too few" if found.wrong_count < WRONG_MIN else "within" if is_within else "MISSED"
    line = (
        f"{cell.fraction_ppm / 1e4:4.0f} {cell.rate_ppm / 1e6:5.2f} {cell.turns_at_age:6d} "
        f"{ours.wrong:9.2e} {found.wrong:9.2e} {ratio:6.2f} +-{bound:4.2f} {found.wrong_count:6d} "
        f"{ours.replication:7.4f} {found.replication:7.4f} {overhead:6.2f} {truth.committed:10,d} "
        f"{truth.honest_banned:3d} {time.monotonic() - begun_s:6.0f}  {word}"
    )
    return line, word != "MISSED"


HEADER = (
    "f, %     s  n_att  wrong:    of the   ratio of both        wrong  runs an answer:      the answers'  answers  "
    "honest\n               recurrence core      with its bound  answers  recurrence core   overhead      core      "
    "banned seconds"
)


def main() -> int:
    """Print the table, misses included; status 1 where there are any."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wrong-aim", type=int, default=300, help="wrong answers wished for in a cell")
    parser.add_argument("--answers-max", type=int, default=6_000_000, help="of a cell, whatever it needs")
    parser.add_argument("--all", action="store_true", help="every row at every fraction; two cells, if left out")
    parser.add_argument("--fraction-ppm", type=int, choices=FRACTIONS_PPM, action="append")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(HEADER, flush=True)
    is_met = True
    fractions = options.fraction_ppm or FRACTIONS_PPM[::-1]
    every = [Cell(fraction_ppm, rate_ppm, age) for fraction_ppm in fractions for rate_ppm, age in ROWS]
    for cell in every if options.all or options.fraction_ppm else SHORT:
        line, is_within = weigh(cell, wrong_aim=options.wrong_aim, answers_max=options.answers_max, seed=options.seed)
        is_met = is_met and is_within
        print(line, flush=True)
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
