"""A network of processes tells each node why it got nothing: what befalls a node is counted for it, and nothing else.

Requests ask for no verification, so that no check comes between them.
"""

import json
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

import httpx
import psutil
import pytest
from tests.acceptance.stand import (
    GRIDLIGHT,
    STOP_S,
    TASKS_HELD_MAX,
    Network,
    frozen,
    gridlight,
    running,
    until,
    worker_of,
)

from gridlight.client.errors import GridlightError
from gridlight.client.requester import Gridlight
from gridlight.messages.api import DetectResponse
from gridlight.messages.ids import NodeId
from gridlight.messages.trust import Assurance
from gridlight.services.agent.reasons import ask_why

BOUND_S = 8.0
REASONS_SETTLE_S = 10.0

Counts = dict[str, int]


class Pair:
    """Two trusted nodes: the one that something befalls, and another one that goes on."""

    def __init__(self, network: Network, bus: Path, pool: ThreadPoolExecutor) -> None:
        self.network = network
        self.node_id, self.other_id = network.agents()
        self._bus = bus
        self._pool = pool

    @property
    def agent(self) -> psutil.Process:
        """The first node's."""
        return self.network.agents()[self.node_id]

    def why(self, node_id: NodeId | None = None) -> Counts:
        """All that is counted for a node, which adds up to what it was considered for."""
        return counted(self.network.url, self.network.data(node_id or self.node_id))

    def ask(self, node: NodeId | None = None) -> DetectResponse:
        """An ordinary request, or one that is pinned."""
        with self.network.administrator() as requester:
            return requester.detect(self._bus, node=node, verify=Assurance.NONE)

    def is_served_by(self, node: NodeId) -> bool:
        """Whether a node gives a result now."""
        try:
            return self.ask(node).node_id == node
        except GridlightError:
            return False

    def ask_beside(self, node: NodeId | None = None) -> "Future[DetectResponse]":
        """The same, while the test goes on."""
        return self._pool.submit(self.ask, node)

    def after_another(self, data: Path) -> Counts:
        """What is counted for the node of a folder after one more task."""
        self.ask()
        return counted(self.network.url, data)

    def came(self, before: Counts, **wanted: int) -> Counts:
        """What was counted since, once it is what is wanted: a reply may come after the requester's answer."""
        ends = time.monotonic() + REASONS_SETTLE_S
        while (since := gained(before, self.why())) != wanted and time.monotonic() < ends:
            time.sleep(0.05)
        return since


def counted(url: str, data: Path) -> Counts:
    """What the network tells the node of this folder."""
    counts: Counts = {}
    for workload in ask_why(url, data).workloads:
        assert sum(view.tasks for view in workload.reasons) == workload.considered
        counts |= {view.reason: view.tasks for view in workload.reasons}
    return counts


def gained(before: Counts, after: Counts) -> Counts:
    """What was counted in between."""
    return {
        reason: after.get(reason, 0) - before.get(reason, 0)
        for reason in {**before, **after}
        if after.get(reason, 0) != before.get(reason, 0)
    }


@pytest.fixture(scope="module")
def two(photos: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with running(tmp_path_factory.mktemp("two"), 2) as network:
        yield network


@pytest.fixture
def pair(two: Network, bus: Path) -> Iterator[Pair]:
    with ThreadPoolExecutor(2 * TASKS_HELD_MAX) as pool:
        pair = Pair(two, bus, pool)
        for node_id in (pair.node_id, pair.other_id):
            until(partial(pair.is_served_by, node_id), 40, f"{node_id} to serve")
        until(lambda: "in_hand" not in pair.why(), BOUND_S, "the node to have nothing in hand")
        yield pair


def test_what_a_node_was_given_and_what_went_to_the_other_add_up(pair: Pair) -> None:
    before = pair.why()

    served = [pair.ask().node_id for _ in range(6)]

    own, since = served.count(pair.node_id), gained(before, pair.why())
    assert sum(since.values()) == 6
    assert since.pop("done", 0) == own
    assert set(since) <= {"not_drawn", "resting"}, "it may rest from what an earlier test did to it"


def test_a_node_whose_slots_are_taken_is_busy(pair: Pair) -> None:
    before, held = pair.why(), pair.network.tasks_held(pair.node_id)
    with frozen(worker_of(pair.agent)):
        pinned = [pair.ask_beside(pair.node_id) for _ in range(held)]
        until(lambda: pair.why().get("in_hand", 0) == held, BOUND_S, "the node to be busy")
        assert pair.ask().node_id == pair.other_id
        assert gained(before, pair.why())["busy"] == 1
    assert all(one.result(BOUND_S).node_id == pair.node_id for one in pinned)

    assert pair.came(before, busy=1, done=held) == {"busy": 1, "done": held}


def test_a_frozen_agent_did_not_acknowledge_was_unresponsive_and_rests_when_it_is_back(pair: Pair) -> None:
    before = pair.why()
    with frozen(pair.agent):
        with pytest.raises(GridlightError):
            pair.ask(pair.node_id)
        pair.ask()
        assert gained(before, pair.why()) == {"unacknowledged": 1, "unresponsive": 1}
    with Gridlight(pair.network.url) as requester:
        nodes = requester.nodes
        until(lambda: nodes().online == 2, BOUND_S, "the node to offer again")

    pair.ask()

    assert gained(before, pair.why()) == {"unacknowledged": 1, "unresponsive": 1, "resting": 1}


def test_a_worker_that_is_killed_crashed(pair: Pair) -> None:
    before = pair.why()
    worker = worker_of(pair.agent)
    with frozen(worker):
        pinned = pair.ask_beside(pair.node_id)
        until(lambda: "in_hand" in pair.why(), BOUND_S, "the node to have the task")
        worker.kill()
        with pytest.raises(GridlightError):
            pinned.result(BOUND_S)

    assert pair.came(before, worker_crashed=1) == {"worker_crashed": 1}


def test_a_node_that_is_outrun_reads_that_another_was_faster(pair: Pair) -> None:
    before = pair.why()
    with frozen(worker_of(pair.agent)), frozen(worker_of(pair.network.agents()[pair.other_id])) as wake_other:
        asked = pair.ask_beside()
        until(lambda: "in_hand" in pair.why() and "in_hand" in pair.why(pair.other_id), BOUND_S, "a hedge")
        wake_other()
        assert asked.result(BOUND_S).node_id == pair.other_id

    since = pair.came(before, outrun=1)
    assert since.pop("not_drawn", 0) + since.pop("resting", 0) <= 1, (
        "where it was the hedge, it was passed over at first"
    )
    assert since == {"outrun": 1}


def test_a_node_that_its_operator_paused_reads_that_it_was_and_how_it_works_again(pair: Pair) -> None:
    data, before = pair.network.data(pair.node_id), pair.why()
    assert gridlight("node", "pause", "--data", data).returncode == 0
    try:
        until(lambda: "owner_paused" in gained(before, pair.after_another(data)), BOUND_S, "the network to hear of it")
        told = json.loads(gridlight("node", "why", "--data", data, "--json").stdout)
        [view] = [one for one in told["reasons"] if one["reason"] == "owner_paused"]
        assert "gridlight node resume" in view["advice"]
        before = pair.why()
        pair.ask()
        assert gained(before, pair.why()) == {"owner_paused": 1}
    finally:
        assert gridlight("node", "resume", "--data", data).returncode == 0


def test_a_newcomer_is_told_that_it_is_one_then_that_it_lends_nothing_and_then_that_it_is_gone(
    pair: Pair, tmp_path: Path
) -> None:
    lent = ["--slots", "1", "--always", "--engine", "subprocess"]
    words = [GRIDLIGHT, "node", "start", *lent, "--network", pair.network.url, "--data", str(tmp_path)]
    with (tmp_path / "log").open("wb") as log:
        started = subprocess.Popen(words, stdout=log, stderr=log)
    try:
        node_id = NodeId(gridlight("node", "id", "--data", tmp_path).stdout.strip())
        until(partial(pair.is_served_by, node_id), 40, "the newcomer to serve who pins it")
        before = counted(pair.network.url, tmp_path)
        pair.ask()
        assert gained(before, counted(pair.network.url, tmp_path)) == {"newcomer": 1}

        with frozen(worker_of(psutil.Process(started.pid))):
            pinned = pair.ask_beside(node_id)
            until(lambda: "in_hand" in counted(pair.network.url, tmp_path), BOUND_S, "the newcomer to have the task")
            started.terminate()
            until(lambda: "lends_nothing" in pair.after_another(tmp_path), BOUND_S, "the newcomer to drain")
            with pytest.raises(GridlightError):
                pinned.result(BOUND_S)
            started.wait(STOP_S)
        until(lambda: "in_hand" not in counted(pair.network.url, tmp_path), BOUND_S, "its task to be lost")
        gone = counted(pair.network.url, tmp_path)
        pair.ask()

        assert gained(gone, counted(pair.network.url, tmp_path)) == {"offline": 1}
        assert not json.loads(gridlight("node", "why", "--data", tmp_path, "--json").stdout)["is_agent_running"]
    finally:
        started.kill()
        with suppress(subprocess.TimeoutExpired):
            started.wait(STOP_S)


def test_a_person_asks_for_a_span_and_reads_a_table(pair: Pair) -> None:
    pair.ask()
    data = pair.network.data(pair.node_id)

    shown = gridlight("node", "why", "--data", data, "--since", "2h")
    told = json.loads(gridlight("node", "why", "--data", data, "--json").stdout)

    assert shown.returncode == 0, shown.stderr
    assert pair.node_id in shown.stdout
    assert "tasks were given out" in shown.stdout
    assert "what to do" in shown.stdout
    assert told["is_agent_running"]
    assert told["considered"] == sum(view["tasks"] for view in told["reasons"]) > 0
    assert (data / "reasons.jsonl").read_text(encoding="utf-8").count("\n") >= 1, "the agent sampled when it started"


def test_nobody_else_reads_a_nodes_reasons_but_an_administrator(pair: Pair, tmp_path: Path) -> None:
    path = f"{pair.network.url}/v1/nodes/{pair.node_id}/why"
    bearer = {"Authorization": f"Bearer {pair.network.token}"}

    with httpx.Client(trust_env=False) as client:
        assert client.get(path).status_code == 401
        assert client.get(path, headers={"Authorization": "Bearer " + "x" * 20}).status_code == 403
        assert client.get(path, headers=bearer).json()["node_id"] == pair.node_id
        assert client.get(path.replace(pair.node_id, "U1"), headers=bearer).status_code == 400
    stranger = gridlight("node", "id", "--data", tmp_path)
    assert stranger.returncode == 0
    refused = gridlight("node", "why", "--data", tmp_path, "--network", pair.network.url)
    assert refused.returncode == 1
    assert "UNKNOWN_NODE" in refused.stderr
