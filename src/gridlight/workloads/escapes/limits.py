"""Attempts to use more than a worker was given: memory, processors, processes, files, storage."""

import os
import resource
import signal
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from gridlight.workloads.escapes.attempt import Bait, Blocked, wait_to_be_killed

_MIB: Final = 1024 * 1024
_BEYOND_MIB: Final = 64
_FILES_MAX: Final = 4096
_BURNERS: Final = 2
_BURN_S: Final = 0.5
_CPU_SLACK: Final = 1.5
"""A quota is for a tenth of a second, and whoever looks may see one more of them begin and end."""
_FOLDERS: Final = ("/tmp", "/var/tmp", "/dev/shm", "/dev", "/dev/mqueue", "/run", "/var", "/home", "/root", "/", ".")  # noqa: S108


def take_memory(bait: Bait) -> str:
    """Fill more memory than was given."""
    blocks = []
    for _ in range(bait.memory_mib + _BEYOND_MIB):
        blocks.append(b"x" * _MIB)  # noqa: PERF401  (one after the other: each must be there before the next)
    return f"{len(blocks)} MiB are filled"


def unpack_bomb(bait: Bait) -> str:
    """Unpack a few kilobytes that become more than the memory that was given."""
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    one = packer.compress(bytes(_MIB)) + packer.flush(zlib.Z_FULL_FLUSH)  # a block that may be repeated
    bomb = one * (bait.memory_mib + _BEYOND_MIB) + packer.flush()
    unpacking = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    unpacked = [unpacking.decompress(bomb, _MIB)]
    while unpacking.unconsumed_tail:
        unpacked.append(unpacking.decompress(unpacking.unconsumed_tail, _MIB))
    return f"{len(bomb)} bytes became {len(unpacked)} MiB"


def burn_processors(bait: Bait) -> str:
    """Loop without end in two processes, and see how much time of processors that gets."""
    started_s = time.monotonic()
    pids = [_burner(started_s + _BURN_S) for _ in range(_BURNERS)]
    spent_s = 0.0
    for pid in pids:
        _, _, used = os.wait4(pid, 0)
        spent_s += used.ru_utime + used.ru_stime
    got = spent_s / (time.monotonic() - started_s)
    if got <= bait.cpus * _CPU_SLACK:
        raise Blocked(f"{got:.2f} processors' time")
    return f"{got:.2f} processors' time instead of {bait.cpus:g}"


def fork_bomb(bait: Bait) -> str:
    """Start many processes, each of which only waits."""
    pids: list[int] = []
    try:
        while len(pids) < bait.processes:
            pid = os.fork()
            if pid == 0:
                wait_to_be_killed()
            pids.append(pid)
    except OSError as error:
        raise Blocked(f"{error.strerror} after {len(pids)} processes") from error
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        for pid in pids:
            os.waitpid(pid, 0)
    return f"{len(pids)} processes run"


def open_files(_bait: Bait) -> str:
    """Open one file very often."""
    opened: list[int] = []
    try:
        while len(opened) < _FILES_MAX:
            opened.append(os.open("/dev/null", os.O_RDONLY))
    finally:
        for descriptor in opened:
            os.close(descriptor)
    return f"{len(opened)} files are open"


def fill_storage(bait: Bait) -> str:
    """Write more than was given, wherever anything can be written."""
    stopped = "nothing can be written anywhere"
    for folder in _writable():
        path = folder / "gridlight-fills-this"
        try:
            with path.open("wb") as file:
                for _ in range(bait.storage_mib + _BEYOND_MIB):
                    file.write(bytes(_MIB))
            return f"{path} has {path.stat().st_size // _MIB} MiB"
        except OSError as error:
            stopped = f"{folder}: {error.strerror}"
        finally:
            path.unlink(missing_ok=True)
    raise Blocked(stopped)


def dump_core(_bait: Bait) -> str:
    """Leave the whole memory on the machine's disk, by crashing."""
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    if most == 0:
        raise Blocked("no core may be dumped")
    return "a core may be dumped"


def _burner(until_s: float) -> int:
    try:
        pid = os.fork()
    except OSError as error:
        raise Blocked(f"no process can be started: {error.strerror}") from error
    if pid == 0:
        while time.monotonic() < until_s:
            pass
        os._exit(0)
    return pid


def _writable() -> Iterator[Path]:
    for name in _FOLDERS:
        trial = Path(name) / "gridlight-tries-this"
        with suppress(OSError):
            trial.touch()
            trial.unlink()
            yield Path(name)
