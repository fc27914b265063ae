"""The workers of one workload: one process a slot, started again when it dies, and given one assignment at a time.

There are only as many as the operator allows just now. Those too many are killed rather than frozen: it ends their use
of CPU as soon, gives their memory back as well, and works alike however they are confined. `own_program` and
`image_program` are the places that say what a manifest's `run` starts.
"""

import asyncio
from collections.abc import Callable, Mapping
from math import ceil
from pathlib import Path
from typing import Final

import structlog

from gridlight.adapters.clock import monotonic_ms
from gridlight.adapters.sandbox.images import UnpackedRoot
from gridlight.adapters.sandbox.port import (
    EngineUnavailable,
    Limits,
    Sandbox,
    Worker,
    WorkerCrashed,
    WorkerRefused,
    WorkerSpec,
    WorkerTimeout,
)
from gridlight.adapters.signatures import blake3_digest
from gridlight.core.agent import AgentEvent, RunFailed, RunFinished, WorkerLost, WorkerReady
from gridlight.core.owner import rest_ms
from gridlight.messages.frames import FrameHeader
from gridlight.messages.ids import AssignmentId, WorkloadId
from gridlight.messages.tasks import Assignment, FailureCode
from gridlight.services.agent.turns import Turns
from gridlight.services.agent.worker_answers import JunkAnswer, readiness, run_answer
from gridlight.workloads.contract import Manifest

_READY_TIMEOUT_S: Final = 60.0
_RESTART_S: Final = (0.1, 0.5, 2.0, 10.0)
_HEALTHY_S: Final = 30.0
_HANGING_MS: Final = 2_000
"""A run that is past its deadline and took longer than this hangs. One that is merely late costs no worker's life."""

_log = structlog.get_logger()


_IMAGE_PROCESSES: Final = 32
"""Processes and threads of a program whose libraries we do not know."""

_TEMPORARY_MIB_MIN: Final = 16
"""What the libraries of a program may put into /tmp and /dev/shm, half each, though it asks for no scratch space."""


def own_program(workload: WorkloadId, manifest: Manifest, artifacts: Mapping[str, Path]) -> WorkerSpec:
    """Our own program. A third party's manifest lies among the artifacts, under its own digest."""
    assert manifest.run.name != "image"
    [model] = [artifact.resolve() for artifact in artifacts.values()]
    seen = (model,) if manifest.publisher is None else (model, model.with_name(workload.rpartition(":")[2]))
    return WorkerSpec(
        arguments=("run", manifest.name, *(str(path) for path in seen)),
        limits=Limits(memory_mib=manifest.resources.memory_mib),
        read_only=seen,
    )


def image_program(manifest: Manifest, root: UnpackedRoot) -> WorkerSpec:
    """A third party's program in the root of its image, which holds its artifacts as well."""
    resources = manifest.resources
    return WorkerSpec(
        arguments=root.command,
        limits=Limits(
            memory_mib=resources.memory_mib,
            cpus=resources.cpus,
            processes=_IMAGE_PROCESSES,
            temporary_mib=max(2 * resources.tmp_mib, _TEMPORARY_MIB_MIN),
        ),
        image=str(root.folder),
    )


class Workers:
    """Keeps `slots` workers of one workload running, and tells the machine what comes of them."""

    def __init__(
        self,
        workload: WorkloadId,
        spec: WorkerSpec,
        *,
        sandbox: Sandbox,
        turns: Turns,
        slots: int,
        tell: Callable[[AgentEvent], None],
        is_wanted: Callable[[AssignmentId], bool],
        cpu_limit_percent: Callable[[], int],
    ) -> None:
        self._workload = workload
        self._sandbox = sandbox
        self._spec = spec
        self._turns = turns
        self._cpus = ceil(spec.limits.cpus)
        self._slots = slots
        self._tell = tell
        self._is_wanted = is_wanted
        self._free: asyncio.Queue[Worker] = asyncio.Queue()
        self._allowed = 0
        self._keepers: dict[int, asyncio.Task[None]] = {}
        """Of each slot that may have a worker now."""
        self._up: dict[int, Worker] = {}
        self._busy: set[Worker] = set()
        self._keeping: asyncio.TaskGroup | None = None
        self._cpu_limit_percent = cpu_limit_percent
        """How much of a CPU's time each worker may have now."""

    @property
    def count(self) -> int:
        """How many are up."""
        return len(self._up)

    @property
    def pids(self) -> list[int]:
        """Of those that are up."""
        return [worker.pid for worker in self._up.values()]

    def allow(self, count: int) -> None:
        """So many may be up from now on. With none all end at once, else those at work when they are done."""
        self._allowed = min(count, self._slots)
        if self._keeping is None:
            return
        for index in [index for index in self._keepers if index >= self._allowed]:
            if not self._allowed or self._up.get(index) not in self._busy:
                self._keepers.pop(index).cancel()
        for index in range(self._allowed):
            if index not in self._keepers:
                self._keepers[index] = self._keeping.create_task(self._keep_one(index))

    async def keep(self) -> None:
        """Start as many workers as are allowed, and each that dies again, at work or idle. Never returns."""
        async with asyncio.TaskGroup() as self._keeping:
            self.allow(self._allowed)
            await asyncio.Event().wait()

    async def _keep_one(self, index: int) -> None:
        """One worker after another, with a growing pause where they do not start or do not live long."""
        failures = 0
        while True:
            await asyncio.sleep(_RESTART_S[min(failures, len(_RESTART_S)) - 1] if failures else 0)
            failures += 1
            try:
                worker, benchmark_ms = await self._started()
            except (WorkerCrashed, WorkerTimeout, JunkAnswer, EngineUnavailable, OSError) as error:
                _log.error("a worker does not start", workload=self._workload, error=str(error))
                continue
            ready_ms = monotonic_ms()
            _log.info(
                "a worker is ready",
                workload=self._workload,
                engine=self._sandbox.name,
                pid=worker.pid,
                benchmark_ms=benchmark_ms,
            )
            self._up[index] = worker
            self._free.put_nowait(worker)
            self._tell(WorkerReady(self._workload, benchmark_ms))
            try:
                reason = await worker.ended()
                _log.warning("a worker ended", workload=self._workload, reason=reason)
            finally:  # by itself, or since it may not be up any more
                del self._up[index]
                self._tell(WorkerLost(self._workload))
                await worker.kill()
            if monotonic_ms() - ready_ms > _HEALTHY_S * 1_000:
                failures = 0

    async def _started(self) -> tuple[Worker, int]:
        """A worker, and how long it says that a run takes it. JunkAnswer where it says nothing of the kind."""
        worker = await self._sandbox.start(self._spec, ready_timeout_s=_READY_TIMEOUT_S)
        try:
            return worker, readiness(worker.ready).benchmark_ms
        except JunkAnswer:
            await worker.kill()
            raise

    async def run(self, assignment: Assignment, body: bytes) -> None:
        """Give the input to the next free worker; the machine hears of the result, or why there is none."""
        taken_ms = monotonic_ms()
        worker = await self._take(assignment.deadline_ms)
        if worker is None:
            self._tell(RunFailed(assignment.assignment_id, FailureCode.WORKER_TIMEOUT))
            return
        left_ms = assignment.deadline_ms - (monotonic_ms() - taken_ms)
        outcome: RunFinished | RunFailed = RunFailed(assignment.assignment_id, FailureCode.WORKER_TIMEOUT)
        if await self._turns.take(self._cpus, timeout_s=left_ms / 1_000):
            try:
                outcome = await self._run_now(worker, assignment, body, taken_ms)
            finally:
                self._turns.give_back(self._cpus)
        self._tell(outcome)
        self._give_back(worker, outcome.infer_ms if isinstance(outcome, RunFinished) else 0)

    async def _run_now(
        self, worker: Worker, assignment: Assignment, body: bytes, taken_ms: int
    ) -> RunFinished | RunFailed:
        """Unless nobody wants it any more by now."""
        if not self._is_wanted(assignment.assignment_id):
            return RunFailed(assignment.assignment_id, FailureCode.CANCELLED)
        self._busy.add(worker)
        try:
            return await self._outcome(worker, assignment, body, taken_ms)
        finally:
            self._busy.discard(worker)

    def _give_back(self, worker: Worker, infer_ms: int) -> None:
        """It is free again, after a rest where it may not have a whole CPU; or it is one too many by now."""
        if worker.is_alive:
            if rest := rest_ms(infer_ms, self._cpu_limit_percent()):
                asyncio.get_running_loop().call_later(rest / 1_000, self._free.put_nowait, worker)
            else:
                self._free.put_nowait(worker)
        self.allow(self._allowed)

    async def _take(self, deadline_ms: int) -> Worker | None:
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
        self, worker: Worker, assignment: Assignment, body: bytes, taken_ms: int
    ) -> RunFinished | RunFailed:
        assignment_id = assignment.assignment_id
        header = FrameHeader(id=assignment_id, parameters={"probe_seed": assignment.probe_seed})
        left_ms = assignment.deadline_ms - (monotonic_ms() - taken_ms)
        try:
            answer, output = await worker.call(header, body, timeout_s=max(left_ms, _HANGING_MS) / 1_000)
            said = run_answer(answer, output)
        except JunkAnswer as junk:
            await worker.kill()
            code, reason = FailureCode.WORKER_ERROR, str(junk)
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
                probes=said.probes,
                infer_ms=said.infer_ms,
                run_ms=monotonic_ms() - taken_ms,
            )
        if self._is_wanted(assignment_id):  # and was not handed back
            _log.warning("no result", assignment_id=assignment_id, code=code, reason=reason)
        return RunFailed(assignment_id, code)

    async def kill(self) -> None:
        """End those that are free; those at work end with this process."""
        while not self._free.empty():
            await self._free.get_nowait().kill()
