"""Small worlds for tests, and how to run them."""

from msgspec.structs import replace

from gridlight.simulation.scenario import (
    Adversary,
    Attempts,
    Checks,
    Churn,
    Demand,
    Faults,
    Fleet,
    Kinds,
    Links,
    Nodes,
    Scenario,
    Strategy,
)
from gridlight.simulation.world import World

TRUST: dict[str, str | int | bool] = {"profile": "laptop", "trusted_after": 8, "canary_ppm": 300_000}
"""Answers settle within half a minute, and canaries come round while somebody looks."""


def small(*, are_full: bool = False, nodes: int = 30, seconds: int = 40, faults: Faults | None = None) -> Scenario:
    """Some dozens of tasks, with every kind of node and of fault, and every check after every few events."""
    return Scenario(
        description="A small network to which everything happens.",
        seconds=seconds,
        quiet_seconds=10,
        demand=Demand(
            tasks_per_second=3, unassured_ppm=50_000, audited_ppm=50_000, arbitrated_ppm=50_000, public_ppm=500_000
        ),
        nodes=Nodes(
            count=nodes,
            cpus=(1, 2),
            are_full=are_full,
            kinds=Kinds(slow_ppm=50_000, flaky_ppm=100_000, freezing_ppm=100_000),
            fault_ppm=20_000,
        ),
        fleet=Fleet(age_min=0, age_max=80, newcomers_ppm=100_000),
        trust=TRUST,
        churn=Churn(leave_ppm_per_minute=50_000, away_ms=5_000),
        attempts=Attempts(),
        links=Links(delay_ms=8, delay_spread_permille=800, loss_ppm=200, duplicate_ppm=20_000),
        faults=faults or Faults(coordinator_crashes=1, bus_restarts=1, outages=1, outage_ms=8_000, partitions=1),
        checks=Checks(core_each=50, replay_each=200),
    )


def hostile(strategy: Strategy = Strategy.COLLUDERS, *, seconds: int = 25, rate_ppm: int = 400_000) -> Scenario:
    """Some hundreds of answers, a fifth of the nodes of ill will, and hardly a fault beside."""
    return replace(
        small(nodes=40, seconds=seconds, faults=Faults()),
        demand=Demand(
            tasks_per_second=25, unassured_ppm=50_000, audited_ppm=50_000, arbitrated_ppm=50_000, public_ppm=1_000_000
        ),
        nodes=Nodes(count=40, median_ms=100, fault_ppm=1_000),
        fleet=Fleet(age_min=0, age_max=200, newcomers_ppm=100_000),
        adversary=Adversary(
            strategy=strategy, fraction_ppm=200_000, rate_ppm=rate_ppm, age_max=40, turns_after_seconds=5
        ),
        trust=TRUST | {"canary_delay_ms_max": 2_000, "shadow_ppm": 300_000},
        churn=Churn(),
        attempts=Attempts(vanish_ppm=5_000, stall_ppm=2_000),
        links=Links(),
        checks=Checks(core_each=200, replay_each=0),
    )


def ran(scenario: Scenario, seed: int) -> World:
    """The world after a whole run, at rest."""
    world = World(scenario, seed)
    world.run(lambda _stage, _done, _total: None)
    return world


def ends(world: World) -> tuple[object, ...]:
    """How a run came out, for comparison."""
    measures, core = world.measures, world.host.core
    outcomes = [measures.done, measures.failed_by_code, measures.refused_by_code, measures.unanswered_count]
    return (*outcomes, measures.attempts, bytes(measures.waits), world.host.events_by_type, core.snapshot())
