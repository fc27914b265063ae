"""What a worker takes from itself before it reads a byte from outside, and the attempts that prove it.

Resource limits are set by the parent, from outside (see adapters.sandbox); these are what only the process itself can.
"""

import ctypes
import os
import resource
import signal
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38

_MIB = 1024 * 1024

DESCRIPTOR = 3
"""The socket to the parent; the highest descriptor that a worker keeps."""


def confine() -> None:
    """Never gain privileges, die with the parent, hold no file of its, stand in no one's folder."""
    libc = ctypes.CDLL(None, use_errno=True)
    for option, value in ((_PR_SET_NO_NEW_PRIVS, 1), (_PR_SET_PDEATHSIG, int(signal.SIGKILL))):
        if libc.prctl(option, value, 0, 0, 0):
            number = ctypes.get_errno()
            raise OSError(number, f"prctl({option}) failed: {os.strerror(number)}; a worker needs Linux 3.5 or later")
    # Ctrl-C reaches a whole terminal; when a worker ends is for its parent to say.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for descriptor in _open_files():
        if descriptor > DESCRIPTOR:
            os.close(descriptor)
    os.chdir("/")
    os.umask(0o077)


def attempt_escape() -> dict[str, bool]:
    """Try from inside what the limits forbid; True is a guarantee that held."""
    return {
        "no_new_privileges": "NoNewPrivs:\t1" in Path("/proc/self/status").read_text(encoding="ascii"),
        "own_session": os.getsid(0) == os.getpid(),
        "memory_bounded": _is_memory_bounded(),
        "files_bounded": _is_files_bounded(),
        "no_core_dump": resource.getrlimit(resource.RLIMIT_CORE) == (0, 0),
        "environment_scrubbed": set(os.environ) <= ENVIRONMENT_KEPT,
        "no_other_files_open": _open_files() <= set(range(DESCRIPTOR + 1)),
        "outside_home": Path.cwd() == Path("/"),
    }


ENVIRONMENT_KEPT = frozenset(
    {"PATH", "LANG", "LC_CTYPE", "MALLOC_ARENA_MAX", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"}
    | {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ORT_DISABLE_TELEMETRY"}
)
"""All that a worker's environment may hold: nothing of its operator's, no token, no proxy."""


def _is_memory_bounded() -> bool:
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return False
    try:
        block = bytearray(limit + _MIB)
    except MemoryError:
        return True
    del block
    return False


def _is_files_bounded() -> bool:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    opened: list[int] = []
    try:
        while len(opened) < min(limit, 4096):
            opened.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        return True
    finally:
        for descriptor in opened:
            os.close(descriptor)
    return False


def _open_files() -> set[int]:
    found: set[int] = set()
    for entry in list(Path("/proc/self/fd").iterdir()):
        with suppress(OSError):  # the listing's own descriptor is closed by now
            os.fstat(int(entry.name))
            found.add(int(entry.name))
    return found
