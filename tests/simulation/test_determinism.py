"""One seed is one run: twice in a row, under any order of sets, and with model nodes or full ones."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.simulation.running import ends, hostile, ran, small

from gridlight.simulation.minds import FullMinds, ModelMinds

ROOT = Path(__file__).resolve().parents[2]

SCENARIO = """
description = "A network that is over in a moment."
seconds = 30
[demand]
tasks_per_second = 5
public_ppm = 500_000
arbitrated_ppm = 50_000
[nodes]
count = 60
fault_ppm = 10_000
[fleet]
age_min = 0
age_max = 40
newcomers_ppm = 100_000
[trust]
profile = "laptop"
[adversary]
fraction_ppm = 100_000
rate_ppm = 300_000
[faults]
coordinator_crashes = 1
partitions = 1
"""


def digest_under(hash_seed: int, path: Path) -> str:
    environment = os.environ | {"PYTHONHASHSEED": str(hash_seed)}
    command = [sys.executable, "-m", "gridlight", "simulate", str(path), "--seed", "11"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout.strip().splitlines()[-1]


def test_one_seed_is_one_run_whatever_the_hash_seed(tmp_path: Path) -> None:
    path = tmp_path / "moment.toml"
    path.write_text(SCENARIO)

    first = digest_under(1, path)

    assert first.startswith("trace digest")
    assert len(first.split()[-1]) == 64
    assert first == digest_under(2, path)


def test_another_seed_is_another_run() -> None:
    scenario = small(seconds=10)

    assert ran(scenario, 1).host.trace_digest == ran(scenario, 1).host.trace_digest
    assert ran(scenario, 1).host.trace_digest != ran(scenario, 2).host.trace_digest


def test_nodes_of_ill_will_are_the_same_as_models_and_as_full_nodes() -> None:
    scenario = hostile(seconds=10)
    full_scenario = replace(scenario, nodes=replace(scenario.nodes, are_full=True))

    model, full = ran(scenario, 1), ran(full_scenario, 1)

    assert model.truth.banned > 0
    assert full.host.trace_digest == model.host.trace_digest


def test_a_crash_at_any_event_leaves_the_same_state() -> None:
    scenario = replace(hostile(seconds=6), checks=replace(hostile().checks, replay_each=1))

    world = ran(scenario, 2)

    assert world.truth.disputed > 0
    assert world.host.replays > 400


@pytest.mark.parametrize("seed", [1, 2])
def test_model_nodes_and_full_nodes_are_the_same_to_the_core(seed: int) -> None:
    model, full = ran(small(), seed), ran(small(are_full=True), seed)

    assert isinstance(model.minds, ModelMinds)
    assert isinstance(full.minds, FullMinds)
    assert full.measures.done > 50
    assert ends(full) == ends(model)
    assert full.host.trace_digest == model.host.trace_digest
