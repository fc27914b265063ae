"""An agent and its engine: which one it takes, what it says of it, and that no container outlives it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.integration.agent_stand import WORKLOAD, Agent, Door, connected, dispatcher_to
from tests.integration.conftest import Connections, Server
from tests.integration.engines import containers, require

from gridlight.adapters.sandbox.engines import choose
from gridlight.adapters.sandbox.port import Guarantees
from gridlight.messages.results import ResultSubmitted
from gridlight.services.setup import ensure_weights

pytestmark = pytest.mark.xdist_group("engines")

NO_PROGRAMS = "/nowhere"
"""A PATH on which there is no engine."""


@pytest.fixture
async def door(server: Server) -> AsyncIterator[Door]:
    ensure_weights(lambda _: None)
    door = Door(server, workloads=(WORKLOAD,))
    door.open()
    yield door
    door.close()


@pytest.fixture
def agents() -> Iterator[list[Agent]]:
    started: list[Agent] = []
    yield started
    for agent in started:
        if agent.is_running:
            agent.kill()


async def test_an_engine_that_is_named_and_missing_ends_it_with_one_clear_line(
    door: Door, agents: list[Agent], tmp_path: Path
) -> None:
    agents.append(Agent(door.url, tmp_path, "--engine", "podman", PATH=NO_PROGRAMS))

    assert await agents[0].ended() == 1
    last = agents[0].errors.splitlines()[-1]
    assert last == "gridlight: there is no podman: apt-get install podman runc"


async def test_without_engines_it_says_what_its_workers_could_do_and_serves(
    server: Server, door: Door, agents: list[Agent], connections: Connections, tmp_path: Path
) -> None:
    agents.append(Agent(door.url, tmp_path, "--engine", "auto", PATH=NO_PROGRAMS))
    await connected(agents[0])
    node = await dispatcher_to(server, agents[0], connections)

    [line] = agents[0].log("the engine is ready")
    assert line["engine"] == "subprocess"
    assert line["may_run_third_party"] is False
    assert {"files", "others"} <= set(line["missing"])
    assert "read_home" in line["escapes"]["files"]
    assert set(line["passed_over"]) == {"podman", "bubblewrap"}
    assert isinstance((await node.last_reply(await node.assign())).reply, ResultSubmitted)


async def test_a_killed_agent_leaves_no_container(
    server: Server, door: Door, agents: list[Agent], connections: Connections, tmp_path: Path
) -> None:
    require("podman")
    agents.append(Agent(door.url, tmp_path, "--engine", "auto"))
    await connected(agents[0])
    node = await dispatcher_to(server, agents[0], connections)
    [line] = agents[0].log("the engine is ready")
    reply = (await node.last_reply(await node.assign())).reply
    running = await containers(agents[0].node_id)

    agents[0].kill()

    assert (line["engine"], line["may_run_third_party"]) == ("podman", True)
    assert (line["missing"], line["escapes"], line["passed_over"]) == ([], {}, {})
    assert isinstance(reply, ResultSubmitted)
    assert len(running) == 1
    async with asyncio.timeout(20):
        while await containers(agents[0].node_id):  # noqa: ASYNC110  (no event tells of it)
            await asyncio.sleep(0.1)


async def test_a_plain_child_process_that_is_named_is_taken_without_a_probe(tmp_path: Path) -> None:
    chosen = await choose("subprocess", owner="U" * 56, folder=tmp_path)

    assert chosen.sandbox.name == "subprocess"
    assert not chosen.third_party.is_allowed
    assert list(chosen.third_party.missing) == list(Guarantees.__struct_fields__)
    assert chosen.findings.escapes == {}
