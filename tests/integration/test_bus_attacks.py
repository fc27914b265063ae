"""What a hostile node tries, against a real server. Each attack is shown to work for a privileged user first, so that
a test which refuses everybody, or attacks nothing, cannot pass."""

import asyncio
import base64
import json
from collections.abc import Callable

import pytest
from tests.integration.conftest import WAIT_S, Connections, Inbox, Server, StartServer

from gridlight.adapters.bus import Bus, BusError
from gridlight.adapters.credentials import (
    NODE_PAYLOAD_BYTES_MAX,
    NODE_SUBSCRIPTIONS_MAX,
    NodeCredentials,
    encode_jwt,
    user_jwt,
)
from gridlight.adapters.signatures import KeyKind, SigningKey
from gridlight.messages import subjects
from gridlight.messages.ids import AssignmentId, GatewayId, NodeId

GATEWAY = GatewayId("gw1")
ASSIGNMENT = AssignmentId("0123456789abcdef")
VICTIM = NodeId(SigningKey.generate().public)
SYSTEM_EVENT = "$SYS.SERVER.0.STATSZ"

EAVESDROPPING = {
    "everything": ">",
    "every task": "task.>",
    "another node's tasks": subjects.node_tasks(VICTIM),
    "a wildcard over nodes": "task.*.control",
    "a gateway's inbox": subjects.inboxes(GATEWAY),
    "every inbox": "_INBOX.>",
    "another node's inbox": f"_INBOX_{VICTIM}.>",
    "others' offers": subjects.OFFERS,
    "what gateways tell the coordinator": subjects.control_events("s0"),
    "what the coordinator tells gateways": "control.>",
    "the system's events": "$SYS.>",
    "JetStream": "$JS.>",
}

FORGERY = {
    "another node's offer": subjects.offer(VICTIM),
    "a task for another node": subjects.task(VICTIM, ASSIGNMENT),
    "another node's control": subjects.node_control(VICTIM),
    "every node's control": subjects.EVERY_NODE,
    "an event for the coordinator": subjects.control_events("s0"),
    "an effect for a gateway": subjects.control_effects("s0", GATEWAY),
    "an unsolicited result": subjects.inbox(GATEWAY, ASSIGNMENT),
    "JetStream's API": "$JS.API.STREAM.NAMES",
    "the system's requests": "$SYS.REQ.SERVER.PING",
}


class Complaints:
    """What the server told a connection it refuses."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def __call__(self, error: Exception) -> None:
        self.heard.append(str(error).lower())

    def name(self, subject: str) -> bool:
        return any("permissions violation" in text and f'"{subject.lower()}"' in text for text in self.heard)


@pytest.mark.parametrize("subject", EAVESDROPPING.values(), ids=EAVESDROPPING)
async def test_a_node_cannot_listen_to(server: Server, connections: Connections, subject: str) -> None:
    sample = subject.replace(">", "sample").replace("*", VICTIM)
    complaints = Complaints()
    privileged, allowed = await connections.open(server, server.privileged()), Inbox()
    node, stolen = await connections.open(server, server.node(), on_error=complaints), Inbox()
    await privileged.subscribe(subject, allowed)
    await node.subscribe(subject, stolen)
    await privileged.flush()
    await node.flush()

    await privileged.publish(sample, b"secret")

    assert (await allowed.next()).body == b"secret"
    await node.flush()
    assert stolen.count == 0
    assert complaints.name(subject)


@pytest.mark.parametrize("subject", FORGERY.values(), ids=FORGERY)
async def test_a_node_cannot_publish(server: Server, connections: Connections, subject: str) -> None:
    complaints = Complaints()
    privileged, heard = await connections.open(server, server.privileged()), Inbox()
    node = await connections.open(server, server.node(), on_error=complaints)
    await privileged.subscribe(subject, heard)
    await privileged.flush()

    await node.publish(subject, b"forged")
    await node.flush()
    await privileged.publish(subject, b"genuine")

    assert (await heard.next()).body == b"genuine"  # and nothing before it
    assert complaints.name(subject)


async def test_a_node_publishes_its_own_offer(server: Server, connections: Connections) -> None:
    credentials = server.node()
    coordinator, offers = await connections.open(server, server.keys.creds_file("coordinator")), Inbox()
    node = await connections.open(server, credentials)
    await coordinator.subscribe(subjects.OFFERS, offers)
    await coordinator.flush()

    await node.publish(subjects.offer(NodeId(credentials.key.public)), b"offer")

    assert (await offers.next()).body == b"offer"


async def test_a_node_replies_twice_and_a_third_reply_is_dropped(server: Server, connections: Connections) -> None:
    complaints = Complaints()
    gateway, node, task, replies = await _a_node_with_a_task(server, connections, complaints)

    for body in (b"ack", b"result", b"third"):
        await node.publish(task, body)
    await node.flush()
    await gateway.flush()

    assert [(await replies.next()).body for _ in range(2)] == [b"ack", b"result"]
    assert replies.count == 0
    assert complaints.name(task)


async def test_a_privileged_user_may_reply_a_third_time(server: Server, connections: Connections) -> None:
    gateway, _, task, replies = await _a_node_with_a_task(server, connections, Complaints())
    privileged = await connections.open(server, server.privileged())

    for body in (b"ack", b"result", b"third"):
        await privileged.publish(task, body)
    await privileged.flush()
    await gateway.flush()

    assert [(await replies.next()).body for _ in range(3)] == [b"ack", b"result", b"third"]


async def test_a_reply_past_its_time_is_dropped(start_server: StartServer, connections: Connections) -> None:
    server = await start_server(reply_ttl_s=1)
    complaints = Complaints()
    gateway, node, task, replies = await _a_node_with_a_task(server, connections, complaints)

    await node.publish(task, b"in time")
    await asyncio.sleep(1.1)  # the server's clock cannot be moved
    await node.publish(task, b"late")
    await node.flush()
    await gateway.flush()

    assert (await replies.next()).body == b"in time"
    assert replies.count == 0
    assert complaints.name(task)


async def test_a_nodes_reply_opens_no_other_inbox(server: Server, connections: Connections) -> None:
    complaints = Complaints()
    gateway, node, _, replies = await _a_node_with_a_task(server, connections, complaints)
    other = subjects.inbox(GATEWAY, AssignmentId("f" * 16))

    await node.publish(other, b"result for another's assignment")
    await node.flush()
    await gateway.flush()

    assert replies.count == 0
    assert complaints.name(other)


async def test_a_node_cannot_pass_its_permission_to_reply_through_its_own_request(
    server: Server, connections: Connections
) -> None:
    """A reply subject named in an offer opens nothing to the node itself."""
    complaints = Complaints()
    credentials = server.node()
    gateway, replies = await connections.open(server, server.keys.creds_file("gateway")), Inbox()
    node = await connections.open(server, credentials, on_error=complaints)
    await gateway.subscribe(subjects.inboxes(GATEWAY), replies)
    await gateway.flush()
    inbox = subjects.inbox(GATEWAY, ASSIGNMENT)

    await node.publish(subjects.offer(NodeId(credentials.key.public)), b"offer", reply=inbox)
    await node.publish(inbox, b"unsolicited")
    await node.flush()
    await gateway.flush()

    # The server itself answers the first, that nobody takes offers; no word of the node's own passes.
    bodies = [(await replies.next()).body for _ in range(replies.count)]
    assert b"unsolicited" not in bodies
    assert complaints.name(inbox)


def stolen_jwt(server: Server) -> NodeCredentials:
    return NodeCredentials(jwt=server.node().jwt, key=SigningKey.generate())


def self_signed(server: Server) -> NodeCredentials:
    account, key = SigningKey.generate(KeyKind.ACCOUNT), SigningKey.generate()
    jwt = user_jwt(account, key.public, name="self", publish=[">"], subscribe=[">"])
    return NodeCredentials(jwt=jwt, key=key)


def self_signed_in_the_accounts_name(server: Server) -> NodeCredentials:
    account, key = SigningKey.generate(KeyKind.ACCOUNT), SigningKey.generate()
    jwt = user_jwt(
        account,
        key.public,
        name="self",
        publish=[">"],
        subscribe=[">"],
        issuer_account=server.keys.account_public,
    )
    return NodeCredentials(jwt=jwt, key=key)


def expired(server: Server) -> NodeCredentials:
    return server.node(ttl_s=-10)


def with_extra_permissions(server: Server) -> NodeCredentials:
    """Signed by the right signer, as by a gateway that was broken into, for more than nodes may do."""
    seed = server.keys.node_issuer_file.read_text().split()[1]
    key = SigningKey.generate()
    jwt = user_jwt(
        SigningKey.from_seed(seed),
        key.public,
        name="greedy",
        publish=[">"],
        subscribe=[">"],
        issuer_account=server.keys.account_public,
    )
    return NodeCredentials(jwt=jwt, key=key)


def with_changed_claims(server: Server) -> NodeCredentials:
    """A genuine JWT whose expiry was moved, with the signature it had."""
    genuine = server.node(ttl_s=-10)
    header, claims, signature = genuine.jwt.split(".")
    changed = json.loads(base64.urlsafe_b64decode(claims + "=="))
    changed["exp"] += 3_600
    body = base64.urlsafe_b64encode(json.dumps(changed).encode()).rstrip(b"=").decode()
    return NodeCredentials(jwt=f"{header}.{body}.{signature}", key=genuine.key)


def without_signature(server: Server) -> NodeCredentials:
    key = SigningKey.generate()
    header = base64.urlsafe_b64encode(b'{"typ":"JWT","alg":"none"}').rstrip(b"=").decode()
    claims = server.keys.issue_node_jwt(key.public).split(".")[1]
    return NodeCredentials(jwt=f"{header}.{claims}.", key=key)


def as_the_server_itself(server: Server) -> NodeCredentials:
    """A node's own key that signs itself a user of the system account."""
    key = SigningKey.generate()
    nats = {"issuer_account": server.keys.system_account_public, "type": "user", "version": 2}
    return NodeCredentials(jwt=encode_jwt(key, subject=key.public, name="system", nats=nats), key=key)


@pytest.mark.parametrize(
    "attack",
    [
        stolen_jwt,
        self_signed,
        self_signed_in_the_accounts_name,
        expired,
        with_extra_permissions,
        with_changed_claims,
        without_signature,
        as_the_server_itself,
    ],
)
async def test_bad_credentials_are_refused(
    server: Server, connections: Connections, attack: Callable[[Server], NodeCredentials]
) -> None:
    genuine = await connections.open(server, server.node(), reconnect=False)
    assert genuine.is_connected

    with pytest.raises(BusError, match="refused attacker"):
        await Bus.connect(
            url=server.url, name="attacker", credentials=attack(server), reconnect=False, connect_timeout_s=WAIT_S
        )


async def test_a_connection_ends_when_its_jwt_expires(server: Server, connections: Connections) -> None:
    closed = asyncio.Event()

    async def on_closed() -> None:
        closed.set()

    lasting = await connections.open(server, server.node(), reconnect=False)
    await connections.open(server, server.node(ttl_s=1), reconnect=False, on_closed=on_closed)

    async with asyncio.timeout(WAIT_S):
        await closed.wait()

    await lasting.flush()
    assert lasting.is_connected


async def test_a_node_that_subscribes_too_often_is_cut_off(server: Server, connections: Connections) -> None:
    closed = asyncio.Event()

    async def on_closed() -> None:
        closed.set()

    credentials = server.node()
    node = await connections.open(server, credentials, reconnect=False, on_closed=on_closed)
    for number in range(NODE_SUBSCRIPTIONS_MAX):
        await node.subscribe(f"_INBOX_{credentials.key.public}.{number}", Inbox())
    await node.flush()
    assert not closed.is_set()

    await node.subscribe(f"_INBOX_{credentials.key.public}.more", Inbox())

    async with asyncio.timeout(WAIT_S):
        await closed.wait()


async def test_a_node_that_sends_too_much_at_once_is_cut_off(server: Server, connections: Connections) -> None:
    credentials = server.node()
    node = await connections.open(server, credentials, reconnect=False)
    offer = subjects.offer(NodeId(credentials.key.public))
    await node.publish(offer, bytes(NODE_PAYLOAD_BYTES_MAX))
    await node.flush()

    await node.publish(offer, bytes(NODE_PAYLOAD_BYTES_MAX + 1))

    with pytest.raises(BusError, match="did not answer"):
        await node.flush()


async def test_services_have_only_the_subjects_of_their_role(server: Server, connections: Connections) -> None:
    complaints = Complaints()
    gateway = await connections.open(server, server.keys.creds_file("gateway"), on_error=complaints)

    await gateway.publish(subjects.offer(VICTIM), b"forged")
    await gateway.subscribe(subjects.OFFERS, Inbox())
    await gateway.flush()

    assert complaints.name(subjects.offer(VICTIM))
    assert complaints.name(subjects.OFFERS)


async def _a_node_with_a_task(
    server: Server, connections: Connections, complaints: Complaints
) -> tuple[Bus, Bus, str, Inbox]:
    """A gateway that sent an assignment to a node; the subject of its replies; and what comes there."""
    credentials = server.node()
    node_id = NodeId(credentials.key.public)
    gateway = await connections.open(server, server.keys.creds_file("gateway"))
    node = await connections.open(server, credentials, on_error=complaints)
    tasks, replies = Inbox(), Inbox()
    await node.subscribe(subjects.node_tasks(node_id), tasks)
    await gateway.subscribe(subjects.inboxes(GATEWAY), replies)
    await node.flush()
    await gateway.publish(subjects.task(node_id, ASSIGNMENT), b"tensor", reply=subjects.inbox(GATEWAY, ASSIGNMENT))
    return gateway, node, (await tasks.next()).reply, replies
