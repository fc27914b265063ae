"""One node's key in two places: two real agents, of which one has a copy of the other's folder, on a real network."""

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.integration.agent_stand import WORKLOAD, Agent, Door, connected, eventually
from tests.integration.conftest import Connections, Inbox, Server
from tests.integration.coordinator_stand import Stand

from gridlight.adapters.bus import Bus
from gridlight.adapters.cutting import Cutter
from gridlight.adapters.signatures import blake3_digest
from gridlight.messages import subjects
from gridlight.messages.codec import encode, node_replies
from gridlight.messages.control import AskStatus, NodeStatus
from gridlight.messages.ids import AssignmentId, GatewayId, NodeId
from gridlight.messages.nodes import OfferChanged, RequestOffer
from gridlight.messages.tasks import Assignment, AssignmentDeclined
from gridlight.services.agent.control import ask

TESTER = GatewayId("tester00")
ASKED_MIN = 40

Start = Callable[[str], Agent]


@pytest.fixture
async def door(server: Server) -> AsyncIterator[Door]:
    """No workloads, so that no worker is started: an agent that is asked declines, and so shows that it was asked."""
    door = Door(server)
    door.open()
    yield door
    door.close()


@pytest.fixture
def start(door: Door, tmp_path: Path) -> Iterator[Start]:
    agents: list[Agent] = []

    def started(name: str) -> Agent:
        agents.append(Agent(door.url, tmp_path / name))
        return agents[-1]

    yield started
    for agent in agents:
        if agent.is_running:
            agent.kill()


@pytest.fixture
async def stand(server: Server, connections: Connections, tmp_path: Path) -> AsyncIterator[Stand]:
    stand = Stand(server, connections, tmp_path)
    yield stand
    for process in stand.processes:
        process.kill()


async def test_a_copied_folder_is_refused_and_both_are_told(
    server: Server, stand: Stand, start: Start, connections: Connections, tmp_path: Path
) -> None:
    gateway = await stand.gateway()
    await stand.start(gateway)
    tester = await connections.open(server, server.privileged())
    first = start("first")
    await connected(first)
    node_id = first.node_id
    await gateway.enrol(node_id)
    await tester.publish(subjects.node_control(node_id), message=encode(RequestOffer(node_id=node_id)))
    await eventually("it is online", lambda: stand.node_is_online(node_id))
    answers = Inbox()
    await tester.subscribe(subjects.inboxes(TESTER), answers)
    (tmp_path / "copy").mkdir()
    shutil.copy(tmp_path / "first" / "node.nk", tmp_path / "copy")

    second = start("copy")
    asked = 0
    while asked < ASKED_MIN or not told(second, "this node's key is in use"):
        await ask_to_run(tester, node_id)
        asked += 1
        await asyncio.sleep(0.02)
    await eventually("the first one is told", lambda: told(first, "another agent was started"))
    await eventually("the second one leaves", lambda: second.log("the connection broke"))
    await eventually("all was answered", lambda: answers.count >= asked)

    replies = [node_replies.decode((await answers.next()).message or b"") for _ in range(answers.count)]
    assert len({one.assignment_id for one in replies}) == len(replies) == asked, "each has one answer"
    assert {type(one) for one in replies} == {AssignmentDeclined}
    assert "goes on working" in status(tmp_path / "first").twin
    assert "Stop one of the two" in status(tmp_path / "copy").twin
    assert status(tmp_path / "first").is_connected
    assert stand.node_is_online(node_id)

    first.terminate()
    await first.ended()
    await connected(second, times=2)
    await eventually("the second one takes its place", lambda: not status(tmp_path / "copy").twin)


async def test_who_does_not_leave_is_cut(server: Server, stand: Stand, connections: Connections) -> None:
    gateway = await stand.gateway()
    await stand.start(gateway)
    credentials = server.node()
    node_id = NodeId(credentials.key.public)
    await gateway.enrol(node_id)
    sessions = [f"{number:016x}" for number in (1, 2)]
    names = [subjects.node_connection(node_id, session) for session in sessions]
    first = await connections.open(server, credentials, name=names[0], reconnect=False)
    await first.publish(subjects.offer(node_id), message=offer(node_id, sessions[0], process="a" * 16))
    await eventually("it is online", lambda: stand.node_is_online(node_id))
    second = await connections.open(server, credentials, name=names[1], reconnect=False)
    await second.publish(subjects.offer(node_id), message=offer(node_id, sessions[1], process="b" * 16))
    await eventually("it is cut", lambda: not second.is_connected)

    assert first.is_connected
    assert stand.node_is_online(node_id)
    assert [one.session for one in stand.events(OfferChanged)] == sessions

    again = f"{3:016x}"
    await connections.open(server, credentials, name=subjects.node_connection(node_id, again))
    await first.publish(subjects.offer(node_id), message=offer(node_id, again, process="a" * 16))
    await first.close()
    await asyncio.sleep(0.2)

    assert stand.node_is_online(node_id), "who came back with a new connection has not left with the old one"


def told(agent: Agent, beginning: str) -> bool:
    return any(line.get("event", "").startswith(beginning) for line in agent.lines())


async def ask_to_run(bus: Bus, node_id: NodeId) -> None:
    """An assignment, from an inbox of its own."""
    assignment = Assignment(
        assignment_id=AssignmentId(os.urandom(8).hex()),
        workload=WORKLOAD,
        deadline_ms=20_000,
        input_digest=blake3_digest(b""),
        input_bytes=1,
        probe_seed=7,
    )
    subject, inbox = (
        subjects.task(node_id, assignment.assignment_id),
        subjects.inbox(TESTER, assignment.assignment_id),
    )
    await bus.publish(subject, reply=inbox, message=encode(assignment))


def offer(node_id: NodeId, session: str, *, process: str) -> bytes:
    return encode(OfferChanged(node_id=node_id, session=session, offers=(), process=process))


def status(folder: Path) -> NodeStatus:
    answer = ask(folder, AskStatus())
    assert isinstance(answer, NodeStatus)
    return answer


async def test_who_comes_once_it_was_told_is_not_cut(server: Server, connections: Connections) -> None:
    """A ban may be lifted within the moment that a node is given to leave by itself."""
    node = server.node()
    system = await connections.open(server, server.keys.creds_file("system"))
    answers = Inbox()
    await system.subscribe("_INBOX.>", answers)
    async with cutting(system) as cutter:
        before, since = (subjects.node_connection(NodeId(node.key.public), letter * 16) for letter in "ab")
        old = await connections.open(server, node, name=before, reconnect=False)
        await cutter.cut_soon(NodeId(node.key.public))
        await answers.next()
        new = await connections.open(server, node, name=since, reconnect=False)

        await eventually("the old one is cut", lambda: not old.is_connected)

        await new.flush()


async def test_who_came_just_before_is_cut_by_a_busy_coordinator_too(server: Server, connections: Connections) -> None:
    """What the server says of connections is heard late there: so late that no time in it could be trusted."""
    node = server.node()
    system = await connections.open(server, server.keys.creds_file("system"))
    async with cutting(system) as cutter, asyncio.TaskGroup() as tasks:
        name = subjects.node_connection(NodeId(node.key.public), "a" * 16)
        just_come = await connections.open(server, node, name=name, reconnect=False)
        busy = tasks.create_task(work_without_end())
        await cutter.cut_soon(NodeId(node.key.public))

        await eventually("it is cut", lambda: not just_come.is_connected)

        busy.cancel()


@asynccontextmanager
async def cutting(system: Bus) -> AsyncIterator[Cutter]:
    cutter = await Cutter.listening(system)
    async with asyncio.TaskGroup() as tasks:
        at_work = tasks.create_task(cutter.cut_for_ever())
        yield cutter
        at_work.cancel()


async def work_without_end() -> None:
    """Each step keeps the loop for as long as a large batch does."""
    while True:
        until_s = time.monotonic() + 0.1
        while time.monotonic() < until_s:
            pass
        await asyncio.sleep(0)
