"""Killing and freezing real processes, and never the wrong ones."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from gridlight.client.casestudy.disturbance import Disturbance
from gridlight.client.errors import BadInput
from gridlight.client.network_file import NetworkFile, NetworkProcess
from gridlight.messages.codec import encode
from gridlight.messages.ids import NodeId

WAIT_S = 60.0


def write_network(folder: Path, pids: list[int], data: list[str] | None = None) -> Path:
    agents = [
        NetworkProcess(
            role="agent",
            pid=pid,
            node_id=NodeId(f"U{row}"),
            data=data[row] if data else str(folder / "agents" / str(row)),
        )
        for row, pid in enumerate(pids)
    ]
    path = folder / "network.json"
    path.write_bytes(encode(NetworkFile(url="http://127.0.0.1:1", nats_url="", processes=agents)))
    return path


def until_status_is(process: "subprocess.Popen[bytes]", is_it: Callable[[str], bool]) -> None:
    """A signal is sent at once, and heeded when the process has its turn on a processor."""
    ends_s = time.monotonic() + WAIT_S
    while not is_it(psutil.Process(process.pid).status()):
        assert time.monotonic() < ends_s
        time.sleep(0.01)


def test_one_is_killed_one_is_frozen_and_woken(tmp_path: Path, sleepers: list[subprocess.Popen[bytes]]) -> None:
    path = write_network(tmp_path, [process.pid for process in sleepers])
    disturbance = Disturbance(path, now_ms=iter([1000, 2000]).__next__)

    disturbance.strike()

    assert (disturbance.killed, disturbance.frozen) == ("U2", "U4")
    assert sleepers[2].wait(timeout=5) == -9
    until_status_is(sleepers[4], lambda status: status == psutil.STATUS_STOPPED)
    assert [row for row, process in enumerate(sleepers) if process.poll() is not None] == [2]

    disturbance.wake()
    disturbance.wake()

    until_status_is(sleepers[4], lambda status: status != psutil.STATUS_STOPPED)
    assert (disturbance.struck_ms, disturbance.woken_ms) == (1000, 2000)


def test_a_restarted_process_is_found_by_its_new_id(tmp_path: Path, sleepers: list[subprocess.Popen[bytes]]) -> None:
    disturbance = Disturbance(write_network(tmp_path, [1] * 7), now_ms=lambda: 0)
    write_network(tmp_path, [process.pid for process in sleepers])

    disturbance.strike()
    disturbance.wake()

    assert sleepers[2].wait(timeout=5) == -9


def test_a_process_id_of_another_program_is_never_signalled(
    tmp_path: Path, sleepers: list[subprocess.Popen[bytes]]
) -> None:
    pids = [process.pid for process in sleepers]
    path = write_network(tmp_path, pids, data=["/elsewhere"] * 7)

    with pytest.raises(BadInput, match="is not the agent"):
        Disturbance(path, now_ms=lambda: 0).strike()

    assert all(process.poll() is None for process in sleepers)
    assert all(psutil.Process(pid).status() != psutil.STATUS_STOPPED for pid in pids)


def test_a_process_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    path = write_network(tmp_path, [gone.pid] * 7)

    with pytest.raises(BadInput, match="is gone"):
        Disturbance(path, now_ms=lambda: 0).strike()


def test_too_few_nodes_are_not_disturbed(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="lists 2 agents"):
        Disturbance(write_network(tmp_path, [1, 2]), now_ms=lambda: 0)


def test_waking_before_a_strike_does_nothing(tmp_path: Path) -> None:
    disturbance = Disturbance(write_network(tmp_path, [1] * 7), now_ms=lambda: 0)

    disturbance.wake()

    assert disturbance.woken_ms is None
