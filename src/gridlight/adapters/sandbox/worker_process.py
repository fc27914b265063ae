"""A worker as its owner sees it, in whatever it runs: calls as frames over a socketpair, one at a time, and its end.

Costs one sendmsg, one wake-up and one or two reads a call. What a worker writes to its standard error is read, and
only its end is kept.
"""

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from gridlight.adapters.sandbox.port import MIB, Payload, WorkerCrashed, WorkerRefused, WorkerTimeout
from gridlight.messages.codec import ProtocolViolation
from gridlight.messages.frames import PREFIX, FrameHeader, decode_prefix, encode_prefix_and_header, headers

DESCRIPTOR: Final = 3
"""Where the worker finds its end of the socketpair."""

_READY: Final = "ready"
_SOCKET_BUFFER_BYTES: Final = MIB
_KILL_WAIT_S: Final = 5.0
_ENDING_S: Final = 0.2
_ABANDONED_MAX: Final = 4
"""Cancelled calls that a worker may still be busy with; past that it is started anew."""

_PRINTED_BYTES_MAX: Final = MIB
"""Of standard error over a worker's life; one that prints more is flooding."""
_TAIL_BYTES: Final = 2_000

_Frame = tuple[FrameHeader, bytes]
ClearAway = Callable[[], Awaitable[str]]
"""Removes what a worker leaves behind, and says why it ended where that is known only now; else nothing."""


def frame_sockets() -> tuple[socket.socket, socket.socket]:
    """Ours, which does not block, and the worker's."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER_BYTES)
    return ours, theirs


class WorkerProcess:
    """A running worker. `call` may be awaited by many; they take turns."""

    def __init__(
        self,
        pid: int,
        connected: socket.socket,
        *,
        printed: int | None = None,
        is_child: bool = True,
        clear_away: ClearAway | None = None,
    ) -> None:
        self._pidfd = os.pidfd_open(pid)  # a process id may be another's by the time that it is used
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
        self._is_child = is_child
        self._clear_away = clear_away
        self._clearing = asyncio.Lock()
        self._printed = None if printed is None else _Printed(printed, self._fail, pid)
        self._exited: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_reader(self._pidfd, self._on_exit)
        self._loop.add_reader(self._descriptor, self._on_readable)

    async def until_ready(self, timeout_s: float) -> None:
        """Wait for its first frame. WorkerCrashed, or WorkerTimeout and it was killed."""
        try:
            async with asyncio.timeout(timeout_s):
                self.ready, _ = await self._answered(_READY)
        except TimeoutError:
            await self.kill()
            raise WorkerTimeout(f"worker {self.pid} was not ready within {timeout_s:.1f} s and was killed") from None
        except WorkerCrashed:
            await self.kill()
            raise WorkerCrashed(self._failure) from None
        except BaseException:
            await self.kill()
            raise

    @property
    def is_alive(self) -> bool:
        """Whether a call may succeed; False from the moment the process ended, was killed or broke the protocol."""
        return not self._failure

    async def ended(self) -> str:
        """Wait until the process has ended or broke the protocol, and say how."""
        await asyncio.shield(self._exited)
        await self._cleared()
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
            await self._stop()
            raise WorkerTimeout(f"worker {self.pid} gave no answer within {timeout_s:.1f} s and was killed") from None
        if answer.error is not None:
            hint = str(answer.parameters.get("hint", ""))
            raise WorkerRefused(answer.error_code or "WORKER_ERROR", answer.error, hint)
        return answer, data

    async def kill(self) -> None:
        """End the process and forget it; safe to call twice. What it leaves behind is gone when this returns."""
        await self._stop()
        await self._cleared()

    async def _stop(self) -> None:
        self._fail(f"worker {self.pid} was killed by its owner")
        with suppress(TimeoutError):  # one that the kernel does not let go of yet is left to it
            async with asyncio.timeout(_KILL_WAIT_S):
                await asyncio.shield(self._exited)

    async def _cleared(self) -> None:
        """What it left behind is gone, once; and the failure says why it ended, where that is known now."""
        async with self._clearing:
            if self._clear_away is not None:
                clear_away, self._clear_away = self._clear_away, None
                self._say_more(await clear_away())

    def _say_more(self, detail: str) -> None:
        if detail:
            self._failure = f"{self._failure}: {detail}"

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
            self._end_soon()
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
            self._end_soon()
            return
        if frame is None:
            return
        if self._answer is not None and not self._answer.done() and frame[0].id == self._awaited_id:
            self._answer.set_result(frame)
        elif self._abandoned:
            self._abandoned -= 1
        else:
            self._fail(f"worker {self.pid} broke the protocol: it answers what nobody asked")

    def _end_soon(self) -> None:
        """It may be about to end by itself, and to say how; killed at once it could not."""
        self._loop.call_later(_ENDING_S, self._end)

    def _end(self) -> None:
        if not self._exited.done():
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def _on_exit(self) -> None:
        how = f"worker {self.pid} {_reaped(self.pid) if self._is_child else 'ended'}"
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._exited.set_result(None)
        if self._printed is not None and (tail := self._printed.close()):
            how = f"{how}, after it said: {tail}"
        self._fail(how)

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
    """Puts a frame together from what a non-blocking socket holds, in memory that is kept from one to the next."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._memory = bytearray(PREFIX.size)
        self._header_bytes = 0
        self._frame_bytes = 0
        """Of the frame whose prefix has come; 0 before that."""
        self._filled = 0

    def read(self) -> tuple[FrameHeader, bytes] | None:
        """A whole frame, or None until the socket has more. ProtocolViolation; OSError where it was closed."""
        if not self._frame_bytes:
            if not self._fill(PREFIX.size):
                return None
            self._header_bytes, body_bytes = decode_prefix(bytes(self._memory[: PREFIX.size]))
            self._frame_bytes = self._header_bytes + body_bytes
            if self._frame_bytes > len(self._memory):
                self._memory = bytearray(self._frame_bytes)
        if not self._fill(self._frame_bytes):
            return None
        content, self._frame_bytes = memoryview(self._memory)[: self._frame_bytes], 0
        return headers.decode(bytes(content[: self._header_bytes])), bytes(content[self._header_bytes :])

    def _fill(self, count: int) -> bool:
        """Whether so many bytes are there now; starts the next part from the memory's beginning."""
        view = memoryview(self._memory)[:count]
        while self._filled < count:
            try:
                received = self._socket.recv_into(view[self._filled :])
            except (BlockingIOError, InterruptedError):
                return False
            if received == 0:
                raise ConnectionError("it closed its socket")
            self._filled += received
        self._filled = 0
        return True


class _Printed:
    """The end of what a worker writes to its standard error, and how much that was."""

    def __init__(self, descriptor: int, fail: Callable[[str], None], pid: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._fail = fail
        self._pid = pid
        self._tail = b""
        self._bytes = 0
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(descriptor, self._on_readable)

    def close(self) -> str:
        """The last line that it wrote."""
        if self._descriptor >= 0:
            while self._bytes <= _PRINTED_BYTES_MAX and self._read():
                pass
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1
        return text_line(self._tail)

    def _on_readable(self) -> None:
        count = self._read()
        if count == 0:
            self._loop.remove_reader(self._descriptor)
        elif self._bytes > _PRINTED_BYTES_MAX:
            self._loop.remove_reader(self._descriptor)
            self._fail(f"worker {self._pid} wrote more than {_PRINTED_BYTES_MAX} bytes to its standard error")

    def _read(self) -> int | None:
        """How many bytes there were: 0 where nobody writes any more, None where nobody does just now."""
        try:
            data = os.read(self._descriptor, 64 * 1024)
        except (BlockingIOError, InterruptedError):
            return None
        self._bytes += len(data)
        self._tail = (self._tail + data)[-_TAIL_BYTES:]
        return len(data)


def last_line(descriptor: int) -> str:
    """Of what a pipe holds just now."""
    os.set_blocking(descriptor, False)
    with suppress(BlockingIOError):
        return text_line(os.read(descriptor, 64 * 1024))
    return ""


def text_line(printed: bytes) -> str:
    """The last line of what a program printed, for a message."""
    lines = printed.decode("utf-8", errors="replace").strip().splitlines()
    return lines[-1][:500] if lines else ""


def _reaped(pid: int) -> str:
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
