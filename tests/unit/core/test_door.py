"""Who may join: what administrators ruled, and what becomes of nodes that are there."""

import msgspec
import pytest
from msgspec.structs import replace
from tests.unit.core.fleets import again
from tests.unit.core.world import GATEWAY, enrolled, node_id, offer, slots

from gridlight.core.fleet import Fleet, Presence
from gridlight.core.notices import CapacityLost, NodeMissed
from gridlight.messages.host import RecordNode
from gridlight.messages.nodes import AdmitNode, NodeDisconnected, NodeEnrolled
from gridlight.messages.operators import (
    AttestationsRevoked,
    Attested,
    BarCode,
    KeyRuled,
    NodeBarred,
    RecordRuling,
    RefuseNode,
    TellRuling,
    Verdict,
)

OPERATOR = node_id(100)
NODE, OTHER, STRANGER = node_id(1), node_id(2), node_id(3)
REASON = "wrong answers for sale"


def ruled(key: str, verdict: Verdict = Verdict.BANNED, *, revoked_until: int = 0) -> KeyRuled:
    return KeyRuled(gateway_id=GATEWAY, key=key, verdict=verdict, reason=REASON, revoked_until=revoked_until)


def joining(node: str, *, serial: int | None = 5) -> NodeEnrolled:
    event = enrolled(node_id(0), operator=OPERATOR)
    return replace(event, node_id=node, certificate_serial=msgspec.UNSET if serial is None else serial)


def online() -> Fleet:
    """Two nodes of one operator, and a stranger's."""
    fleet = Fleet()
    for event in (joining(NODE), joining(OTHER), enrolled(STRANGER)):
        fleet.handle(0, event)
        fleet.handle(0, offer(event.node_id, slots(1)))
    return fleet


def test_a_banned_operators_nodes_lose_what_they_have_and_are_told_why() -> None:
    fleet = online()

    said = fleet.handle(1, ruled(OPERATOR))

    barred = [NodeBarred(node_id=one, code=BarCode.BANNED, reason=REASON) for one in (NODE, OTHER)]
    assert said[0] == RecordRuling(ruled=ruled(OPERATOR), nodes=2)
    assert [one for one in said if isinstance(one, NodeBarred)] == barred
    assert [one for one in said if isinstance(one, CapacityLost)] == [CapacityLost(0), CapacityLost(1)]
    assert [one.is_online for one in said if isinstance(one, RecordNode)] == [False, False]
    assert said[-1] == TellRuling(gateway_id=GATEWAY, key=OPERATOR, verdict=Verdict.BANNED, nodes=2)
    assert fleet.presences() == [Presence.OFFLINE, Presence.OFFLINE, Presence.ONLINE]


def test_a_banned_nodes_offers_and_enrolments_are_refused_until_the_ban_is_lifted() -> None:
    fleet = online()
    fleet.handle(1, ruled(NODE))
    for one in (fleet, again(fleet)):
        assert one.handle(2, offer(NODE, slots(1))) == [NodeBarred(node_id=NODE, code=BarCode.BANNED, reason=REASON)]
        refused = RefuseNode(gateway_id=GATEWAY, node_id=NODE, code=BarCode.BANNED, reason=REASON)
        assert one.handle(2, joining(NODE)) == [refused]
        assert one.handle(2, NodeDisconnected(node_id=NODE)) == []
        assert len(one.handle(2, joining(OTHER))) == 3, "a ban of one node is not its operator's"

    fleet.handle(3, ruled(NODE, Verdict.ALLOWED))
    assert isinstance(fleet.handle(4, offer(NODE, slots(1)))[-1], RecordNode)
    fleet.handle(5, ruled(NODE, Verdict.ALLOWED))  # twice is once
    fleet.check()


def test_a_ban_holds_for_a_key_that_nobody_has_seen_yet() -> None:
    fleet = Fleet()

    assert fleet.handle(0, ruled(OPERATOR))[-1] == TellRuling(
        gateway_id=GATEWAY, key=OPERATOR, verdict=Verdict.BANNED, nodes=0
    )
    assert isinstance(fleet.handle(0, joining(NODE))[0], RefuseNode)
    assert fleet.index_of(NODE) is None


def test_whoever_was_silent_when_it_was_banned_loses_its_capacity_once() -> None:
    fleet = online()
    fleet.handle(1, NodeMissed(0))

    said = fleet.handle(2, ruled(NODE))

    assert said[1:-1] == [CapacityLost(0), NodeBarred(node_id=NODE, code=BarCode.BANNED, reason=REASON)]


def test_who_is_away_is_not_told_and_not_taken_back() -> None:
    fleet = online()
    fleet.handle(1, NodeDisconnected(node_id=NODE))

    assert len(fleet.handle(2, ruled(NODE))) == 2
    assert isinstance(fleet.handle(3, offer(NODE, slots(1)))[0], NodeBarred)


@pytest.mark.parametrize("key", [NODE, OPERATOR])
def test_revoked_certificates_do_not_hold_and_later_ones_do(key: str) -> None:
    fleet = online()

    said = fleet.handle(1, ruled(key, Verdict.REVOKED, revoked_until=5))

    assert NodeBarred(node_id=NODE, code=BarCode.CERTIFICATE_REVOKED, reason=REASON) in said
    for one in (fleet, again(fleet)):
        refused = one.handle(2, joining(NODE, serial=5))
        assert refused == [
            RefuseNode(gateway_id=GATEWAY, node_id=NODE, code=BarCode.CERTIFICATE_REVOKED, reason=REASON)
        ]
        assert isinstance(one.handle(2, joining(NODE, serial=6))[1], AdmitNode)
        assert not isinstance(one.handle(2, offer(NODE, slots(1)))[0], NodeBarred)
    assert isinstance(fleet.handle(3, joining(NODE, serial=None))[1], AdmitNode), "nothing was signed"


def test_an_earlier_revocation_takes_nothing_of_a_later_one_back() -> None:
    fleet = online()
    fleet.handle(1, ruled(NODE, Verdict.REVOKED, revoked_until=9))
    fleet.handle(1, ruled(NODE, Verdict.REVOKED, revoked_until=3))

    assert isinstance(fleet.handle(2, joining(NODE, serial=9))[0], RefuseNode)


PERSON, ANOTHER = "ab" * 32, "cd" * 32
ISSUER = "https://issuer.example"


def attested(
    node: str, operator: str = OPERATOR, *, person: str = PERSON, index: int = 7, devices_max: int = 2
) -> NodeEnrolled:
    said = Attested(issuer=ISSUER, nullifier=person, level=2, devices_max=devices_max, index=index, expires_ms=10**13)
    return replace(joining(node), operator=operator, attested=said)


def persons() -> Fleet:
    """One person with two devices online, which is all that is allowed."""
    fleet = Fleet()
    for event in (attested(NODE), attested(OTHER)):
        fleet.handle(0, event)
        fleet.handle(0, offer(event.node_id, slots(1)))
    return fleet


def test_a_person_has_no_more_devices_online_than_allowed() -> None:
    third = attested(STRANGER)
    for fleet in (persons(), again(persons())):
        refused = fleet.handle(1, third)
        fleet.handle(2, NodeDisconnected(node_id=NODE))
        admitted = fleet.handle(3, third)

        assert refused == [RefuseNode(gateway_id=GATEWAY, node_id=STRANGER, code=BarCode.TOO_MANY_DEVICES)]
        assert isinstance(admitted[1], AdmitNode)
        assert len(fleet.handle(4, attested(OTHER))) == 3, "who is there may enrol again"


def test_who_was_admitted_and_comes_when_the_places_are_taken_is_barred_and_comes_later() -> None:
    fleet = Fleet()
    for event in (attested(NODE), attested(OTHER), attested(STRANGER)):
        fleet.handle(0, event)
    said = [fleet.handle(1, offer(one, slots(1))) for one in (NODE, OTHER, STRANGER)]
    fleet.handle(2, NodeDisconnected(node_id=NODE))

    assert said[2] == [NodeBarred(node_id=STRANGER, code=BarCode.TOO_MANY_DEVICES)]
    assert isinstance(fleet.handle(3, offer(STRANGER, slots(1)))[-1], RecordNode)


def test_one_person_is_one_operator_at_a_time() -> None:
    fleet, second = persons(), node_id(101)

    assert fleet.handle(1, attested(STRANGER, second)) == [
        RefuseNode(gateway_id=GATEWAY, node_id=STRANGER, code=BarCode.PERSON_TAKEN)
    ]
    assert isinstance(fleet.handle(1, attested(STRANGER, second, person=ANOTHER))[1], AdmitNode)
    for one in (NODE, OTHER):
        fleet.handle(2, NodeDisconnected(node_id=one))
    assert isinstance(fleet.handle(3, attested(STRANGER, second))[1], AdmitNode)
    fleet.handle(4, offer(STRANGER, slots(1)))
    assert fleet.handle(5, offer(NODE, slots(1))) == [NodeBarred(node_id=NODE, code=BarCode.PERSON_TAKEN)]


def test_a_node_that_is_somebody_elses_by_now_counts_for_nobody_else() -> None:
    fleet = persons()
    fleet.handle(1, attested(OTHER, node_id(101), person=ANOTHER))
    fleet.handle(1, joining(NODE))

    assert isinstance(fleet.handle(2, attested(STRANGER, devices_max=1))[1], AdmitNode)


def test_a_ban_is_on_the_person_so_that_another_key_does_not_help() -> None:
    for fleet in (persons(), Fleet()):
        fleet.handle(1, ruled(OPERATOR))
        fleet.handle(2, attested(NODE))
        for one in (fleet, again(fleet)):
            refused = RefuseNode(gateway_id=GATEWAY, node_id=STRANGER, code=BarCode.BANNED, reason=REASON)
            assert one.handle(3, attested(STRANGER, node_id(101))) == [refused]
            one.handle(4, ruled(OPERATOR, Verdict.ALLOWED))
            assert isinstance(one.handle(5, attested(STRANGER, node_id(101)))[1], AdmitNode)


@pytest.mark.parametrize("is_banned_first", [True, False])
def test_a_lifted_ban_gives_no_attestation_back(*, is_banned_first: bool) -> None:
    ban, revoked = ruled(OPERATOR), AttestationsRevoked(issuer=ISSUER, indices=(7,))
    fleet = persons()
    for event in (ban, revoked) if is_banned_first else (revoked, ban):
        fleet.handle(2, event)

    for one in (fleet, again(fleet)):
        one.handle(3, ruled(OPERATOR, Verdict.ALLOWED))
        assert one.handle(4, offer(NODE, slots(1))) == [NodeBarred(node_id=NODE, code=BarCode.ATTESTATION_REVOKED)]
        one.handle(5, attested(NODE, index=8))
        assert isinstance(one.handle(6, offer(NODE, slots(1)))[-1], RecordNode)


def test_whose_attestation_is_taken_back_loses_its_place_and_comes_back_with_another() -> None:
    fleet = persons()
    fleet.handle(1, NodeDisconnected(node_id=OTHER))
    fleet.handle(1, enrolled(STRANGER))
    revoked = AttestationsRevoked(issuer=ISSUER, indices=(3, 7))

    said = fleet.handle(2, revoked)

    barred = NodeBarred(node_id=NODE, code=BarCode.ATTESTATION_REVOKED)
    assert [said[0], said[-1]] == [CapacityLost(0), barred]
    assert fleet.handle(3, revoked) == [], "told again, by another gateway"
    assert fleet.handle(3, AttestationsRevoked(issuer="https://another.example", indices=(7,))) == []
    assert fleet.handle(4, offer(NODE, slots(1))) == [barred]
    assert fleet.handle(4, offer(OTHER, slots(1)))[0] == replace(barred, node_id=OTHER)
    fleet.handle(5, attested(NODE, index=8))
    assert isinstance(fleet.handle(6, offer(NODE, slots(1)))[-1], RecordNode)
