"""The confined processes that turn pictures into tensors: a bounded queue before them, a new one where one dies.

A picture process reads hostile bytes, so what it answers is checked like a stranger's.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog
from msgspec import Struct

from gridlight.adapters.sandbox.subprocess import (
    Limits,
    WorkerCrashed,
    WorkerProcess,
    WorkerRefused,
    WorkerTimeout,
)
from gridlight.messages.frames import FrameHeader
from gridlight.messages.jobs import Picture
from gridlight.messages.limits import INLINE_BYTES_MAX, PICTURE_PIXELS_MAX
from gridlight.services.gateway.errors import PICTURE_CODES, Refusal
from gridlight.services.gateway.metrics import Metrics

WAITING_PER_PROCESS_MAX: Final = 64
"""At 15 to 30 ms a picture, one to two seconds of work; more would only miss their deadlines."""

PREPARE_S_MAX: Final = 5.0
START_S_MAX: Final = 20.0
RESTART_PAUSE_S_MAX: Final = 5.0
CHECK_S: Final = 1.0
"""How often an idle process is looked at."""

LIMITS: Final = Limits(memory_mib=768, cpu_s=None, files=32, processes=0)
"""40 megapixels decoded are 160 MB, and Pillow may hold two copies."""

_log = structlog.get_logger()


class Prepared(Struct, frozen=True, eq=False):
    """The model's own input, and the picture's size as shown."""

    tensor: bytes
    picture: Picture


class _Call(Struct, frozen=True, eq=False):
    header: FrameHeader
    picture: bytes
    answer: asyncio.Future[Prepared]


async def start_picture_process() -> WorkerProcess:
    """One confined process that answers `prepare`."""
    return await WorkerProcess.start(["prepare"], limits=LIMITS, ready_timeout_s=START_S_MAX)


class PicturePool:
    """`run` keeps the processes alive; `prepare` may be called meanwhile."""

    def __init__(
        self,
        processes: int,
        metrics: Metrics,
        *,
        start: Callable[[], Awaitable[WorkerProcess]] = start_picture_process,
        prepare_s_max: float = PREPARE_S_MAX,
    ) -> None:
        self._processes = processes
        self._start = start
        self._prepare_s_max = prepare_s_max
        self._restarts = metrics.picture_restarts
        self._waiting: asyncio.Queue[_Call] = asyncio.Queue(maxsize=processes * WAITING_PER_PROCESS_MAX)
        self._alive: list[WorkerProcess] = []
        self._calls = 0

    @property
    def is_ready(self) -> bool:
        """Whether a picture sent now finds a process."""
        return any(process.is_alive for process in self._alive)

    async def run(self) -> None:
        """Until cancelled; then every process is ended."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._processes):
                group.create_task(self._keep_one())

    async def prepare(self, name: str, parameters: dict[str, Any], picture: bytes) -> Prepared:
        """The picture as tensor. Refusal where it is none, is too large, or too many wait; the caller keeps time."""
        self._calls += 1
        header = FrameHeader(id=str(self._calls), parameters={"prepare": name, "parameters": parameters})
        answer: asyncio.Future[Prepared] = asyncio.get_running_loop().create_future()
        try:
            self._waiting.put_nowait(_Call(header, picture, answer))
        except asyncio.QueueFull:
            raise Refusal("BUSY", "Too many pictures wait to be prepared.") from None
        return await answer

    async def _keep_one(self) -> None:
        """One process after another, with a growing pause where they do not even start."""
        pause_s = 0.1
        while True:
            try:
                process = await self._start()
            except (WorkerCrashed, WorkerTimeout, OSError) as error:
                _log.error("picture_process_not_started", error=str(error), retry_s=pause_s)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, RESTART_PAUSE_S_MAX)
                continue
            pause_s = 0.1
            self._alive.append(process)
            try:
                await self._serve(process)
            finally:
                self._alive.remove(process)
                await process.kill()
            self._restarts.inc()
            _log.warning("picture_process_ended", pid=process.pid)

    async def _serve(self, process: WorkerProcess) -> None:
        """Call after call, until the process is dead."""
        while process.is_alive:
            try:
                async with asyncio.timeout(CHECK_S):
                    call = await self._waiting.get()
            except TimeoutError:
                continue
            if not call.answer.done():  # the requester may have left while it waited
                await self._answer(process, call)

    async def _answer(self, process: WorkerProcess, call: _Call) -> None:
        try:
            header, body = await process.call(call.header, call.picture, timeout_s=self._prepare_s_max)
            result: Prepared | Refusal = _checked(header, body)
        except WorkerRefused as refused:
            result = _refusal(refused)
        except (WorkerCrashed, WorkerTimeout) as error:
            await process.kill()
            _log.warning("picture_process_failed", error=str(error), picture_bytes=len(call.picture))
            result = Refusal("PICTURE_BROKEN", "The picture could not be decoded within the limits of time and memory.")
        if call.answer.done():
            return
        if isinstance(result, Refusal):
            call.answer.set_exception(result)
        else:
            call.answer.set_result(result)


def _checked(header: FrameHeader, body: bytes) -> Prepared | Refusal:
    width, height = header.parameters.get("width"), header.parameters.get("height")
    if not (isinstance(width, int) and isinstance(height, int) and 0 < len(body) <= INLINE_BYTES_MAX):
        return Refusal("INTERNAL", "The picture process answered something else than a tensor.")
    if width < 1 or height < 1 or width * height > PICTURE_PIXELS_MAX:
        return Refusal("INTERNAL", "The picture process answered an impossible size.")
    return Prepared(body, Picture(width=width, height=height))


def _refusal(refused: WorkerRefused) -> Refusal:
    if refused.code not in PICTURE_CODES:
        return Refusal("INTERNAL", "The picture process failed.")
    return Refusal(refused.code, refused.message[:300], refused.hint[:300])
