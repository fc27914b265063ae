"""Which nodes exist, which are online, and what they lend."""

import msgspec
import pytest
from msgspec.structs import replace
from tests.unit.core.world import OTHER_WORKLOAD, WORKLOAD, enrolled, node_id, offer, session_id, slots

from gridlight.core.fleet import Fleet, FleetSnapshot, Presence
from gridlight.core.notices import NOBODY, CapacityChanged, CapacityLost, NodeKnown, NodeMissed
from gridlight.messages.host import BusReconnected, CoordinatorStarted, RecordNode, RequestAllOffers
from gridlight.messages.ids import GatewayId
from gridlight.messages.nodes import AdmitNode, NodeDisconnected, OwnerState, RequestOffer, SessionStands
from gridlight.messages.trust import Tier

NODE = node_id(1)
NOW_MS = 1_000


def online_fleet() -> Fleet:
    """One node that lends one slot."""
    fleet = Fleet()
    fleet.handle(NOW_MS, enrolled(NODE))
    fleet.handle(NOW_MS, offer(NODE, slots(1)))
    return fleet


def test_a_node_that_enrols_is_admitted_by_its_gateway_and_recorded_offline() -> None:
    fleet = Fleet()

    known, admit, record = fleet.handle(NOW_MS, enrolled(NODE))

    assert known == NodeKnown(0, NODE, operator=0, prefix=NOBODY, endorsed=Tier.TRUSTED)
    assert admit == AdmitNode(gateway_id=enrolled(NODE).gateway_id, node_id=NODE)
    assert record == RecordNode(enrolled=enrolled(NODE), is_online=False, slots=0, workloads=())
    assert (fleet.index_of(NODE), fleet.id_of(0)) == (0, NODE)


def test_a_node_that_enrols_again_stays_the_same_node() -> None:
    fleet = online_fleet()
    again = enrolled(NODE, gateway_id=GatewayId("gateway-2"), endorsed=None)

    known, admit, record = fleet.handle(NOW_MS, again)

    assert known == NodeKnown(0, NODE, operator=0, prefix=NOBODY, endorsed=None)
    assert admit == AdmitNode(gateway_id=GatewayId("gateway-2"), node_id=NODE)
    assert record == RecordNode(enrolled=again, is_online=True, slots=1, workloads=(WORKLOAD,))
    assert fleet.index_of(NODE) == 0
    fleet.check()


def test_operators_and_prefixes_are_numbered_as_they_come_and_an_unknown_prefix_is_nobodys() -> None:
    fleet = Fleet()
    operator = node_id(100)

    known = [
        fleet.handle(NOW_MS, enrolled(node_id(1), operator=operator, prefix="10.0.0.0/24"))[0],
        fleet.handle(NOW_MS, enrolled(node_id(2), prefix="10.0.1.0/24"))[0],
        fleet.handle(NOW_MS, enrolled(node_id(3), operator=operator, prefix="10.0.1.0/24"))[0],
        fleet.handle(NOW_MS, enrolled(node_id(2), operator=operator))[0],
    ]

    said = [(one.node, one.operator, one.prefix) for one in known if isinstance(one, NodeKnown)]
    assert said == [(0, 0, 0), (1, 1, 1), (2, 0, 1), (1, 0, NOBODY)]


def test_an_offer_of_a_stranger_is_counted_and_changes_nothing() -> None:
    fleet = online_fleet()

    assert fleet.handle(NOW_MS, offer(node_id(2), slots(1))) == []
    assert fleet.offers_refused == 1
    assert fleet.index_of(node_id(2)) is None


def test_an_offer_says_what_is_lent_from_now_on() -> None:
    fleet = Fleet()
    fleet.handle(NOW_MS, enrolled(NODE))

    outputs = fleet.handle(NOW_MS, offer(NODE, slots(2), slots(1, workload=OTHER_WORKLOAD, benchmark_ms=None)))

    assert outputs == [
        CapacityChanged(0, NODE, WORKLOAD, 2, 100),
        CapacityChanged(0, NODE, OTHER_WORKLOAD, 1, None),
        RecordNode(enrolled=enrolled(NODE), is_online=True, slots=3, workloads=(WORKLOAD, OTHER_WORKLOAD)),
    ]


def test_a_workload_left_out_is_lent_no_more() -> None:
    fleet = online_fleet()

    outputs = fleet.handle(NOW_MS, offer(NODE, slots(1, workload=OTHER_WORKLOAD)))

    assert outputs[:-1] == [
        CapacityChanged(0, NODE, OTHER_WORKLOAD, 1, 100),
        CapacityChanged(0, NODE, WORKLOAD, 0, None),
    ]


def test_an_offer_of_a_new_session_says_that_the_old_one_is_lost() -> None:
    fleet = online_fleet()

    outputs = fleet.handle(NOW_MS, offer(NODE, slots(1), session=2))

    assert outputs[0] == CapacityLost(0)
    assert isinstance(outputs[1], CapacityChanged)


def test_another_process_with_the_key_of_a_node_that_is_online_is_refused_and_both_are_told() -> None:
    fleet = Fleet()
    fleet.handle(NOW_MS, enrolled(NODE))
    first, second = (replace(offer(NODE, slots(1), session=one), process=session_id(10 + one)) for one in (1, 2))

    taken = fleet.handle(NOW_MS, first)
    refused = fleet.handle(NOW_MS, second)

    assert taken[0] == SessionStands(node_id=NODE, session=first.session)
    assert refused == [SessionStands(node_id=NODE, session=first.session, refused=second.session)]
    assert fleet.handle(NOW_MS, NodeDisconnected(node_id=NODE, session=second.session)) == [], "its leaving is no loss"
    assert fleet.presences() == [Presence.ONLINE]
    assert fleet.handle(NOW_MS, first) == [*taken[1:]], "the first one's word counts as before"


def test_the_same_process_comes_back_with_another_session_and_another_one_takes_an_empty_place() -> None:
    fleet = Fleet()
    fleet.handle(NOW_MS, enrolled(NODE))
    first, back, other = (
        replace(offer(NODE, slots(1), session=session), process=session_id(process))
        for session, process in ((1, 10), (2, 10), (3, 11))
    )
    fleet.handle(NOW_MS, first)

    assert fleet.handle(NOW_MS, back)[:2] == [CapacityLost(0), SessionStands(node_id=NODE, session=back.session)]
    assert fleet.handle(NOW_MS, NodeDisconnected(node_id=NODE, session=first.session)) == []
    assert fleet.handle(NOW_MS, NodeDisconnected(node_id=NODE, session=back.session))[0] == CapacityLost(0)
    assert fleet.handle(NOW_MS, other)[0] == SessionStands(node_id=NODE, session=other.session)


def test_an_agent_of_before_that_does_not_tell_its_process_comes_back_as_ever() -> None:
    fleet = online_fleet()

    said = fleet.handle(NOW_MS, replace(offer(NODE, slots(1), session=2), process=session_id(10)))

    assert said[:2] == [CapacityLost(0), SessionStands(node_id=NODE, session=session_id(2))]


@pytest.mark.parametrize("session", [1, 2])
def test_an_offer_after_the_connection_closed_loses_nothing_twice(session: int) -> None:
    fleet = online_fleet()
    fleet.handle(NOW_MS, NodeDisconnected(node_id=NODE))

    outputs = fleet.handle(NOW_MS, offer(NODE, slots(1), session=session))

    assert [type(output) for output in outputs] == [CapacityChanged, RecordNode]


def test_a_closed_connection_is_lost_capacity_once() -> None:
    fleet = online_fleet()

    lost, record, _ = fleet.handle(NOW_MS, NodeDisconnected(node_id=NODE))

    assert lost == CapacityLost(0)
    assert record == RecordNode(enrolled=enrolled(NODE), is_online=False, slots=0, workloads=(WORKLOAD,))
    assert fleet.handle(NOW_MS, NodeDisconnected(node_id=NODE)) == []


def test_a_node_whose_old_connection_closes_after_the_new_one_opened_is_asked_and_back_at_once() -> None:
    fleet = online_fleet()
    fleet.handle(NOW_MS, offer(NODE, slots(1), session=2))

    *_, request = fleet.handle(NOW_MS, NodeDisconnected(node_id=NODE))

    assert request == RequestOffer(node_id=NODE)
    assert not fleet.changes_nothing(offer(NODE, slots(1), session=2))
    *_, record = fleet.handle(NOW_MS, offer(NODE, slots(1), session=2))
    assert isinstance(record, RecordNode)
    assert record.is_online


def test_a_stranger_that_disconnects_is_nobody() -> None:
    assert Fleet().handle(NOW_MS, NodeDisconnected(node_id=NODE)) == []


def test_a_node_that_broke_its_word_is_out_and_asked_to_offer_again_once() -> None:
    fleet = online_fleet()

    lost, record, request = fleet.handle(NOW_MS, NodeMissed(0))

    assert lost == CapacityLost(0, is_missed=True)
    assert isinstance(record, RecordNode)
    assert not record.is_online
    assert request == RequestOffer(node_id=NODE)
    assert fleet.handle(NOW_MS, NodeMissed(0)) == []


def test_of_a_node_that_was_silent_it_is_known_when_its_connection_closes_too() -> None:
    fleet = online_fleet()
    fleet.handle(NOW_MS, NodeMissed(0))

    assert fleet.handle(NOW_MS, NodeDisconnected(node_id=NODE)) == [CapacityLost(0)]
    assert fleet.handle(NOW_MS, NodeDisconnected(node_id=NODE)) == []


@pytest.mark.parametrize("event", [BusReconnected(), CoordinatorStarted(seed=1, workloads=())])
def test_after_a_start_or_a_lost_bus_nobody_is_believed_to_be_there(event: BusReconnected | CoordinatorStarted) -> None:
    fleet = online_fleet()

    assert fleet.handle(NOW_MS, event) == [RequestAllOffers()]
    assert fleet.handle(NOW_MS, NodeDisconnected(node_id=NODE)) == []


def test_only_an_offer_that_repeats_what_stands_changes_nothing() -> None:
    fleet = online_fleet()

    assert fleet.changes_nothing(offer(NODE, slots(1)))
    assert not fleet.changes_nothing(offer(NODE, slots(2)))
    assert not fleet.changes_nothing(offer(NODE, slots(1), session=2))
    assert not fleet.changes_nothing(offer(node_id(2), slots(1)))


def test_another_reason_not_to_lend_is_a_change() -> None:
    fleet = online_fleet()
    paused, in_use = (
        replace(offer(NODE, slots(0)), owner_state=state) for state in (OwnerState.PAUSED, OwnerState.IN_USE)
    )
    fleet.handle(NOW_MS, paused)

    assert fleet.changes_nothing(paused)
    assert not fleet.changes_nothing(in_use)
    assert fleet.handle(NOW_MS, in_use)[0] == CapacityChanged(0, NODE, WORKLOAD, 0, 100, owner_state=OwnerState.IN_USE)


@pytest.mark.parametrize("event", [NodeMissed(0), NodeDisconnected(node_id=NODE), BusReconnected()])
def test_an_offer_of_a_node_that_was_out_changes_something(
    event: NodeMissed | NodeDisconnected | BusReconnected,
) -> None:
    fleet = online_fleet()
    fleet.handle(NOW_MS, event)

    assert not fleet.changes_nothing(offer(NODE, slots(1)))


def test_presence_is_told_of_each_enrolled_node() -> None:
    fleet = online_fleet()
    fleet.handle(NOW_MS, enrolled(node_id(2)))

    assert fleet.presences() == [Presence.ONLINE, Presence.OFFLINE]


def test_a_restored_fleet_is_the_same_fleet() -> None:
    fleet = online_fleet()
    fleet.handle(NOW_MS, enrolled(node_id(2)))
    fleet.handle(NOW_MS, offer(node_id(3), slots(1)))
    fleet.handle(NOW_MS, NodeMissed(0))

    restored = Fleet()
    restored.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(fleet.snapshot()), type=FleetSnapshot))

    restored.check()
    assert restored.snapshot() == fleet.snapshot()
    assert [restored.index_of(node_id(number)) for number in (1, 2, 3)] == [0, 1, None]
    assert restored.offers_refused == 1
