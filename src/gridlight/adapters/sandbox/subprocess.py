"""A plain child process as sandbox: resource limits, a filter of system calls, a scrubbed environment, its own session.

Enough for first-party code that reads strangers' bytes; never for a stranger's code: it can read what its user can.
"""

import resource
from typing import Final

from gridlight.adapters.sandbox.port import ENVIRONMENT, MIB, EngineUnavailable, Limits, WorkerSpec
from gridlight.adapters.sandbox.runtime import command
from gridlight.adapters.sandbox.seccomp import program
from gridlight.adapters.sandbox.spawning import spawn
from gridlight.adapters.sandbox.worker_process import WorkerProcess


class Subprocess:
    """The backend that needs nothing installed."""

    name: Final = "subprocess"
    walls: Final = frozenset({"memory", "system_calls", "environment"})

    async def start(self, spec: WorkerSpec, *, ready_timeout_s: float) -> WorkerProcess:
        """Start `gridlight.workloads.worker` with these arguments (paths absolute) and wait until it says it is ready.

        WorkerCrashed or WorkerTimeout where it does not. It dies with the thread that called this.
        """
        if spec.image is not None:
            raise EngineUnavailable("a plain child process keeps nobody in; a third party's image needs podman")
        worker = spawn(command(spec.arguments), ENVIRONMENT, filter_program=_filter())
        try:
            _limit(worker.pid, spec.limits)
        except BaseException:
            await worker.kill()
            raise
        await worker.until_ready(ready_timeout_s)
        return worker

    async def close(self) -> None:
        """Nothing is left of a child that was killed."""


def _filter() -> bytes | None:
    """None where there is no libseccomp: a worker is started all the same, and the probe says what it lacks."""
    try:
        return program()
    except EngineUnavailable:
        return None


def _limit(pid: int, limits: Limits) -> None:
    """Bound the child from outside, before it has read a byte of ours."""
    memory_bytes = limits.memory_mib * MIB
    bounds = {
        resource.RLIMIT_AS: memory_bytes,
        resource.RLIMIT_NOFILE: limits.files,
        resource.RLIMIT_NPROC: limits.processes,
        resource.RLIMIT_CORE: 0,
    }
    if limits.cpu_s is not None:
        bounds[resource.RLIMIT_CPU] = limits.cpu_s
    for kind, bound in bounds.items():
        resource.prlimit(pid, kind, (bound, bound))
