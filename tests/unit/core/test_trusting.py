"""From newcomer to trusted node to banned one: who serves whom, through the whole core."""

import msgspec
from tests.unit.core.audits import checked_world, next_check, next_effects, serve, verdicts
from tests.unit.core.hearing import OTHER_OUTPUT, TRUST
from tests.unit.core.world import OUTPUT, World, ends, enrolled, node_id, only, outcome, sends, slots

from gridlight.core.attempts import ACK_HARD_MS
from gridlight.core.notices import CapacityLost, NodeMissed, Output
from gridlight.messages.codec import Effect
from gridlight.messages.host import TimePassed
from gridlight.messages.ids import NodeId
from gridlight.messages.jobs import JobCode, JobState, SendAssignment
from gridlight.messages.nodes import RequestOffer
from gridlight.messages.trust import (
    Assurance,
    FaultGrade,
    RecordCommit,
    RecordFault,
    RecordStanding,
    SettleCommits,
    Tier,
    Verification,
)

LIAR = node_id(1)


def lie_and_be_caught(world: World) -> list[Effect]:
    """LIAR serves something wrong, an audit contradicts it, and a reference node confirms that."""
    serve(world, pinned_node=LIAR, output=OTHER_OUTPUT)
    effects = world.result(next_check(world))
    while verdicts(effects)[-1:] != [Verification.CORRECTED]:
        effects += world.result(next_check(world))
    return effects


def change_tier(world: World, node: NodeId, tier: Tier) -> list[Output]:
    """What scheduling says to it."""
    changed = world.coordinator.reputation.seed_standing(world.number_of(node), tier=tier, clean_run=0)
    return world.coordinator.scheduling.handle(world.now_ms, changed)


def standings(effects: list[Effect]) -> list[tuple[NodeId, Tier]]:
    return [(one.node_id, one.tier) for one in only(RecordStanding, effects)]


def test_newcomers_do_not_serve_who_wants_an_answer_to_rely_on() -> None:
    world = checked_world(trusted=0, newcomers=2)

    refusal = outcome(world.submit(assurance=Assurance.SAMPLED))

    assert (refusal.state, refusal.code) == (JobState.REFUSED, JobCode.NO_TRUSTED_NODE)
    assert refusal.hint is not None
    assert "2 newcomers" in refusal.hint
    assert refusal.retry_after_ms


def test_newcomers_serve_who_wants_no_assurance_and_it_is_said_to_be_unverified() -> None:
    world = checked_world(trusted=0, newcomers=2)

    _, effects = serve(world, assurance=Assurance.NONE)

    assert outcome(effects).verification is Verification.UNVERIFIED
    assert only(RecordCommit, effects) == []


def test_where_there_are_trusted_nodes_newcomers_serve_nobody() -> None:
    world = checked_world(trusted=1, newcomers=2)
    sent = [world.assign(assurance=assurance) for assurance in (Assurance.NONE, Assurance.SAMPLED)]

    assert {send.node_id for send in sent} == {node_id(1)}
    assert sends(world.submit(assurance=Assurance.NONE)) == []


def test_a_trusted_nodes_answer_is_not_committed_where_no_assurance_was_asked_for() -> None:
    _, effects = serve(checked_world(), assurance=Assurance.NONE)

    assert outcome(effects).verification is Verification.UNVERIFIED
    assert only(RecordCommit, effects) == []


def test_a_newcomer_to_whom_a_job_is_pinned_serves_it_unverified() -> None:
    world = checked_world(trusted=1, newcomers=1)

    _, effects = serve(world, pinned_node=node_id(2))

    assert outcome(effects).verification is Verification.UNVERIFIED


def test_tasks_that_wait_for_a_trusted_node_are_served_when_a_newcomer_becomes_one() -> None:
    world = checked_world(trusted=1, newcomers=1)
    running = [world.assign(assurance=Assurance.SAMPLED) for _ in range(2)]
    assert sends(world.submit(assurance=Assurance.SAMPLED)) == []

    (send,) = sends(world.tell(enrolled(node_id(2), endorsed=Tier.TRUSTED)))

    assert send.node_id == node_id(2)
    assert len(running) == 2


def test_a_newcomer_becomes_trusted_by_answering_as_others_did() -> None:
    trust = msgspec.structs.replace(TRUST, shadow_ppm=1_000_000, shadows_per_check_max=1, trusted_after=3)
    world = checked_world(trusted=3, newcomers=1, trust=trust)
    newcomer, shadowed = node_id(4), 0
    while world.tier_of(newcomer) is Tier.SHADOW:
        for _ in range(3):  # one newcomer to three trusted nodes runs a third of their tasks at most
            serve(world, assurance=Assurance.NONE)
        serve(world)
        world.result(next_check(world))
        check = next_check(world)
        assert check.node_id == newcomer
        assert ends(world.result(check)) == []
        shadowed += 1

    assert shadowed == 3
    sent = {serve(world, assurance=Assurance.NONE)[0].node_id for _ in range(40)}
    assert newcomer in sent


def test_a_liar_is_given_a_second_chance_as_a_newcomer_and_then_none() -> None:
    world = checked_world(references=1)

    first = lie_and_be_caught(world)
    assert [one.grade for one in only(RecordFault, first)] == [FaultGrade.FAULTY]
    assert standings(first)[-1] == (LIAR, Tier.SHADOW)
    assert world.tier_of(LIAR) is Tier.SHADOW
    node = world.number_of(LIAR)
    regained = world.coordinator.reputation.seed_standing(node, tier=Tier.TRUSTED, clean_run=100)
    world.coordinator.scheduling.handle(world.now_ms, regained)
    second = lie_and_be_caught(world)

    assert [one.grade for one in only(RecordFault, second)] == [FaultGrade.FALSE]
    assert world.tier_of(LIAR) is Tier.BANNED


def banned_world() -> tuple[World, NodeId, list[Effect]]:
    """LIAR is banned, at the first fault; another node of its operator is not."""
    trust = msgspec.structs.replace(TRUST, faults_forgiven=0, forced_audits=2, audit_ppm_min=0)
    world = checked_world(references=1, trust=trust)
    sibling = world.join(slot_count=2, operator=LIAR)
    for node in (LIAR, sibling):
        world.coordinator.reputation.seed_standing(world.number_of(node), tier=Tier.TRUSTED, clean_run=10**9)
    for node in (LIAR, sibling):
        serve(world, assurance=Assurance.SAMPLED, pinned_node=node)
    return world, sibling, lie_and_be_caught(world)


def test_a_ban_voids_what_is_open_of_all_nodes_of_the_operator() -> None:
    world, sibling, effects = banned_world()

    voided = [one.node_id for one in only(SettleCommits, effects) if one.verification is Verification.VOID]

    assert sorted(voided) == sorted([LIAR, sibling])
    assert world.tier_of(LIAR) is Tier.BANNED
    assert world.tier_of(sibling) is Tier.TRUSTED


def test_after_a_ban_the_operators_other_nodes_are_audited() -> None:
    world, sibling, _ = banned_world()

    records = []
    for _ in range(4):
        _, effects = serve(world, assurance=Assurance.SAMPLED, pinned_node=sibling)
        records += only(RecordCommit, effects)
        next_effects(world, within_ms=2_000)

    assert [record.audit_ppm for record in records] == [1_000_000, 1_000_000, 1, 1]


def test_a_banned_node_serves_and_checks_nobody() -> None:
    world, sibling, _ = banned_world()
    for number in range(2, world.nodes_made + 1):
        if node_id(number) != sibling:
            world.disconnect(node_id(number))
    world.disconnect(sibling)
    world.offer(LIAR, slots(2), session=2)

    assert outcome(world.submit(assurance=Assurance.NONE)).state is JobState.REFUSED


def test_what_a_banned_node_has_in_hand_is_given_to_another() -> None:
    trust = msgspec.structs.replace(TRUST, faults_forgiven=0)
    world = checked_world(trusted=2, references=1, trust=trust)
    first = world.assign(assurance=Assurance.NONE)
    second = world.assign(assurance=Assurance.NONE)
    assert {first.node_id, second.node_id} <= {node_id(1), node_id(2)}
    in_hand = first if first.node_id == LIAR else second

    (again,) = only(SendAssignment, change_tier(world, in_hand.node_id, Tier.BANNED))

    assert (again.job_id, again.node_id != in_hand.node_id) == (in_hand.job_id, True)
    assert outcome(world.result(again)).output == OUTPUT
    assert world.result(in_hand) == []


def test_a_node_that_broke_its_word_as_its_tier_changes_gives_back_nothing_twice() -> None:
    world = checked_world(trusted=2)
    sent = [world.assign(), world.assign(), world.assign()]
    node = max((send.node_id for send in sent), key=[send.node_id for send in sent].count)
    unheard, kept = [send for send in sent if send.node_id == node]
    for send in sent:
        if send is not unheard:
            world.ack(send)
    world.now_ms += ACK_HARD_MS
    scheduling = world.coordinator.scheduling
    said = scheduling.handle(world.now_ms, TimePassed())
    assert NodeMissed(world.number_of(node)) in said

    change_tier(world, node, Tier.SHADOW)

    lost = scheduling.handle(world.now_ms, CapacityLost(world.number_of(node)))
    scheduling.check()
    assert [one.job_id for one in only(SendAssignment, [*said, *lost])].count(kept.job_id) <= 1
    assert scheduling.placement.table.leases_of(world.number_of(node)) == []


def test_what_an_administrator_pinned_to_a_node_stays_with_it() -> None:
    world = checked_world()
    send = world.assign(pinned_node=LIAR)

    change_tier(world, LIAR, Tier.SHADOW)

    done = outcome(world.result(send))
    assert (done.state, done.verification) == (JobState.DONE, Verification.UNVERIFIED)


def test_a_late_or_lost_answer_costs_no_reputation() -> None:
    world = checked_world()
    before = {number: world.coordinator.reputation.clean_run(number) for number in range(6)}
    serve(world)
    check = next_check(world)
    for _ in range(2):
        world.ack(check)
        (check,) = sends(world.pass_ms(5_000))
    missed = next_effects(world)

    assert only(RequestOffer, missed)
    assert {number: world.coordinator.reputation.clean_run(number) for number in range(6)} == before
    assert {world.tier_of(node_id(number)) for number in range(1, 7)} == {Tier.TRUSTED}


def test_a_restored_coordinator_goes_on_in_the_middle_of_a_dispute() -> None:
    world = checked_world(references=1)
    serve(world, pinned_node=LIAR, output=OTHER_OUTPUT)
    assert verdicts(world.result(next_check(world))) == [Verification.DISPUTED]
    check = next_check(world)
    world.go_on_from_a_snapshot()

    assert verdicts(world.result(check)) == [Verification.CORRECTED]

    world.go_on_from_a_snapshot()
    assert world.tier_of(LIAR) is Tier.SHADOW
