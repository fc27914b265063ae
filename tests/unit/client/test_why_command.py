"""`gridlight node why` as a process, where it cannot tell: what happened, and what to do."""

import subprocess
import sys
from pathlib import Path

from gridlight.adapters.bus_server import free_port
from gridlight.adapters.samples import SAMPLES_FILE, Samples
from gridlight.adapters.signatures import SigningKey
from gridlight.messages.reasons import ReasonsSample


def why(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gridlight", "node", "why", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"COLUMNS": "160", "PATH": ""},
    )


def test_a_folder_whose_agent_never_asked_a_network_wants_one_named(tmp_path: Path) -> None:
    ended = why("--data", tmp_path)

    assert ended.returncode == 1
    assert "has not asked a network yet (name it: --network URL)" in ended.stderr


def test_a_folder_that_is_no_node_s_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    ended = why("--data", tmp_path, "--network", "http://127.0.0.1:9")

    assert ended.returncode == 1
    assert "is no node's folder: there is no node.nk in it" in ended.stderr
    assert not list(tmp_path.iterdir())


def test_a_network_that_is_not_there_is_why_the_node_gets_nothing(tmp_path: Path) -> None:
    SigningKey.load_or_create(tmp_path / "node.nk")
    port = free_port("127.0.0.1")
    url = f"http://127.0.0.1:{port}"
    Samples(tmp_path / SAMPLES_FILE).add(ReasonsSample(network=url, at_ms=1, workloads=()))

    ended = why("--data", tmp_path)

    assert ended.returncode == 1
    assert f"no gateway answers at {url}" in ended.stderr
    assert "the agent cannot reach it either" in ended.stderr
