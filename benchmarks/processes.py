"""The processes that are measured: the bare loop's, and a network's by role."""

import json
import multiprocessing
import os
import signal
import statistics
import subprocess
import sys
import time
from contextlib import suppress
from functools import cached_property
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from gridlight.adapters.blobs import Blobs, cache_folder
from gridlight.adapters.bus_server import free_port
from gridlight.adapters.sandbox.port import ENVIRONMENT
from gridlight.core.comparing import is_dithered
from gridlight.workloads.contract import catalogue

READY_S = 60.0


def _loop(photo: Path, connection: Connection) -> None:
    from gridlight.workloads.detection.run import Detector
    from gridlight.workloads.prepare import prepare

    manifest = next(iter(catalogue().values()))
    [digest] = manifest.artifacts.values()
    artifact = Blobs(cache_folder() / "blobs").path(digest)
    assert artifact is not None
    detector = Detector(artifact, manifest.run.parameters, is_dithered=is_dithered(manifest.compare))
    picture = photo.read_bytes()

    def once() -> None:
        detector.run(prepare(manifest.prepare.name, manifest.prepare.parameters, picture).tensor, 0)

    for _ in range(5):
        once()
    connection.send(None)
    while (seconds := connection.recv()) is not None:
        cpu, started, latencies = time.process_time(), time.perf_counter(), []
        while time.perf_counter() - started < seconds:
            sent = time.perf_counter()
            once()
            latencies.append(time.perf_counter() - sent)
        connection.send((time.perf_counter() - started, time.process_time() - cpu, latencies))


class BareLoop:
    """Decodes the photo and runs the model, again and again, in that many processes, each set up as a worker is."""

    def __init__(self, photo: Path, processes: int) -> None:
        self._tasks_per_s: list[float] = []
        """Of each stretch."""
        self._cpu_s = 0.0
        self._latencies_s: list[float] = []
        os.environ.update({key: value for key, value in ENVIRONMENT.items() if key not in ("PATH", "LANG")})
        context = multiprocessing.get_context("spawn")
        self._connections: list[Connection] = []
        self._processes: list[BaseProcess] = []
        for _ in range(processes):
            ours, theirs = context.Pipe()
            process = context.Process(target=_loop, args=(photo, theirs))
            process.start()
            theirs.close()
            self._connections.append(ours)
            self._processes.append(process)

    def __enter__(self) -> Self:
        self._heard(READY_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for connection, process in zip(self._connections, self._processes, strict=True):
            with suppress(OSError):
                connection.send(None)
            process.join(READY_S)

    def run(self, seconds: float) -> None:
        """A stretch, in all processes at once; they stand still before and after."""
        for connection in self._connections:
            connection.send(seconds)
        stretches = self._heard(READY_S + seconds)
        self._tasks_per_s.append(sum(len(latencies) / wall for wall, _, latencies in stretches))
        self._cpu_s += sum(cpu for _, cpu, _ in stretches)
        self._latencies_s += [one for *_, latencies in stretches for one in latencies]

    def figures(self) -> dict[str, float]:
        """Of all stretches together; `cpu_ms` a task."""
        return {
            "tasks_per_s": statistics.fmean(self._tasks_per_s),
            "cpu_ms": self._cpu_s * 1e3 / len(self._latencies_s),
            "p50_ms": statistics.median(self._latencies_s) * 1e3,
        }

    def _heard(self, timeout_s: float) -> list[Any]:
        for connection in self._connections:
            if not connection.poll(timeout_s):
                raise SystemExit(f"a process of the bare loop was silent for {timeout_s:.0f} s")
        return [connection.recv() for connection in self._connections]


class LiveNetwork:
    """`gridlight up` as a child; its processes' CPU and memory by role, their children told apart."""

    def __init__(self, folder: Path, nodes: int) -> None:
        self.url = f"http://127.0.0.1:{free_port('127.0.0.1')}"
        self._folder = folder
        self._nodes = nodes

    def __enter__(self) -> Self:
        address = self.url.removeprefix("http://")
        command = [sys.executable, "-m", "gridlight", "up", "--nodes", str(self._nodes)]
        command += ["--data", str(self._folder), "--http", address]
        self._up = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._up.stdout is not None
        line = self._up.stdout.readline()
        if "ready" not in line:
            raise SystemExit(f"the network did not come up: {line or self._up.wait()}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._up.send_signal(signal.SIGTERM)
        self._up.wait(timeout=30)

    @cached_property
    def _processes(self) -> list[tuple[str, psutil.Process]]:
        """Found once: to look for children takes a hundred times as long as to read what all of them have used."""
        listed = json.loads((self._folder / "network.json").read_text())["processes"]
        found = []
        for entry in listed:
            process = psutil.Process(entry["pid"])
            found.append((entry["role"], process))
            child_role = {"gateway": "picture", "agent": "worker"}.get(entry["role"], entry["role"])
            found += [(child_role, child) for child in process.children(recursive=True)]
        return found

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds so far by role; `worker` and `picture` are the children of agents and gateway."""
        spent: dict[str, float] = {}
        for role, process in self._processes:
            with suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                spent[role] = spent.get(role, 0.0) + times.user + times.system
        return spent

    def rss_mib(self, role: str) -> float:
        """Resident memory of the largest process of a role."""
        return max(process.memory_info().rss for name, process in self._processes if name == role) / 2**20
