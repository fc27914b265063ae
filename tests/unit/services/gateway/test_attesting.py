"""Whom issuers vouch for, as a gateway checks it when a node joins."""

import asyncio
from pathlib import Path

import pytest
from msgspec import UNSET
from tests.unit.services.gateway.enrolling import gateway_config

from gridlight.adapters.clock import wall_s
from gridlight.adapters.credentials import NetworkKeys
from gridlight.adapters.issuer import Issuer
from gridlight.adapters.signatures import SigningKey
from gridlight.messages.codec import encode
from gridlight.messages.envelope import ENROLMENT_DOMAIN
from gridlight.messages.ids import GatewayId, NodeId
from gridlight.messages.nodes import EnrolNode
from gridlight.messages.operators import INDICES_MAX, AttestationsHeld, AttestationsRevoked, BarCode, Hold, RefuseNode
from gridlight.services.gateway.attesting import LOST_S, STALE_S, Attestations
from gridlight.services.gateway.enrolment import Enrolments
from gridlight.services.gateway.errors import Refusal
from gridlight.services.gateway.metrics import Metrics
from gridlight.services.gateway.outbox import Outbox

GATEWAY = GatewayId("gw0123456789ab")
NETWORK = SigningKey.generate().public
OPERATOR = SigningKey.generate().public


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    issuer = Issuer.create(tmp_path / "issuer", iss="https://issuer.example")
    issuer.write_status(now_s=wall_s())
    return issuer


@pytest.fixture
def outbox() -> Outbox:
    return Outbox()


def believing(issuer: Issuer, outbox: Outbox, *, is_required: bool = True) -> Attestations:
    return Attestations((issuer.trusted(),), network=NETWORK, is_required=is_required, refresh_s=1.0, outbox=outbox)


def held(hold: Hold | None) -> AttestationsHeld:
    return AttestationsHeld(issuer="https://issuer.example", hold=hold)


def word(issuer: Issuer, operator: str = OPERATOR, level: int = 2) -> str:
    return issuer.attest(operator, "Ada", network=NETWORK, level=level, days=30, now_s=wall_s())


def code(attestations: Attestations, text: str | None, operator: str | None = OPERATOR, *, later_s: int = 0) -> str:
    with pytest.raises(Refusal) as caught:
        attestations.checked(
            UNSET if text is None else text, () if operator is None else (operator,), wall_s() + later_s
        )
    assert caught.value.hint
    return caught.value.code


@pytest.fixture
def enrolments(tmp_path: Path, outbox: Outbox) -> Enrolments:
    config = gateway_config(NetworkKeys.create(tmp_path / "keys"), tmp_path)
    return Enrolments(config, GATEWAY, outbox=outbox, workloads=[], metrics=Metrics("test"))


@pytest.mark.parametrize(("level", "devices_max"), [(0, 1), (1, 2), (2, 5)])
async def test_an_operator_may_have_as_many_devices_as_is_known_of_the_person(
    issuer: Issuer, outbox: Outbox, level: int, devices_max: int
) -> None:
    attestations = believing(issuer, outbox)
    await attestations.refresh()

    attested = attestations.checked(word(issuer, level=level), (OPERATOR,), wall_s())

    assert attested is not UNSET
    assert (attested.level, attested.devices_max, attested.index) == (level, devices_max, 0)
    assert attested.hold is (UNSET if level else Hold.LEVEL_0)


async def test_where_attestations_are_not_required_no_level_holds_a_node_and_no_list_grows_old(
    issuer: Issuer, outbox: Outbox
) -> None:
    attestations = believing(issuer, outbox, is_required=False)
    await attestations.refresh()
    attestations.tell_ages(wall_s() + LOST_S + 5)

    attested = attestations.checked(word(issuer, level=0), (OPERATOR,), wall_s())

    assert attested is not UNSET
    assert attested.hold is UNSET
    assert outbox.take() == []


async def test_the_coordinator_is_told_once_of_a_list_that_grows_old_and_once_that_it_was_read(
    issuer: Issuer, outbox: Outbox
) -> None:
    attestations = believing(issuer, outbox)
    await attestations.refresh()
    for later_s in (0, STALE_S - 5, STALE_S + 5, LOST_S - 5, LOST_S + 5, 2 * LOST_S):
        attestations.tell_ages(wall_s() + later_s)
    assert attestations.announcements() == [held(Hold.STATUS_LOST)]
    await attestations.refresh()

    assert outbox.take() == [held(hold) for hold in (None, Hold.STATUS_STALE, Hold.STATUS_LOST, None)]
    assert attestations.announcements() == [held(None)]


async def test_nothing_is_said_of_a_list_that_a_gateway_has_not_seen_until_it_should_have(
    issuer: Issuer, outbox: Outbox, tmp_path: Path
) -> None:
    (tmp_path / "issuer" / "status.jwt").unlink()
    attestations = believing(issuer, outbox)
    await attestations.refresh()
    assert outbox.take() == []

    attestations.tell_ages(wall_s() + STALE_S + 5)

    assert outbox.take() == [held(Hold.STATUS_STALE)]
    assert code(attestations, word(issuer)) == "ATTESTATION_STATUS_UNKNOWN"


async def test_what_does_not_hold_is_refused_with_its_code(issuer: Issuer, outbox: Outbox, tmp_path: Path) -> None:
    attestations = believing(issuer, outbox)
    text = word(issuer)
    other = Issuer.create(tmp_path / "other", iss="https://other.example")

    assert code(attestations, text) == "ATTESTATION_STATUS_UNKNOWN"
    await attestations.refresh()
    assert code(attestations, None) == "ATTESTATION_MISSING"
    assert code(attestations, text, None) == "BAD_ATTESTATION"
    assert code(attestations, text, NETWORK) == "BAD_ATTESTATION"
    assert code(attestations, "junk") == "BAD_ATTESTATION"
    assert code(attestations, word(other)) == "BAD_ATTESTATION"
    assert believing(issuer, outbox, is_required=False).checked(UNSET, (), 0) is UNSET


async def test_whoever_is_taken_back_is_refused_and_the_coordinator_is_told_once(
    issuer: Issuer, outbox: Outbox
) -> None:
    attestations, text = believing(issuer, outbox), word(issuer)
    await attestations.refresh()
    issuer.revoke(OPERATOR)
    issuer.write_status(now_s=wall_s())
    for _ in range(2):
        await attestations.refresh()

    revoked = AttestationsRevoked(issuer="https://issuer.example", indices=(0,))
    assert outbox.take() == [held(None), revoked]
    assert attestations.announcements() == [revoked, held(None)]
    assert code(attestations, text) == "ATTESTATION_REVOKED"


async def test_a_list_that_cannot_be_read_changes_nothing(issuer: Issuer, outbox: Outbox, tmp_path: Path) -> None:
    attestations, text = believing(issuer, outbox), word(issuer)
    await attestations.refresh()
    for content in (None, "", "junk", "é"):
        path = tmp_path / "issuer" / "status.jwt"
        path.unlink() if content is None else path.write_text(content)
        await attestations.refresh()

    assert attestations.checked(text, (OPERATOR,), wall_s()) is not UNSET


async def test_many_are_told_in_parts(issuer: Issuer, outbox: Outbox) -> None:
    attestations = believing(issuer, outbox)
    for _ in range(INDICES_MAX + 1):
        word(issuer)
    issuer.revoke(OPERATOR)
    issuer.write_status(now_s=wall_s())
    await attestations.refresh()

    revoked = [event for event in attestations.announcements() if isinstance(event, AttestationsRevoked)]
    assert [len(event.indices) for event in revoked] == [INDICES_MAX, 1]


async def test_an_issuers_word_on_an_earlier_key_holds_on(issuer: Issuer, outbox: Outbox) -> None:
    attestations, text = believing(issuer, outbox), word(issuer)
    await attestations.refresh()

    before = attestations.checked(text, (OPERATOR,), wall_s())
    after = attestations.checked(text, (OPERATOR, NETWORK), wall_s())

    assert before == after
    assert after is not UNSET


@pytest.mark.parametrize("reason", ["", "wrong answers for sale"])
async def test_a_node_that_the_coordinator_does_not_take_is_told_why(
    enrolments: Enrolments, outbox: Outbox, reason: str
) -> None:
    key, now_ms = SigningKey.generate(), wall_s() * 1_000
    enrolment = EnrolNode(
        node_id=NodeId(key.public),
        operator=OPERATOR,
        nonce=enrolments.challenge(now_ms).nonce,
        agent_version="1.0",
        cpus=4,
        memory_mib=8_192,
    )
    body = encode(enrolment)
    signature = key.sign(ENROLMENT_DOMAIN, body)

    enrolling = asyncio.ensure_future(enrolments.enrol(now_ms, body, signature, connected="203.0.113.77"))
    await outbox.wait()
    refusal = RefuseNode(gateway_id=GATEWAY, node_id=NodeId(key.public), code=BarCode.BANNED, reason=reason)
    enrolments.refused(refusal)
    with pytest.raises(Refusal) as caught:
        await enrolling
    enrolments.refused(refusal)  # nobody waits any more

    assert (caught.value.code, caught.value.status) == ("NODE_BANNED", 403)
    assert reason in caught.value.message
