"""Starting a child process with its end of the socketpair, its standard error read by us, and nothing else open."""

import asyncio
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

from gridlight.adapters.sandbox.worker_process import DESCRIPTOR, ClearAway, WorkerProcess, frame_sockets

FILTER_DESCRIPTOR: Final = 4
"""Where the child finds the compiled filter of system calls, if it is given one."""

Given = dict[int, tuple[int, ...]]
"""Our descriptor, and the numbers under which a child gets it."""


def spawn(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    filter_program: bytes | None = None,
    clear_away: ClearAway | None = None,
) -> WorkerProcess:
    """Start it in a session of its own, with no input. OSError where it cannot be started."""
    ours, theirs = frame_sockets()
    read_end, write_end = os.pipe()
    given: Given = {write_end: (1, 2), theirs.detach(): (DESCRIPTOR,)}
    if filter_program is not None:
        given[_readable(filter_program)] = (FILTER_DESCRIPTOR,)
    try:
        pid = start_child(command[0], command, environment, given)
    except BaseException:
        ours.close()
        os.close(read_end)
        raise
    finally:
        for descriptor in given:
            os.close(descriptor)
    return _owned(pid, ours, read_end, clear_away)


def start_child(path: str, words: Sequence[str], environment: Mapping[str, str], given: Given) -> int:
    """Start a program with nothing to read, and each of our descriptors under its own numbers; its process id."""
    # First out of everybody's way: one of ours may have the number that another one has, or is to get.
    taken = {*given, *(number for numbers in given.values() for number in numbers)}
    away = {ours: max(taken) + 1 + index for index, ours in enumerate(given)}
    actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = [
        *((os.POSIX_SPAWN_DUP2, ours, far) for ours, far in away.items()),
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        *((os.POSIX_SPAWN_DUP2, away[ours], theirs) for ours, numbers in given.items() for theirs in numbers),
        *((os.POSIX_SPAWN_CLOSE, far) for far in away.values()),
    ]
    return os.posix_spawn(path, list(words), environment, file_actions=actions, setsid=True)


async def end_of(pid: int, *, timeout_s: float) -> int:
    """The exit code of a child, negative for a signal; TimeoutError where it does not end, and it was killed."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    pidfd = os.pidfd_open(pid)
    loop.add_reader(pidfd, lambda: None if ended.done() else ended.set_result(None))
    try:
        async with asyncio.timeout(timeout_s):
            await ended
    finally:
        loop.remove_reader(pidfd)
        if not ended.done() or ended.cancelled():
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.close(pidfd)
        code = reaped(pid)
    return code


def reaped(pid: int) -> int:
    """The exit code of a child that has ended or is about to."""
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def _owned(pid: int, ours: socket.socket, printed: int, clear_away: ClearAway | None) -> WorkerProcess:
    try:
        return WorkerProcess(pid, ours, printed=printed, clear_away=clear_away)
    except BaseException:
        ours.close()
        os.close(printed)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise


def _readable(data: bytes) -> int:
    """A descriptor from which these bytes can be read once."""
    descriptor = os.memfd_create("filter")
    os.write(descriptor, data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
