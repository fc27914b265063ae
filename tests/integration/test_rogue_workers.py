"""Workers that misbehave, against an agent's real keeping of workers: each costs one task, and the next one is done."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.integration.engines import containers, image, opened, require, said_in_shell
from tests.integration.test_sandboxes import is_all_gone

from gridlight.adapters.blobs import Blobs, cache_folder
from gridlight.adapters.sandbox.port import Limits, Sandbox, Worker, WorkerSpec
from gridlight.adapters.signatures import blake3_digest
from gridlight.core.agent import AgentEvent, RunFailed, RunFinished, WorkerLost, WorkerReady
from gridlight.messages.frames import FrameHeader
from gridlight.messages.ids import AssignmentId, WorkloadId
from gridlight.messages.tasks import Assignment, FailureCode
from gridlight.services.agent.turns import Turns
from gridlight.services.agent.workers import Workers, own_program
from gridlight.services.setup import ensure_weights
from gridlight.workloads.contract import catalogue

pytestmark = pytest.mark.xdist_group("engines")

TENSOR = bytes(270_000)
WAIT_S = 30.0

SAYS_READY = said_in_shell(FrameHeader(id="ready", parameters={"benchmark_ms": 20}))
HEARS = "head -c 1 <&3 >/dev/null; "
SAYS_JUNK = said_in_shell(FrameHeader(id="a1", parameters={"probes": "many"}))
ROGUES = {
    "crashes": (f"{SAYS_READY} {HEARS} kill -9 $$", FailureCode.WORKER_CRASHED),
    "ends": (f"{SAYS_READY} {HEARS} exit 3", FailureCode.WORKER_CRASHED),
    "hangs": (f"{SAYS_READY} while :; do :; done", FailureCode.WORKER_TIMEOUT),
    "leaks": (f"{SAYS_READY} {HEARS} x=0123456789abcdef; while :; do x=$x$x; done", FailureCode.WORKER_CRASHED),
    "answers what is no frame": (f"{SAYS_READY} {HEARS} yes >&3", FailureCode.WORKER_CRASHED),
    "answers junk in a frame": (f"{SAYS_READY} {HEARS} {SAYS_JUNK} sleep 9", FailureCode.WORKER_ERROR),
    "floods its socket with zeros": (f"{SAYS_READY} {HEARS} cat /dev/zero >&3", FailureCode.WORKER_CRASHED),
    "floods its standard error": (f"{SAYS_READY} {HEARS} yes >&2", FailureCode.WORKER_CRASHED),
}


class RogueFirst:
    """A backend whose first worker is a stranger's program; those after it are what was asked for."""

    def __init__(self, sandbox: Sandbox, rogue: WorkerSpec) -> None:
        self.name = sandbox.name
        self.walls = sandbox.walls
        self._sandbox = sandbox
        self._rogues = [rogue]

    async def start(self, spec: WorkerSpec, *, ready_timeout_s: float) -> Worker:
        return await self._sandbox.start(self._rogues.pop() if self._rogues else spec, ready_timeout_s=ready_timeout_s)

    async def close(self) -> None:
        await self._sandbox.close()


class Told:
    """What the node's machine is told, in order."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[AgentEvent] = asyncio.Queue()

    async def next(self) -> AgentEvent:
        async with asyncio.timeout(WAIT_S):
            return await self.events.get()


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    require("bubblewrap")
    with image("bubblewrap", tmp_path_factory.mktemp("image")) as reference:
        yield reference


@asynccontextmanager
async def workers_of(sandbox: Sandbox) -> AsyncIterator[tuple[Workers, WorkloadId, Told]]:
    """An agent's one worker and its successors."""
    ensure_weights(lambda _: None)
    workload, manifest = next(iter(catalogue().items()))
    [(name, digest)] = manifest.artifacts.items()
    artifact = Blobs(cache_folder() / "blobs").path(digest)
    assert artifact is not None
    told = Told()
    workers = Workers(
        workload,
        own_program(workload, manifest, {name: artifact}),
        sandbox=sandbox,
        turns=Turns(1),
        slots=1,
        tell=told.events.put_nowait,
        is_wanted=lambda _: True,
        cpu_limit_percent=lambda: 100,
    )
    workers.allow(1)
    keeping = asyncio.ensure_future(workers.keep())
    try:
        yield workers, workload, told
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await workers.kill()


def assignment(workload: WorkloadId, name: str) -> Assignment:
    return Assignment(
        assignment_id=AssignmentId(name),
        workload=workload,
        deadline_ms=1_000,
        input_digest=blake3_digest(TENSOR),
        input_bytes=len(TENSOR),
        probe_seed=7,
    )


@pytest.mark.parametrize("misbehaviour", ROGUES)
async def test_a_worker_that_misbehaves_costs_one_task(misbehaviour: str, stranger: str, tmp_path: Path) -> None:
    script, code = ROGUES[misbehaviour]
    rogue = WorkerSpec(arguments=("/bin/sh", "-c", script), limits=Limits(memory_mib=64), image=stranger)
    async with opened("bubblewrap", tmp_path) as sandbox, workers_of(RogueFirst(sandbox, rogue)) as keeping:
        workers, workload, told = keeping
        assert await told.next() == WorkerReady(workload, 20)

        await workers.run(assignment(workload, "a1"), TENSOR)

        said = [await told.next(), await told.next()]
        assert RunFailed(AssignmentId("a1"), code) in said
        assert WorkerLost(workload) in said
        assert isinstance(await told.next(), WorkerReady)
        await workers.run(assignment(workload, "a2"), TENSOR)
        assert isinstance(await told.next(), RunFinished)
    assert await is_all_gone()


async def test_a_worker_that_is_no_worker_is_passed_over(stranger: str, tmp_path: Path) -> None:
    script = f"{said_in_shell(FrameHeader(id='ready'))} sleep 9"
    rogue = WorkerSpec(arguments=("/bin/sh", "-c", script), limits=Limits(memory_mib=64), image=stranger)
    async with opened("bubblewrap", tmp_path) as sandbox, workers_of(RogueFirst(sandbox, rogue)) as keeping:
        _, workload, told = keeping

        ready = await told.next()

        assert isinstance(ready, WorkerReady), "it said nothing of a benchmark, and the next one did"
        assert ready.workload == workload


async def test_a_container_is_done_with_as_a_child_is(tmp_path: Path) -> None:
    async with opened("podman", tmp_path) as sandbox, workers_of(sandbox) as keeping:
        workers, workload, told = keeping
        assert isinstance(await told.next(), WorkerReady)
        await workers.run(assignment(workload, "a1"), TENSOR)
        assert isinstance(await told.next(), RunFinished)
        [name] = await containers()
        process = await asyncio.create_subprocess_exec("podman", "kill", name, stdout=asyncio.subprocess.DEVNULL)
        await process.wait()

        assert await told.next() == WorkerLost(workload)
        assert isinstance(await told.next(), WorkerReady)
        [another] = await containers()
        assert another != name
