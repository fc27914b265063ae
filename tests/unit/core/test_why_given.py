"""Why a node gets nothing: what became of tasks that it was given, each reason provoked in the whole core."""

from collections.abc import Callable

import msgspec
import pytest
from msgspec.structs import replace
from tests.unit.core.asking_why import pair, stand_in_tier, why, work_for_others
from tests.unit.core.audits import checked_world, next_check, next_effects, serve, verdicts
from tests.unit.core.hearing import OTHER_OUTPUT, TRUST
from tests.unit.core.world import OTHER_WORKLOAD, World, cancels, enrolled, node_id, sends, slots

from gridlight.core.attempts import ACK_HARD_MS, LEASE_GRACE_MS
from gridlight.core.coordinator import Coordinator
from gridlight.core.pools import ELIGIBLE_MIN
from gridlight.messages.ids import NodeId
from gridlight.messages.jobs import SendAssignment
from gridlight.messages.reasons import Reason
from gridlight.messages.tasks import DeclineReason, FailureCode, UndeliverableReason
from gridlight.messages.trust import Assurance, Role, Tier, Verification

# It got it


def alone() -> tuple[World, NodeId]:
    """One trusted node, that gets whatever comes."""
    world = World()
    return world, world.join()


def test_in_hand_and_done() -> None:
    world, node = alone()

    send = world.assign()
    assert why(world, node) == {Reason.IN_HAND: 1}
    world.ack(send)
    world.result(send)

    assert why(world, node) == {Reason.DONE: 1}


def both_at_it(world: World) -> tuple[SendAssignment, SendAssignment]:
    """A task that looks late, and its hedge."""
    first = world.assign()
    world.ack(first)
    (second,) = sends(world.pass_ms(600))
    world.ack(second)
    return first, second


def test_another_node_was_faster() -> None:
    world, _, _ = pair()
    first, second = both_at_it(world)

    assert len(cancels(world.result(second))) == 1
    world.result(first)

    assert why(world, first.node_id) == {Reason.OUTRUN: 1}
    assert why(world, second.node_id) == {Reason.NOT_DRAWN: 1, Reason.DONE: 1}, "at first it was passed over"


def test_a_node_that_stops_when_it_is_told_to_was_outrun() -> None:
    world, _, _ = pair()
    first, second = both_at_it(world)
    world.result(second)

    world.fail(first, FailureCode.CANCELLED)

    assert why(world, first.node_id)[Reason.OUTRUN] == 1


def test_late() -> None:
    world, node = alone()
    send = world.assign()
    world.ack(send)
    world.pass_ms(4_000)

    world.result(send)

    assert why(world, node) == {Reason.LATE: 1}


def test_unacknowledged() -> None:
    world, node = alone()
    world.assign()

    world.pass_ms(ACK_HARD_MS)

    assert why(world, node) == {Reason.UNACKNOWLEDGED: 1}


def test_acknowledged_and_then_silent() -> None:
    world, node = alone()
    world.ack(world.assign())

    world.pass_ms(4_000 + LEASE_GRACE_MS)

    assert why(world, node) == {Reason.NO_RESULT: 1}


def test_the_connection_closed_while_it_had_the_task() -> None:
    world, node, _ = pair()
    world.assign(pinned_node=node)

    world.disconnect(node)

    assert why(world, node) == {Reason.LOST: 1}


@pytest.mark.parametrize("reason", DeclineReason)
def test_declined(reason: DeclineReason) -> None:
    world, node = alone()

    world.decline(world.assign(), reason)

    assert why(world, node) == {Reason(f"declined_{reason.value}"): 1}


@pytest.mark.parametrize("code", set(FailureCode) - {FailureCode.CANCELLED})
def test_taken_and_not_done(code: FailureCode) -> None:
    world, node = alone()
    send = world.assign()
    world.ack(send)

    world.fail(send, code)

    assert why(world, node) == {Reason(code.value): 1}


@pytest.mark.parametrize(
    ("reason", "counted"),
    [
        (UndeliverableReason.NO_RESPONDERS, Reason.UNREACHABLE),
        (UndeliverableReason.INPUT_GONE, Reason.INPUT_GONE),
        (UndeliverableReason.BAD_REPLY, Reason.BAD_REPLY),
    ],
)
def test_not_delivered(reason: UndeliverableReason, counted: Reason) -> None:
    world, node = alone()

    world.undeliverable(world.assign(), reason)

    assert why(world, node) == {counted: 1}


def test_taken_back_where_the_node_may_do_something_else() -> None:
    world, node = alone()
    world.assign()

    stand_in_tier(world, node, Tier.SHADOW)

    assert why(world, node) == {Reason.TAKEN_BACK: 1}


@pytest.mark.parametrize("lose", [World.restart, World.bus_reconnected])
def test_the_network_itself_was_restarted(lose: Callable[[World], object]) -> None:
    world, node = alone()
    world.assign()

    lose(world)

    assert why(world, node)[Reason.NETWORK_RESTARTED] == 1
    assert world.lane.reasons.at(world.number_of(node)) is Reason.OFFLINE


# What became of it


def test_an_answer_that_was_found_wrong() -> None:
    world = checked_world(trusted=6, references=1)
    liar = node_id(1)
    serve(world, pinned_node=liar, output=OTHER_OUTPUT)
    assert why(world, liar) == {Reason.DONE: 1}

    effects = world.result(next_check(world))
    while verdicts(effects)[-1:] != [Verification.CORRECTED]:
        effects += world.result(next_check(world))

    counts = why(world, liar)
    assert counts[Reason.CONTRADICTED] == 1
    assert Reason.DONE not in counts


def test_an_answer_that_nobody_could_check() -> None:
    world = checked_world(trusted=1)
    send, _ = serve(world)
    assert why(world, send.node_id) == {Reason.DONE: 1}

    effects = next_effects(world)

    assert verdicts(effects)[-1] is Verification.VOID
    assert why(world, send.node_id) == {Reason.VOID: 1}


def test_answers_that_were_never_settled() -> None:
    world = checked_world(trusted=2, trust=replace(TRUST, audit_ppm_min=0, trusted_after=0, settle_tasks=100))
    for _ in range(3):
        serve(world, assurance=Assurance.SAMPLED, pinned_node=node_id(1))
    done = why(world, node_id(1))
    world.disconnect(node_id(2))

    world.pass_ms(TRUST.settle_ms_max + TRUST.settle_grace_ms + 120_000)

    counts = why(world, node_id(1))
    assert done[Reason.DONE] == 3
    assert counts[Reason.VOID] == 3
    assert Reason.DONE not in counts


# What nobody is told


def checks_of(role: Role, *, trusted: int = 3) -> tuple[World, SendAssignment]:
    """A check that was just sent, of this role."""
    world = checked_world(
        trusted=trusted,
        references=int(role is Role.REFERENCE),
        newcomers=int(role is Role.SHADOW),
        trust=replace(TRUST, reference_ppm=1_000_000 if role is Role.REFERENCE else 0, shadow_ppm=1_000_000),
    )
    for _ in range(4):
        serve(world, assurance=Assurance.NONE)  # which lets newcomers have a run
    serve(world)
    send = next_check(world)
    while role is Role.SHADOW and world.tier_of(send.node_id) is not Tier.SHADOW:
        world.result(send)
        send = next_check(world)
    return world, send


@pytest.mark.parametrize("role", [Role.AUDIT, Role.REFERENCE, Role.SHADOW])
def test_a_check_is_counted_as_any_other_task_by_who_gets_it_and_by_who_does_not(role: Role) -> None:
    world, send = checks_of(role)
    nodes = [node_id(number + 1) for number in range(world.nodes_made)]
    trusted = [node for node in nodes if world.tier_of(node) is Tier.TRUSTED and node != send.node_id]
    number = world.number_of(send.node_id)

    before = {node: why(world, node) for node in trusted}
    assert world.lane.reasons.counts(number)[Reason.IN_HAND] == 1
    done = world.lane.reasons.count(number, Reason.DONE)
    world.result(send)

    assert world.lane.reasons.count(number, Reason.DONE) == done + 1
    assert all(why(world, node).get(Reason.TOO_SLOW, 0) == 0 for node in trusted)
    assert all(before[node][Reason.NOT_DRAWN] >= 1 for node in trusted)


@pytest.mark.parametrize("role", [Role.PRIMARY, Role.AUDIT, Role.REFERENCE])
def test_a_slow_accomplice_does_not_see_by_its_own_counts_what_a_fast_node_was_asked_for(role: Role) -> None:
    world, _ = checks_of(role, trusted=ELIGIBLE_MIN)
    slow = world.join(benchmark_ms=1_400)
    for pinned in (None, node_id(2)):
        before = why(world, slow)
        if role is Role.PRIMARY:
            world.assign(pinned_node=pinned)
        else:
            serve(world, assurance=Assurance.NONE)
            serve(world)
            before = why(world, slow)
            next_check(world)

        assert why(world, slow)[Reason.TOO_SLOW] == before.get(Reason.TOO_SLOW, 0) + 1
        assert Reason.NOT_DRAWN not in why(world, slow)


def test_who_answered_first_does_not_see_that_it_was_drawn_for_its_own_audit() -> None:
    world = checked_world(trusted=2)
    primary, _ = serve(world)
    before = why(world, primary.node_id)

    next_check(world)

    after = why(world, primary.node_id)
    assert {reason: after[reason] - before.get(reason, 0) for reason in after} == {Reason.DONE: 0, Reason.NOT_DRAWN: 1}


# Over time


def test_a_snapshot_of_a_time_before_reasons_were_counted_is_understood() -> None:
    world, node, other = pair()
    newcomer = world.join(endorsed=None)
    send = world.assign(pinned_node=node)
    state = msgspec.msgpack.decode(world.coordinator.snapshot())
    for lane in state["scheduling"]["placement"]["lanes"].values():
        del lane["reasons"]

    world.coordinator = Coordinator.restored(msgspec.msgpack.encode(state))
    world.coordinator.check()
    assert why(world, node) == {Reason.IN_HAND: 1}
    world.result(send)
    work_for_others(world)

    assert Reason.DONE in why(world, node)
    assert why(world, newcomer)[Reason.NEWCOMER] == 2
    assert Reason.NOT_DRAWN in why(world, other)
    world.go_on_from_a_snapshot()


def test_what_a_workload_counted_is_gone_with_the_workload() -> None:
    world, node, _ = pair()
    work_for_others(world)

    world.restart(workloads=(OTHER_WORKLOAD,))
    world.restart()
    world.offer(node, slots(1))

    assert why(world, node) == {}


def test_wrong_answers_of_a_workload_that_is_gone_are_counted_nowhere() -> None:
    world = checked_world(trusted=6, references=1)
    serve(world, pinned_node=node_id(1), output=OTHER_OUTPUT)

    world.coordinator.scheduling.placement.undo(world.number_of(node_id(1)), Reason.VOID, 1, OTHER_WORKLOAD)

    assert why(world, node_id(1)) == {Reason.DONE: 1}


def test_a_node_that_enrols_again_goes_on_with_its_counts() -> None:
    world, node, _ = pair()
    world.disconnect(node)
    work_for_others(world)

    world.tell(enrolled(node))
    world.offer(node, slots(1), session=2)
    world.assign(pinned_node=node)

    assert why(world, node) == {Reason.OFFLINE: 1, Reason.IN_HAND: 1}
