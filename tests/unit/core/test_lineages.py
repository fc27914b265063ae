"""Operators' keys that follow on each other: who is taken for whom, and until when the old key holds."""

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec.structs import replace
from tests.unit.core.fleets import again
from tests.unit.core.world import GATEWAY, enrolled, node_id, offer, slots

from gridlight.core.coordinator import Coordinator
from gridlight.core.fleet import Fleet, Presence
from gridlight.core.lineages import DAY_MS, OVERLAP_MS, PAUSE_MS, Lineages, LineagesSnapshot
from gridlight.core.notices import CapacityLost, KeySucceeded, NodeKnown, Output
from gridlight.messages.host import CoordinatorStarted, RecordNode, TimePassed
from gridlight.messages.nodes import AdmitNode, NodeEnrolled
from gridlight.messages.operators import (
    SUCCESSIONS_MAX,
    Attested,
    BarCode,
    KeyRuled,
    NodeBarred,
    RefuseNode,
    TellRuling,
    Verdict,
)
from gridlight.messages.trust import Tier

FIRST, SECOND, THIRD, THIEF = (node_id(number) for number in range(100, 104))
NODE, OTHER, STRANGER = node_id(1), node_id(2), node_id(3)


def joining(node: str, *keys: str, serial: int = 5) -> NodeEnrolled:
    """With a certificate of the last of these keys of its operator's."""
    event = replace(enrolled(node_id(0)), node_id=node, operator=keys[-1], certificate_serial=serial)
    return replace(event, predecessors=keys[:-1]) if keys[1:] else event


def known_as(said: list[Output]) -> str:
    """The operator, as the network knows it, of who was admitted."""
    [record] = [one.enrolled.operator for one in said if isinstance(one, RecordNode)]
    return record


def code(said: list[Output]) -> BarCode:
    [refused] = said
    assert isinstance(refused, RefuseNode)
    return refused.code


def started(fleet: Fleet, *events: NodeEnrolled) -> Fleet:
    for event in events:
        fleet.handle(0, event)
        fleet.handle(0, offer(event.node_id, slots(1)))
    return fleet


def test_a_new_key_is_the_same_operator_and_its_nodes_are_watched() -> None:
    for fleet in (started(Fleet(), joining(NODE, FIRST), joining(OTHER, FIRST)), Fleet()):
        known, succeeded, admitted, record = fleet.handle(1, joining(NODE, FIRST, SECOND))

        assert isinstance(known, NodeKnown)
        assert (known.operator, succeeded) == (0, KeySucceeded(known.node))
        assert isinstance(admitted, AdmitNode)
        assert isinstance(record, RecordNode)
        assert (record.enrolled.operator, record.enrolled.predecessors) == (FIRST, msgspec.UNSET)
        for one in (fleet, again(fleet)):
            assert known_as(one.handle(2, joining(OTHER, FIRST, SECOND))) == FIRST, "and no succession a second time"
            assert known_as(one.handle(2, joining(STRANGER, SECOND))) == FIRST, "who brings no successions"
            one.check()


@pytest.mark.parametrize(("key", "other"), [(FIRST, SECOND), (SECOND, FIRST)])
def test_a_ban_of_one_key_is_a_ban_of_its_lineage_and_is_lifted_by_any(key: str, other: str) -> None:
    fleet = started(Fleet(), joining(NODE, FIRST))
    fleet.handle(1, joining(OTHER, FIRST, SECOND))
    ruled = KeyRuled(gateway_id=GATEWAY, key=key, verdict=Verdict.BANNED, reason="wrong answers")

    said = fleet.handle(2, ruled)

    assert [one.node_id for one in said if isinstance(one, NodeBarred)] == [NODE]
    assert said[-1] == TellRuling(gateway_id=GATEWAY, key=key, verdict=Verdict.BANNED, nodes=2)
    for keys in ((FIRST,), (FIRST, SECOND), (SECOND,)):
        assert code(fleet.handle(3, joining(STRANGER, *keys))) is BarCode.BANNED
    assert code(fleet.handle(3 + PAUSE_MS, joining(STRANGER, SECOND, THIRD))) is BarCode.BANNED
    fleet.handle(4 + PAUSE_MS, replace(ruled, key=other, verdict=Verdict.ALLOWED))
    assert known_as(fleet.handle(5 + PAUSE_MS, joining(STRANGER, SECOND))) == FIRST


def test_a_banned_key_is_no_successor_and_its_lineage_goes_on_without_it() -> None:
    fleet = started(Fleet(), joining(NODE, FIRST))
    fleet.handle(1, KeyRuled(gateway_id=GATEWAY, key=SECOND, verdict=Verdict.BANNED, reason="bought"))

    assert code(fleet.handle(2, joining(OTHER, FIRST, SECOND))) is BarCode.BANNED
    assert known_as(fleet.handle(3 + OVERLAP_MS, joining(OTHER, FIRST))) == FIRST
    assert fleet.next_deadline_ms() is None


def test_certificates_of_any_key_are_revoked_by_the_name_of_any() -> None:
    fleet = started(Fleet(), joining(NODE, FIRST))
    fleet.handle(1, joining(NODE, FIRST, SECOND))

    fleet.handle(2, KeyRuled(gateway_id=GATEWAY, key=FIRST, verdict=Verdict.REVOKED, reason="stolen", revoked_until=9))

    assert code(fleet.handle(3, joining(NODE, FIRST, SECOND, serial=9))) is BarCode.CERTIFICATE_REVOKED
    assert known_as(fleet.handle(3, joining(NODE, FIRST, SECOND, serial=10))) == FIRST


def test_a_person_is_banned_with_whichever_key_and_stays_one_operator() -> None:
    person = Attested(issuer="i", nullifier="ab" * 32, level=2, devices_max=5, index=1, expires_ms=10**13)
    fleet = started(Fleet(), replace(joining(NODE, FIRST), attested=person))
    said = fleet.handle(1, replace(joining(OTHER, FIRST, SECOND), attested=person))
    fleet.handle(1, offer(OTHER, slots(1)))

    assert known_as(said) == FIRST, "two nodes of one person under two keys"
    fleet.handle(2, KeyRuled(gateway_id=GATEWAY, key=SECOND, verdict=Verdict.BANNED, reason="r"))
    assert code(fleet.handle(3, replace(joining(STRANGER, THIEF), attested=person))) is BarCode.BANNED
    fleet.handle(4, KeyRuled(gateway_id=GATEWAY, key=FIRST, verdict=Verdict.ALLOWED, reason="r"))
    assert known_as(fleet.handle(5, replace(joining(STRANGER, THIEF), attested=person))) == THIEF


def test_whoever_succeeds_a_key_second_is_refused() -> None:
    fleet = started(Fleet(), joining(NODE, FIRST))
    fleet.handle(1, joining(NODE, FIRST, SECOND))

    for one in (fleet, again(fleet)):
        for later_ms in (2, 2 * PAUSE_MS):
            assert code(one.handle(later_ms, joining(STRANGER, FIRST, THIEF))) is BarCode.SUCCESSION_REFUSED
            assert code(one.handle(later_ms, joining(STRANGER, FIRST, THIEF, SECOND))) is BarCode.SUCCESSION_REFUSED
        assert one.index_of(STRANGER) is None
        one.check()


@pytest.mark.parametrize(
    "keys",
    [
        pytest.param((SECOND, THIRD), id="an operator that is known"),
        pytest.param((THIEF, SECOND), id="a key that succeeded another, for a stranger"),
        pytest.param((THIEF, FIRST), id="a first key"),
        pytest.param((FIRST, SECOND, FIRST), id="round in a circle"),
        pytest.param((THIEF, node_id(104), THIEF), id="round in a circle that nobody knew"),
    ],
)
def test_a_key_that_is_known_succeeds_no_other(keys: tuple[str, ...]) -> None:
    fleet = started(Fleet(), joining(NODE, FIRST), joining(OTHER, THIRD))
    fleet.handle(1, joining(NODE, FIRST, SECOND))

    said = fleet.handle(1 + PAUSE_MS, joining(STRANGER, *keys))

    assert code(said) is BarCode.SUCCESSION_REFUSED
    assert fleet.index_of(STRANGER) is None
    fleet.check()


def test_a_lineage_grows_once_in_a_fortnight_however_many_keys_it_grows_by() -> None:
    fleet = started(Fleet(), joining(NODE, FIRST))
    fleet.handle(1, joining(NODE, FIRST, SECOND))

    said = fleet.handle(PAUSE_MS, joining(NODE, FIRST, SECOND, THIRD))
    assert code(said) is BarCode.SUCCESSION_TOO_SOON
    assert "taken: 1." in str(said)
    assert known_as(fleet.handle(PAUSE_MS, joining(NODE, FIRST, SECOND))) == FIRST
    assert known_as(fleet.handle(1 + PAUSE_MS, joining(NODE, SECOND, THIRD, THIEF))) == FIRST
    assert code(fleet.handle(2 * PAUSE_MS, joining(NODE, THIEF, STRANGER))) is BarCode.SUCCESSION_TOO_SOON


def test_a_lineage_has_an_end() -> None:
    lineages, keys = Lineages(), [node_id(number) for number in range(SUCCESSIONS_MAX + 2)]

    assert lineages.refusal(0, tuple(keys[:-1]), ()) is None
    assert lineages.take(0, tuple(keys[:-1]))
    refused = lineages.refusal(PAUSE_MS, tuple(keys[-2:]), ())
    assert refused is not None
    assert refused.code is BarCode.SUCCESSION_REFUSED


def test_the_old_key_holds_for_a_day_and_whoever_is_there_under_it_is_shown_out() -> None:
    fleet = started(Fleet(), joining(NODE, FIRST), joining(OTHER, FIRST), joining(STRANGER, THIEF))
    heard_ms, away = 10, node_id(4)
    fleet.handle(1, joining(away, FIRST))
    fleet.handle(heard_ms, joining(OTHER, FIRST, SECOND))
    ends_ms = heard_ms + OVERLAP_MS

    for one in (again(fleet), fleet):
        assert one.next_deadline_ms() == ends_ms
        assert one.handle(ends_ms - 1, TimePassed()) == []
        assert known_as(one.handle(ends_ms - 1, joining(NODE, FIRST))) == FIRST
        assert one.presences() == [Presence.ONLINE] * 3 + [Presence.OFFLINE]

        said = one.handle(ends_ms, TimePassed())

        barred = NodeBarred(node_id=NODE, code=BarCode.KEY_SUCCEEDED)
        assert [said[0], said[-1]] == [CapacityLost(0), barred]
        assert [step.node_id for step in said if isinstance(step, NodeBarred)] == [NODE], "no other, nor who is away"
        assert one.next_deadline_ms() is None
        assert code(one.handle(ends_ms, joining(NODE, FIRST))) is BarCode.KEY_SUCCEEDED
        assert one.handle(ends_ms, offer(NODE, slots(1))) == [barred]
        assert one.handle(ends_ms, offer(away, slots(1))) == [replace(barred, node_id=away)]
        assert known_as(one.handle(ends_ms, joining(NODE, FIRST, SECOND))) == FIRST
        assert isinstance(one.handle(ends_ms, offer(NODE, slots(1)))[-1], RecordNode)


def test_a_ban_that_is_lifted_brings_no_old_key_back() -> None:
    fleet = started(Fleet(), joining(NODE, FIRST))
    fleet.handle(1, joining(OTHER, FIRST, SECOND))
    ruled = KeyRuled(gateway_id=GATEWAY, key=NODE, verdict=Verdict.BANNED, reason="r")
    fleet.handle(2, ruled)
    assert fleet.handle(1 + OVERLAP_MS, TimePassed()) == [], "it is out, and was told why"

    fleet.handle(2 + OVERLAP_MS, replace(ruled, verdict=Verdict.ALLOWED))

    assert fleet.handle(3 + OVERLAP_MS, offer(NODE, slots(1))) == [NodeBarred(node_id=NODE, code=BarCode.KEY_SUCCEEDED)]


def test_an_operator_whose_nodes_are_others_by_now_has_nobody_to_show_out() -> None:
    fleet = started(Fleet(), joining(NODE, FIRST, SECOND))
    fleet.handle(1, joining(NODE, THIEF))

    assert fleet.handle(OVERLAP_MS, TimePassed()) == []


def test_a_succession_has_all_of_the_operators_answers_audited_for_a_while() -> None:
    core = Coordinator()
    core.handle(0, CoordinatorStarted(seed=1, workloads=()))
    for node in (NODE, OTHER, STRANGER):
        core.handle(0, joining(node, THIEF if node == STRANGER else FIRST))
    for number in range(3):
        core.reputation.seed_standing(number, tier=Tier.TRUSTED, clean_run=10**6)
    before = [core.reputation.clean_run(one) for one in range(3)]

    core.handle(1, joining(NODE, FIRST, SECOND))

    rates = [core.reputation.audit_ppm(one) for one in range(3)]
    assert rates[:2] == [1_000_000, 1_000_000]
    assert rates[2] < 1_000_000
    assert [core.reputation.clean_run(one) for one in range(3)] == before
    assert core.next_deadline_ms() == 1 + OVERLAP_MS
    core.handle(1 + OVERLAP_MS, TimePassed())
    assert core.next_deadline_ms() is None
    core.check()


STEPS = some.lists(
    some.tuples(
        some.integers(0, 3),
        some.lists(some.integers(10, 17), min_size=1, max_size=4),
        some.sampled_from([0, 1, DAY_MS, PAUSE_MS]),
    ),
    max_size=25,
)


@given(STEPS)
def test_no_two_lineages_share_a_key_and_no_key_has_two_successors(
    steps: list[tuple[int, list[int], int]],
) -> None:
    fleet, now_ms = Fleet(), 0
    heirs: dict[str, str] = {}
    owners: dict[str, str] = {}
    moved_ms: dict[str, int] = {}
    for node, numbers, pause_ms in steps:
        now_ms += pause_ms
        keys = tuple(node_id(number) for number in numbers)
        twin = again(fleet)
        said = fleet.handle(now_ms, joining(node_id(node), *keys))
        assert twin.handle(now_ms, joining(node_id(node), *keys)) == said
        assert twin.snapshot() == fleet.snapshot()
        assert twin.handle(now_ms, TimePassed()) == fleet.handle(now_ms, TimePassed())
        fleet.check()
        if isinstance(said[0], RefuseNode):
            continue
        operator = known_as(said)
        for old, new in pairwise(keys):
            assert heirs.setdefault(old, new) == new, "a second successor"
        if any(isinstance(one, KeySucceeded) for one in said):
            assert now_ms - moved_ms.get(operator, -PAUSE_MS) >= PAUSE_MS, "twice in a fortnight"
            moved_ms[operator] = now_ms
        assert all(owners.setdefault(key, operator) == operator for key in keys), "a key is another operator's by now"
        assert _first_of(keys[-1], heirs) == operator
    assert len({*heirs.values()}) == len(heirs), "a key of two lineages"


@given(STEPS)
def test_a_restored_lineage_is_the_same(steps: list[tuple[int, list[int], int]]) -> None:
    lineages, now_ms = Lineages(), 0
    for _, numbers, pause_ms in steps:
        now_ms += pause_ms
        keys = tuple(node_id(number) for number in numbers)
        if lineages.refusal(now_ms, keys, ()) is None:
            lineages.take(now_ms, keys)
        lineages.check()
        packed = msgspec.msgpack.encode(lineages.snapshot())
        restored = Lineages(msgspec.msgpack.decode(packed, type=LineagesSnapshot))
        assert [restored.keys_of(node_id(number)) for number in range(10, 18)] == [
            lineages.keys_of(node_id(number)) for number in range(10, 18)
        ]
        assert restored.snapshot() == lineages.snapshot()
        assert restored.ended(now_ms) == lineages.ended(now_ms)


def _first_of(key: str, heirs: dict[str, str]) -> str:
    olds = {new: old for old, new in heirs.items()}
    while key in olds:
        key = olds[key]
    return key
