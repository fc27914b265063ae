"""What a worker takes from itself before it reads a byte from outside.

Walls and limits are put up by the parent, from outside (see adapters.sandbox); these are what only the process itself
can. What they are worth together is tried in `workloads.escapes`.
"""

import ctypes
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_SECCOMP: Final = 22
_PR_SET_NO_NEW_PRIVS: Final = 38
_SECCOMP_MODE_FILTER: Final = 2
_INSTRUCTION_BYTES: Final = 8
_FILTER_BYTES_MAX: Final = 4096 * _INSTRUCTION_BYTES
"""The kernel takes no more instructions."""

DESCRIPTOR: Final = 3
"""The socket to the parent; the highest descriptor that a worker keeps."""

FILTER_DESCRIPTOR: Final = 4
"""The compiled filter of system calls, where the parent cannot put it up itself."""

_libc: Final = ctypes.CDLL(None, use_errno=True)


class _Program(ctypes.Structure):
    """The kernel's sock_fprog."""

    _fields_ = (("instructions", ctypes.c_ushort), ("first", ctypes.c_char_p))


def confine() -> None:
    """Never gain privileges, die with the parent, hold no file of its, stand in no one's folder."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    # Ctrl-C reaches a whole terminal; when a worker ends is for its parent to say.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.chdir("/")
    os.umask(0o077)
    program = _given_filter()
    for descriptor in _open_files():
        if descriptor > DESCRIPTOR:
            os.close(descriptor)
    if program:
        loaded = _Program(len(program) // _INSTRUCTION_BYTES, program)
        _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(loaded))


def _given_filter() -> bytes:
    with suppress(OSError):  # there is none: the parent has put it up already, or knows how to make none
        return os.read(FILTER_DESCRIPTOR, _FILTER_BYTES_MAX)
    return b""


def _prctl(option: int, value: int, pointer: object = 0) -> None:
    if _libc.prctl(option, value, pointer, 0, 0):
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}) failed: {os.strerror(number)}; a worker needs Linux 3.5 or later")


def _open_files() -> set[int]:
    found: set[int] = set()
    for entry in list(Path("/proc/self/fd").iterdir()):
        with suppress(OSError):  # the listing's own descriptor is closed by now
            os.fstat(int(entry.name))
            found.add(int(entry.name))
    return found
