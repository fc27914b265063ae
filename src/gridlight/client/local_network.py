"""A network on this machine for as long as a `with` lasts: `gridlight up` as a child process."""

import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from gridlight.adapters.bus_server import free_port
from gridlight.adapters.clock import monotonic_ms
from gridlight.adapters.parent_death import signalled_when_parent_dies
from gridlight.client.errors import GridlightError
from gridlight.client.network_file import NETWORK_FILE, read_network_file
from gridlight.client.progress import ProgressListener

HOST = "127.0.0.1"
READY_WAIT_S = 90.0
STOP_WAIT_S = 20.0
KILL_WAIT_S = 5.0
POLL_S = 0.1
LOG_FILE = "up.log"
LOG_TAIL_LINES = 15


class NetworkNotReady(GridlightError):
    """`gridlight up` ended, or was not ready in time; the message carries the end of what it printed."""


class LocalNetwork:
    """Started on entry, stopped on exit with every process that belongs to it."""

    def __init__(self, folder: Path, *, nodes: int, progress: ProgressListener, engine: str = "subprocess") -> None:
        self.network_path = folder / NETWORK_FILE
        self._folder = folder
        self._nodes = nodes
        self._engine = engine
        self._progress = progress
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        http = f"{HOST}:{free_port(HOST)}"
        arguments = ["up", "--nodes", str(self._nodes), "--data", str(self._folder), "--http", http]
        arguments += ["--engine", self._engine]
        with (self._folder / LOG_FILE).open("wb") as log:
            # A session of its own, so that Ctrl-C reaches us alone and we stop the network in order.
            self._process = subprocess.Popen(  # noqa: S603 our own interpreter and module
                [sys.executable, "-m", "gridlight", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # Where we are killed, the network stops in order as well.
                preexec_fn=signalled_when_parent_dies(signal.SIGTERM),  # noqa: PLW1509
            )
        try:
            self._await_ready(self._process)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _await_ready(self, process: subprocess.Popen[bytes]) -> None:
        stage = f"starting a network with {self._nodes} nodes"
        ends_ms = monotonic_ms() + int(READY_WAIT_S * 1000)
        self._progress(stage, 0, 1)
        while not self.network_path.exists():
            if process.poll() is not None:
                raise NetworkNotReady(f"`gridlight up` ended with status {process.returncode}", self._log_tail())
            if monotonic_ms() > ends_ms:
                raise NetworkNotReady(f"`gridlight up` was not ready within {READY_WAIT_S:g} s", self._log_tail())
            time.sleep(POLL_S)
        read_network_file(self.network_path)
        self._progress(stage, 1, 1)

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        family = descendants(process.pid)
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=STOP_WAIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=KILL_WAIT_S)
        # What is left now has lost its supervisor and would run for ever.
        for one in family:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        psutil.wait_procs(family, timeout=KILL_WAIT_S)

    def _log_tail(self) -> str:
        lines = (self._folder / LOG_FILE).read_text(encoding="utf-8", errors="replace").splitlines()
        return "it printed:\n" + "\n".join(lines[-LOG_TAIL_LINES:]) if lines else "it printed nothing"


def descendants(pid: int) -> list[psutil.Process]:
    """Of a process that may be gone."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
