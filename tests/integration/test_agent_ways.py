"""How a real agent comes to a real bus where TCP is in its way."""

import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tests.integration.agent_stand import WORKLOAD, Agent, Door, connected, dispatcher_to
from tests.integration.conftest import Connections, Server
from tests.outside.connect_proxy import connect_proxy

from gridlight.messages.results import ResultSubmitted

NEEDLE = "websockets"
"""In the path of a library's compiled part, which a process has in its memory if it has imported it."""


@pytest.fixture
def door(server: Server) -> Iterator[Door]:
    door = Door(server, workloads=(WORKLOAD,))
    door.open()
    yield door
    door.close()


@pytest.fixture
def swallowing() -> Iterator[str]:
    """A port as behind a firewall that lets connections begin and then says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"nats://127.0.0.1:{listener.getsockname()[1]}"


async def test_a_node_whose_tcp_is_swallowed_comes_by_websocket_and_remembers(
    door: Door, server: Server, connections: Connections, swallowing: str, tmp_path: Path
) -> None:
    with connect_proxy({"bus.example:80": server.websocket_port}) as proxy:
        door.nats_url, door.websocket_url = swallowing, "ws://bus.example/bus"
        agent = Agent(door.url, tmp_path, HTTP_PROXY=proxy.url)
        try:
            dispatcher = await dispatcher_to(server, agent, connections)
            result = await dispatcher.last_reply(await dispatcher.assign())
            assert isinstance(result.reply, ResultSubmitted)
            [failed] = agent.log("no connection this way")
            assert (failed["way"], (tmp_path / "way").read_text()) == ("tcp", "websocket\n")

            proxy.cut()
            await connected(agent, times=2)
            dispatcher.offers.clear()
            await dispatcher.ask_again()
            await dispatcher.lent(1)
        finally:
            agent.kill()

    assert [line["way"] for line in agent.log("connected")] == ["websocket", "websocket"]
    assert len(agent.log("no connection this way")) == 1, "what worked last is tried first"
    assert set(proxy.asked) == {"CONNECT bus.example:80"}


async def test_a_node_that_comes_by_tcp_is_spared_the_websocket_s_memory(
    door: Door, server: Server, tmp_path: Path
) -> None:
    door.websocket_url = server.websocket_url
    agent = Agent(door.url, tmp_path)
    try:
        await connected(agent)
        maps = [one.path for one in psutil.Process(agent.process.pid).memory_maps()]
    finally:
        agent.kill()

    assert agent.log("connected")[0]["way"] == "tcp"
    assert maps
    assert not [path for path in maps if NEEDLE in path]


async def test_a_node_that_the_bus_refuses_tries_no_other_way(door: Door, server: Server, tmp_path: Path) -> None:
    door.websocket_url = server.websocket_url
    door.issues_to = [server.node().key.public]
    agent = Agent(door.url, tmp_path)
    try:
        await connected(agent)
    finally:
        agent.kill()

    assert len(door.enrolments) == 2, "refused credentials are replaced"
    assert not agent.log("no connection this way")
