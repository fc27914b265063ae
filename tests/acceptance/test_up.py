"""`gridlight up` and `gridlight node start`: what they start, say, write, refuse and stop."""

import signal
import subprocess
import tomllib
from pathlib import Path

import psutil
import pytest
from tests.acceptance.callers import Ended, ask
from tests.acceptance.conftest import NODES
from tests.acceptance.stand import (
    GRIDLIGHT,
    STOP_S,
    Network,
    are_gone,
    end_all,
    gridlight,
    is_answered_by,
    running,
    start_up,
    until,
)

from gridlight.client.casestudy.findings import are_alike
from gridlight.client.errors import RequestRefused
from gridlight.client.requester import Gridlight

REFUSED_MS = 200
"""What no node can do is refused by then."""

LENT = ("--slots", "1", "--always")
"""A machine that runs tests is a busy one, and one that nobody uses."""


def test_it_says_one_line_when_it_is_ready(network: Network) -> None:
    said = (network.folder / "up.out").read_text(encoding="utf-8").splitlines()

    assert len(said) == 1
    assert network.url in said[0]
    assert f"{NODES} nodes" in said[0]


def test_the_network_file_names_every_process(network: Network) -> None:
    told = network.read()
    roles = [one.role for one in told.processes]
    agents = [one for one in told.processes if one.role == "agent"]

    assert sorted(roles) == sorted(["nats", "coordinator", "gateway", *["agent"] * NODES])
    assert told.url.startswith("http://127.0.0.1:")
    assert told.nats_url.startswith("nats://127.0.0.1:")
    assert len({one.pid for one in told.processes}) == len(told.processes)
    assert all(psutil.Process(one.pid).ppid() == network.up.pid for one in told.processes)
    assert len({one.node_id for one in agents}) == len({one.data for one in agents}) == NODES
    assert all((Path(one.data or "") / "node.nk").is_file() for one in agents)
    assert not any(one.node_id or one.data for one in told.processes if one.role != "agent")
    with Gridlight(network.url) as requester:
        online = {node.node_id for node in requester.nodes().nodes if node.online}
    assert online == {one.node_id for one in agents}


def test_nobody_else_can_read_the_network_s_secrets(network: Network) -> None:
    secrets = [network.folder / "keys", *network.folder.glob("keys/*"), *network.folder.glob("agents/*/*.nk")]

    assert len(secrets) > 2 * NODES
    assert [str(path) for path in secrets if path.stat().st_mode & 0o077] == []


def test_a_folder_in_use_is_refused(network: Network, bus: Path) -> None:
    ran = gridlight("up", "--data", network.folder, "--http", "127.0.0.1:0")

    assert ran.returncode == 1
    assert ran.stdout == ""
    assert len(ran.stderr.splitlines()) == 1
    assert str(network.folder) in ran.stderr
    assert str(network.up.pid) in ran.stderr
    assert (network.folder / "network.json").exists()
    assert network.answers(bus)


def test_an_address_in_use_is_refused(network: Network, tmp_path: Path) -> None:
    address = network.url.removeprefix("http://")

    ran = gridlight("up", "--data", tmp_path, "--http", address)

    assert ran.returncode == 1
    assert len(ran.stderr.splitlines()) == 1
    assert address in ran.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_every_process_that_it_started(number: signal.Signals, tmp_path: Path) -> None:
    with running(tmp_path, nodes=2) as network:
        family = network.family()
        # up, the bus, coordinator, gateway with its picture process, two agents with a worker each
        assert len(family) == 9

        network.up.send_signal(number)

        assert network.up.wait(STOP_S) == 0
        until(lambda: are_gone(family), 2, f"{family} to be gone")
        assert not (tmp_path / "network.json").exists()


def test_a_signal_also_stops_a_network_with_a_frozen_node(tmp_path: Path) -> None:
    with running(tmp_path, nodes=1) as network:
        family = network.family()
        [agent] = network.agents().values()
        agent.send_signal(signal.SIGSTOP)

        network.up.send_signal(signal.SIGTERM)

        assert network.up.wait(STOP_S) == 0
        until(lambda: are_gone(family), 2, f"{family} to be gone")


def test_a_node_that_runs_already_is_not_started_a_second_time(network: Network, bus: Path) -> None:
    [node_id, *_] = network.agents()
    [data, *_] = [one.data for one in network.read().processes if one.node_id == node_id]

    ran = gridlight("node", "start", "--network", network.url, "--data", data)

    assert ran.returncode == 1
    assert len(ran.stderr.splitlines()) == 1
    assert str(data) in ran.stderr
    with network.administrator() as administrator:
        assert is_answered_by(administrator, bus, node_id)


def test_a_killed_network_leaves_no_orphan_and_is_taken_up_again(bus: Path, tmp_path: Path) -> None:
    network = start_up(tmp_path, nodes=1)
    try:
        [node_id] = network.agents()
        with Gridlight(network.url) as requester:
            before = requester.detect(bus)
        family = network.family()

        network.up.kill()

        network.up.wait(STOP_S)
        until(lambda: are_gone(family), 5, f"{family} to be gone")
    finally:
        end_all(network.up)
    with running(tmp_path, nodes=1) as again:
        assert list(again.agents()) == [node_id]
        with Gridlight(again.url) as requester:
            result = requester.request(before.id).result
            assert result is not None
            assert result.detections == before.detections
            assert are_alike(requester.detect(bus).detections, before.detections)


def test_reference_nodes_come_up_beside_the_others(bus: Path, tmp_path: Path) -> None:
    with running(tmp_path, 1, "--references", "1", "--trust", "production") as network:
        said = (tmp_path / "up.out").read_text(encoding="utf-8")
        [node, reference] = [one for one in network.read().processes if one.role == "agent"]
        with Gridlight(network.url) as requester:
            listed = {one.node_id: one for one in requester.nodes().nodes}
            served_by = {requester.detect(bus).node_id for _ in range(4)}
        written = tomllib.loads((tmp_path / "coordinator" / "config.toml").read_text(encoding="utf-8"))

    assert "1 nodes and 1 for reference" in said
    assert (node.is_reference, reference.is_reference) == (False, True)
    assert (node.data, reference.data) == (str(tmp_path / "agents" / "1"), str(tmp_path / "agents" / "reference-1"))
    assert set(listed) == {node.node_id, reference.node_id}
    assert all(one.online and one.slots for one in listed.values())
    assert served_by == {node.node_id}, "a reference node only settles"
    assert written["trust"] == {"profile": "production"}


def test_a_newcomer_joins_and_is_not_trusted_with_an_answer(bus: Path, tmp_path: Path) -> None:
    with running(tmp_path / "network", nodes=0) as network, Gridlight(network.url) as requester:
        words = [GRIDLIGHT, "node", "start", *LENT, "--network", network.url, "--data", str(tmp_path / "node")]
        with (tmp_path / "node.log").open("wb") as log:
            node = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            until(lambda: any(one.slots for one in requester.nodes().nodes), 20, "the node to lend a slot")

            assert refusal(ask(requester, bus)) == "NO_TRUSTED_NODE"
        finally:
            node.terminate()
            node.wait(STOP_S)


def test_a_node_started_by_hand_joins_and_serves(bus: Path, tmp_path: Path) -> None:
    with running(tmp_path / "network", nodes=0) as network, Gridlight(network.url) as requester:
        # Right after its start a network waits a little for nodes that it may know.
        until(lambda: refusal(ask(requester, bus)) == "NO_NODE_ONLINE", 10, "a network without nodes to say so")
        again = ask(requester, bus)
        assert refusal(again) == "NO_NODE_ONLINE"
        assert again.lasted_ms <= REFUSED_MS

        endorsement = tmp_path / "endorsement"
        node_id = gridlight("node", "id", "--data", tmp_path / "node").stdout.strip()
        founders = ("--as", "trusted", "--data", network.folder, "--out", endorsement)
        assert gridlight("network", "endorse", node_id, *founders).returncode == 0

        words = [GRIDLIGHT, "node", "start", *LENT, "--network", network.url, "--data", str(tmp_path / "node")]
        with (tmp_path / "node.log").open("wb") as log:
            node = subprocess.Popen(
                [*words, "--endorsement", str(endorsement), "--engine", "subprocess"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            until(
                lambda: any(one.online and one.slots for one in requester.nodes().nodes), 20, "the node to lend a slot"
            )
            family = [psutil.Process(node.pid), *psutil.Process(node.pid).children(recursive=True)]

            ran = gridlight("detect", bus, "--url", network.url)
            assert ran.returncode == 0, ran.stderr
            assert "bus" in ran.stdout
            [joined] = requester.nodes().nodes
            assert requester.detect(bus).node_id == joined.node_id == node_id
            assert [one.role for one in network.read().processes] == ["nats", "coordinator", "gateway"]

            node.terminate()
            assert node.wait(STOP_S) == 0
            assert len(family) == 2
            until(lambda: are_gone(family), 2, f"{family} to be gone")
        finally:
            node.kill()
            node.wait(STOP_S)
        until(lambda: not requester.nodes().online, 5, "the node to be seen as gone")


def refusal(ended: Ended) -> str | None:
    """The code with which a request was refused."""
    return ended.error.code if isinstance(ended.error, RequestRefused) else None
