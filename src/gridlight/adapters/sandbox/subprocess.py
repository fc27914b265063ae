"""A plain child process as sandbox: resource limits, no new privileges, a scrubbed environment, its own session.

Enough for first-party code that reads strangers' bytes; never for a stranger's code. Calls are length-prefixed frames
over a socketpair, one at a time. Costs one sendmsg, one wake-up and one or two reads a call.
"""

import asyncio
import os
import resource
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from gridlight.messages.codec import ProtocolViolation
from gridlight.messages.frames import (
    PREFIX,
    FrameHeader,
    decode_prefix,
    encode_prefix_and_header,
    headers,
)

_DESCRIPTOR = 3
"""Where the child finds its end of the socketpair."""

_READY = "ready"
_SOCKET_BUFFER_BYTES = 1024 * 1024
_MIB = 1024 * 1024
_KILL_WAIT_S = 5.0
_ABANDONED_MAX = 4
"""Cancelled calls that a worker may still be busy with; past that it is started anew."""

Payload = bytes | bytearray | memoryview
_Frame = tuple[FrameHeader, bytes]

ENVIRONMENT: Final = {
    "PATH": os.defpath,
    "LANG": "C.UTF-8",
    # One slot is one core; and buffers of a picture's size are kept, not given back and faulted in on each call.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(4 * _MIB),
    "MALLOC_TRIM_THRESHOLD_": str(8 * _MIB),
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


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the kernel enforces on a worker."""

    memory_mib: int
    """Address space, so a little more than what is resident."""
    files: int = 64
    processes: int = 0
    """Of the worker's user altogether, 0 forbids threads and forks; the kernel does not hold root to it."""
    cpu_s: int | None = None
    """Over the worker's whole life; a long-lived worker has none, its calls have deadlines."""


class WorkerProcess:
    """A running worker. `call` may be awaited by many; they take turns."""

    def __init__(self, pid: int, connected: socket.socket) -> None:
        self.pid = pid
        self.ready = FrameHeader(id=_READY)
        """The worker's first frame; a model's worker says `benchmark_ms` in its parameters."""
        self._loop = asyncio.get_running_loop()
        self._socket = connected
        self._descriptor = connected.fileno()
        self._received = _FrameReader(connected)
        self._unsent: list[memoryview] = []
        self._turn = asyncio.Lock()
        self._awaited_id = _READY
        self._answer: asyncio.Future[_Frame] | None = None
        self._abandoned = 0
        self._failure = ""
        self._exited: asyncio.Future[None] = self._loop.create_future()
        self._pidfd = os.pidfd_open(pid)  # a process id may be another's by the time that it is used
        self._loop.add_reader(self._pidfd, self._on_exit)
        self._loop.add_reader(self._descriptor, self._on_readable)

    @classmethod
    async def start(cls, arguments: Sequence[str], *, limits: Limits, ready_timeout_s: float) -> "WorkerProcess":
        """Start `gridlight.workloads.worker` with these arguments (paths absolute) and wait until it says it is ready.

        WorkerCrashed or WorkerTimeout where it does not. It dies with the thread that called this.
        """
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                ours.setblocking(False)
                for end in (ours, theirs):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER_BYTES)
                pid = _spawn(arguments, theirs)
            worker = cls(pid, ours)
        except BaseException:
            ours.close()
            raise
        try:
            _limit(pid, limits)
            async with asyncio.timeout(ready_timeout_s):
                worker.ready, _ = await worker._answered(_READY)
        except TimeoutError:
            await worker.kill()
            raise WorkerTimeout(f"worker {pid} was not ready within {ready_timeout_s:.1f} s and was killed") from None
        except BaseException:
            await worker.kill()
            raise
        return worker

    @property
    def is_alive(self) -> bool:
        """Whether a call may succeed; False from the moment the process ended, was killed or broke the protocol."""
        return not self._failure

    async def ended(self) -> str:
        """Wait until the process has ended or broke the protocol, and say how."""
        await asyncio.shield(self._exited)
        return self._failure

    async def call(self, header: FrameHeader, body: Payload = b"", *, timeout_s: float) -> tuple[FrameHeader, bytes]:
        """Send one frame and await its answer; the timeout counts from here, waiting for a turn included.

        WorkerRefused, WorkerTimeout or WorkerCrashed. The answer to a cancelled call is dropped when it comes, and the
        worker takes the next call after it. Ids must differ from call to call.
        """
        is_sent = False
        try:
            async with asyncio.timeout(timeout_s), self._turn:
                is_sent = True
                answer, data = await self._exchange(header, body)
        except TimeoutError:
            if not is_sent:
                raise WorkerTimeout(f"worker {self.pid} was busy with other calls for {timeout_s:.1f} s") from None
            await self.kill()
            raise WorkerTimeout(f"worker {self.pid} gave no answer within {timeout_s:.1f} s and was killed") from None
        if answer.error is not None:
            hint = str(answer.parameters.get("hint", ""))
            raise WorkerRefused(answer.error_code or "WORKER_ERROR", answer.error, hint)
        return answer, data

    async def kill(self) -> None:
        """End the process and forget it; safe to call twice."""
        self._fail(f"worker {self.pid} was killed by its owner")
        with suppress(TimeoutError):  # one that the kernel does not let go of yet is left to it
            async with asyncio.timeout(_KILL_WAIT_S):
                await asyncio.shield(self._exited)

    async def _exchange(self, header: FrameHeader, body: Payload) -> _Frame:
        if self._abandoned >= _ABANDONED_MAX:
            self._fail(f"worker {self.pid} owes answers to {self._abandoned} cancelled calls")
        if not self._failure:
            self._send(header, body)
        return await self._answered(header.id)

    async def _answered(self, frame_id: str) -> _Frame:
        """The answer with this id, or WorkerCrashed."""
        if self._failure:
            raise WorkerCrashed(self._failure)
        self._awaited_id = frame_id
        self._answer = self._loop.create_future()
        try:
            return await self._answer
        except asyncio.CancelledError:
            self._abandoned += 1
            raise
        finally:
            self._answer = None

    def _send(self, header: FrameHeader, body: Payload) -> None:
        """Write what the socket takes now; the loop writes the rest, even if the caller stops waiting."""
        self._unsent += [memoryview(encode_prefix_and_header(header, len(body))), memoryview(body)]
        self._write()
        if self._unsent:
            self._loop.add_writer(self._descriptor, self._on_writable)

    def _write(self) -> None:
        try:
            sent = self._socket.sendmsg(self._unsent)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._unsent.clear()
            self._end()
            return
        while self._unsent and sent >= len(self._unsent[0]):
            sent -= len(self._unsent.pop(0))
        if self._unsent:
            self._unsent[0] = self._unsent[0][sent:]

    def _on_writable(self) -> None:
        self._write()
        if not self._unsent and not self._failure:
            self._loop.remove_writer(self._descriptor)

    def _on_readable(self) -> None:
        try:
            frame = self._received.read()
        except ProtocolViolation as violation:
            self._fail(f"worker {self.pid} broke the protocol: {violation}")
            return
        except OSError:
            # It is ending, or cannot be talked to any more; how it ended is known when it has.
            self._loop.remove_reader(self._descriptor)
            self._end()
            return
        if frame is None:
            return
        if self._answer is not None and not self._answer.done() and frame[0].id == self._awaited_id:
            self._answer.set_result(frame)
        else:
            self._abandoned = max(0, self._abandoned - 1)

    def _end(self) -> None:
        if not self._exited.done():
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def _on_exit(self) -> None:
        _, status = os.waitpid(self.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._exited.set_result(None)
        self._fail(f"worker {self.pid} {how}")

    def _fail(self, reason: str) -> None:
        """From now on every call fails, and who waits is told at once. Ends the process."""
        if self._failure:
            return
        self._failure = reason
        self._unsent.clear()
        self._loop.remove_reader(self._descriptor)
        self._loop.remove_writer(self._descriptor)
        self._socket.close()
        self._end()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(WorkerCrashed(reason))


class _FrameReader:
    """Puts a frame together from what a non-blocking socket holds, without copying a body twice."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._prefix = bytearray(PREFIX.size)
        self._content: bytearray | None = None
        self._header_bytes = 0
        self._filled = 0

    def read(self) -> tuple[FrameHeader, bytes] | None:
        """A whole frame, or None until the socket has more. ProtocolViolation; OSError where it was closed."""
        if self._content is None:
            if not self._fill(self._prefix):
                return None
            self._header_bytes, body_bytes = decode_prefix(bytes(self._prefix))
            self._content = bytearray(self._header_bytes + body_bytes)
        if not self._fill(self._content):
            return None
        content, self._content = memoryview(self._content), None
        return headers.decode(bytes(content[: self._header_bytes])), bytes(content[self._header_bytes :])

    def _fill(self, target: bytearray) -> bool:
        """Whether the target is full now; starts the next one from its beginning."""
        while self._filled < len(target):
            try:
                count = self._socket.recv_into(memoryview(target)[self._filled :])
            except (BlockingIOError, InterruptedError):
                return False
            if count == 0:
                raise ConnectionError("it closed its socket")
            self._filled += count
        self._filled = 0
        return True


def _spawn(arguments: Sequence[str], theirs: socket.socket) -> int:
    """Start the child with its end of the socketpair, no input, and only our standard error to speak to."""
    command = [sys.executable, "-I", "-m", "gridlight.workloads.worker", *arguments]
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, 2, 1),
        (os.POSIX_SPAWN_DUP2, theirs.fileno(), _DESCRIPTOR),
    ]
    return os.posix_spawn(sys.executable, command, ENVIRONMENT, file_actions=actions, setsid=True)


def _limit(pid: int, limits: Limits) -> None:
    """Bound the child from outside, before it has read a byte of ours."""
    memory_bytes = limits.memory_mib * _MIB
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
