import asyncio
import time
from collections.abc import Callable

import pytest
import uvloop
from tests.integration.conftest import WAIT_S, Connections, Inbox, Server

from gridlight.adapters.bus import Bus, BusError, Delivery
from gridlight.adapters.bus_client import LeanClient
from gridlight.adapters.credentials import NodeCredentials, NodeIssuer
from gridlight.adapters.presence import follow_presence
from gridlight.messages import subjects
from gridlight.messages.ids import AssignmentId, GatewayId, NodeId
from gridlight.messages.limits import INLINE_BYTES_MAX

GATEWAY = GatewayId("gw1")
ASSIGNMENT = AssignmentId("0123456789abcdef")
MESSAGE = '{"type":"task.assignment.v1","note":"äöü \\n \\"quoted\\" : Gridlight-Signature: AAAA"}'.encode()
SIGNATURE = bytes(range(64))


async def eventually(is_true: Callable[[], bool]) -> None:
    """Wait until a condition of the outside world holds."""
    async with asyncio.timeout(WAIT_S):
        while not is_true():  # noqa: ASYNC110  (the other side is another process)
            await asyncio.sleep(0.01)


async def test_an_assignment_reaches_its_node_and_two_replies_come_back(
    server: Server, connections: Connections
) -> None:
    gateway = await connections.open(server, server.keys.creds_file("gateway"))
    credentials = server.node()
    node_id = NodeId(credentials.key.public)
    node = await connections.open(server, credentials, reconnect=False)
    tasks, replies = Inbox(), Inbox()
    await node.subscribe(subjects.node_tasks(node_id), tasks)
    await gateway.subscribe(subjects.inboxes(GATEWAY), replies)
    await node.flush()
    tensor = bytes(INLINE_BYTES_MAX)

    await gateway.publish(
        subjects.task(node_id, ASSIGNMENT), tensor, reply=subjects.inbox(GATEWAY, ASSIGNMENT), message=MESSAGE
    )
    task = await tasks.next()
    await node.publish(task.reply, message=MESSAGE, signature=SIGNATURE)
    await node.publish(task.reply, b"output", message=MESSAGE, signature=SIGNATURE)
    ack, result = await replies.next(), await replies.next()

    assert (task.subject, task.message, task.signature) == (subjects.task(node_id, ASSIGNMENT), MESSAGE, None)
    assert task.body == tensor
    assert ack == Delivery(subjects.inbox(GATEWAY, ASSIGNMENT), "", b"", MESSAGE, SIGNATURE, False)
    assert result.body == b"output"


async def test_a_body_without_headers_arrives_as_it_was_sent(server: Server, connections: Connections) -> None:
    coordinator = await connections.open(server, server.keys.creds_file("coordinator"))
    gateway = await connections.open(server, server.keys.creds_file("gateway"))
    events, small, large = Inbox(), b'[{"type":"x"}]', bytes(range(256)) * 4_000
    await coordinator.subscribe(subjects.control_events("s0"), events)
    await coordinator.flush()

    for body in (b"", small, large):
        await gateway.publish(subjects.control_events("s0"), body)

    for body in (b"", small, large):
        assert await events.next() == Delivery(subjects.control_events("s0"), "", body, None, None, False)


async def test_the_requester_is_told_at_once_that_nobody_listens(server: Server, connections: Connections) -> None:
    gateway = await connections.open(server, server.keys.creds_file("gateway"))
    absent, replies = NodeId(server.node().key.public), Inbox()
    await gateway.subscribe(subjects.inboxes(GATEWAY), replies)

    await gateway.publish(
        subjects.task(absent, ASSIGNMENT), b"tensor", reply=subjects.inbox(GATEWAY, ASSIGNMENT), message=MESSAGE
    )

    reply = await replies.next()
    assert reply.no_responders
    assert (reply.subject, reply.message, reply.signature) == (subjects.inbox(GATEWAY, ASSIGNMENT), None, None)


async def test_a_signature_that_is_no_base64_counts_as_none(server: Server, connections: Connections) -> None:
    bus = await connections.open(server, server.privileged())
    heard = Inbox()
    await bus.subscribe("control.test", heard)

    for line in (b"not base64!", b"", b"\xff\xfe"):
        headers = b"\r\nGridlight-Message:{}\r\nGridlight-Signature: " + line
        await bus._client.send("control.test", "", headers, b"")

    for _ in range(3):
        delivery = await heard.next()
        assert delivery.message == b"{}"
        assert not delivery.signature


async def test_a_handler_that_raises_is_reported_and_hears_the_next(server: Server, connections: Connections) -> None:
    errors: list[Exception] = []
    bus = await connections.open(server, server.privileged(), on_error=errors.append)
    heard = Inbox()

    async def fragile(delivery: Delivery) -> None:
        assert delivery.body != b"bad"
        await heard(delivery)

    await bus.subscribe("control.test", fragile)
    await bus.publish("control.test", b"bad")
    await bus.publish("control.test", b"good")

    assert (await heard.next()).body == b"good"
    assert [type(error) for error in errors] == [AssertionError]


async def test_a_listener_hears_in_order_though_one_message_makes_it_raise(
    server: Server, connections: Connections
) -> None:
    errors: list[Exception] = []
    bus = await connections.open(server, server.privileged(), on_error=errors.append)
    heard: list[Delivery] = []

    def listener(delivery: Delivery) -> None:
        assert delivery.body != b"bad"
        heard.append(delivery)

    await bus.listen("control.test", listener)
    await bus.publish("control.test", b"bad")
    await bus.publish("control.test", b"one", message=MESSAGE, signature=SIGNATURE)
    await bus.publish("control.test", b"two", reply="control.reply")
    await bus.flush()

    assert [(one.body, one.message, one.signature, one.reply) for one in heard] == [
        (b"one", MESSAGE, SIGNATURE, ""),
        (b"two", None, None, "control.reply"),
    ]
    assert [type(error) for error in errors] == [AssertionError]


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_what_is_listened_to_goes_past_nats_py(
    server: Server, monkeypatch: pytest.MonkeyPatch, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    seen_by_nats_py: list[bytes] = []

    async def process(_self: LeanClient, _sid: int, subject: bytes, *_: object) -> None:
        seen_by_nats_py.append(subject)

    async def talk() -> list[bytes]:
        listening = await Bus.connect(url=server.url, name="a", credentials=server.keys.creds_file("coordinator"))
        speaking = await Bus.connect(url=server.url, name="b", credentials=server.keys.creds_file("gateway"))
        heard: asyncio.Queue[Delivery] = asyncio.Queue()
        await listening.listen(subjects.control_events("s0"), heard.put_nowait)
        await listening.flush()
        for body in bodies:
            await speaking.publish(subjects.control_events("s0"), body)
        async with asyncio.timeout(WAIT_S):
            received = [(await heard.get()).body for _ in bodies]
        await speaking.close()
        await listening.close()
        return received

    monkeypatch.setattr(LeanClient, "_process_msg", process)
    bodies = [b"[]", bytes(range(256)) * 4_000, b"", bytes(INLINE_BYTES_MAX), b"{}"]

    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert runner.run(talk()) == bodies
    assert not seen_by_nats_py


async def test_more_than_the_bus_carries_at_once_is_refused_here(server: Server, connections: Connections) -> None:
    bus = await connections.open(server, server.privileged())

    with pytest.raises(BusError, match="at most 8388608"):
        await bus.publish("control.test", bytes(8 * 1024 * 1024 + 1))

    await bus.flush()
    assert bus.is_connected


async def test_after_a_kill_of_the_server_services_come_back_with_their_subscriptions(
    server: Server, connections: Connections
) -> None:
    reconnected = asyncio.Event()

    async def on_reconnected() -> None:
        reconnected.set()

    gateway = await connections.open(server, server.keys.creds_file("gateway"), on_reconnected=on_reconnected)
    heard = Inbox()
    announced: list[Delivery] = []
    await gateway.subscribe(subjects.inboxes(GATEWAY), heard)
    await gateway.listen(subjects.control_announcements("s0"), announced.append)
    await gateway.flush()

    server.kill()
    await eventually(lambda: not gateway.is_connected)
    with pytest.raises(BusError, match="the bus is away"):
        await gateway.publish(subjects.control_events("s0"), b"[]")
    await server.start()

    async with asyncio.timeout(WAIT_S):
        await reconnected.wait()
    other = await connections.open(server, server.privileged())
    await other.publish(subjects.inbox(GATEWAY, ASSIGNMENT), b"reply")
    assert (await heard.next()).body == b"reply"
    await other.publish(subjects.control_announcements("s0"), b"[]")
    await eventually(lambda: [one.body for one in announced] == [b"[]"])


async def test_a_service_waits_for_a_server_that_is_not_there_yet(server: Server, connections: Connections) -> None:
    server.kill()

    async with asyncio.TaskGroup() as group:
        connecting = group.create_task(connections.open(server, server.privileged()))
        await asyncio.sleep(0)
        assert not connecting.done()
        await server.start()

    assert connecting.result().is_connected


async def test_a_node_learns_that_its_connection_is_gone_and_does_not_reconnect(
    server: Server, connections: Connections
) -> None:
    closed = asyncio.Event()

    async def on_closed() -> None:
        closed.set()

    node = await connections.open(server, server.node(), reconnect=False, on_closed=on_closed)

    server.kill()

    async with asyncio.timeout(WAIT_S):
        await closed.wait()
    assert not node.is_connected


async def test_a_node_that_finds_no_server_is_told_so_at_once(server: Server) -> None:
    server.kill()
    started_s = time.monotonic()

    with pytest.raises(BusError, match="no bus at"):
        await Bus.connect(url=server.url, name="node", credentials=server.node(), reconnect=False)

    assert time.monotonic() - started_s < 2.0


@pytest.mark.parametrize("reconnect", [True, False])
async def test_a_frozen_server_is_found_though_much_is_waiting_to_be_sent(
    server: Server, connections: Connections, reconnect: bool
) -> None:
    gone = asyncio.Event()

    async def on_gone() -> None:
        gone.set()

    bus = await connections.open(
        server,
        server.privileged(),
        reconnect=reconnect,
        on_closed=on_gone,
        on_reconnected=on_gone,
        ping_interval_s=0.2,
        pings_outstanding_max=1,
    )

    await server.freeze()
    for _ in range(10):
        await bus.publish("control.test", bytes(2_000_000))
    await eventually(lambda: not bus.is_connected)
    server.thaw()

    async with asyncio.timeout(WAIT_S):
        await gone.wait()
    assert bus.is_connected == reconnect


async def test_a_flush_that_gives_up_does_not_harm_the_connection(server: Server, connections: Connections) -> None:
    bus = await connections.open(server, server.privileged(), ping_interval_s=30.0)
    heard = Inbox()
    await bus.subscribe("control.test", heard)
    await bus.flush()

    await server.freeze()
    with pytest.raises(BusError, match=r"did not answer within 0\.05 s"):
        await bus.flush(timeout_s=0.05)
    server.thaw()

    await bus.publish("control.test", b"still here")
    assert (await heard.next()).body == b"still here"
    await bus.flush()


async def test_closing_sends_what_is_waiting_and_does_not_call_back(server: Server, connections: Connections) -> None:
    called: list[str] = []

    async def on_closed() -> None:
        called.append("closed")

    leaver = await connections.open(server, server.privileged(), on_closed=on_closed)
    other, heard = await connections.open(server, server.privileged()), Inbox()
    await other.subscribe("control.test", heard)
    await other.flush()

    await leaver.publish("control.test", bytes(2_000_000))
    await leaver.close()
    await leaver.close()

    assert len((await heard.next()).body) == 2_000_000
    assert not leaver.is_connected
    assert called == []


async def test_the_server_tells_which_node_came_and_went(server: Server, connections: Connections) -> None:
    system = await connections.open(server, server.keys.creds_file("system"))
    came: asyncio.Queue[NodeId] = asyncio.Queue()
    went: asyncio.Queue[NodeId] = asyncio.Queue()

    async def on_connected(node_id: NodeId) -> None:
        came.put_nowait(node_id)

    async def on_disconnected(node_id: NodeId, session: str | None) -> None:
        assert session is None, "these connections have no session in their names"
        went.put_nowait(node_id)

    await follow_presence(
        system, server.keys.account_public, on_connected=on_connected, on_disconnected=on_disconnected
    )
    await system.flush()
    credentials = server.node()
    async with asyncio.timeout(WAIT_S):
        older = await connections.open(server, credentials)
        assert await came.get() == credentials.key.public
        newer = await connections.open(server, credentials)
        assert await came.get() == credentials.key.public
        await older.close()
        last = await connections.open(server, server.node())
        await came.get()
        await last.close()
        first_gone = await went.get()
        await newer.close()

        assert first_gone != credentials.key.public  # its older connection closed, but it had made a newer one
        assert await went.get() == credentials.key.public


async def test_a_gateways_issuer_makes_nodes_from_its_one_file(server: Server, connections: Connections) -> None:
    issuer = NodeIssuer.load(server.keys.node_issuer_file)
    credentials = server.node()

    jwt = issuer.issue_node_jwt(credentials.key.public, ttl_s=60)

    assert issuer.account == server.keys.account_public
    node = await connections.open(server, NodeCredentials(jwt=jwt, key=credentials.key))
    assert node.is_connected
