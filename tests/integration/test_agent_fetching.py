"""An agent that is ended while it fetches goes on where it was, and offers nothing before it is warm."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.integration.agent_stand import WORKLOAD, Agent, Door, connected, dispatcher_to, eventually
from tests.integration.conftest import Connections, Server

from gridlight.adapters.blobs import Blobs
from gridlight.messages.results import ResultSubmitted
from gridlight.services.setup import ensure_weights
from gridlight.workloads.contract import catalogue

SENT_BYTES = 5_000_000
[DIGEST] = catalogue()[WORKLOAD].artifacts.values()


@pytest.fixture
def cold_agent(tmp_path: Path) -> Iterator[Callable[[str], Agent]]:
    """Agents of one node that share a cache of their own, with nothing in it."""
    agents: list[Agent] = []

    def start(url: str) -> Agent:
        agents.append(Agent(url, tmp_path / "agent", GRIDLIGHT_CACHE=str(tmp_path / "cache")))
        return agents[-1]

    yield start
    for agent in agents:
        if agent.is_running:
            agent.kill()


async def test_an_agent_that_is_killed_while_it_fetches_goes_on_where_it_was(
    server: Server, cold_agent: Callable[[str], Agent], connections: Connections, tmp_path: Path
) -> None:
    ensure_weights(lambda _: None)
    door = Door(server, workloads=(WORKLOAD,))
    door.sent_bytes_max = SENT_BYTES
    door.open()
    blobs = Blobs(tmp_path / "cache" / "blobs")
    agent = cold_agent(door.url)
    await connected(agent)
    await eventually("most of it to come", lambda: blobs.part_bytes(DIGEST) == SENT_BYTES)
    assert not agent.log("a worker is ready"), "it is connected, and lends nothing yet"

    agent.kill()
    door.sent_bytes_max = None
    agent = cold_agent(door.url)
    await connected(agent)
    node = await dispatcher_to(server, agent, connections)
    door.close()

    assert door.offsets == [0, SENT_BYTES]
    assert isinstance((await node.last_reply(await node.assign())).reply, ResultSubmitted)
