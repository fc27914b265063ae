"""Endorsements from an agent's folder through a real gateway to whoever decides, and what becomes of false ones."""

import base64
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx
import pytest
from tests.integration.agent_stand import Agent, eventually
from tests.integration.conftest import Connections, Server
from tests.integration.gateway_stand import Stand, standing

from gridlight.adapters.endorsements import EndorsedTier, endorse
from gridlight.adapters.signatures import SigningKey
from gridlight.messages.codec import encode
from gridlight.messages.envelope import ENROLMENT_DOMAIN
from gridlight.messages.ids import NodeId
from gridlight.messages.nodes import EnrolNode, NodeEnrolled
from gridlight.messages.trust import Tier

FORGER = SigningKey.generate()
HERE = "127.0.0.0/24"

StartAgent = Callable[[str | None], Agent]


@pytest.fixture
async def stand(server: Server, connections: Connections, tmp_path: Path) -> AsyncIterator[Stand]:
    async with standing(server, connections, tmp_path) as one:
        yield one


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The agent's, with the node's key."""
    return tmp_path / "agent"


@pytest.fixture
def node_id(folder: Path) -> NodeId:
    return NodeId(SigningKey.load_or_create(folder / "node.nk").public)


@pytest.fixture
def start_agent(stand: Stand, folder: Path) -> Iterator[StartAgent]:
    agents: list[Agent] = []

    def start(endorsement: str | None) -> Agent:
        if endorsement is not None:
            (folder / "endorsement").write_text(endorsement)
        agents.append(Agent(stand.url, folder))
        return agents[-1]

    yield start
    for agent in agents:
        if agent.is_running:
            agent.kill()


@pytest.mark.parametrize(("said", "tier"), [("trusted", Tier.TRUSTED), ("reference", Tier.REFERENCE)])
async def test_a_node_joins_as_what_the_network_says_it_is(
    stand: Stand, start_agent: StartAgent, node_id: NodeId, said: EndorsedTier, tier: Tier
) -> None:
    agent = start_agent(stand.server.keys.endorse(node_id, said))
    [event] = await stand.coordinator.heard(NodeEnrolled)
    await eventually("the agent is taken", lambda: agent.log("enrolled"))

    assert (event.node_id, event.endorsed, event.prefix) == (node_id, tier, HERE)


async def test_a_node_without_an_endorsement_joins_as_a_newcomer(
    stand: Stand, start_agent: StartAgent, node_id: NodeId
) -> None:
    agent = start_agent(None)
    [event] = await stand.coordinator.heard(NodeEnrolled)
    await eventually("the agent is taken", lambda: agent.log("enrolled"))

    assert (event.node_id, event.endorsed, event.prefix) == (node_id, None, HERE)


async def test_a_forged_endorsement_is_refused_and_counted(
    stand: Stand, start_agent: StartAgent, node_id: NodeId
) -> None:
    agent = start_agent(endorse(FORGER, node_id, "reference"))

    assert await agent.ended() == 1
    [line] = agent.errors.splitlines()
    assert line.startswith("gridlight: the network does not take this node: ")
    assert "BAD_ENDORSEMENT" in line
    assert await stand.metric('gridlight_enrolments_total{code="BAD_ENDORSEMENT"}') == 1
    assert not [event for event in stand.coordinator.events if isinstance(event, NodeEnrolled)]


async def test_another_nodes_endorsement_is_refused_and_counted(stand: Stand, node_id: NodeId) -> None:
    answer = await ask_to_join(stand, SigningKey.generate(), stand.server.keys.endorse(node_id, "trusted"))

    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "BAD_ENDORSEMENT")
    assert await stand.metric('gridlight_enrolments_total{code="BAD_ENDORSEMENT"}') == 1
    assert not [event for event in stand.coordinator.events if isinstance(event, NodeEnrolled)]


async def test_nobody_chooses_its_own_prefix(stand: Stand) -> None:
    claims = {"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9", "X-Real-IP": "203.0.113.9"}

    answer = await ask_to_join(stand, SigningKey.generate(), None, **claims)

    assert answer.status_code == 200
    [event] = await stand.coordinator.heard(NodeEnrolled)
    assert event.prefix == HERE


async def ask_to_join(stand: Stand, key: SigningKey, endorsement: str | None, **headers: str) -> httpx.Response:
    """As a node that says what it likes."""
    enrolment = EnrolNode(
        node_id=NodeId(key.public),
        operator=SigningKey.generate().public,
        nonce=(await stand.http.post("/v1/nodes/challenge")).json()["nonce"],
        agent_version="test",
        cpus=2,
        memory_mib=1_024,
        endorsement=endorsement,
    )
    body = encode(enrolment)
    signature = base64.b64encode(key.sign(ENROLMENT_DOMAIN, body)).decode()
    return await stand.http.post("/v1/nodes", content=body, headers={**headers, "Gridlight-Signature": signature})
