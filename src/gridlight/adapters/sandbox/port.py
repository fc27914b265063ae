"""What every backend of the sandbox offers: a worker within limits, and proof of what that worker cannot do.

A backend is asked to prove its guarantees by attempts from inside, never by what it says of itself. Work of a third
party runs only where all of those hold that `may_run_third_party` asks for.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

from msgspec import Struct

from gridlight.messages.frames import FrameHeader

MIB: Final = 1024 * 1024

Payload = bytes | bytearray | memoryview

ENVIRONMENT: Final = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "LANG": "C.UTF-8",
    # One slot is one core; and buffers of a picture's size are kept, not given back and faulted in on each call.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(4 * MIB),
    "MALLOC_TRIM_THRESHOLD_": str(8 * MIB),
    # onnxruntime would write an id of the machine to disk and report to its makers.
    "ORT_DISABLE_TELEMETRY": "1",
}
"""All that a worker sees of the environment: nothing of the operator's, no token, no proxy."""


class WorkerCrashed(Exception):
    """The worker ended or broke the protocol; start another."""


class WorkerTimeout(Exception):
    """No answer in time; the worker was killed, since nothing else ends a call."""


class WorkerRefused(Exception):
    """The worker says that this call cannot be done; it is ready for the next one."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.hint = hint


class EngineUnavailable(Exception):
    """A backend cannot be used on this machine; says what is missing, and what to do."""


class Limits(Struct, frozen=True, kw_only=True):
    """What a worker may use. Which of it the kernel enforces is for the backend's guarantees to say."""

    memory_mib: int
    """Where a backend has no memory cgroup, of address space, which is a little more than what is resident."""
    cpus: float = 1.0
    processes: int = 0
    """Beside the first one, threads included; 0 where the worker needs none. A backend may allow a few more."""
    files: int = 64
    temporary_mib: int = 64
    """What may be written, in memory, and gone with the worker."""
    cpu_s: int | None = None
    """Over the worker's whole life; a long-lived worker has none, its calls have deadlines."""


class WorkerSpec(Struct, frozen=True, kw_only=True):
    """A worker to start: a program that answers frames on descriptor 3."""

    arguments: tuple[str, ...]
    """Of `gridlight.workloads.worker`; where an image is named, the whole command inside of it."""
    limits: Limits
    read_only: tuple[Path, ...] = ()
    """Files that it may see, the model: each under its own absolute path, or for an image as `/artifacts/NAME`."""
    image: str | None = None
    """A third party's: the folder of its unpacked root, or a reference that podman holds already."""


class Guarantees(Struct, frozen=True, kw_only=True):
    """What a worker cannot do, each proved by attempts; the attempts are in `workloads.escapes`."""

    network: bool
    """It reaches no address, no name server, and nothing that listens on this machine."""
    files: bool
    """It reads no file of the operator's, and changes none outside of its own temporary ones."""
    others: bool
    """It sees, reads and signals no process but its own."""
    memory: bool
    cpu: bool
    processes: bool
    storage: bool
    """What it writes is bounded."""
    privileges: bool
    """No capability, no other user's id, nothing gained by executing a file, no device, no kernel setting."""
    system_calls: bool
    """The kernel's rarely used doors are shut: namespaces, keys, tracing, mounts, programs in the kernel."""
    environment: bool
    """No variable, open file or terminal of the operator's."""

    def missing(self) -> list[str]:
        """Those that do not hold, by name."""
        return [name for name in self.__struct_fields__ if not getattr(self, name)]


class Findings(Struct, frozen=True, kw_only=True):
    """What an escape probe saw from inside: for each guarantee, each attempt and how it ended."""

    outcomes: dict[str, dict[str, str]]
    """Of those that were blocked: how."""
    escapes: dict[str, dict[str, str]]
    """Of those that succeeded: what was reached. One is enough to lose the guarantee."""
    failure: str = ""
    """Why nothing could be attempted, where that is so."""

    def guarantees(self, walls: frozenset[str]) -> Guarantees:
        """One holds where its wall was put up, it was attempted, and no attempt succeeded.

        Without the wall it may hold by accident: a busy machine has no time to spare for whoever wants too much of it.
        """
        return Guarantees(
            **{
                name: name in walls and bool(self.outcomes.get(name)) and not self.escapes.get(name)
                for name in Guarantees.__struct_fields__
            }
        )


NOTHING_PROVED: Final = Findings(outcomes={}, escapes={})


class ThirdParty(Struct, frozen=True):
    """Whether a stranger's code may run, and which guarantees it lacks where not."""

    is_allowed: bool
    missing: tuple[str, ...]


def may_run_third_party(guarantees: Guarantees) -> ThirdParty:
    """All that there are: a stranger's code is kept in by the weakest wall."""
    missing = tuple(guarantees.missing())
    return ThirdParty(not missing, missing)


class Worker(Protocol):
    """A running worker. `call` may be awaited by many; they take turns."""

    @property
    def pid(self) -> int:
        """The first process of it that this machine sees."""
        ...

    @property
    def ready(self) -> FrameHeader:
        """The worker's first frame; a model's worker says `benchmark_ms` in its parameters."""
        ...

    @property
    def is_alive(self) -> bool:
        """Whether a call may succeed; False from the moment the worker ended, was killed or broke the protocol."""
        ...

    async def ended(self) -> str:
        """Wait until it has ended or broke the protocol, and say how."""
        ...

    async def call(self, header: FrameHeader, body: Payload = b"", *, timeout_s: float) -> tuple[FrameHeader, bytes]:
        """Send one frame and await its answer. WorkerRefused, WorkerTimeout or WorkerCrashed."""
        ...

    async def kill(self) -> None:
        """End all of its processes and forget it; safe to call twice."""
        ...


class Sandbox(Protocol):
    """A backend: one way to keep a worker in."""

    @property
    def name(self) -> str:
        """As the command line says it."""
        ...

    @property
    def walls(self) -> frozenset[str]:
        """The guarantees for which it puts something up here; what that is worth is for the probe to say."""
        ...

    async def start(self, spec: WorkerSpec, *, ready_timeout_s: float) -> Worker:
        """Start a worker and wait until it says it is ready. WorkerCrashed, WorkerTimeout or EngineUnavailable."""
        ...

    async def close(self) -> None:
        """Leave nothing behind of the workers that were started; none of them is used after this."""
        ...


def names(guarantees: Sequence[str]) -> str:
    """Guarantees as a sentence says them."""
    return ", ".join(name.replace("_", " ") for name in guarantees) or "none"
