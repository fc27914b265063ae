"""What a gateway makes of the keys that an operator had before: told, or refused where they lead elsewhere."""

import asyncio
from pathlib import Path

import pytest
from msgspec import UNSET
from tests.unit.services.gateway.enrolling import gateway_config

from gridlight.adapters.certificates import certify
from gridlight.adapters.clock import wall_s
from gridlight.adapters.credentials import NetworkKeys
from gridlight.adapters.signatures import SigningKey
from gridlight.adapters.successions import split_carried, succession
from gridlight.messages.codec import encode
from gridlight.messages.envelope import ENROLMENT_DOMAIN
from gridlight.messages.ids import GatewayId, NodeId
from gridlight.messages.nodes import EnrolNode, NodeEnrolled
from gridlight.services.gateway.enrolment import Enrolments
from gridlight.services.gateway.errors import Refusal
from gridlight.services.gateway.metrics import Metrics
from gridlight.services.gateway.outbox import Outbox

NODE, FIRST, SECOND, OTHER = (SigningKey.generate() for _ in range(4))
NODE_ID = NodeId(NODE.public)
NOW_MS = wall_s() * 1_000
CHAIN = (succession(FIRST, SECOND, now_ms=NOW_MS),)


@pytest.fixture
def outbox() -> Outbox:
    return Outbox()


@pytest.fixture
def enrolments(tmp_path: Path, outbox: Outbox) -> Enrolments:
    config = gateway_config(NetworkKeys.create(tmp_path / "keys"), tmp_path)
    return Enrolments(config, GatewayId("gateway-1"), outbox=outbox, workloads=[], metrics=Metrics("test"))


async def enrol(enrolments: Enrolments, brought: tuple[str, ...], *, certified: bool = True) -> None:
    """With a certificate of the second key, and these successions."""
    certificate, _ = split_carried(certify(SECOND, NODE_ID, now_ms=NOW_MS, successions=CHAIN))
    enrolment = EnrolNode(
        node_id=NODE_ID,
        operator=SECOND.public,
        nonce=enrolments.challenge(NOW_MS).nonce,
        agent_version="1.0",
        cpus=4,
        memory_mib=8_192,
        certificate=certificate if certified else None,
        successions=brought,
    )
    body = encode(enrolment)
    await enrolments.enrol(NOW_MS, body, NODE.sign(ENROLMENT_DOMAIN, body), connected="203.0.113.77")


async def told(enrolments: Enrolments, outbox: Outbox, *, certified: bool) -> NodeEnrolled:
    """What the coordinator hears of a node that brings the right successions."""
    enrolling = asyncio.ensure_future(enrol(enrolments, CHAIN, certified=certified))
    await outbox.wait()
    (event,) = outbox.take()
    assert isinstance(event, NodeEnrolled)
    enrolments.admitted(event.node_id)
    await enrolling
    return event


async def test_an_operators_earlier_keys_are_told_with_the_one_that_signed(
    enrolments: Enrolments, outbox: Outbox
) -> None:
    event = await told(enrolments, outbox, certified=True)

    assert (event.operator, event.predecessors) == (SECOND.public, (FIRST.public,))


async def test_successions_without_a_certificate_prove_nothing(enrolments: Enrolments, outbox: Outbox) -> None:
    event = await told(enrolments, outbox, certified=False)

    assert (event.operator, event.predecessors) == (NODE_ID, UNSET)


@pytest.mark.parametrize(
    "brought",
    [
        pytest.param((), id="none"),
        pytest.param((succession(OTHER, SECOND, now_ms=NOW_MS),), id="from another key"),
        pytest.param((succession(FIRST, OTHER, now_ms=NOW_MS),), id="to another key"),
        pytest.param(("junk",), id="junk"),
        pytest.param((CHAIN[0][:-8],), id="cut short"),
    ],
)
async def test_successions_that_lead_elsewhere_are_refused(
    enrolments: Enrolments, outbox: Outbox, brought: tuple[str, ...]
) -> None:
    with pytest.raises(Refusal) as refused:
        await enrol(enrolments, brought)

    assert refused.value.code == "BAD_SUCCESSION"
    assert outbox.take() == []
