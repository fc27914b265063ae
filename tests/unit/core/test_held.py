"""Held in shadow: whose attestation says too little, or whose issuer is not heard of, is not trusted, nor paid."""

import msgspec
import pytest
from msgspec.structs import replace
from tests.unit.core.asking_why import why
from tests.unit.core.audits import checked_world, next_check, next_effects
from tests.unit.core.hearing import TRUST
from tests.unit.core.paying import REWARD, balance, begin_epoch, pinned, priced, serve
from tests.unit.core.world import World, enrolled, node_id, only, sends

from gridlight.core.fleet import FleetSnapshot
from gridlight.core.notices import CommitsSettled, TierChanged
from gridlight.core.reputation import ReputationSnapshot
from gridlight.core.roster import RosterSnapshot
from gridlight.messages.host import RecordNode
from gridlight.messages.ids import NodeId
from gridlight.messages.ledger import NET_VERIFY, AccountCredited, op_avail, op_pending, req_avail
from gridlight.messages.nodes import NodeEnrolled
from gridlight.messages.operators import AttestationsHeld, Attested, Hold
from gridlight.messages.reasons import NOT_GIVEN, Reason
from gridlight.messages.trust import Assurance, RecordStanding, Tier

ISSUER = "https://issuer.example"
A = TRUST.trusted_after


def word(node: NodeId, *, level: int = 2, issuer: str = ISSUER, endorsed: Tier | None = None) -> NodeEnrolled:
    """A node enrols with an attestation of this level, where attestations are required."""
    attested = Attested(
        issuer=issuer,
        nullifier=f"{int.from_bytes(node[-4:].encode()):064x}",
        level=level,
        devices_max=1,
        index=7,
        expires_ms=10**13,
        hold=msgspec.UNSET if level else Hold.LEVEL_0,
    )
    return replace(enrolled(node, endorsed=endorsed), attested=attested)


def joined(world: World, *, level: int = 2, issuer: str = ISSUER, endorsed: Tier | None = None) -> NodeId:
    node = world.join(endorsed=None)
    world.tell(word(node, level=level, issuer=issuer, endorsed=endorsed))
    return node


def earn(world: World, node: NodeId, runs: int = A) -> None:
    """So many more of the node's runs are final."""
    told = world.coordinator.reputation.handle(world.now_ms, CommitsSettled(world.number_of(node), runs))
    for changed in only(TierChanged, told):
        world.coordinator.scheduling.handle(world.now_ms, changed)
    world.coordinator.check()


def held(hold: Hold | None, issuer: str = ISSUER) -> AttestationsHeld:
    return AttestationsHeld(issuer=issuer, hold=hold)


def test_level_0_stays_in_shadow_and_goes_on_from_its_clean_run_with_a_higher_level() -> None:
    world = checked_world()
    node = joined(world, level=0)
    earn(world, node)
    assert world.tier_of(node) is Tier.SHADOW
    world.go_on_from_a_snapshot()
    earn(world, node, 1)
    assert world.tier_of(node) is Tier.SHADOW

    effects = world.tell(word(node, level=1))

    (standing,) = only(RecordStanding, effects)
    assert (standing.tier, standing.clean_run) == (Tier.TRUSTED, A + 1)
    assert [one.hold for one in only(RecordNode, effects)] == [msgspec.UNSET]


def test_who_was_trusted_and_comes_with_level_0_is_in_shadow_and_keeps_its_clean_run() -> None:
    world = checked_world()
    node = joined(world)
    earn(world, node)
    assert world.tier_of(node) is Tier.TRUSTED

    effects = world.tell(word(node, level=0))

    (standing,) = only(RecordStanding, effects)
    assert (standing.tier, standing.clean_run) == (Tier.SHADOW, A)
    assert [one.hold for one in only(RecordNode, effects)] == [Hold.LEVEL_0]


@pytest.mark.parametrize("level", [0, 2])
def test_the_founders_own_word_goes_before_an_issuers(level: int) -> None:
    world = checked_world()
    node = joined(world, level=level, endorsed=Tier.TRUSTED)
    [record] = only(RecordNode, world.tell(word(node, level=level, endorsed=Tier.TRUSTED)))

    assert record.hold is msgspec.UNSET
    assert world.tell(held(Hold.STATUS_LOST)) == []
    assert world.tier_of(node) is Tier.TRUSTED


def test_an_issuer_that_was_not_heard_of_for_an_hour_makes_nobody_trusted() -> None:
    world = checked_world()
    old, new, other = joined(world), joined(world), joined(world, issuer="https://other.example")
    earn(world, old)
    recorded = world.tell(held(Hold.STATUS_STALE))
    for node in (new, other):
        earn(world, node)

    assert [one.enrolled.node_id for one in only(RecordNode, recorded)] == [old, new]
    assert [world.tier_of(one) for one in (old, new, other)] == [Tier.TRUSTED, Tier.SHADOW, Tier.TRUSTED]
    assert world.tell(held(Hold.STATUS_STALE)) == [], "told again"
    world.tell(held(None))
    assert world.tier_of(new) is Tier.TRUSTED


def test_an_issuer_that_was_not_heard_of_for_a_day_leaves_its_nodes_in_shadow_until_it_is() -> None:
    world = checked_world()
    old, nobody = joined(world), joined(world, level=0)
    earn(world, old)
    for hold in (Hold.STATUS_STALE, Hold.STATUS_LOST):
        world.tell(held(hold))
    late = joined(world)
    world.go_on_from_a_snapshot()
    earn(world, late)
    assert [world.tier_of(one) for one in (old, late)] == [Tier.SHADOW] * 2

    back = world.tell(held(None))

    assert [one.enrolled.node_id for one in only(RecordNode, back)] == [old, late], "nothing changes for level 0"
    assert [world.tier_of(one) for one in (old, late, nobody)] == [Tier.TRUSTED, Tier.TRUSTED, Tier.SHADOW]


def test_a_held_node_that_has_nothing_to_go_on_from_stays_a_newcomer() -> None:
    world = checked_world()
    node = joined(world, level=0)

    world.tell(word(node))

    assert world.tier_of(node) is Tier.SHADOW


@pytest.mark.parametrize(
    ("hold", "reason"),
    [
        (None, Reason.NEWCOMER),
        (Hold.STATUS_STALE, Reason.NEWCOMER),
        (Hold.STATUS_LOST, Reason.HELD_STATUS_LOST),
    ],
)
def test_a_held_node_is_told_why(hold: Hold | None, reason: Reason) -> None:
    world = checked_world()
    node, nobody = joined(world), joined(world, level=0)
    world.tell(held(hold))
    for _ in range(3):
        world.result(world.assign())

    assert why(world, node) == {reason: 3}
    assert why(world, nobody) == {Reason.HELD_LEVEL_0: 3}
    assert {reason, Reason.HELD_LEVEL_0} <= NOT_GIVEN
    world.go_on_from_a_snapshot()


def ran_in_shadow(*, is_held: bool, is_let_go: bool = False) -> int:
    """What a newcomer's right run earned; where it is let go, that was between its run and its pay."""
    trust = replace(TRUST, shadow_ppm=1_000_000, shadows_per_check_max=1)
    world = priced(checked_world(newcomers=1, trust=trust))
    newcomer = node_id(world.nodes_made)
    world.tell(word(newcomer, level=0 if is_held else 1))
    world.tell(AccountCredited(key="grant:pool", account=NET_VERIFY, amount=10_000))
    for _ in range(12):  # so many tasks allow one newcomer's run
        serve(world, Assurance.NONE)
    serve(world)
    while found := sends(next_effects(world)):
        world.go_on_from_a_snapshot()
        world.result(found[0])
    if is_let_go:
        world.tell(word(newcomer))
    begin_epoch(world)
    assert world.coordinator.reputation.clean_run(world.number_of(newcomer)) == 1, "the run itself counts"
    return balance(world, op_pending(newcomer))


def test_what_runs_while_it_is_held_earns_nothing_then_nor_later() -> None:
    assert ran_in_shadow(is_held=False) == REWARD // 2
    assert ran_in_shadow(is_held=True) == 0
    assert ran_in_shadow(is_held=True, is_let_go=True) == 0


def test_where_nobody_is_trusted_a_held_node_serves_for_nothing_and_the_requester_pays_nothing() -> None:
    world = priced(checked_world(trusted=0, newcomers=1), funds=10_000)
    world.tell(word(node_id(1), level=0))

    serve(world, Assurance.NONE)

    _, [receipt] = begin_epoch(world)
    assert (receipt.node, receipt.amount, receipt.status) == (node_id(1), 0, "final")
    assert (balance(world, op_pending(node_id(1))), balance(world, req_avail("anna"))) == (0, 10_000)


def test_what_was_earned_before_is_paid_and_does_not_vest_while_it_is_held() -> None:
    world = checked_world(newcomers=1)
    node = node_id(world.nodes_made)
    world.tell(word(node))
    earn(world, node)
    priced(world)
    for _ in range(2):  # the first vests once another one was paid
        world.pass_ms(100)
        (send,) = sends(pinned(world, node, Assurance.AUDITED))
        world.result(send)
    world.tell(word(node, level=0))
    for _ in range(2):
        world.result(next_check(world))
    assert balance(world, op_pending(node)) == 2 * REWARD

    world.pass_ms(2_000)
    begin_epoch(world, 2)
    assert balance(world, op_avail(node)) == 0
    world.tell(word(node))
    world.pass_ms(2_000)
    begin_epoch(world, 3)
    assert balance(world, op_avail(node)) == REWARD


def test_snapshots_of_before_hold_nobody() -> None:
    world = checked_world()
    joined(world)
    core = world.coordinator
    for kind, taken in (
        (ReputationSnapshot, core.reputation.snapshot()),
        (RosterSnapshot, core.scheduling.placement.roster.snapshot()),
        (FleetSnapshot, core.fleet.snapshot()),
    ):
        said = msgspec.to_builtins(taken, builtin_types=(bytes,))
        del said["holds"]
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(said), type=kind) == taken
