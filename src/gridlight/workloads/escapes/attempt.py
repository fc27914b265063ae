"""What an attempt is: a function that says what it reached, or fails with how it was stopped."""

import os
import select
import signal
import time
from collections.abc import Callable
from typing import Final, NamedTuple

CHILD_S_MAX: Final = 10.0
_SAID_BYTES_MAX: Final = 500


class Bait(NamedTuple):
    """What whoever probes has laid out for the attempts to reach, and the limits that they try to pass."""

    address: str
    """Of the machine, and not its loopback's where it has another one. Nothing listens there."""
    loopback_port: int
    """On 127.0.0.1, where something listens and says `marker`."""
    dns_port: int
    """On 127.0.0.1; answers whoever asks."""
    abstract_name: str
    """A socket in the abstract namespace, which says `marker` too."""
    secret_file: str
    """In the operator's folder."""
    other_file: str
    """Another task's, in the machine's folder for temporary files."""
    other_pid: int
    """Another task: a process that has `marker` in its environment."""
    marker: str
    """What can be known only by reading it."""
    memory_mib: int
    cpus: float
    processes: int
    storage_mib: int


Attempt = Callable[[Bait], str]


class Blocked(Exception):
    """The attempt was stopped, in another way than by an OSError."""


def outcome(attempt: Attempt, bait: Bait) -> tuple[bool, str]:
    """Whether it succeeded, and what it reached or how it was stopped."""
    try:
        return True, attempt(bait)
    except MemoryError:
        return False, "no memory"
    except (OSError, Blocked) as error:
        return False, str(error) or type(error).__name__


def in_child(attempt: Attempt, *, or_here: bool = False) -> Attempt:
    """The attempt in a process of its own, since it may end or change whoever makes it.

    Where no process can be started it was stopped before it began; or it is made here, where that does no harm.
    """

    def run(bait: Bait) -> str:
        read_end, write_end = os.pipe()
        try:
            pid = os.fork()
        except OSError as error:
            os.close(read_end)
            os.close(write_end)
            if or_here:
                return attempt(bait)
            raise Blocked(f"no process can be started: {error.strerror}") from error
        if pid == 0:
            os.close(read_end)
            succeeded, said = outcome(attempt, bait)
            os.write(write_end, f"{int(succeeded)}{said}".encode()[:_SAID_BYTES_MAX])
            os._exit(0)
        os.close(write_end)
        with os.fdopen(read_end, "rb", buffering=0) as said_by_child:
            return _heard(pid, said_by_child.fileno())

    run.__name__ = attempt.__name__
    run.__doc__ = attempt.__doc__
    return run


def wait_to_be_killed() -> None:
    """What a started process does; by itself it ends soon, so that none is left where nobody kills it."""
    signal.alarm(int(CHILD_S_MAX))
    signal.pause()
    os._exit(0)


def _heard(pid: int, descriptor: int) -> str:
    ends_s = time.monotonic() + CHILD_S_MAX
    said = b""
    if select.select([descriptor], [], [], CHILD_S_MAX)[0]:
        said = os.read(descriptor, _SAID_BYTES_MAX)
    while (status := os.waitpid(pid, os.WNOHANG)) == (0, 0):
        if time.monotonic() > ends_s:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.002)
    text = said.decode(errors="replace")
    if text.startswith("1"):
        return text[1:]
    code = os.waitstatus_to_exitcode(status[1])
    raise Blocked(text[1:] or (f"killed by signal {-code}" if code < 0 else f"ended with exit code {code}"))
