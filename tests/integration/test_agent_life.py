"""An agent's life: how it joins, comes back, and leaves; each test with an agent of its own."""

import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest
from tests.integration.agent_stand import (
    WORKLOAD,
    Agent,
    Dispatcher,
    Door,
    connected,
    dispatcher_to,
    eventually,
    refusal,
)
from tests.integration.conftest import Connections, Server

from gridlight.adapters.bus_server import free_port
from gridlight.adapters.clock import wall_s
from gridlight.adapters.endorsements import endorse
from gridlight.adapters.signatures import SigningKey
from gridlight.adapters.successions import rotate_key
from gridlight.messages.codec import encode
from gridlight.messages.ids import NodeId
from gridlight.messages.operators import BarCode, NodeBarred
from gridlight.messages.results import ResultSubmitted
from gridlight.messages.tasks import AssignmentDeclined, DeclineReason
from gridlight.services.setup import ensure_weights
from gridlight.workloads.contract import catalogue

LEAVES_S = 5.0
SLACK_S = 1.5
"""What connecting itself may take on a busy machine."""

StartAgent = Callable[..., Agent]


@pytest.fixture
async def door(server: Server) -> AsyncIterator[Door]:
    """A gateway's HTTP, open; its network has no workloads, so that no worker is started."""
    door = Door(server)
    door.open()
    yield door
    door.close()


@pytest.fixture
def start_agent(tmp_path: Path) -> Iterator[StartAgent]:
    agents: list[Agent] = []

    def start(url: str, *options: str, **environment: str) -> Agent:
        agents.append(Agent(url, tmp_path / f"agent{len(agents)}", *options, **environment))
        return agents[-1]

    yield start
    for agent in agents:
        if agent.is_running:
            agent.kill()


async def test_a_damaged_model_is_fetched_anew(
    server: Server, start_agent: StartAgent, connections: Connections, tmp_path: Path
) -> None:
    ensure_weights(lambda _: None)
    [digest] = catalogue()[WORKLOAD].artifacts.values()
    blobs = tmp_path / "cache" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / digest).write_bytes(b"what is left of it")
    door = Door(server, workloads=(WORKLOAD,))
    door.open()
    agent = start_agent(door.url, GRIDLIGHT_CACHE=str(tmp_path / "cache"))
    await connected(agent)
    node = await dispatcher_to(server, agent, connections)
    door.close()

    assert door.fetched == [digest]
    assert isinstance((await node.last_reply(await node.assign())).reply, ResultSubmitted)


async def test_it_comes_back_to_a_bus_that_was_killed_with_a_new_session(
    server: Server, door: Door, start_agent: StartAgent, connections: Connections
) -> None:
    agent = start_agent(door.url)
    await connected(agent)
    dispatcher = Dispatcher(await connections.open(server, server.privileged()), agent.node_id)
    await dispatcher.follow()
    await dispatcher.ask_again()
    await dispatcher.until("it offers", lambda: dispatcher.offers)
    server.kill()
    await eventually("it tries more than once", lambda: len(agent.log("no connection")) > 1)
    await server.start()
    await connected(agent, times=2)
    await dispatcher.ask_again()
    await dispatcher.until("it offers again", lambda: len({offer.session for offer in dispatcher.offers}) > 1)

    assert len(door.enrolments) == 1, "its credentials are still good"
    tries = [when(line) for line in [*agent.log("the connection broke"), *agent.log("no connection")]]
    pauses = [later - earlier for earlier, later in pairwise(tries)]
    assert all(pause <= door.jitter_s * 2**number + SLACK_S for number, pause in enumerate(pauses))


def when(line: dict[str, str]) -> float:
    return datetime.fromisoformat(line["timestamp"]).timestamp()


async def test_credentials_that_expire_are_renewed(door: Door, start_agent: StartAgent) -> None:
    door.ttl_s = 2
    agent = start_agent(door.url)
    await connected(agent, times=2)

    assert len(door.enrolments) >= 2
    assert len({enrolment.node_id for enrolment in door.enrolments}) == 1


async def test_credentials_that_the_bus_refuses_are_renewed(
    server: Server, door: Door, start_agent: StartAgent
) -> None:
    stranger = SigningKey.generate()
    door.issues_to = [stranger.public]
    agent = start_agent(door.url)
    await connected(agent)

    assert len(door.enrolments) == 2
    assert "refused" in agent.log("no connection")[0]["error"]


async def test_whose_operators_key_was_succeeded_joins_anew_with_the_new_one_and_ends_where_it_is_refused(
    server: Server, door: Door, start_agent: StartAgent, connections: Connections, tmp_path: Path
) -> None:
    agent = start_agent(door.url)
    await connected(agent)
    dispatcher = Dispatcher(await connections.open(server, server.privileged()), agent.node_id)
    await dispatcher.follow()
    await dispatcher.ask_again()
    await dispatcher.until("it offers", lambda: dispatcher.offers)
    barred = encode(NodeBarred(node_id=agent.node_id, code=BarCode.KEY_SUCCEEDED))
    rotation = rotate_key(tmp_path / "agent0" / "operator.nk", now_ms=wall_s() * 1_000)

    await dispatcher.control(barred)
    # By its new offer the bus knows that it listens.
    await dispatcher.until("it offers again", lambda: len({offer.session for offer in dispatcher.offers}) > 1)
    door.answers = [refusal(403, "KEY_SUCCEEDED")]
    await dispatcher.control(barred)

    assert await agent.ended() == 1
    assert "KEY_SUCCEEDED" in agent.errors.splitlines()[-1]
    shown = [(one.operator, len(one.successions or ())) for one in door.enrolments]
    assert shown == [(rotation.old.public, 0), (rotation.new.public, 1), (rotation.new.public, 1)]


async def test_it_waits_for_a_gateway_that_is_not_there_yet(server: Server, start_agent: StartAgent) -> None:
    door = Door(server)
    door.port = free_port("127.0.0.1")
    agent = start_agent(door.url)
    await eventually("it is told", lambda: agent.log("cannot join yet"))
    door.open()
    await connected(agent)
    door.close()

    assert len(door.enrolments) == 1


async def test_a_gateway_that_is_not_ready_or_is_none_is_asked_again(door: Door, start_agent: StartAgent) -> None:
    door.answers = [refusal(503, "NO_COORDINATOR"), refusal(429, "BUSY"), (200, b"<html>"), (502, b"")]
    agent = start_agent(door.url)
    await connected(agent)

    assert len(door.enrolments) == 5
    assert len(agent.log("cannot join yet")) == 4


async def test_a_refusal_ends_it_with_one_clear_line(door: Door, start_agent: StartAgent) -> None:
    door.answers = [refusal(403, "NOT_WANTED")]
    agent = start_agent(door.url)

    assert await agent.ended() == 1
    said = f"{door.url}/v1/nodes: NOT_WANTED: This network is full. Ask its owner."
    assert agent.errors.splitlines() == [f"gridlight: the network does not take this node: {said}"]


@pytest.mark.parametrize("is_given", [False, True], ids=["in its folder", "given by name"])
async def test_it_brings_the_endorsement_that_it_has(
    door: Door, start_agent: StartAgent, tmp_path: Path, is_given: bool
) -> None:
    node_id = NodeId(SigningKey.load_or_create(tmp_path / "agent0" / "node.nk").public)
    path = tmp_path / "given" if is_given else tmp_path / "agent0" / "endorsement"
    path.write_text(endorse(SigningKey.generate(), node_id, "trusted") + "\n")
    agent = start_agent(door.url, *(["--endorsement", str(path)] if is_given else []))
    await connected(agent)

    assert [enrolment.endorsement for enrolment in door.enrolments] == [path.read_text().strip()]


async def test_a_node_without_an_endorsement_says_nothing_of_one(door: Door, start_agent: StartAgent) -> None:
    await connected(start_agent(door.url))

    assert [enrolment.endorsement for enrolment in door.enrolments] == [None]


@pytest.mark.parametrize("content", ["junk", None, "another's"])
async def test_an_endorsement_that_cannot_be_its_own_ends_it_with_one_clear_line(
    door: Door, start_agent: StartAgent, tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "given"
    other = NodeId(SigningKey.generate().public)
    if content is not None:
        path.write_text(endorse(SigningKey.generate(), other, "trusted") if content == "another's" else content)
    agent = start_agent(door.url, "--endorsement", str(path))

    assert await agent.ended() == 1
    [line] = agent.errors.splitlines()
    assert line.startswith("gridlight: ")
    assert str(path) in line
    assert door.enrolments == []


async def test_on_sigterm_it_lends_nothing_finishes_what_runs_and_leaves(
    server: Server, start_agent: StartAgent, connections: Connections
) -> None:
    ensure_weights(lambda _: None)
    door = Door(server, workloads=(WORKLOAD,))
    door.open()
    agent = start_agent(door.url)
    await connected(agent)
    node = await dispatcher_to(server, agent, connections)
    with agent.frozen_worker() as worker:
        running = await node.assign()
        await node.replies(running, 1)
        agent.terminate()
        told_s = time.monotonic()
        await node.lent(0)
        [declined] = await node.replies(await node.assign(), 1)
    result = (await node.last_reply(running)).reply
    exit_code = await agent.ended(LEAVES_S)
    door.close()

    assert isinstance(declined.reply, AssignmentDeclined)
    assert declined.reply.reason is DeclineReason.DRAINING
    assert isinstance(result, ResultSubmitted)
    assert exit_code == 0
    assert time.monotonic() - told_s < LEAVES_S
    await eventually("its worker is gone", lambda: not worker.is_running())


@pytest.mark.parametrize("answers", [[], [None]], ids=["connected", "while a gateway hangs"])
async def test_an_idle_agent_leaves_at_once(door: Door, start_agent: StartAgent, answers: list[None]) -> None:
    door.answers = list(answers)
    agent = start_agent(door.url)
    await eventually("it enrols", lambda: door.enrolments)
    if not answers:
        await connected(agent)
    agent.terminate()

    assert await agent.ended(LEAVES_S) == 0


async def test_what_does_not_end_in_time_is_given_up(
    server: Server, start_agent: StartAgent, connections: Connections
) -> None:
    ensure_weights(lambda _: None)
    door = Door(server, workloads=(WORKLOAD,))
    door.open()
    agent = start_agent(door.url)
    await connected(agent)
    node = await dispatcher_to(server, agent, connections)
    with agent.frozen_worker() as worker:
        await node.replies(await node.assign(), 1)
        agent.terminate()
        exit_code = await agent.ended(LEAVES_S + SLACK_S)
        await eventually("its worker is gone", lambda: not worker.is_running())
    door.close()

    assert exit_code == 0
    assert agent.log("left before everything was finished")
