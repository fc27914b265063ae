"""The escape probe from outside: lays out what must not be reached, has a worker try, and hears what it reached."""

import asyncio
import os
import secrets
import signal
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from gridlight.adapters.sandbox.port import (
    NOTHING_PROVED,
    EngineUnavailable,
    Findings,
    Limits,
    Sandbox,
    WorkerCrashed,
    WorkerRefused,
    WorkerSpec,
    WorkerTimeout,
)
from gridlight.messages.codec import ProtocolViolation, shaped
from gridlight.messages.frames import FrameHeader

PROBE_LIMITS: Final = Limits(memory_mib=128, cpus=0.5, processes=32, files=64, temporary_mib=16)
"""Small, so that passing them takes no time, and is possible on a busy machine."""

PROBE_S_MAX: Final = 30.0

_FORKS: Final = 150
_NOWHERE: Final = ("192.0.2.1", 9)
"""An address for documentation: nothing is sent there, but the kernel says by which of ours it would go."""


async def probe(sandbox: Sandbox, folder: Path) -> Findings:
    """What a worker of this backend can and cannot do; `folder` is one of the operator's.

    Where no worker comes up nothing is proved, and the reason stands under each guarantee's name.
    """
    spec = WorkerSpec(arguments=("probe",), limits=PROBE_LIMITS)
    try:
        async with laid_out(folder) as bait:
            worker = await sandbox.start(spec, ready_timeout_s=PROBE_S_MAX)
            try:
                answer, _ = await worker.call(FrameHeader(id="probe", parameters=bait), timeout_s=PROBE_S_MAX)
                return shaped(answer.parameters, Findings)
            finally:
                await worker.kill()
    except (WorkerCrashed, WorkerTimeout, WorkerRefused, EngineUnavailable, OSError, ProtocolViolation) as error:
        return msgspec.structs.replace(NOTHING_PROVED, failure=str(error))


@asynccontextmanager
async def laid_out(folder: Path) -> AsyncIterator[dict[str, Any]]:
    """Files, listeners and a process to be reached by whoever can; gone afterwards. What a `Bait` says."""
    marker = secrets.token_hex(16)
    secret, shared = _files(folder, marker)
    pid = _other_task(marker)
    try:
        async with _listening(marker) as reachable:
            yield {
                **reachable,
                "secret_file": str(secret),
                "other_file": str(shared),
                "other_pid": pid,
                "marker": marker,
                "memory_mib": PROBE_LIMITS.memory_mib,
                "cpus": PROBE_LIMITS.cpus,
                "processes": _FORKS,
                "storage_mib": PROBE_LIMITS.temporary_mib,
            }
    finally:
        _end(pid)
        for path in (secret, shared):
            path.unlink(missing_ok=True)


def _files(folder: Path, marker: str) -> list[Path]:
    """One in the operator's folder, one in the machine's for temporary files; both hold the marker."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [Path(where).resolve() / f"gridlight-bait-{marker[:8]}" for where in (folder, tempfile.gettempdir())]
    for path in paths:
        path.write_text(marker, encoding="ascii")
    return paths


def _other_task(marker: str) -> int:
    """A process with something to hide, which ends by itself where nobody ends it."""
    return os.posix_spawn("/bin/sleep", ["sleep", "60"], {"GRIDLIGHT_BAIT": marker})


def _end(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


@asynccontextmanager
async def _listening(marker: str) -> AsyncIterator[dict[str, Any]]:
    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            writer.write(marker.encode())
            await writer.drain()
        writer.close()

    abstract = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    abstract.bind(f"\0gridlight-{marker}")
    loopback = await asyncio.start_server(greet, "127.0.0.1", 0)
    hidden = await asyncio.start_unix_server(greet, sock=abstract)
    names, _ = await asyncio.get_running_loop().create_datagram_endpoint(_NameServer, ("127.0.0.1", 0))
    try:
        yield {
            "address": _outward_address(),
            "loopback_port": loopback.sockets[0].getsockname()[1],
            "dns_port": names.get_extra_info("sockname")[1],
            "abstract_name": f"gridlight-{marker}",
        }
    finally:
        names.close()
        for server in (loopback, hidden):
            server.close()


class _NameServer(asyncio.DatagramProtocol):
    """Gives every question back as its own answer, which is enough to have been reached."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)  # uvloop's is one without saying so

    def datagram_received(self, data: bytes, address: tuple[str | Any, int]) -> None:
        self._transport.sendto(data, address)


def _outward_address() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking, suppress(OSError):
        asking.connect(_NOWHERE)
        return str(asking.getsockname()[0])
    return "127.0.0.1"
