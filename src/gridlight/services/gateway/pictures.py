"""The confined processes that turn pictures into tensors: a bounded queue before them, a new one where one dies.

A picture process reads hostile bytes, so what it answers is checked like a stranger's.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog
from msgspec import Struct

from gridlight.adapters.sandbox.port import Limits, WorkerCrashed, WorkerRefused, WorkerSpec, WorkerTimeout
from gridlight.adapters.sandbox.subprocess import Subprocess
from gridlight.adapters.sandbox.worker_process import WorkerProcess
from gridlight.messages.frames import FrameHeader
from gridlight.messages.jobs import Picture
from gridlight.messages.limits import INLINE_BYTES_MAX, PICTURE_PIXELS_MAX
from gridlight.services.gateway.errors import PICTURE_CODES, Refusal
from gridlight.services.gateway.metrics import Metrics

WAITING_PER_PROCESS_MAX: Final = 64
"""At 15 to 30 ms a picture, one to two seconds of work; more would only miss their deadlines."""

PREPARE_S_MAX: Final = 5.0
START_S_MAX: Final = 20.0
RESTART_PAUSE_S_MIN: Final = 0.1
RESTART_PAUSE_S_MAX: Final = 5.0
ATTEMPTS_MAX: Final = 2
"""Processes that a picture may cost."""

LIMITS: Final = Limits(memory_mib=768, cpu_s=None, files=32, processes=0)
"""40 megapixels decoded are 160 MB, and Pillow may hold two copies."""

_BROKEN: Final = "PICTURE_BROKEN"
_NOT_DECODED: Final = "The picture could not be decoded within the limits of time and memory."

_log = structlog.get_logger()


class Prepared(Struct, frozen=True, eq=False):
    """The model's own input, and the picture's size as shown."""

    tensor: bytes
    picture: Picture


async def start_picture_process() -> WorkerProcess:
    """One confined process that answers `prepare`."""
    return await Subprocess().start(WorkerSpec(arguments=("prepare",), limits=LIMITS), ready_timeout_s=START_S_MAX)


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
        self._alive: list[WorkerProcess] = []
        self._idle: list[WorkerProcess] = []
        self._waiting: deque[asyncio.Future[WorkerProcess]] = deque()
        self._calls = 0
        self._busy = 0
        self._group: asyncio.TaskGroup | None = None

    @property
    def is_ready(self) -> bool:
        """Whether a picture sent now finds a process."""
        return any(process.is_alive for process in self._alive)

    @property
    def busy_total(self) -> int:
        """Processes that are at a picture."""
        return self._busy

    async def run(self) -> None:
        """Until cancelled; then every process is ended."""
        async with asyncio.TaskGroup() as self._group:
            for _ in range(self._processes):
                self._group.create_task(self._keep_one())

    async def prepare(self, name: str, parameters: dict[str, Any], picture: bytes) -> Prepared:
        """The picture as tensor. Refusal where it is none, is too large, or too many wait; the caller keeps time.

        A process that dies over a picture may have been killed by somebody else, so a second one is asked.
        """
        for _ in range(ATTEMPTS_MAX):
            process = await self._idle_process()
            assert self._group is not None
            self._calls += 1
            header = FrameHeader(id=str(self._calls), parameters={"prepare": name, "parameters": parameters})
            # A requester who leaves cancels us, and not the call: the process is given back when it has answered.
            answer = await asyncio.shield(self._group.create_task(self._call(process, header, picture)))
            if isinstance(answer, Refusal):
                raise answer
            if answer is not None:
                return answer
        raise Refusal(_BROKEN, _NOT_DECODED)

    async def _call(self, process: WorkerProcess, header: FrameHeader, picture: bytes) -> Prepared | Refusal | None:
        """None where the process died; a refusal is returned, since an exception would end the group."""
        self._busy += 1
        try:
            return _checked(*await process.call(header, picture, timeout_s=self._prepare_s_max))
        except Refusal as refusal:
            return refusal
        except WorkerRefused as refused:
            return _refusal(refused)
        except WorkerTimeout as error:
            _log.warning("picture_process_failed", error=str(error), picture_bytes=len(picture))
            return Refusal(_BROKEN, _NOT_DECODED)
        except WorkerCrashed as error:
            _log.warning("picture_process_failed", error=str(error), picture_bytes=len(picture))
            return None
        finally:
            self._busy -= 1
            self._give_back(process)

    async def _idle_process(self) -> WorkerProcess:
        """At once where one is idle; else in order of arrival, among a bounded number."""
        while self._idle:
            process = self._idle.pop()
            if process.is_alive:
                return process
        if len(self._waiting) >= self._processes * WAITING_PER_PROCESS_MAX:
            raise Refusal("BUSY", "Too many pictures wait to be prepared.")
        turn: asyncio.Future[WorkerProcess] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give_back(turn.result())
            raise

    def _give_back(self, process: WorkerProcess) -> None:
        """To whoever has waited longest and still does. A dead process is left to the one who keeps it."""
        if not process.is_alive:
            return
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(process)
                return
        self._idle.append(process)

    async def _keep_one(self) -> None:
        """One process after another, with a growing pause where they do not even start."""
        pause_s = RESTART_PAUSE_S_MIN
        while True:
            try:
                process = await self._start()
            except (WorkerCrashed, WorkerTimeout, OSError) as error:
                _log.error("picture_process_not_started", error=str(error), retry_s=pause_s)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, RESTART_PAUSE_S_MAX)
                continue
            pause_s = RESTART_PAUSE_S_MIN
            self._alive.append(process)
            self._give_back(process)
            try:
                await process.ended()
            finally:
                self._alive.remove(process)
                await process.kill()
            self._restarts.inc()
            _log.warning("picture_process_ended", pid=process.pid)


def _checked(header: FrameHeader, body: bytes) -> Prepared:
    width, height = header.parameters.get("width"), header.parameters.get("height")
    if not (isinstance(width, int) and isinstance(height, int) and 0 < len(body) <= INLINE_BYTES_MAX):
        raise Refusal("INTERNAL", "The picture process answered something else than a tensor.")
    if width < 1 or height < 1 or width * height > PICTURE_PIXELS_MAX:
        raise Refusal("INTERNAL", "The picture process answered an impossible size.")
    return Prepared(body, Picture(width=width, height=height))


def _refusal(refused: WorkerRefused) -> Refusal:
    if refused.code not in PICTURE_CODES:
        return Refusal("INTERNAL", "The picture process failed.")
    return Refusal(refused.code, refused.message[:300], refused.hint[:300])
