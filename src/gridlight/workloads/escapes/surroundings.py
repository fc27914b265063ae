"""Attempts to reach what is around a worker: addresses, files, other processes, what it could have inherited."""

import os
import socket
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from gridlight.workloads.escapes.attempt import Bait, Blocked

_ANSWER_S: Final = 1.0
_DISCARD_PORT: Final = 9

ENVIRONMENT_KEPT: Final = frozenset(
    {"PATH", "LANG", "LC_CTYPE", "MALLOC_ARENA_MAX", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"}
    | {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ORT_DISABLE_TELEMETRY"}
    # A container's engine sets these, from nothing of the operator's.
    | {"HOME", "HOSTNAME", "PWD", "TERM", "container"}
)
"""All that a worker's environment may hold: nothing of its operator's, no token, no proxy."""

_WRITTEN: Final = "gridlight-was-here"


def open_socket(bait: Bait) -> str:
    """Send a datagram to an address of the machine, which is as far as this may go."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
        sending.connect((bait.address, _DISCARD_PORT))
        return f"{sending.send(b'x')} byte left for {bait.address}"


def reach_loopback(bait: Bait) -> str:
    """Connect to what listens on the machine's 127.0.0.1."""
    with socket.create_connection(("127.0.0.1", bait.loopback_port), timeout=_ANSWER_S) as connected:
        return _greeting(connected)


def ask_name_server(bait: Bait) -> str:
    """Send a question of the DNS, and have it answered."""
    name = b"".join(bytes([len(part)]) + part for part in (b"example", b"com")) + b"\0"
    question = struct.pack(">6H", 0x4711, 0x0100, 1, 0, 0, 0) + name + struct.pack(">2H", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(_ANSWER_S)
        asking.connect(("127.0.0.1", bait.dns_port))
        asking.send(question)
        return f"{len(asking.recv(512))} bytes of an answer"


def reach_abstract_socket(bait: Bait) -> str:
    """Connect to a Unix socket that has no file, as desktops and container engines have them."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connecting:
        connecting.settimeout(_ANSWER_S)
        connecting.connect(f"\0{bait.abstract_name}")
        return _greeting(connecting)


def read_home(bait: Bait) -> str:
    """Read a file of the operator's."""
    return f"{len(Path(bait.secret_file).read_text(encoding='ascii'))} characters of {bait.secret_file}"


def write_home(bait: Bait) -> str:
    """Change a file of the operator's."""
    with Path(bait.secret_file).open("r+", encoding="ascii") as file:
        file.write(bait.marker)
    return f"{bait.secret_file} was written"


def write_root(_bait: Bait) -> str:
    """Make a file beside the system's, the interpreter's and the packages'."""
    stopped = ""
    for folder in ("/", "/etc", "/usr", "/lib", Path(sys.executable).parent, Path(__file__).parent):
        path = Path(folder) / _WRITTEN
        try:
            path.touch()
        except OSError as error:
            stopped = f"{path}: {error.strerror}"
        else:
            path.unlink()
            return f"{path} was made"
    raise Blocked(stopped)


def read_another_task(bait: Bait) -> str:
    """Read what another task wrote into a folder for temporary files."""
    return _marked(Path(bait.other_file).read_text(encoding="ascii"), bait)


def read_another_environment(bait: Bait) -> str:
    """Look through the processes that are seen for another task's environment."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if bait.marker.encode() in (folder / "environ").read_bytes():
                return f"the environment of process {folder.name}"
    raise Blocked("no such process is seen")


def signal_another_task(bait: Bait) -> str:
    """Ask the kernel whether a signal may be sent to another task."""
    os.kill(bait.other_pid, 0)
    return f"process {bait.other_pid} can be killed"


def read_inherited_environment(_bait: Bait) -> str:
    """Find a variable that nobody gave to workers."""
    if foreign := sorted(set(os.environ) - ENVIRONMENT_KEPT):
        return f"{len(foreign)} variables, as {foreign[0]}"
    raise Blocked("nothing but what workers are given")


def use_inherited_file(_bait: Bait) -> str:
    """Find an open file beside the standard ones and the worker's own socket."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208  (a Path's listing opens one more)
        if int(name) > 3:
            with suppress(OSError):  # the listing's own is closed by now
                os.fstat(int(name))
                return f"descriptor {name} is open"
    raise Blocked("none is open")


def _greeting(connected: socket.socket) -> str:
    return f"{len(connected.recv(64))} bytes of a greeting"


def _marked(text: str, bait: Bait) -> str:
    if bait.marker not in text:
        raise Blocked("the file there is another one")
    return f"{len(text)} characters of another task's"
