"""The network beside the bare loop: what a detection costs when it goes through all of Gridlight.

`python -m benchmarks.network [--seconds 8] [--rounds 3] [--verify none] [--out FILE]`. The bare loop decodes the same
photo and runs the same model in 1 or 2 processes, with nothing between; the network does it with as many nodes. Both
run in turn, second by second, on the same machine, so that ratios hold where seconds do not. Callers are outside the
figures, and so are the moments in which the network's queues fill and empty.
Nothing is checked unless `--verify sampled` asks for it: what checks cost is tasks that are run again, above all while
nodes are young.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.callers import Load, call_for
from benchmarks.processes import BareLoop, LiveNetwork
from gridlight.services.setup import ensure_photos, ensure_weights

CALLERS_PER_NODE = 4
STRETCH_S = 1.0
"""So long the bare loop and the network each run before it is the other's turn. What a second of CPU is worth drifts by
a tenth within half a minute on shared machines; both sides have their part of it.
"""
TARGETS = {
    "throughput_ratio_1": (0.85, "at least"),
    "throughput_ratio_2": (0.85, "at least"),
    "gateway_cpu_ms": (2.5, "at most"),
    "overhead_cpu_ms": (6.0, "at most"),
    "agent_rss_mib": (50.0, "at most"),
}


def one_round(photo: Path, nodes: int, seconds: float, verify: str) -> dict[str, Any]:
    """The bare loop and the network with as many nodes in turn, then the network with one caller."""
    picture = photo.read_bytes()
    edges: list[dict[str, float]] = []
    load = Load()
    with (
        BareLoop(photo, nodes) as bare,
        tempfile.TemporaryDirectory(prefix="gridlight-bench-") as folder,
        LiveNetwork(Path(folder), nodes) as network,
    ):

        def call(callers: int, stretch_s: float) -> Load:
            """Calls, and the network's CPU at both ends of them."""
            return asyncio.run(
                call_for(
                    network.url,
                    picture,
                    callers=callers,
                    seconds=stretch_s,
                    verify=verify,
                    on_edge=lambda: edges.append(network.cpu_s()),
                )
            )

        call(CALLERS_PER_NODE * nodes, STRETCH_S)
        edges.clear()
        for _ in range(max(1, round(seconds / STRETCH_S))):
            bare.run(STRETCH_S)
            load.add(call(CALLERS_PER_NODE * nodes, STRETCH_S))
        spent = spent_ms(edges, load.answered)
        single = call(1, seconds / 2)
        raw = bare.figures()
        return {
            "raw": raw,
            "tasks_per_s": load.answered / load.seconds,
            "ratio": load.answered / load.seconds / raw["tasks_per_s"],
            "failed": load.failed,
            "cpu_ms": spent,
            "gateway_cpu_ms": spent["gateway"],
            "overhead_cpu_ms": sum(spent.values()) - raw["cpu_ms"],
            "p50_ms": single.quantile_ms(0.5),
            "p99_ms": single.quantile_ms(0.99),
            "agent_rss_mib": network.rss_mib("agent"),
        }


def spent_ms(edges: list[dict[str, float]], tasks: int) -> dict[str, float]:
    """CPU of each role a task, from seconds of CPU so far as stretches began and ended, in turn."""
    stretches = list(zip(edges[::2], edges[1::2], strict=True))
    return {role: sum(end[role] - begin[role] for begin, end in stretches) * 1e3 / tasks for role in edges[0]}


def median_of(rounds: list[dict[str, Any]], key: str) -> float:
    """Medians stand against a machine whose speed drifts."""
    return float(statistics.median(one[key] for one in rounds))


def summary(by_nodes: dict[int, list[dict[str, Any]]]) -> dict[str, float]:
    """The figures that have targets, and those beside them."""
    figures = {f"throughput_ratio_{nodes}": median_of(rounds, "ratio") for nodes, rounds in by_nodes.items()}
    most = by_nodes[max(by_nodes)]
    for key in ("gateway_cpu_ms", "overhead_cpu_ms", "p50_ms", "p99_ms", "agent_rss_mib"):
        figures[key] = median_of(most, key)
    figures["raw_p50_ms"] = statistics.median(one["raw"]["p50_ms"] for one in by_nodes[min(by_nodes)])
    figures["raw_cpu_ms"] = statistics.median(one["raw"]["cpu_ms"] for one in most)
    return figures


def main() -> None:
    """Print progress to stderr, the figures as lines and one JSON object to stdout."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each measured stretch")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--verify", choices=("none", "sampled"), default="none")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    ensure_weights(lambda message: print(message, file=sys.stderr))
    photo = next(path for path in ensure_photos(lambda _: None) if path.name == "bus.jpg")
    by_nodes: dict[int, list[dict[str, Any]]] = {nodes: [] for nodes in options.nodes}
    for number in range(options.rounds):
        for nodes, rounds in by_nodes.items():
            rounds.append(one_round(photo, nodes, options.seconds, options.verify))
            print(f"round {number + 1} of {options.rounds}, {nodes} nodes: {json.dumps(rounds[-1])}", file=sys.stderr)
    figures = summary(by_nodes)
    for key, value in figures.items():
        target = f"   (target {TARGETS[key][1]} {TARGETS[key][0]})" if key in TARGETS else ""
        print(f"{key:24} {value:8.2f}{target}")
    result = {"figures": figures, "rounds": by_nodes, "cores": os.cpu_count(), "load": os.getloadavg()}
    print(json.dumps(result))
    if options.out:
        options.out.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
