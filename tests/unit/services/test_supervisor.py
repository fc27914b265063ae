"""Supervision of real processes: small shell scripts that die, refuse to die, or freeze when told to."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from gridlight.adapters.clock import monotonic_ms
from gridlight.services.supervisor import Backoff, Program, Supervisor

WAIT_S = 20.0
ROLES = ("agent", "gateway", "coordinator", "nats")
SLEEPER = "exec sleep 600"
TELLER = (
    'trap \'sleep 0.1; echo "$NAME" >> "$FOLDER/stopped"; exit 0\' TERM; '
    ': > "$FOLDER/$NAME.up"; while :; do sleep 0.02; done'
)
TWO_SLEEPERS = """
import asyncio, sys
from pathlib import Path
from gridlight.services.supervisor import Program, Supervisor

async def main():
    folder = Path(sys.argv[1])
    async with asyncio.TaskGroup() as tasks:
        supervisor = Supervisor(tasks, lambda: None)
        for name in ("one", "two"):
            supervisor.start(Program(name=name, role="agent", command=["sleep", "600"], log_file=folder / name))
        print("both run", flush=True)

asyncio.run(main())
"""


class Watched:
    """A supervisor, and the process ids it told of."""

    def __init__(self, tasks: asyncio.TaskGroup, folder: Path) -> None:
        self.supervisor = Supervisor(tasks, self._changed)
        self.folder = folder
        self.history: list[dict[str, int]] = []
        self.times_ms: list[int] = []

    def _changed(self) -> None:
        self.history.append(self.supervisor.process_ids())
        self.times_ms.append(monotonic_ms())

    def start(
        self,
        script: str,
        *,
        name: str = "one",
        role: str = "agent",
        stop_timeout_s: float = 10.0,
        is_batch: bool = False,
    ) -> int:
        program = Program(
            name=name,
            role=role,
            command=["/bin/sh", "-c", script],
            environment={"FOLDER": str(self.folder), "NAME": name},
            log_file=self.folder / f"{name}.log",
            stop_timeout_s=stop_timeout_s,
            is_batch=is_batch,
        )
        self.supervisor.start(program)
        return self.supervisor.process_ids()[name]

    async def until(self, is_true: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not is_true():  # noqa: ASYNC110  (it is a process elsewhere)
                await asyncio.sleep(0.01)

    async def stop(self) -> None:
        async with asyncio.timeout(WAIT_S):
            await self.supervisor.stop(ROLES)

    def lines(self, name: str) -> list[str]:
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []


@asynccontextmanager
async def supervising(folder: Path) -> AsyncIterator[Watched]:
    async with asyncio.TaskGroup() as tasks:
        watched = Watched(tasks, folder)
        try:
            yield watched
        finally:
            watched.supervisor.kill()


def test_a_restart_comes_at_once_and_then_ever_later_up_to_five_seconds() -> None:
    backoff = Backoff()

    delays_ms = [backoff.delay_ms(lived_ms=50) for _ in range(8)]

    assert delays_ms == [0, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]


def test_ten_seconds_of_health_earn_an_immediate_restart_again() -> None:
    backoff = Backoff()
    for _ in range(5):
        backoff.delay_ms(lived_ms=50)

    assert backoff.delay_ms(lived_ms=10_000) == 0
    assert backoff.delay_ms(lived_ms=9_999) == 200


async def test_a_killed_process_is_running_again_at_once(tmp_path: Path) -> None:
    async with supervising(tmp_path) as watched:
        first = watched.start(SLEEPER)
        killed_ms = monotonic_ms()

        os.kill(first, signal.SIGKILL)
        await watched.until(lambda: len(watched.history) == 2)

        assert watched.times_ms[1] - killed_ms < 1_000  # it is some 10 ms where the machine is not busy
        second = watched.history[1]["one"]
        assert second != first
        assert psutil.pid_exists(second)


async def test_one_that_dies_at_every_start_is_restarted_ever_later(tmp_path: Path) -> None:
    async with supervising(tmp_path) as watched:
        watched.start("exit 3")

        await watched.until(lambda: len(watched.history) == 4)

        gaps_ms = [later - earlier for earlier, later in zip(watched.times_ms, watched.times_ms[1:], strict=False)]
        assert gaps_ms[1] >= 200
        assert gaps_ms[2] >= 400
        assert gaps_ms[0] < gaps_ms[2]
        failing = watched.supervisor.failing(2)
        assert failing is not None
        assert failing.name == "one"
        assert watched.supervisor.failing(3) is None


async def test_others_run_on_while_one_is_restarted(tmp_path: Path) -> None:
    async with supervising(tmp_path) as watched:
        steady = watched.start(SLEEPER, name="steady")
        restless = watched.start(SLEEPER, name="restless")

        os.kill(restless, signal.SIGKILL)
        await watched.until(lambda: len(watched.history) == 3)

        assert watched.history[-1]["steady"] == steady
        assert list(watched.history[-1]) == ["steady", "restless"]


async def test_processes_stop_role_after_role(tmp_path: Path) -> None:
    async with supervising(tmp_path) as watched:
        for role in ("nats", "coordinator", "gateway", "agent"):
            watched.start(TELLER, name=role, role=role)
        await watched.until(lambda: len(list(tmp_path.glob("*.up"))) == 4)

        await watched.stop()

        assert watched.lines("stopped") == list(ROLES)
        assert watched.supervisor.process_ids() == {}


async def test_one_that_ignores_the_request_to_stop_is_killed_in_time(tmp_path: Path) -> None:
    async with supervising(tmp_path) as watched:
        pid = watched.start('trap "" TERM; : > "$FOLDER/up"; while :; do sleep 0.02; done', stop_timeout_s=0.3)
        await watched.until((tmp_path / "up").exists)
        started_ms = monotonic_ms()

        await watched.stop()

        assert 300 <= monotonic_ms() - started_ms < 3_000
        assert not psutil.pid_exists(pid)


async def test_a_frozen_process_is_woken_to_stop(tmp_path: Path) -> None:
    async with supervising(tmp_path) as watched:
        pid = watched.start(
            'trap "echo gently > $FOLDER/stopped; exit 0" TERM; : > "$FOLDER/up"; while :; do sleep 0.02; done'
        )
        await watched.until((tmp_path / "up").exists)
        os.kill(pid, signal.SIGSTOP)

        await watched.stop()

        assert watched.lines("stopped") == ["gently"]


async def test_what_a_process_leaves_behind_in_its_group_is_killed(tmp_path: Path) -> None:
    async with supervising(tmp_path) as watched:
        watched.start(
            'sleep 600 & echo $! > "$FOLDER/orphan.new"; mv "$FOLDER/orphan.new" "$FOLDER/orphan"; exec sleep 600'
        )
        await watched.until((tmp_path / "orphan").exists)
        orphan = int((tmp_path / "orphan").read_text())

        await watched.stop()

        await watched.until(lambda: not _runs(orphan))


async def test_a_stop_during_the_wait_for_a_restart_starts_nothing_more(tmp_path: Path) -> None:
    async with supervising(tmp_path) as watched:
        watched.start("exit 0")
        await watched.until(lambda: len(watched.history) == 3)

        await watched.stop()
        started = len(watched.history)

    assert len(watched.history) == started


async def test_what_a_process_prints_is_in_its_log_over_restarts(tmp_path: Path) -> None:
    async with supervising(tmp_path) as watched:
        watched.start("echo out; echo err >&2; exit 1")

        await watched.until(lambda: watched.lines("one.log")[:4] == ["out", "err"] * 2)


async def test_a_program_that_does_not_exist_is_an_error_at_once(tmp_path: Path) -> None:
    program = Program(name="one", role="agent", command=[str(tmp_path / "absent")], log_file=tmp_path / "log")
    async with supervising(tmp_path) as watched:
        with pytest.raises(FileNotFoundError):
            watched.supervisor.start(program)


async def test_a_program_may_wait_for_its_turn_from_its_first_moment_on(tmp_path: Path) -> None:
    says = f'exec {sys.executable} -c "import os; print(os.sched_getscheduler(0))"'
    async with supervising(tmp_path) as watched:
        watched.start(says, name="polite", is_batch=True)
        watched.start(says, name="plain")

        await watched.until(lambda: bool(watched.lines("polite.log")) and bool(watched.lines("plain.log")))
    assert watched.lines("polite.log")[0] == str(os.SCHED_BATCH)
    assert watched.lines("plain.log")[0] == str(os.SCHED_OTHER)


def test_nothing_outlives_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", TWO_SLEEPERS, str(tmp_path)], stdout=subprocess.PIPE) as killed:
        assert killed.stdout is not None
        while b"both run" not in killed.stdout.readline():
            assert killed.poll() is None
        children = psutil.Process(killed.pid).children()
        assert len(children) == 2

        killed.kill()

        _, alive = psutil.wait_procs(children, timeout=WAIT_S)
    assert alive == []


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
