"""Real worker processes: what they withstand, and that nothing they do or suffer hangs their parent."""

import asyncio
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvloop
from tests.pictures.making import BAD, GOOD

from gridlight.adapters.sandbox.port import Limits, WorkerCrashed, WorkerRefused, WorkerSpec, WorkerTimeout
from gridlight.adapters.sandbox.subprocess import Subprocess
from gridlight.adapters.sandbox.worker_process import WorkerProcess
from gridlight.messages.frames import FrameHeader, encode_prefix_and_header

LIMITS = Limits(memory_mib=768)
UNASKED = FrameHeader(id="nobody asked")
RESIZE = {"prepare": "resize_rgb_uint8", "parameters": {"width": 300, "height": 300}}


async def started(*arguments: str, limits: Limits = LIMITS, ready_timeout_s: float = 20) -> WorkerProcess:
    return await Subprocess().start(WorkerSpec(arguments=arguments, limits=limits), ready_timeout_s=ready_timeout_s)


@asynccontextmanager
async def worker(*arguments: str, limits: Limits = LIMITS) -> AsyncIterator[WorkerProcess]:
    process = await started(*(arguments or ("prepare",)), limits=limits)
    try:
        yield process
    finally:
        await process.kill()


async def prepared(process: WorkerProcess, picture: bytes, frame_id: str = "1", timeout_s: float = 20) -> bytes:
    _, tensor = await process.call(FrameHeader(id=frame_id, parameters=RESIZE), picture, timeout_s=timeout_s)
    return tensor


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def idle_process() -> int:
    return os.posix_spawn("/bin/sleep", ["sleep", "60"], {})


async def test_every_limit_is_the_kernels() -> None:
    limits = Limits(memory_mib=300, files=20, processes=0, cpu_s=50)
    async with worker("probe", limits=limits) as process:
        for kind, bound in (
            (resource.RLIMIT_AS, 300 * 1024 * 1024),
            (resource.RLIMIT_NOFILE, 20),
            (resource.RLIMIT_NPROC, 0),
            (resource.RLIMIT_CPU, 50),
            (resource.RLIMIT_CORE, 0),
        ):
            assert resource.prlimit(process.pid, kind) == (bound, bound)


async def test_a_picture_comes_back_as_a_tensor() -> None:
    async with worker() as process:
        answer, tensor = await process.call(FrameHeader(id="1", parameters=RESIZE), GOOD["jpeg"](), timeout_s=20)
        assert (len(tensor), answer.parameters) == (270_000, {"width": 400, "height": 240})


async def test_a_large_body_goes_through_in_pieces() -> None:
    async with worker() as process:
        with pytest.raises(WorkerRefused) as refused:
            await prepared(process, BAD["too many bytes"][1]())
        assert refused.value.code == "PICTURE_TOO_LARGE"
        assert len(await prepared(process, GOOD["jpeg"]())) == 270_000


async def test_an_answer_stays_as_it_was_when_the_next_one_comes() -> None:
    first, second = GOOD["jpeg"](), GOOD["png"]()
    async with worker() as process, worker() as other:
        answers = [await prepared(process, first, "1"), await prepared(process, second, "2")]

        assert answers == [await prepared(other, first, "1"), answers[1]]
        assert answers[0] != answers[1]


async def test_no_bad_picture_costs_the_worker_its_life() -> None:
    async with worker() as process:
        for name, (code, make) in BAD.items():
            with pytest.raises(WorkerRefused) as refused:
                await prepared(process, make(), name)
            assert (refused.value.code, bool(refused.value.hint)) == (code, True), name
        assert len(await prepared(process, GOOD["jpeg"]())) == 270_000


async def test_callers_take_turns() -> None:
    async with worker() as process, asyncio.TaskGroup() as group:
        tasks = [group.create_task(prepared(process, GOOD["jpeg"](), str(n))) for n in range(20)]
    assert {task.result() for task in tasks} == {tasks[0].result()}


async def test_a_worker_killed_during_a_call_is_reported_at_once() -> None:
    async with worker() as process:
        os.kill(process.pid, signal.SIGSTOP)
        call = asyncio.ensure_future(prepared(process, GOOD["jpeg"]()))
        await asyncio.sleep(0)
        os.kill(process.pid, signal.SIGKILL)
        started = time.monotonic()
        with pytest.raises(WorkerCrashed, match=r"killed by signal 9"):
            await call
        assert time.monotonic() - started < 2
        assert not process.is_alive
        with pytest.raises(WorkerCrashed, match=r"killed by signal 9"):
            await prepared(process, GOOD["jpeg"](), "2")
    assert not is_running(process.pid)


async def test_who_waits_for_a_turn_hears_of_the_crash_too() -> None:
    async with worker() as process:
        os.kill(process.pid, signal.SIGSTOP)
        calls = [asyncio.ensure_future(prepared(process, GOOD["jpeg"](), str(n))) for n in range(3)]
        await asyncio.sleep(0)
        os.kill(process.pid, signal.SIGKILL)
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(result) for result in results] == [WorkerCrashed] * 3


async def test_a_worker_that_does_not_answer_in_time_is_killed() -> None:
    async with worker() as process:
        os.kill(process.pid, signal.SIGSTOP)
        with pytest.raises(WorkerTimeout, match="no answer within"):
            await prepared(process, GOOD["jpeg"](), timeout_s=0.1)
        assert not process.is_alive
        assert not is_running(process.pid)


async def test_a_frozen_worker_that_reads_nothing_times_out_too() -> None:
    async with worker() as process:
        os.kill(process.pid, signal.SIGSTOP)
        with pytest.raises(WorkerTimeout):
            await prepared(process, bytes(8_000_000), timeout_s=0.1)


async def test_waiting_for_a_turn_is_part_of_the_time_and_costs_nobody_elses_call() -> None:
    async with worker() as process:
        os.kill(process.pid, signal.SIGSTOP)
        first = asyncio.ensure_future(prepared(process, GOOD["jpeg"]()))
        await asyncio.sleep(0)
        with pytest.raises(WorkerTimeout, match="busy with other calls"):
            await prepared(process, GOOD["jpeg"](), "2", timeout_s=0.1)
        os.kill(process.pid, signal.SIGCONT)
        assert len(await first) == 270_000


async def test_the_answer_to_a_cancelled_call_is_given_to_nobody() -> None:
    async with worker() as process:
        os.kill(process.pid, signal.SIGSTOP)
        abandoned = asyncio.ensure_future(prepared(process, GOOD["large jpeg"](), "abandoned"))
        await asyncio.sleep(0)
        abandoned.cancel()
        os.kill(process.pid, signal.SIGCONT)
        with pytest.raises(WorkerRefused, match="NOT_A_PICTURE"):
            await prepared(process, b"junk", "next")
        assert process.is_alive


async def test_a_worker_that_owes_too_many_answers_is_given_up() -> None:
    async with worker() as process:
        os.kill(process.pid, signal.SIGSTOP)
        for number in range(4):
            call = asyncio.ensure_future(prepared(process, GOOD["jpeg"](), str(number)))
            await asyncio.sleep(0)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
        with pytest.raises(WorkerCrashed, match="owes answers"):
            await prepared(process, GOOD["jpeg"](), "last")


async def test_a_worker_that_cannot_start_is_reported_with_its_exit_code(tmp_path: Path) -> None:
    with pytest.raises(WorkerCrashed, match="exit code 2"):
        await started("dance")
    artifact = tmp_path / "model.onnx"
    artifact.write_bytes(b"not the model")
    with pytest.raises(WorkerCrashed, match="exit code 1"):
        await started("run", "coco-ssd", str(artifact))


async def test_a_worker_without_memory_ends_and_is_reported() -> None:
    with pytest.raises(WorkerCrashed):
        await started("prepare", limits=Limits(memory_mib=8))


async def test_a_worker_that_is_never_ready_is_killed() -> None:
    with pytest.raises(WorkerTimeout, match="not ready within"):
        await started("prepare", ready_timeout_s=0.001)


@pytest.mark.parametrize(
    "speak",
    [
        pytest.param(lambda theirs: theirs.sendall(b"\xff" * 100), id="lengths past their bounds"),
        pytest.param(lambda theirs: theirs.sendall(b"\x02\0\0\0\0\0\0\0[]"), id="a header that is none"),
        pytest.param(lambda theirs: theirs.sendall(encode_prefix_and_header(UNASKED, 0)), id="an unasked answer"),
        pytest.param(lambda theirs: theirs.close(), id="a closed socket"),
    ],
)
async def test_a_worker_that_breaks_the_protocol_is_killed(speak: Callable[[socket.socket], None]) -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    pid = idle_process()
    process = WorkerProcess(pid, ours)
    with theirs:
        call = asyncio.ensure_future(process.call(FrameHeader(id="1"), timeout_s=20))
        await asyncio.sleep(0)
        speak(theirs)
        with pytest.raises(WorkerCrashed):
            await call
    await process.kill()
    assert not is_running(pid)


async def test_who_waits_for_the_end_of_an_idle_worker_hears_how_it_ended() -> None:
    async with worker() as process:
        os.kill(process.pid, signal.SIGKILL)

        async with asyncio.timeout(5):
            reason = await process.ended()

        assert "signal 9" in reason
        assert not process.is_alive


async def test_killing_twice_is_killing_once() -> None:
    async with worker() as process:
        await asyncio.gather(process.kill(), process.kill())
        await process.kill()
    assert not is_running(process.pid)


@pytest.mark.parametrize(
    "claim",
    [
        test_a_picture_comes_back_as_a_tensor,
        test_a_large_body_goes_through_in_pieces,
        test_callers_take_turns,
        test_a_worker_killed_during_a_call_is_reported_at_once,
        test_who_waits_for_a_turn_hears_of_the_crash_too,
        test_a_worker_that_does_not_answer_in_time_is_killed,
        test_a_frozen_worker_that_reads_nothing_times_out_too,
        test_the_answer_to_a_cancelled_call_is_given_to_nobody,
        test_killing_twice_is_killing_once,
    ],
    ids=lambda claim: claim.__name__.removeprefix("test_"),
)
def test_under_uvloop_too(claim: Callable[[], Coroutine[None, None, None]]) -> None:
    uvloop.run(claim())


PARENT = """
import asyncio, os, signal
from gridlight.adapters.sandbox.port import Limits, WorkerSpec
from gridlight.adapters.sandbox.subprocess import Subprocess

async def main() -> None:
    spec = WorkerSpec(arguments=("prepare",), limits=Limits(memory_mib=512))
    process = await Subprocess().start(spec, ready_timeout_s=20)
    os.kill(process.pid, signal.SIGSTOP)  # it cannot even read the end of its input
    print(process.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def test_a_worker_dies_with_its_parent() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = os.pidfd_open(int(parent.stdout.readline()))
        try:
            parent.kill()
            parent.wait()
            ended, _, _ = select.select([child], [], [], 5)
        finally:
            os.close(child)
    assert ended


def test_a_parent_needs_neither_numpy_nor_the_runtime() -> None:
    program = (
        "import sys, gridlight.adapters.sandbox.subprocess, gridlight.workloads.contract, gridlight.workloads.present\n"
        "print([name for name in ('numpy', 'onnxruntime', 'PIL') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
