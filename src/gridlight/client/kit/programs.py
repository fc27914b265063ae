"""A workload's program on the publisher's own machine: started, spoken to in frames, and measured."""

import os
import resource
import select
import shutil
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

from gridlight.adapters.clock import monotonic_ms
from gridlight.adapters.sandbox.port import ENVIRONMENT
from gridlight.messages.codec import ProtocolViolation
from gridlight.messages.frames import PREFIX, FrameHeader, decode_prefix, encode_prefix_and_header, headers

_DESCRIPTOR: Final = 3
_MIB: Final = 1024 * 1024
_END_S_MAX: Final = 2.0


class ProgramFailed(Exception):
    """It ended, hung, or spoke something else than frames."""


class Program:
    """One process with its end of a socketpair on descriptor 3. Blocking; it ends with the `with`."""

    def __init__(self, command: Sequence[str], *, memory_mib: int | None = None) -> None:
        """`memory_mib` bounds the address space, as a node bounds our own program's."""
        path = shutil.which(command[0]) or command[0]
        self._ours, theirs = socket.socketpair()
        with theirs:
            actions = [(os.POSIX_SPAWN_DUP2, theirs.fileno(), _DESCRIPTOR), (os.POSIX_SPAWN_DUP2, 2, 1)]
            self.pid = os.posix_spawn(path, [path, *command[1:]], ENVIRONMENT, file_actions=actions, setsid=True)
        if memory_mib is not None:
            bound = memory_mib * _MIB
            resource.prlimit(self.pid, resource.RLIMIT_AS, (bound, bound))
        self._calls = 0
        self._status: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ours.close()
        if self._status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)

    def ready(self, timeout_s: float) -> FrameHeader:
        """Its first frame. ProgramFailed."""
        header, _ = self._receive(timeout_s)
        if header.id != "ready":
            raise ProgramFailed(f"its first frame has the id {header.id[:80]!r}, and should have 'ready'")
        return header

    def call(self, body: bytes, parameters: dict[str, object], timeout_s: float) -> tuple[FrameHeader, bytes]:
        """One call, and its answer. ProgramFailed."""
        self._calls += 1
        header = FrameHeader(id=f"call-{self._calls}", parameters=parameters)
        self._ours.settimeout(timeout_s)
        try:
            self._ours.sendall(encode_prefix_and_header(header, len(body)) + body)
        except OSError as error:
            raise ProgramFailed(f"it takes no call: {error}") from error
        answer, output = self._receive(timeout_s)
        if answer.id != header.id:
            raise ProgramFailed(f"the answer's id is {answer.id[:80]!r}, and the call's was {header.id!r}")
        return answer, output

    def peak_mib(self) -> int:
        """The most memory that it had resident so far."""
        for line in Path(f"/proc/{self.pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return -(-int(line.split()[1]) // 1024)
        raise ProgramFailed("it has ended")

    def ends_by_itself(self) -> bool:
        """Whether it ends within two seconds of its socket's end."""
        self._ours.close()
        ends_ms = monotonic_ms() + int(_END_S_MAX * 1000)
        pidfd = os.pidfd_open(self.pid)
        try:
            select.select([pidfd], [], [], max(0, ends_ms - monotonic_ms()) / 1000)
        finally:
            os.close(pidfd)
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        self._status = status if pid else None
        return bool(pid)

    def _receive(self, timeout_s: float) -> tuple[FrameHeader, bytes]:
        ends_ms = monotonic_ms() + int(timeout_s * 1000)
        try:
            header_bytes, body_bytes = decode_prefix(self._read(PREFIX.size, ends_ms))
            header = headers.decode(self._read(header_bytes, ends_ms))
            return header, self._read(body_bytes, ends_ms)
        except ProtocolViolation as violation:
            raise ProgramFailed(f"what it said is no frame: {violation}") from violation
        except TimeoutError as error:
            raise ProgramFailed(f"it said nothing for {timeout_s:g} s") from error
        except OSError as error:
            raise ProgramFailed(f"it cannot be heard: {error}") from error

    def _read(self, count: int, ends_ms: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            self._ours.settimeout(max(0.001, (ends_ms - monotonic_ms()) / 1000))
            chunk = self._ours.recv(min(count - len(data), _MIB))
            if not chunk:
                raise ProgramFailed("it closed its socket")
            data += chunk
        return bytes(data)


def first_party_command(name: str, artifact: Path, manifest: Path) -> list[str]:
    """Our own program, with this manifest's weights and settings: exactly what a node starts."""
    program = [sys.executable, "-I", "-m", "gridlight.workloads.worker", "run", name]
    return [*program, str(artifact.resolve()), str(manifest.resolve())]
