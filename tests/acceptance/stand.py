"""A whole network as a person runs it: `gridlight up` from the command line, watched and disturbed from outside."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import httpx
import msgspec
import psutil
from msgspec import Struct

from gridlight.client.errors import GridlightError
from gridlight.client.requester import Gridlight
from gridlight.messages.ids import NodeId
from gridlight.messages.trust import Assurance

GRIDLIGHT: Final = str(Path(sys.executable).with_name("gridlight"))
"""The script that an installation makes, beside its Python."""

READY_S: Final = 90.0
STOP_S: Final = 20.0
POLL_S: Final = 0.02
WORKER: Final = "gridlight.workloads.worker"

TASKS_HELD_MAX: Final = 3
QUICK_MS: Final = 60
"""A node with one slot runs one task and holds one more in readiness, or two where its benchmark is below this."""

T = TypeVar("T")


class Process(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry of `processes` in network.json, written down here from its description, not from the code."""

    role: str
    pid: int
    node_id: str | None = None
    data: str | None = None
    is_reference: bool = False


class NetworkJson(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """network.json, whole."""

    url: str
    nats_url: str
    processes: list[Process]


class Network:
    """One running `gridlight up`."""

    def __init__(self, up: "subprocess.Popen[bytes]", folder: Path) -> None:
        self.up = up
        self.folder = folder
        self.url = self.read().url
        self.token = (folder / "keys" / "admin.token").read_text(encoding="ascii").strip()
        self.api_key = (folder / "requester.key").read_text(encoding="ascii").strip()

    def read(self) -> NetworkJson:
        """network.json as it is now."""
        return msgspec.json.decode((self.folder / "network.json").read_bytes(), type=NetworkJson)

    def process_ids(self, role: str) -> list[int]:
        """Of one role, in the file's order."""
        return [one.pid for one in self.read().processes if one.role == role]

    def agents(self) -> dict[NodeId, psutil.Process]:
        """Node to its agent's process."""
        listed = [one for one in self.read().processes if one.role == "agent"]
        return {NodeId(one.node_id or ""): psutil.Process(one.pid) for one in listed}

    def data(self, node_id: NodeId) -> Path:
        """A node's folder."""
        [data] = [one.data for one in self.read().processes if one.node_id == node_id]
        return Path(data or "")

    def tasks_held(self, node_id: NodeId) -> int:
        """How many tasks a node takes before it has no room, by what the benchmark of its newest worker was."""
        lines = [msgspec.json.decode(line) for line in (self.data(node_id) / "log.jsonl").read_bytes().splitlines()]
        benchmark_ms: int = [line["benchmark_ms"] for line in lines if line["event"] == "a worker is ready"][-1]
        return TASKS_HELD_MAX if benchmark_ms < QUICK_MS else TASKS_HELD_MAX - 1

    def family(self) -> list[psutil.Process]:
        """`up` and every process that came of it."""
        own = psutil.Process(self.up.pid)
        return [own, *own.children(recursive=True)]

    def administrator(self) -> Gridlight:
        """A requester who may pin."""
        return Gridlight(self.url, token=self.token)

    def metric(self, name: str) -> float:
        """The sum of one of the gateway's figures over its labels."""
        lines = httpx.get(f"{self.url}/metrics", trust_env=False).text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.split("{")[0].split(" ")[0] == name)

    def answers(self, photo: Path) -> bool:
        """Whether an ordinary request gets a result now."""
        try:
            with Gridlight(self.url) as requester:
                requester.detect(photo)
        except GridlightError:
            return False
        return True

    def settle(self, photo: Path) -> None:
        """Wait until every node that `up` started answers a task that is pinned to it."""
        with self.administrator() as administrator:
            for node_id in self.agents():
                until(partial(is_answered_by, administrator, photo, node_id), 40, f"{node_id} to serve")

    def log_tail(self) -> str:
        """For whoever reads a failure."""
        return "\n".join((self.folder / "up.jsonl").read_text(encoding="utf-8").splitlines()[-30:])


def is_answered_by(administrator: Gridlight, photo: Path, node_id: NodeId) -> bool:
    """Whether this node gives a result now. Unchecked: an audit of it would take a slot from what a test does next."""
    try:
        return administrator.detect(photo, node=node_id, verify=Assurance.NONE).node_id == node_id
    except GridlightError:
        return False


def until(claim: Callable[[], T | None], seconds: float, what: str) -> T:
    """Ask again until the answer is true, and give it; fail when the time is over."""
    ends = time.monotonic() + seconds
    while not (answer := claim()):
        assert time.monotonic() < ends, f"waited {seconds:g} s for {what}"
        time.sleep(POLL_S)
    return answer


def gridlight(*arguments: object, timeout_s: float = 60) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end."""
    words = [GRIDLIGHT, *(str(argument) for argument in arguments)]
    return subprocess.run(
        words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s, check=False
    )


def start_up(folder: Path, nodes: int, *options: str) -> Network:
    """`gridlight up` on free ports; returns once it has said that it is ready."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "up.out").open("wb") as out, (folder / "up.err").open("wb") as err:
        words = [GRIDLIGHT, "up", "--nodes", str(nodes), "--data", str(folder), "--http", "127.0.0.1:0", *options]
        up = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True)

    def is_ready() -> bool:
        assert up.poll() is None, f"`gridlight up` ended: {(folder / 'up.err').read_text(encoding='utf-8')}"
        return (folder / "up.out").read_bytes().endswith(b"\n")

    try:
        until(is_ready, READY_S, "`gridlight up` to be ready")
        return Network(up, folder)
    except BaseException:
        end_all(up)
        raise


@contextmanager
def running(folder: Path, nodes: int, *options: str) -> Iterator[Network]:
    """A network for as long as the `with` lasts."""
    network = start_up(folder, nodes, *options)
    try:
        yield network
    finally:
        end_all(network.up)


def end_all(up: "subprocess.Popen[bytes]") -> None:
    """Leave nothing behind, whatever state a test has brought it to."""
    family: list[psutil.Process] = []
    with suppress(psutil.NoSuchProcess):
        family = psutil.Process(up.pid).children(recursive=True)
    up.terminate()
    try:
        up.wait(STOP_S)
    except subprocess.TimeoutExpired:
        up.kill()
        up.wait(STOP_S)
    for process in family:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def are_gone(processes: list[psutil.Process]) -> bool:
    """Whether none of them runs; psutil compares start times, so a process id given anew does not count."""
    return not any(map(_is_at_work, processes))


def _is_at_work(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it went between the two questions
        return False


def worker_of(agent: psutil.Process) -> psutil.Process:
    """The agent's one worker."""
    [worker] = [child for child in agent.children() if WORKER in child.cmdline()]
    return worker


def picture_process_of(network: Network) -> psutil.Process:
    """The gateway's confined process."""
    [gateway] = network.process_ids("gateway")
    [process] = [child for child in psutil.Process(gateway).children() if WORKER in child.cmdline()]
    return process


@contextmanager
def frozen(*processes: psutil.Process) -> Iterator[Callable[[], None]]:
    """SIGSTOP for as long as the `with` lasts, or until the function that it gives is called."""

    def wake() -> None:
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGCONT)

    try:
        for process in processes:
            process.send_signal(signal.SIGSTOP)
        yield wake
    finally:
        wake()


def kill(pid: int) -> None:
    """SIGKILL."""
    os.kill(pid, signal.SIGKILL)
