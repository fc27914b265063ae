"""Checks as assignments: who runs a task again, and what becomes of it; whom it concerns is verification's.

A check waits for nobody: where no fit node is free it ends at once, and verification asks again.
"""

from typing import Final

from gridlight.core.attempts import Task, tried_nodes
from gridlight.core.choosing import PRIMARY_TIERS, Choice, chosen_by_name, limits_of
from gridlight.core.draw import draw_many
from gridlight.core.lanes import Lane
from gridlight.core.notices import CheckEnded, CheckWanted, NodeMissed, Output
from gridlight.core.placement import Placement
from gridlight.core.shelf import Fitness
from gridlight.messages.results import ResultSubmitted
from gridlight.messages.trust import Role, Tier

CHECK_ATTEMPTS_MAX: Final = 3
"""Assignments of one check; a checker that is lost is no reason to let the answer go unchecked."""

_TIER_OF: Final = {Role.AUDIT: Tier.TRUSTED, Role.REFERENCE: Tier.REFERENCE, Role.SHADOW: Tier.SHADOW}
_WORD: Final = 2**64 - 1


def begin_check(placement: Placement, now_ms: int, wanted: CheckWanted) -> list[Output]:
    """Send a check, or say at once that nobody can do it."""
    lane = placement.lanes.get(wanted.job.workload)
    if lane is None:  # its workload was stopped: nobody will ever run it again
        return [CheckEnded(wanted.check, is_input_gone=True)]
    if wanted.role is Role.SHADOW and not (lane.shadows.free_total and lane.spend_shadow_run()):
        return [CheckEnded(wanted.check)]
    return place_check(placement, now_ms, placement.table.open_check(now_ms, wanted))


def place_check(placement: Placement, now_ms: int, task: Task) -> list[Output]:
    """Send it to a free node that may have it, or end it."""
    wanted = task.check
    assert wanted is not None
    lane = placement.lanes[task.job.workload]
    placement.wake(now_ms)
    if now_ms < task.deadline_ms and len(task.attempts) < CHECK_ATTEMPTS_MAX:
        choice = _checker(placement, lane, task, wanted)
        if choice is not None:
            draws = draw_many(placement.seed, "check", task.number, task.assignments_made)
            return placement.send(now_ms, task, choice, draws)
    is_nobody_there = wanted.role is not Role.CANARY and _is_nobody_there(placement, lane, wanted)
    return end_check(placement, task, CheckEnded(wanted.check, is_nobody_there=is_nobody_there))


def check_answered(placement: Placement, task: Task, node: int, result: ResultSubmitted) -> list[Output]:
    """A checker's result, for verification to judge."""
    assert task.check is not None
    ended = CheckEnded(
        check=task.check.check,
        node=node,
        node_id=result.node_id,
        output=result.output,
        output_digest=result.output_digest,
        probes=result.probes,
        assignment_id=result.assignment_id,
    )
    return end_check(placement, task, ended)


def end_checks(placement: Placement) -> list[Output]:
    """A start or a lost bus: nobody runs anything any more."""
    ended: list[Output] = []
    for task in placement.table.open_checks():
        assert task.check is not None
        ended += end_check(placement, task, CheckEnded(task.check.check))
    return ended


def end_check(placement: Placement, task: Task, ended: CheckEnded) -> list[Output]:
    """The one place where a check ends."""
    placement.table.close_check(task)
    return [ended]


def ends_last(outputs: list[Output]) -> list[Output]:
    """What ended goes on to others after all that was sent: they may take a node's work from it again."""
    return sorted(outputs, key=lambda output: isinstance(output, CheckEnded | NodeMissed))


def _is_nobody_there(placement: Placement, lane: Lane, wanted: CheckWanted) -> bool:
    """Whether nobody of the tier lends but those who had the task already."""
    pool = lane.pools[_TIER_OF[wanted.role]]
    return pool.online_total <= sum(pool.has(node) for node in wanted.others)


def _checker(placement: Placement, lane: Lane, task: Task, wanted: CheckWanted) -> Choice | None:
    """The node itself for a canary; else one of the tier that has nothing in common with who had the task before.

    Of the speed that primaries have, so that no node learns from its speed what it is asked for; else of any.
    """
    if wanted.role is Role.CANARY:
        return _tested(placement, lane, task, wanted)
    pool = lane.pools[_TIER_OF[wanted.role]]
    barred = [*wanted.others, *tried_nodes(task)]
    random = (wanted.draw + task.assignments_made) & _WORD
    for limit, is_idle in limits_of(pool, task, PRIMARY_TIERS):
        screen = placement.roster.screen_for_check(random, barred)
        node = pool.choose(random, limit, screen, only_idle=is_idle)
        if node is not None:
            if pool is lane.trusted:
                return Choice(node, limit, screen.over_share)
            return chosen_by_name(node, pool.bucket_of(node), lane.trusted, task)
    return None


def _tested(placement: Placement, lane: Lane, task: Task, wanted: CheckWanted) -> Choice | None:
    node, pool = wanted.node, lane.pool_of(wanted.node)
    if task.attempts or pool is lane.pools[Tier.BANNED] or not pool.is_free(node):
        return None
    screen = placement.roster.screen_for_check(wanted.draw, wanted.others)
    if screen.fitness(node) is Fitness.UNFIT:
        return None
    return chosen_by_name(node, pool.bucket_of(node), lane.trusted, task)
