"""What an event costs the core, its host and its simulated nodes, with 1,000 nodes and with 421,000.

Both worlds stand side by side and take turns, since this machine's speed drifts: the growth is the median of the
pairs. Offers and enrolments at the start are not counted. Selection is timed in stretches of its own.
"""

import argparse
import gc
import json
import os
import resource
import statistics
import sys
from pathlib import Path
from time import process_time_ns, thread_time_ns
from typing import Any

from msgspec.structs import replace

from benchmarks.machine import random_read_ns
from gridlight.core.pools import Pool
from gridlight.simulation.scenario import load_scenario
from gridlight.simulation.world import World

SCENARIO = Path(__file__).resolve().parent.parent / "scenarios" / "full_421k.toml"
TASKS_PER_SECOND = {1_000: 200, 421_000: 1_000}
"""The same a node as the growth is asked for, and what is asked of the whole network."""

TARGETS = {
    "growth": ("at most", 2.0),
    "events_per_s_421000": ("at least", 15_000),
    "choose_us_p99": ("at most", 500),
    "choose_us_max": ("at most", 10_000),
    "rss_mib": ("at most", 1_024),
}


def quiet(_stage: str, _done: int, _total: int) -> None:
    """Nobody watches."""


def make_world(nodes: int) -> World:
    """The full scenario with so many nodes, all of them come."""
    scenario = load_scenario(SCENARIO)
    demand = replace(scenario.demand, tasks_per_second=TASKS_PER_SECOND[nodes])
    # Nodes that vanish come back soon: else most of the thousand, which work far more often, would be away.
    churn = replace(scenario.churn, away_ms=5_000)
    changed = replace(scenario, nodes=replace(scenario.nodes, count=nodes), demand=demand, churn=churn, warm_seconds=10)
    world = World(changed, seed=1)
    world.warm(quiet)
    return world


def stretch(world: World, events: int) -> float:
    """Microseconds of CPU an event, over so many events or a little more."""
    begun_events, begun_ns = world.host.events, process_time_ns()
    while world.host.events - begun_events < events:
        world.run_until(world.timeline.now_ms + 1_000, "", quiet)
    return (process_time_ns() - begun_ns) / 1_000 / (world.host.events - begun_events)


def time_selection(world: World, events: int) -> list[int]:
    """Nanoseconds of CPU of each choice of a node. What the collector adds in a coordinator is in `benchmarks.core`."""
    kept, taken_ns = Pool.choose, []

    def timed(*arguments: Any, **options: Any) -> int | None:
        begun_ns = thread_time_ns()
        node = kept(*arguments, **options)
        taken_ns.append(thread_time_ns() - begun_ns)
        return node

    Pool.choose = timed  # type: ignore[method-assign]  # for this stretch alone
    try:
        stretch(world, events)
    finally:
        Pool.choose = kept  # type: ignore[method-assign]
    return sorted(taken_ns)


def measure(pairs: int, events: int) -> dict[str, float]:
    """All figures."""
    small, large = make_world(1_000), make_world(421_000)
    gc.freeze()
    gc.disable()
    small_us, large_us = [], []
    for number in range(pairs):
        small_us.append(stretch(small, events))
        large_us.append(stretch(large, events))
        print(f"pair {number + 1}: {small_us[-1]:.1f} and {large_us[-1]:.1f} us an event", file=sys.stderr)
    chosen_ns = time_selection(large, events)
    return {
        "us_per_event_1000": statistics.median(small_us),
        "us_per_event_421000": statistics.median(large_us),
        "events_per_s_421000": 1e6 / statistics.median(large_us),
        "growth": statistics.median(b / a for a, b in zip(small_us, large_us, strict=True)),
        "choose_us_p50": chosen_ns[len(chosen_ns) // 2] / 1_000,
        "choose_us_p99": chosen_ns[len(chosen_ns) * 99 // 100] / 1_000,
        "choose_us_max": chosen_ns[-1] / 1_000,
        "random_read_ns": random_read_ns(),
        "rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024,
    }


def main() -> None:
    """Print the figures as lines and one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--events", type=int, default=100_000, help="of each stretch")
    options = parser.parse_args()
    figures = measure(options.pairs, options.events)
    for key, value in figures.items():
        target = f"   (target {TARGETS[key][0]} {TARGETS[key][1]:g})" if key in TARGETS else ""
        print(f"{key:24} {value:12.2f}{target}")
    print(json.dumps({"figures": figures, "cores": os.cpu_count(), "load": os.getloadavg()}))


if __name__ == "__main__":
    main()
