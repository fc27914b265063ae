"""The workers of one workload: one process a slot, started again when it dies, and given one assignment at a time.

`worker_arguments` is the one place that says what a manifest's `run` starts.
"""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import structlog

from gridlight.adapters.clock import monotonic_ms
from gridlight.adapters.sandbox.subprocess import (
    Limits,
    WorkerCrashed,
    WorkerProcess,
    WorkerRefused,
    WorkerTimeout,
)
from gridlight.adapters.signatures import blake3_digest
from gridlight.core.agent import AgentEvent, RunFailed, RunFinished, WorkerLost, WorkerReady
from gridlight.messages.frames import FrameHeader
from gridlight.messages.ids import AssignmentId, WorkloadId
from gridlight.messages.tasks import Assignment, FailureCode
from gridlight.workloads.contract import Manifest

_READY_TIMEOUT_S: Final = 60.0
_RESTART_S: Final = (0.1, 0.5, 2.0, 10.0)
_HEALTHY_S: Final = 30.0
_HANGING_MS: Final = 2_000
"""A run that is past its deadline and took longer than this hangs. One that is merely late costs no worker's life."""

_log = structlog.get_logger()


def worker_arguments(workload: WorkloadId, manifest: Manifest, artifacts: Mapping[str, Path]) -> tuple[str, ...]:
    """What the worker's program is told. A third party's manifest lies among the artifacts, under its own digest."""
    assert manifest.run.name != "image", "core.consent lets no image run before there is a container for it"
    [artifact] = artifacts.values()
    arguments = ("run", manifest.name, str(artifact.resolve()))
    if manifest.publisher is None:
        return arguments
    return (*arguments, str(artifact.resolve().with_name(workload.rpartition(":")[2])))


class Workers:
    """Keeps `slots` workers of one workload running, and tells the machine what comes of them."""

    def __init__(
        self,
        workload: WorkloadId,
        manifest: Manifest,
        artifacts: Mapping[str, Path],
        *,
        slots: int,
        tell: Callable[[AgentEvent], None],
        is_wanted: Callable[[AssignmentId], bool],
    ) -> None:
        self._workload = workload
        self._arguments = worker_arguments(workload, manifest, artifacts)
        self._limits = Limits(memory_mib=manifest.resources.memory_mib)
        self._slots = slots
        self._tell = tell
        self._is_wanted = is_wanted
        self._free: asyncio.Queue[WorkerProcess] = asyncio.Queue()

    async def keep(self) -> None:
        """Start the workers, and each that dies again, at work or idle. Never returns."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(self._slots):
                tasks.create_task(self._keep_one())

    async def _keep_one(self) -> None:
        """One worker after another, with a growing pause where they do not start or do not live long."""
        failures = 0
        while True:
            await asyncio.sleep(_RESTART_S[min(failures, len(_RESTART_S)) - 1] if failures else 0)
            failures += 1
            try:
                worker = await WorkerProcess.start(
                    self._arguments, limits=self._limits, ready_timeout_s=_READY_TIMEOUT_S
                )
            except (WorkerCrashed, WorkerTimeout, OSError) as error:
                _log.error("a worker does not start", workload=self._workload, error=str(error))
                continue
            ready_ms = monotonic_ms()
            benchmark_ms = int(worker.ready.parameters["benchmark_ms"])
            _log.info("a worker is ready", workload=self._workload, pid=worker.pid, benchmark_ms=benchmark_ms)
            self._free.put_nowait(worker)
            self._tell(WorkerReady(self._workload, benchmark_ms))
            try:
                reason = await worker.ended()
            finally:
                await worker.kill()  # where it is ended from here: revoked, stopped, or the agent leaves
            _log.warning("a worker ended", workload=self._workload, reason=reason)
            self._tell(WorkerLost(self._workload))
            if monotonic_ms() - ready_ms > _HEALTHY_S * 1_000:
                failures = 0

    async def run(self, assignment: Assignment, body: bytes) -> None:
        """Give the input to the next free worker; the machine hears of the result, or why there is none."""
        taken_ms = monotonic_ms()
        worker = await self._take(assignment.deadline_ms)
        if worker is None:
            self._tell(RunFailed(assignment.assignment_id, FailureCode.WORKER_TIMEOUT))
            return
        if self._is_wanted(assignment.assignment_id):
            self._tell(await self._outcome(worker, assignment, body, taken_ms))
        else:
            self._tell(RunFailed(assignment.assignment_id, FailureCode.CANCELLED))
        if worker.is_alive:
            self._free.put_nowait(worker)

    async def _take(self, deadline_ms: int) -> WorkerProcess | None:
        """A free worker, None where there is none by then. Those that died while free are passed over: `keep` starts
        others."""
        try:
            async with asyncio.timeout(deadline_ms / 1_000):
                while not (worker := await self._free.get()).is_alive:
                    pass
        except TimeoutError:
            return None
        return worker

    async def _outcome(
        self, worker: WorkerProcess, assignment: Assignment, body: bytes, taken_ms: int
    ) -> RunFinished | RunFailed:
        assignment_id = assignment.assignment_id
        header = FrameHeader(id=assignment_id, parameters={"probe_seed": assignment.probe_seed})
        left_ms = assignment.deadline_ms - (monotonic_ms() - taken_ms)
        try:
            answer, output = await worker.call(header, body, timeout_s=max(left_ms, _HANGING_MS) / 1_000)
        except WorkerRefused as refused:
            code, reason = FailureCode.WORKER_ERROR, str(refused)
        except WorkerTimeout as timeout:
            code, reason = FailureCode.WORKER_TIMEOUT, str(timeout)
        except WorkerCrashed as crash:
            code, reason = FailureCode.WORKER_CRASHED, str(crash)
        else:
            return RunFinished(
                assignment_id=assignment_id,
                output=output,
                output_digest=blake3_digest(output),
                probes=tuple(answer.parameters["probes"]),
                infer_ms=int(answer.parameters["infer_ms"]),
                run_ms=monotonic_ms() - taken_ms,
            )
        _log.warning("no result", assignment_id=assignment_id, code=code, reason=reason)
        return RunFailed(assignment_id, code)

    async def kill(self) -> None:
        """End those that are free; those at work end with this process."""
        while not self._free.empty():
            await self._free.get_nowait().kill()
