"""What each backend costs beside the bare loop: the model's run by a call to a worker, and a worker's cold start.

The bare loop and every backend take turns, run by run, so that ratios hold where milliseconds do not.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from gridlight.adapters.blobs import Blobs, cache_folder
from gridlight.adapters.sandbox.engines import STRONGEST_FIRST, Chosen, choose
from gridlight.adapters.sandbox.port import ENVIRONMENT, EngineUnavailable, Limits, Worker, WorkerSpec
from gridlight.messages.frames import FrameHeader
from gridlight.services.setup import ensure_weights
from gridlight.workloads.contract import catalogue

READY_S = 60.0
Once = Callable[[], Awaitable[object]]


async def in_turn(ways: dict[str, Once], seconds: float) -> dict[str, list[float]]:
    """How long each way took, one run of each after the other for that long; what slows the machine slows all."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for once in ways.values():
        await once()
    ends = time.perf_counter() + seconds
    while time.perf_counter() < ends:
        for name, once in ways.items():
            started = time.perf_counter()
            await once()
            taken[name].append((time.perf_counter() - started) * 1e3)
    return taken


def bare(artifact: Path, tensor: bytes) -> Once:
    """The model in this process, set up as in a worker."""
    from gridlight.workloads.detection.run import Detector

    detector = Detector(artifact, next(iter(catalogue().values())).run.parameters)

    async def once() -> None:
        detector.run(memoryview(tensor), 0)

    return once


def called(worker: Worker, tensor: bytes) -> Once:
    """The same by a call."""
    numbers = iter(range(10**9))
    return lambda: worker.call(
        FrameHeader(id=str(next(numbers)), parameters={"probe_seed": 0}), tensor, timeout_s=READY_S
    )


async def opened(folder: Path) -> list[Chosen]:
    """The backends that this machine has."""
    found = []
    for engine in STRONGEST_FIRST:
        try:
            found.append(await choose(engine, owner="benchmark", folder=folder / engine))
        except EngineUnavailable as error:
            print(f"{engine} is left out: {error}", file=sys.stderr)
    return found


async def one_round(engines: list[Chosen], spec: WorkerSpec, tensor: bytes, seconds: float) -> dict[str, Any]:
    """Of the bare loop and each backend how long runs took; and the time from nothing to a ready worker."""
    [artifact] = spec.read_only
    ways = {"bare loop": bare(artifact, tensor)}
    starts: dict[str, float] = {}
    workers: list[Worker] = []
    try:
        for engine in engines:
            name, began = engine.sandbox.name, time.perf_counter()
            workers.append(await engine.sandbox.start(spec, ready_timeout_s=READY_S))
            starts[name] = (time.perf_counter() - began) * 1e3
            ways[name] = called(workers[-1], tensor)
        return {"run_ms": await in_turn(ways, seconds), "start_ms": starts}
    finally:
        for worker in workers:
            await worker.kill()


async def measure(rounds: int, seconds: float) -> dict[str, Any]:
    """All rounds, and what follows from them: ratios of medians and of minimums, and the least that starting took."""
    workload = next(iter(catalogue().values()))
    [digest] = workload.artifacts.values()
    artifact = Blobs(cache_folder() / "blobs").path(digest)
    assert artifact is not None
    spec = WorkerSpec(
        arguments=("run", workload.name, str(artifact)),
        limits=Limits(memory_mib=workload.resources.memory_mib),
        read_only=(artifact,),
    )
    tensor = os.urandom(270_000)
    with tempfile.TemporaryDirectory(prefix="gridlight-bench-") as folder:
        engines = await opened(Path(folder))
        done = [await one_round(engines, spec, tensor, seconds) for _ in range(rounds)]
        for engine in engines:
            await engine.sandbox.close()
    runs = {name: [ms for one in done for ms in one["run_ms"][name]] for name in done[0]["run_ms"]}
    bare_ms = statistics.median(runs["bare loop"])
    figures: dict[str, float] = {"bare_loop_p50_ms": bare_ms, "bare_loop_min_ms": min(runs["bare loop"])}
    for engine in engines:
        name = engine.sandbox.name
        figures[f"{name}_ratio_p50"] = statistics.median(runs[name]) / bare_ms
        figures[f"{name}_ratio_min"] = min(runs[name]) / min(runs["bare loop"])
        figures[f"{name}_start_min_ms"] = min(one["start_ms"][name] for one in done)
        figures[f"{name}_guarantees_missing"] = len(engine.guarantees.missing())
    return {"figures": figures, "runs": len(runs["bare loop"]), "cores": os.cpu_count(), "load": os.getloadavg()}


def main() -> None:
    """Print the figures as lines and one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each round")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    os.environ.update({key: value for key, value in ENVIRONMENT.items() if key not in ("PATH", "LANG")})
    ensure_weights(lambda message: print(message, file=sys.stderr))
    result = asyncio.run(measure(options.rounds, options.seconds))
    for key, value in result["figures"].items():
        print(f"{key:32} {value:9.3f}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
