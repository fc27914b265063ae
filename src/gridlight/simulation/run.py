"""Runs one scenario with one seed, and says with which line to repeat it."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from gridlight.simulation.demands import CheckFailed
from gridlight.simulation.report import Instruments, Report, make_report
from gridlight.simulation.scenario import load_scenario
from gridlight.simulation.world import Listener, World


class SimulationFailed(Exception):
    """A check failed, or the core's own assertions did; `command` repeats it."""

    def __init__(self, detail: str, command: str) -> None:
        super().__init__(detail)
        self.command = command


def run_scenario(
    path: Path, *, seed: int | None, instruments: Instruments, listen: Listener, overrides: Sequence[str] = ()
) -> Report:
    """The run's report; SimulationFailed where a promise was broken, BadScenario where the file is none."""
    scenario = load_scenario(path, overrides)
    chosen = scenario.seed if seed is None else seed
    options = [part for override in overrides for part in ("--set", override)]
    command = shlex.join(["gridlight", "simulate", str(path), "--seed", str(chosen), *options])
    world = World(scenario, chosen)
    try:
        world.warm(listen)
        begun_ms = instruments.clock_ms()
        world.run_measured(listen)
    except CheckFailed as failure:
        at_s = (world.timeline.now_ms - world.measured_from_ms) / 1_000
        raise SimulationFailed(f"a check failed {at_s:.3f} s into the run: {failure}", command) from failure
    except AssertionError as failure:
        raise SimulationFailed(f"an assertion failed: {failure!r}", command) from failure
    wall_ms = instruments.clock_ms() - begun_ms
    return make_report(world, name=path.stem, command=command, wall_ms=wall_ms, instruments=instruments)
