"""What an event costs the core, and with it the whole simulated network, from 1,000 nodes to 421,000, and how it grows.

The worlds stand side by side and take turns, since this machine's speed drifts: growth is the median, over the rounds,
of a world's time to that of the smallest in the same round. Offers and enrolments at the start are not counted.
Verification and the trace are on; the account that looks over the core's shoulder is not the core's work, and is off.
Selection, and the core and its trace alone, are timed in stretches of their own. The growth is drawn in
build/bench/growth.svg and growth.png.
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
from unittest.mock import patch

from msgspec.structs import replace

from benchmarks.machine import random_read_ns
from gridlight.core.pools import Pool
from gridlight.messages.codec import Effect, Event
from gridlight.simulation.host import Host
from gridlight.simulation.scenario import load_scenario
from gridlight.simulation.world import World

SCENARIO = Path(__file__).resolve().parent.parent / "scenarios" / "full_421k.toml"
TASKS_PER_SECOND = {421_000: 1_000, 1_000: 200, 10_000: 500, 100_000: 1_000}
"""Of each world, the whole network first, so that the memory it needs is known before others stand beside it."""

SMALLEST, LARGEST = min(TASKS_PER_SECOND), max(TASKS_PER_SECOND)
PICTURES = Path("build/bench")

TARGETS: dict[str, tuple[str, float]] = {
    "growth": ("at most", 2.0),
    "core_events_per_s_421000": ("at least", 15_000),
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
    changed = replace(
        scenario,
        nodes=replace(scenario.nodes, count=nodes),
        demand=demand,
        churn=churn,
        warm_seconds=10,
        checks=replace(scenario.checks, account=False),
    )
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

    with patch.object(Pool, "choose", timed):
        stretch(world, events)
    return sorted(taken_ns)


def core_events_per_s(world: World, events: int) -> float:
    """Events that the core handles in a second of CPU, its record encoded and its effects traced."""
    kept, taken_ns = Host.process, 0

    def timed(self: Host, now_ms: int, events: list[Event]) -> list[Effect]:
        nonlocal taken_ns
        begun_ns = thread_time_ns()
        effects = kept(self, now_ms, events)
        taken_ns += thread_time_ns() - begun_ns
        return effects

    begun_events = world.host.events
    with patch.object(Host, "process", timed):
        stretch(world, events)
    return (world.host.events - begun_events) * 1e9 / taken_ns


def rss_mib() -> float:
    """The most that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024


def take_turns(worlds: dict[int, World], rounds: int, events: int) -> dict[int, list[float]]:
    """Microseconds an event of each world, round by round."""
    taken_us: dict[int, list[float]] = {nodes: [] for nodes in sorted(worlds)}
    for number in range(rounds):
        for nodes, taken in taken_us.items():
            taken.append(stretch(worlds[nodes], events))
        said = ", ".join(f"{nodes:,} nodes {taken[-1]:.1f}" for nodes, taken in taken_us.items())
        print(f"round {number + 1} of {rounds}, us an event: {said}", file=sys.stderr)
    return taken_us


def growths(taken_us: dict[int, list[float]]) -> dict[int, list[float]]:
    """Of each world in each round, to the smallest world's in that round."""
    return {
        nodes: [mine / least for mine, least in zip(taken, taken_us[SMALLEST], strict=True)]
        for nodes, taken in taken_us.items()
    }


def draw(grown: dict[int, list[float]]) -> None:
    """Every round as a dot, the medians as a line."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.2, 3.4), layout="constrained")
    axes = figure.add_subplot()
    for nodes, ratios in grown.items():
        axes.plot([nodes] * len(ratios), ratios, "o", color="tab:blue", alpha=0.4)
    axes.plot(list(grown), [statistics.median(ratios) for ratios in grown.values()], color="tab:blue")
    axes.axhline(TARGETS["growth"][1], color="tab:red", linestyle="--", label="at most")
    axes.set_xscale("log")
    axes.set_xticks(list(grown), [f"{nodes:,}" for nodes in grown])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_xlabel("nodes")
    axes.set_ylabel(f"time an event, of {SMALLEST:,} nodes'")
    axes.set_title("Growth of the time an event takes the simulated network", fontsize="medium")
    axes.legend(loc="lower right", frameon=False)
    PICTURES.mkdir(parents=True, exist_ok=True)
    for kind in ("svg", "png"):
        figure.savefig(PICTURES / f"growth.{kind}", dpi=150)


def measure(rounds: int, events: int) -> dict[str, float]:
    """All figures."""
    worlds = {LARGEST: make_world(LARGEST)}
    stretch(worlds[LARGEST], events)
    rss_of_largest = rss_mib()
    worlds |= {nodes: make_world(nodes) for nodes in TASKS_PER_SECOND if nodes != LARGEST}
    gc.freeze()
    gc.disable()
    taken_us = take_turns(worlds, rounds, events)
    grown = growths(taken_us)
    draw(grown)
    chosen_ns = time_selection(worlds[LARGEST], events)
    return {
        **{f"us_per_event_{nodes}": statistics.median(taken) for nodes, taken in taken_us.items()},
        "core_events_per_s_421000": core_events_per_s(worlds[LARGEST], events),
        "events_per_s_421000": 1e6 / statistics.median(taken_us[LARGEST]),
        "growth": statistics.median(grown[LARGEST]),
        "choose_us_p50": chosen_ns[len(chosen_ns) // 2] / 1_000,
        "choose_us_p99": chosen_ns[len(chosen_ns) * 99 // 100] / 1_000,
        "choose_us_max": chosen_ns[-1] / 1_000,
        "random_read_ns": random_read_ns(),
        "rss_mib": rss_of_largest,
    }


def main() -> None:
    """Print the figures as lines and one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--events", type=int, default=100_000, help="of each stretch")
    options = parser.parse_args()
    figures = measure(options.rounds, options.events)
    for key, value in figures.items():
        target = f"   (target {TARGETS[key][0]} {TARGETS[key][1]:g})" if key in TARGETS else ""
        print(f"{key:24} {value:12.2f}{target}")
    print(json.dumps({"figures": figures, "cores": os.cpu_count(), "load": os.getloadavg()}))


if __name__ == "__main__":
    main()
