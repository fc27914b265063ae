"""Keeps programs running as processes of their own: starts, restarts with a back-off, and stops them in order.

Each is in a session of its own, so that Ctrl-C reaches the supervisor alone, and dies with it: the kernel kills what a
killed supervisor leaves behind.
"""

import asyncio
import os
import resource
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog
from msgspec import Struct

from gridlight.adapters.clock import monotonic_ms
from gridlight.adapters.parent_death import signalled_when_parent_dies

RESTART_DELAY_MS_FIRST: Final = 200
RESTART_DELAY_MS_MAX: Final = 5_000
HEALTHY_MS: Final = 10_000
"""A process that ran this long has earned an immediate restart again."""

_log = structlog.get_logger()


class Program(Struct, frozen=True, kw_only=True):
    """What to run. All that it prints goes to its log file."""

    name: str
    role: str
    command: Sequence[str]
    log_file: Path
    environment: Mapping[str, str] = {}
    stop_timeout_s: float = 5.0
    is_batch: bool = False
    """It waits for its turn where others compute, in place of interrupting them whenever it wakes (SCHED_BATCH)."""


class Backoff:
    """How long to wait before the next restart: not at all after a healthy life, else ever longer to 5 s."""

    def __init__(self) -> None:
        self._next_ms = 0

    def delay_ms(self, *, lived_ms: int) -> int:
        """For a process that ended after living so long."""
        if lived_ms >= HEALTHY_MS:
            self._next_ms = 0
        delay_ms = self._next_ms
        self._next_ms = min(max(2 * delay_ms, RESTART_DELAY_MS_FIRST), RESTART_DELAY_MS_MAX)
        return delay_ms


def raise_open_files_max() -> None:
    """To what this process may have at most: each connection of a service is a file, and children inherit this."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class Supervisor:
    """Runs programs inside a TaskGroup of its caller's; `on_change` is called whenever a process id changes."""

    def __init__(self, tasks: asyncio.TaskGroup, on_change: Callable[[], None]) -> None:
        self._tasks: Final = tasks
        self._on_change: Final = on_change
        self._running: Final[dict[str, _Process]] = {}
        self._programs: Final[dict[str, Program]] = {}
        self._stopping = asyncio.Event()
        self._restarts: Final[dict[str, int]] = {}

    def start(self, program: Program) -> None:
        """Run it from now on. OSError where it cannot be run at all."""
        assert program.name not in self._programs
        assert not self._stopping.is_set()
        self._programs[program.name] = program
        process = self._spawn(program)
        self._tasks.create_task(self._keep(program, process))

    def process_ids(self) -> dict[str, int]:
        """Name to process id of what runs now, in the order of `start`."""
        running = self._running
        return {name: running[name].pid for name in self._programs if name in running}

    def failing(self, restarts_max: int) -> Program | None:
        """A program that was restarted more often than this, if there is one."""
        names = (name for name, restarts in self._restarts.items() if restarts > restarts_max)
        return next((self._programs[name] for name in names), None)

    async def stop(self, roles: Sequence[str]) -> None:
        """End all, one role after the other in this order: SIGTERM, and SIGKILL for what is not gone in time."""
        self._stopping.set()
        assert {program.role for program in self._programs.values()} <= set(roles)
        for role in roles:
            members = [self._programs[name] for name in self._running if self._programs[name].role == role]
            async with asyncio.TaskGroup() as group:
                for program in members:
                    group.create_task(self._end(program, self._running[program.name]))

    def kill(self) -> None:
        """End all at once, without waiting: for when a person has lost patience."""
        self._stopping.set()
        for process in self._running.values():
            process.kill()

    async def _keep(self, program: Program, process: "_Process | None") -> None:
        backoff = Backoff()
        while True:
            lived_ms = 0
            if process is not None:
                status = await process.wait()
                del self._running[program.name]
                lived_ms = monotonic_ms() - process.started_ms
                say = _log.info if self._stopping.is_set() else _log.warning
                say("a process ended", name=program.name, pid=process.pid, status=status, lived_ms=lived_ms)
            if await self._is_stopped_within(backoff.delay_ms(lived_ms=lived_ms)):
                return
            self._restarts[program.name] = self._restarts.get(program.name, 0) + 1
            try:
                process = self._spawn(program)
            except OSError as error:  # the machine has no room for one more just now
                _log.error("a process could not be started", name=program.name, error=str(error))
                process = None

    async def _is_stopped_within(self, delay_ms: int) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(delay_ms / 1_000):
                await self._stopping.wait()
        return self._stopping.is_set()

    def _spawn(self, program: Program) -> "_Process":
        process = _Process(program)
        self._running[program.name] = process
        _log.info("a process started", name=program.name, pid=process.pid)
        self._on_change()
        return process

    async def _end(self, program: Program, process: "_Process") -> None:
        process.terminate()
        try:
            async with asyncio.timeout(program.stop_timeout_s):
                await process.wait()
        except TimeoutError:
            _log.warning("a process did not stop in time and is killed", name=program.name, pid=process.pid)
            process.kill()
            await process.wait()


def _first_in(program: Program) -> Callable[[], None]:
    """What the child does before it becomes the program."""
    bind = signalled_when_parent_dies(signal.SIGKILL)

    def first() -> None:
        bind()
        if program.is_batch:
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))

    return first


class _Process:
    """One running process. Its end is seen through a pidfd, so no thread waits for it."""

    def __init__(self, program: Program) -> None:
        program.log_file.parent.mkdir(parents=True, exist_ok=True)
        with program.log_file.open("ab") as log:
            self._popen: Final = subprocess.Popen(  # noqa: S603  (our own programs, no shell)
                program.command,
                env={**os.environ, **program.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_first_in(program),  # noqa: PLW1509  (this process has one thread)
            )
        self.pid: Final = self._popen.pid
        self.started_ms: Final = monotonic_ms()
        self._ended: Final = asyncio.Event()
        self._pidfd = os.pidfd_open(self.pid)
        asyncio.get_running_loop().add_reader(self._pidfd, self._note_end)

    async def wait(self) -> int:
        """Its exit status, negative for a signal; then nothing of its process group is left."""
        await self._ended.wait()
        assert self._popen.returncode is not None
        return self._popen.returncode

    def terminate(self) -> None:
        """Ask it to end; a frozen one is woken to hear it."""
        self._send(signal.SIGTERM)
        self._send(signal.SIGCONT)

    def kill(self) -> None:
        """End it without asking."""
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if not self._ended.is_set():
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def _note_end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        # Before it is reaped, so that its id still is its group's and nobody else's.
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        os.close(self._pidfd)
        self._popen.wait()
        self._ended.set()
