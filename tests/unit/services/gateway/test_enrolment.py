import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from tests.unit.services.gateway.enrolling import gateway_config

from gridlight.adapters.certificates import DAY_MS, certify
from gridlight.adapters.credentials import NetworkKeys
from gridlight.adapters.endorsements import EndorsedTier, endorse
from gridlight.adapters.signatures import KeyKind, SigningKey
from gridlight.messages.codec import encode
from gridlight.messages.envelope import ENROLMENT_DOMAIN, REASONS_DOMAIN, REPLY_DOMAIN
from gridlight.messages.ids import GatewayId, NodeId, WorkloadId
from gridlight.messages.nodes import EnrolNode, NodeEnrolled
from gridlight.messages.trust import Tier
from gridlight.services.gateway.config import GatewayConfig
from gridlight.services.gateway.enrolment import NONCE_TTL_S, Enrolments, Nonces
from gridlight.services.gateway.errors import Refusal
from gridlight.services.gateway.metrics import Metrics
from gridlight.services.gateway.outbox import Outbox

GATEWAY = GatewayId("gw0123456789ab")
PEER = "203.0.113.77"
NOW_MS = 1_800_000_000_000
WORKLOAD = WorkloadId("coco-ssd@sha256:" + "0" * 64)


@pytest.fixture
def outbox() -> Outbox:
    return Outbox()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("test")


@pytest.fixture
def keys(tmp_path: Path) -> NetworkKeys:
    return NetworkKeys.create(tmp_path / "keys")


@pytest.fixture
def config(keys: NetworkKeys, tmp_path: Path) -> GatewayConfig:
    return gateway_config(keys, tmp_path)


@pytest.fixture
def new_enrolments(config: GatewayConfig, outbox: Outbox, metrics: Metrics) -> Callable[..., Enrolments]:
    def make(**options: float) -> Enrolments:
        return Enrolments(config, GATEWAY, outbox=outbox, workloads=[WORKLOAD], metrics=metrics, **options)

    return make


def request_of(key: SigningKey, nonce: str, endorsement: str | None = None) -> EnrolNode:
    return EnrolNode(
        node_id=NodeId(key.public),
        operator=SigningKey.generate().public,
        nonce=nonce,
        agent_version="1.0",
        cpus=4,
        memory_mib=8_192,
        endorsement=endorsement,
    )


def test_a_nonce_holds_for_its_minute_and_no_longer() -> None:
    nonces = Nonces(b"key")
    nonce = nonces.make(NOW_MS)

    assert nonces.is_valid(nonce, NOW_MS)
    assert nonces.is_valid(nonce, NOW_MS + NONCE_TTL_S * 1_000 - 1)
    assert not nonces.is_valid(nonce, NOW_MS + NONCE_TTL_S * 1_000)


def test_nonces_differ_and_another_gateway_with_the_key_knows_them() -> None:
    assert Nonces(b"key").make(NOW_MS) != Nonces(b"key").make(NOW_MS)
    assert Nonces(b"key").is_valid(Nonces(b"key").make(NOW_MS), NOW_MS)


@pytest.mark.parametrize("nonce", ["", "x", "é" * 20, "A" * 56, "A" * 4_000, "====", "A-_~"])
def test_a_nonce_that_is_not_ours_is_refused(nonce: str) -> None:
    assert not Nonces(b"key").is_valid(nonce, NOW_MS)


def test_a_nonce_of_another_network_or_with_a_later_expiry_is_refused() -> None:
    nonces = Nonces(b"key")
    nonce = nonces.make(NOW_MS)

    assert not nonces.is_valid(Nonces(b"other").make(NOW_MS), NOW_MS)
    assert not nonces.is_valid("B" + nonce[1:], NOW_MS)


async def test_a_node_that_proves_its_key_is_given_credentials_once_admitted(
    new_enrolments: Callable[..., Enrolments], outbox: Outbox
) -> None:
    enrolments = new_enrolments()
    key = SigningKey.generate()
    request = request_of(key, enrolments.challenge(NOW_MS).nonce)
    body = encode(request)

    enrolling = asyncio.ensure_future(enrolments.enrol(NOW_MS, body, key.sign(ENROLMENT_DOMAIN, body), connected=PEER))
    await outbox.wait()
    (event,) = outbox.take()
    assert isinstance(event, NodeEnrolled)
    assert (event.node_id, event.operator, event.gateway_id) == (request.node_id, request.node_id, GATEWAY)
    assert enrolments.announcements() == [event]
    assert not enrolling.done()
    enrolments.admitted(request.node_id)

    response = await enrolling
    assert response.node_id == request.node_id
    assert response.user_jwt.count(".") == 2
    assert response.nats_url == "nats://network.example:4222"
    assert response.expires_s == 3_600
    assert response.workloads == [WORKLOAD]
    assert enrolments.announcements() == []


async def test_a_node_that_asks_twice_at_once_is_answered_twice(
    new_enrolments: Callable[..., Enrolments], outbox: Outbox
) -> None:
    enrolments = new_enrolments()
    key = SigningKey.generate()
    body = encode(request_of(key, enrolments.challenge(NOW_MS).nonce))
    signature = key.sign(ENROLMENT_DOMAIN, body)

    both = asyncio.gather(*[enrolments.enrol(NOW_MS, body, signature, connected=PEER) for _ in range(2)])
    await outbox.wait()
    await asyncio.sleep(0)
    enrolments.admitted(NodeId(key.public))

    assert [response.node_id for response in await both] == [key.public] * 2


async def test_an_enrolment_that_nobody_admits_ends_in_an_explicit_error(
    new_enrolments: Callable[..., Enrolments],
) -> None:
    enrolments = new_enrolments(admission_s_max=0.0)
    key = SigningKey.generate()
    body = encode(request_of(key, enrolments.challenge(NOW_MS).nonce))

    with pytest.raises(Refusal) as caught:
        await enrolments.enrol(NOW_MS, body, key.sign(ENROLMENT_DOMAIN, body), connected=PEER)

    assert caught.value.code == "NO_COORDINATOR"
    assert enrolments.announcements() == []
    enrolments.admitted(NodeId(key.public))


async def code_of(enrolments: Enrolments, body: bytes, signature: bytes | None) -> str:
    with pytest.raises(Refusal) as caught:
        await enrolments.enrol(NOW_MS, body, signature, connected=PEER)
    return caught.value.code


async def test_whoever_does_not_hold_the_key_is_refused(
    new_enrolments: Callable[..., Enrolments], outbox: Outbox
) -> None:
    enrolments = new_enrolments()
    key, thief = SigningKey.generate(), SigningKey.generate()
    body = encode(request_of(key, enrolments.challenge(NOW_MS).nonce))

    assert await code_of(enrolments, body, None) == "BAD_SIGNATURE"
    assert await code_of(enrolments, body, b"x" * 64) == "BAD_SIGNATURE"
    assert await code_of(enrolments, body, thief.sign(ENROLMENT_DOMAIN, body)) == "BAD_SIGNATURE"
    assert await code_of(enrolments, body, key.sign(REPLY_DOMAIN, body)) == "BAD_SIGNATURE"
    assert await code_of(enrolments, body + b" ", key.sign(ENROLMENT_DOMAIN, body)) == "BAD_SIGNATURE"
    assert outbox.take() == []


async def test_an_old_enrolment_cannot_be_replayed(new_enrolments: Callable[..., Enrolments]) -> None:
    enrolments = new_enrolments()
    key = SigningKey.generate()
    body = encode(request_of(key, enrolments.challenge(NOW_MS - NONCE_TTL_S * 1_000).nonce))

    assert await code_of(enrolments, body, key.sign(ENROLMENT_DOMAIN, body)) == "BAD_NONCE"


async def test_an_enrolment_that_is_no_message_or_names_no_key_is_refused(
    new_enrolments: Callable[..., Enrolments],
) -> None:
    enrolments = new_enrolments()
    key = SigningKey.generate()
    good = request_of(key, enrolments.challenge(NOW_MS).nonce)
    mistyped = NodeId(good.node_id[:-1] + ("A" if good.node_id[-1] != "A" else "B"))

    for body in (
        b"",
        b"{}",
        b"junk",
        encode(replace(good, node_id=mistyped)),
        encode(replace(good, operator=mistyped)),
    ):
        assert await code_of(enrolments, body, key.sign(ENROLMENT_DOMAIN, body)) == "BAD_ENROLMENT"
    assert msgspec.json.decode(encode(good))["type"] == "node.enrol.v1"


async def enrolled(enrolments: Enrolments, outbox: Outbox, key: SigningKey, endorsement: str | None) -> NodeEnrolled:
    """What the coordinator is told of a node that is taken."""
    body = encode(request_of(key, enrolments.challenge(NOW_MS).nonce, endorsement))
    enrolling = asyncio.ensure_future(enrolments.enrol(NOW_MS, body, key.sign(ENROLMENT_DOMAIN, body), connected=PEER))
    await outbox.wait()
    (event,) = outbox.take()
    assert isinstance(event, NodeEnrolled)
    enrolments.admitted(event.node_id)
    await enrolling
    return event


@pytest.mark.parametrize(("said", "tier"), [("trusted", Tier.TRUSTED), ("reference", Tier.REFERENCE), (None, None)])
async def test_the_coordinator_is_told_what_the_network_says_of_a_node_and_where_it_is(
    new_enrolments: Callable[..., Enrolments],
    outbox: Outbox,
    keys: NetworkKeys,
    said: EndorsedTier | None,
    tier: Tier | None,
) -> None:
    key = SigningKey.generate()
    endorsement = None if said is None else keys.endorse(NodeId(key.public), said)

    event = await enrolled(new_enrolments(), outbox, key, endorsement)

    assert event.endorsed is tier
    assert event.prefix == "203.0.113.0/24"


async def test_a_false_endorsement_is_refused_and_counted_and_never_passed_over(
    new_enrolments: Callable[..., Enrolments], outbox: Outbox, keys: NetworkKeys, metrics: Metrics
) -> None:
    enrolments = new_enrolments()
    key, other = SigningKey.generate(), SigningKey.generate()
    said, _, signature = keys.endorse(NodeId(key.public), "trusted").partition(".")
    false = [
        endorse(key, NodeId(key.public), "trusted"),
        keys.endorse(NodeId(other.public), "trusted"),
        f"{said}.{signature[:-4]}",
        f"{said}{said}.{signature}",
        "junk",
    ]

    for endorsement in false:
        body = encode(request_of(key, enrolments.challenge(NOW_MS).nonce, endorsement))
        assert await code_of(enrolments, body, key.sign(ENROLMENT_DOMAIN, body)) == "BAD_ENDORSEMENT"

    assert outbox.take() == []
    assert f'gridlight_enrolments_total{{code="BAD_ENDORSEMENT"}} {len(false)}.0' in metrics.text().decode()


async def test_an_endorsement_saves_nobody_the_proof_of_its_key(
    new_enrolments: Callable[..., Enrolments], keys: NetworkKeys
) -> None:
    enrolments = new_enrolments()
    key, thief = SigningKey.generate(), SigningKey.generate()
    endorsement = keys.endorse(NodeId(key.public), "trusted")
    body = encode(request_of(key, enrolments.challenge(NOW_MS).nonce, endorsement))

    assert await code_of(enrolments, body, thief.sign(ENROLMENT_DOMAIN, body)) == "BAD_SIGNATURE"


async def test_nodes_that_were_taken_are_counted(
    new_enrolments: Callable[..., Enrolments], outbox: Outbox, metrics: Metrics
) -> None:
    await enrolled(new_enrolments(), outbox, SigningKey.generate(), None)

    assert 'gridlight_enrolments_total{code="ADMITTED"} 1.0' in metrics.text().decode()


def test_a_gateway_with_a_mistyped_network_key_is_not_configured(config: GatewayConfig) -> None:
    for wrong in ("", "U" + "A" * 55, SigningKey.generate(KeyKind.ACCOUNT).public, config.network_key[:-1]):
        with pytest.raises(ValueError, match="network_key must be"):
            replace(config, network_key=wrong)


def test_a_gateway_with_a_mistyped_proxy_is_not_configured(config: GatewayConfig) -> None:
    with pytest.raises(ValueError, match=r"trusted_proxies must be .*10\.0\.0\.1/8"):
        replace(config, trusted_proxies=("10.0.0.1/8",))


async def test_an_agent_that_is_too_old_is_told_what_to_do(
    config: GatewayConfig, outbox: Outbox, metrics: Metrics
) -> None:
    enrolments = Enrolments(
        replace(config, agent_version_min="1.1"), GATEWAY, outbox=outbox, workloads=[WORKLOAD], metrics=metrics
    )
    key = SigningKey.generate()
    body = encode(request_of(key, enrolments.challenge(NOW_MS).nonce))

    with pytest.raises(Refusal, match=r"This agent is 1\.0, the network takes 1\.1 on") as refused:
        await enrolments.enrol(NOW_MS, body, key.sign(ENROLMENT_DOMAIN, body), connected=PEER)

    assert (refused.value.code, refused.value.status) == ("AGENT_TOO_OLD", 403)
    assert "pip install --upgrade gridlight" in refused.value.hint


async def test_behind_a_trusted_proxy_the_node_s_own_prefix_is_told(
    config: GatewayConfig, outbox: Outbox, metrics: Metrics
) -> None:
    trusting = replace(config, trusted_proxies=("127.0.0.1",))
    enrolments = Enrolments(trusting, GATEWAY, outbox=outbox, workloads=[WORKLOAD], metrics=metrics)
    key = SigningKey.generate()
    body = encode(request_of(key, enrolments.challenge(NOW_MS).nonce))

    enrolling = asyncio.ensure_future(
        enrolments.enrol(
            NOW_MS, body, key.sign(ENROLMENT_DOMAIN, body), connected="127.0.0.1", forwarded=[b"203.0.113.77"]
        )
    )
    await outbox.wait()
    (event,) = outbox.take()
    assert isinstance(event, NodeEnrolled)
    enrolments.admitted(NodeId(key.public))

    await enrolling
    assert event.prefix == "203.0.113.0/24"


def refusal_of_proof(enrolments: Enrolments, node: SigningKey, nonce: bytes | None, signature: bytes | None) -> str:
    """The code with which a node that asks is turned away."""
    with pytest.raises(Refusal) as refused:
        enrolments.demand_node(NOW_MS, NodeId(node.public), nonce, signature)
    assert refused.value.status == 401
    return refused.value.code


async def test_only_the_node_itself_passes_for_it(new_enrolments: Callable[..., Enrolments]) -> None:
    enrolments, node, stranger = new_enrolments(), SigningKey.generate(), SigningKey.generate()
    nonce = enrolments.challenge(NOW_MS).nonce.encode()
    old = enrolments.challenge(NOW_MS - NONCE_TTL_S * 1_000).nonce.encode()

    enrolments.demand_node(NOW_MS, NodeId(node.public), nonce, node.sign(REASONS_DOMAIN, nonce))

    assert refusal_of_proof(enrolments, node, None, node.sign(REASONS_DOMAIN, nonce)) == "NOT_THE_NODE"
    assert refusal_of_proof(enrolments, node, nonce, None) == "NOT_THE_NODE"
    assert refusal_of_proof(enrolments, node, old, node.sign(REASONS_DOMAIN, old)) == "BAD_NONCE"
    assert refusal_of_proof(enrolments, node, b"\xff", node.sign(REASONS_DOMAIN, b"\xff")) == "BAD_NONCE"
    assert refusal_of_proof(enrolments, node, nonce, stranger.sign(REASONS_DOMAIN, nonce)) == "BAD_SIGNATURE"
    assert refusal_of_proof(enrolments, node, nonce, node.sign(ENROLMENT_DOMAIN, nonce)) == "BAD_SIGNATURE"


async def test_a_node_s_operator_is_who_certified_it_and_its_credentials_last_no_longer(
    new_enrolments: Callable[..., Enrolments], outbox: Outbox
) -> None:
    enrolments = new_enrolments()
    key, operator = SigningKey.generate(), SigningKey.generate()
    certificate = certify(operator, NodeId(key.public), now_ms=NOW_MS - 14 * DAY_MS + 90_000)
    request = replace(request_of(key, enrolments.challenge(NOW_MS).nonce), operator=operator.public)
    body = encode(replace(request, certificate=certificate))

    enrolling = asyncio.ensure_future(enrolments.enrol(NOW_MS, body, key.sign(ENROLMENT_DOMAIN, body), connected=PEER))
    await outbox.wait()
    (event,) = outbox.take()
    assert isinstance(event, NodeEnrolled)
    enrolments.admitted(event.node_id)

    assert event.operator == operator.public
    assert (await enrolling).expires_s == 90


async def test_a_false_certificate_is_refused_and_never_passed_over(
    new_enrolments: Callable[..., Enrolments], outbox: Outbox
) -> None:
    enrolments = new_enrolments()
    key, operator, other = (SigningKey.generate() for _ in range(3))
    said, _, signature = certify(operator, NodeId(key.public), now_ms=NOW_MS).partition(".")
    false = [
        certify(other, NodeId(key.public), now_ms=NOW_MS),
        certify(operator, NodeId(other.public), now_ms=NOW_MS),
        certify(operator, NodeId(key.public), now_ms=NOW_MS - 14 * DAY_MS),
        certify(operator, NodeId(key.public), now_ms=NOW_MS + DAY_MS),
        f"{said}.{signature[:-4]}",
        "junk",
    ]

    for certificate in false:
        request = replace(request_of(key, enrolments.challenge(NOW_MS).nonce), operator=operator.public)
        body = encode(replace(request, certificate=certificate))
        assert await code_of(enrolments, body, key.sign(ENROLMENT_DOMAIN, body)) == "BAD_CERTIFICATE"
    assert outbox.take() == []
