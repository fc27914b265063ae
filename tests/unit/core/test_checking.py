"""Checks as assignments: ordinary ones to whoever gets them, and of no concern to who asked for the answer."""

import msgspec
import pytest
from tests.unit.core.audits import checked_world, next_check, next_effects, serve, verdicts
from tests.unit.core.hearing import OTHER_OUTPUT, TRUST
from tests.unit.core.world import OUTPUT, World, ends, job_id, node_id, only, sends, slots, submitted

from gridlight.core.attempts import ACK_HARD_MS, ACK_SOFT_MS
from gridlight.core.checking import CHECK_ATTEMPTS_MAX
from gridlight.core.counts import Count
from gridlight.core.docket import ASK_AGAIN_MS
from gridlight.core.notices import NOBODY, CheckEnded, CheckWanted, NodeMissed, Output, TrustLost
from gridlight.messages.ids import NodeId
from gridlight.messages.jobs import SendAssignment
from gridlight.messages.nodes import RequestOffer
from gridlight.messages.tasks import UndeliverableReason
from gridlight.messages.trust import (
    Assurance,
    CheckOutcome,
    KeepInput,
    RecordCheck,
    RecordCommit,
    ReleaseInput,
    Role,
    Tier,
    Verification,
)

MILLION = 1_000_000


def begin(
    world: World, role: Role, *, others: tuple[int, ...] = (), node: int = NOBODY, draw: int = 5, check: int = 77
) -> list[Output]:
    """Scheduling alone is asked for a check; what it answers, notices included."""
    wanted = CheckWanted(check, role, submitted(job_id(900)), probe_seed=1, others=others, node=node, draw=draw)
    outputs = world.coordinator.scheduling.handle(world.now_ms, wanted)
    world.coordinator.scheduling.check()
    return outputs


def sent_to(outputs: list[Output]) -> list[NodeId]:
    return [one.node_id for one in outputs if isinstance(one, SendAssignment)]


def test_the_input_is_kept_and_the_answer_on_record_before_the_job_ends() -> None:
    world = checked_world()

    _, effects = serve(world)

    kinds = [type(effect) for effect in effects]
    assert [kinds.index(kind) for kind in (KeepInput, RecordCommit)] == [0, 1]
    (end,) = ends(effects)
    assert effects.index(end) > 1
    assert end.outcome.verification is Verification.PROVISIONAL


def test_a_check_is_the_same_assignment_to_somebody_else() -> None:
    world = checked_world()
    primary, _ = serve(world)

    check = next_check(world)

    assert (check.job_id, check.gateway_id) == (primary.job_id, primary.gateway_id)
    first, second = primary.assignment, check.assignment
    assert first.assignment_id != second.assignment_id
    assert msgspec.structs.replace(second, assignment_id=first.assignment_id) == first
    assert check.node_id != primary.node_id


def test_a_checkers_answer_ends_no_job() -> None:
    world = checked_world()
    serve(world)

    effects = world.result(next_check(world))

    assert ends(effects) == []
    assert verdicts(effects) == [Verification.FINAL]
    assert [(one.role, one.outcome) for one in only(RecordCheck, effects)] == [(Role.AUDIT, CheckOutcome.MATCH)]
    assert only(ReleaseInput, effects)


def test_an_audit_goes_to_another_operator_and_another_prefix() -> None:
    world = World(trust=msgspec.structs.replace(TRUST, are_prefixes_distinct=True))
    primary = world.join(slot_count=2, prefix="10.0.0.0/24")
    world.join(slot_count=2, operator=primary, prefix="10.0.1.0/24")
    world.join(slot_count=2, prefix="10.0.0.0/24")
    fit = world.join(slot_count=2, prefix="10.0.2.0/24")

    for _ in range(8):
        serve(world, pinned_node=primary)
        check = next_check(world)
        assert check.node_id == fit
        world.result(check)


def test_a_check_that_nobody_may_have_is_asked_for_again_later() -> None:
    world = checked_world(trusted=1)
    serve(world)
    assert sends(next_effects(world, within_ms=TRUST.audit_delay_ms_max + 1)) == []
    other = world.join()

    (check,) = sends(world.pass_ms(ASK_AGAIN_MS))

    assert check.node_id == other


def test_a_check_waits_for_nobody_who_is_busy() -> None:
    world = checked_world(trusted=2)
    busy = [world.assign() for _ in range(4)]

    assert begin(world, Role.AUDIT) == [CheckEnded(77)]
    assert len(busy) == 4


def test_a_check_is_declined_and_asked_of_others_three_times_at_most() -> None:
    world = checked_world(trusted=8)
    serve(world)
    asked = [next_check(world)]
    while again := sends(world.decline(asked[-1])):
        asked += again

    assert len({check.node_id for check in asked}) == len(asked) == CHECK_ATTEMPTS_MAX
    assert world.count(Count.CHECKS_DISPATCHED) == CHECK_ATTEMPTS_MAX


def test_checks_are_not_counted_as_tasks() -> None:
    world = checked_world()
    serve(world)
    next_check(world)

    assert (world.count(Count.DISPATCHED), world.count(Count.CHECKS_DISPATCHED)) == (1, 1)


def test_a_check_that_looks_late_is_not_hedged() -> None:
    world = checked_world()
    serve(world)
    check = next_check(world)

    assert sends(world.pass_ms(ACK_SOFT_MS + 100)) == []
    world.ack(check, eta_ms=10)
    assert sends(world.pass_ms(2_000)) == []


def test_a_checker_that_does_not_acknowledge_is_out_and_another_is_asked() -> None:
    world = checked_world()
    serve(world)
    check = next_check(world)

    effects = world.pass_ms(ACK_HARD_MS)

    (again,) = sends(effects)
    assert again.node_id != check.node_id
    assert [one.node_id for one in only(RequestOffer, effects)] == [check.node_id]


def test_a_checker_that_leaves_is_replaced() -> None:
    world = checked_world()
    serve(world)
    check = next_check(world)

    (again,) = sends(world.disconnect(check.node_id))

    assert again.node_id != check.node_id


def test_a_check_that_runs_out_of_time_is_asked_for_again_and_its_late_answer_is_not_heard() -> None:
    world = checked_world()
    serve(world)
    check = next_check(world)
    world.ack(check)
    effects = world.pass_ms(4_000)
    assert sends(effects) == []

    late = world.result(check, output=OTHER_OUTPUT)

    assert (verdicts(late), only(RecordCheck, late)) == ([], [])
    assert world.count(Count.RESULT_LATE) == 1
    assert next_check(world).node_id != check.node_id


def test_a_checker_that_never_answers_broke_its_word() -> None:
    world = checked_world()
    serve(world)
    check = next_check(world)
    world.ack(check)

    effects = world.pass_ms(4_499)
    assert only(RequestOffer, effects) == []

    assert [one.node_id for one in only(RequestOffer, world.pass_ms(1))] == [check.node_id]


def test_a_checker_whose_line_is_dead_is_out() -> None:
    world = checked_world()
    serve(world)
    check = next_check(world)

    effects = world.undeliverable(check)

    assert only(RequestOffer, effects)
    assert sends(effects)


def test_a_check_whose_input_is_gone_is_over() -> None:
    world = checked_world()
    serve(world)

    effects = world.undeliverable(next_check(world), UndeliverableReason.INPUT_GONE)

    assert verdicts(effects) == [Verification.VOID]
    assert sends(effects) == []


def test_an_input_that_is_gone_after_its_check_ended_is_nobodys_concern() -> None:
    world = checked_world()
    serve(world)
    check = next_check(world)
    world.ack(check)
    world.pass_ms(4_000)

    effects = world.undeliverable(check, UndeliverableReason.INPUT_GONE)

    assert (verdicts(effects), sends(effects)) == ([], [])


@pytest.mark.parametrize("is_restart", [True, False])
def test_after_a_start_or_a_lost_bus_checks_are_asked_for_again(*, is_restart: bool) -> None:
    world = checked_world()
    serve(world)
    check = next_check(world)

    if is_restart:
        world.restart()
    else:
        world.bus_reconnected()
    for number in range(1, world.nodes_made + 1):
        world.offer(node_id(number), slots(1))

    again = next_check(world)
    assert (again.job_id, again.assignment.probe_seed) == (check.job_id, check.assignment.probe_seed)
    assert verdicts(world.result(again)) == [Verification.FINAL]


def test_a_check_for_a_workload_that_is_offered_no_more_ends_at_once() -> None:
    world = checked_world()
    world.restart(workloads=())

    assert begin(world, Role.AUDIT) == [CheckEnded(77, is_input_gone=True)], "nobody shall be asked again"


@pytest.mark.parametrize("role", [Role.AUDIT, Role.REFERENCE])
def test_each_kind_of_check_goes_to_nodes_of_its_tier(role: Role) -> None:
    world = checked_world(trusted=1, references=1, newcomers=1)

    assert sent_to(begin(world, role)) == [node_id(1 if role is Role.AUDIT else 2)]


def test_no_reference_node_serves_or_audits() -> None:
    world = checked_world(trusted=1, references=3)
    for _ in range(2):
        assert world.assign().node_id == node_id(1)

    assert sends(world.submit()) == []
    assert begin(world, Role.AUDIT) == [CheckEnded(77)]


# Shadows


def test_newcomers_run_no_more_than_their_share() -> None:
    world = checked_world(trusted=4, newcomers=4, trust=msgspec.structs.replace(TRUST, shadow_ppm=100_000))
    for _ in range(10):
        serve(world, assurance=Assurance.NONE)

    first, second = (begin(world, Role.SHADOW, check=check) for check in (1, 2))

    assert world.tier_of(sent_to(first)[0]) is Tier.SHADOW
    assert second == [CheckEnded(2)]


# Canaries


def test_a_canary_is_sent_to_its_node_and_to_nobody_else() -> None:
    world = checked_world()

    outputs = begin(world, Role.CANARY, others=(0, 1), node=3)

    assert sent_to(outputs) == [node_id(4)]
    (send,) = sends([one for one in outputs if isinstance(one, SendAssignment)])
    assert sends(world.decline(send)) == []


def test_a_canary_is_not_sent_to_the_operator_of_who_executed_it() -> None:
    world = checked_world()
    sibling = world.number_of(world.join(operator=node_id(1)))

    assert begin(world, Role.CANARY, others=(0, 1), node=sibling) == [CheckEnded(77)]


def test_a_canary_is_not_sent_to_a_node_that_is_busy_or_away() -> None:
    world = checked_world()
    world.disconnect(node_id(4))

    assert begin(world, Role.CANARY, node=3) == [CheckEnded(77)]


def test_a_canary_is_not_sent_to_a_node_that_was_banned_meanwhile() -> None:
    world = checked_world()
    banned = world.coordinator.reputation.seed_standing(3, tier=Tier.BANNED, clean_run=0)
    world.coordinator.scheduling.handle(world.now_ms, banned)

    assert begin(world, Role.CANARY, node=3) == [CheckEnded(77)]


# A tier that changes


def test_what_a_node_checks_is_given_to_another_where_its_tier_changes() -> None:
    world = checked_world()
    serve(world)
    check = next_check(world)
    number = world.number_of(check.node_id)

    effects = world.coordinator.scheduling.handle(
        world.now_ms, world.coordinator.reputation.seed_standing(number, tier=Tier.SHADOW, clean_run=0)
    )

    (again,) = [one for one in effects if isinstance(one, SendAssignment)]
    assert again.node_id != check.node_id
    assert not only(NodeMissed, effects)
    assert world.lane.shadows.is_free(number)
    assert world.result(check, output=OUTPUT) == []
    assert world.count(Count.REPLY_UNKNOWN) == 1


def test_a_node_that_its_own_answer_cost_its_tier_gets_none_of_the_tasks_that_wait() -> None:
    world = checked_world(trusted=5)
    serve(world, pinned_node=node_id(1))
    world.coordinator.verification.handle(world.now_ms, TrustLost(0))  # a panel must clear it: there is no reference
    for _ in range(3):
        world.result(next_check(world))
    check = next_check(world)
    while sends(world.submit()):
        pass

    effects = world.result(check, output=OTHER_OUTPUT)

    assert verdicts(effects) == [Verification.FINAL]
    assert world.tier_of(check.node_id) is Tier.SHADOW
    assert sends(effects) == []
    assert world.lane.shadows.is_free(world.number_of(check.node_id))


def test_who_lost_a_race_for_the_task_is_never_asked_to_check_it() -> None:
    """It would know the input again, and so that it is a check."""
    world = checked_world(trusted=3)
    first = world.assign(assurance=Assurance.AUDITED)
    (second,) = sends(world.pass_ms(ACK_SOFT_MS))
    world.result(second)
    world.result(first)

    checkers = {one.node_id for one in sends(world.pass_ms(60_000))}

    assert checkers
    assert not checkers & {first.node_id, second.node_id}
