"""The checks have teeth: a core that is broken on purpose is caught, each by the promise that it breaks."""

from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace
from tests.simulation.running import ran, small

from gridlight.core import attempts, choosing, placement
from gridlight.core.choosing import Choice
from gridlight.core.draw import draw_many
from gridlight.core.placement import Placement
from gridlight.core.pools import Pool
from gridlight.core.reasons import Reasons
from gridlight.core.scheduling import Scheduling
from gridlight.core.task_table import TaskTable
from gridlight.messages.tasks import Assignment
from gridlight.simulation.demands import CheckFailed
from gridlight.simulation.scenario import Attempts, Churn, Faults

Patch = pytest.MonkeyPatch


def forgets_to_refuse_the_tried(patch: Patch) -> None:
    for module in (choosing, placement):
        patch.setattr(module, "tried_nodes", lambda _task: [])


def never_gives_up_on_attempts(patch: Patch) -> None:
    patch.setattr(placement, "ATTEMPTS_MAX", 100)
    patch.setattr(attempts, "ATTEMPTS_MAX", 100)


def leases_more_than_is_lent(patch: Patch) -> None:
    patch.setattr(Pool, "take", lambda _pool, _node: None)
    patch.setattr(Pool, "give_back", lambda _pool, _node: None)


def lets_a_deadline_pass(patch: Patch) -> None:
    kept = attempts.next_due_ms

    def late(task: Any) -> int | None:
        due_ms = kept(task)
        return None if due_ms is None else due_ms + 300

    patch.setattr(placement, "next_due_ms", late)


def never_has_done_with_time(patch: Patch) -> None:
    kept = Scheduling._attend

    def late(self: Scheduling, now_ms: int, task: Any) -> Any:
        return kept(self, now_ms - 300, task)

    patch.setattr(Scheduling, "_attend", late)


def drops_a_result(patch: Patch) -> None:
    kept = Scheduling._result

    def deaf(self: Scheduling, now_ms: int, event: Any) -> Any:
        return [] if event.assignment_id.endswith("7") else kept(self, now_ms, event)

    patch.setattr(Scheduling, "_result", deaf)


def forgets_who_ended(patch: Patch) -> None:
    patch.setattr(TaskTable, "remember", lambda _table, _job, _outcome: None)


def draws_anew_each_time(patch: Patch) -> None:
    counter = iter(range(10**9))
    kept = draw_many
    patch.setattr(placement, "draw_many", lambda seed, label, *_: kept(seed, label, next(counter)))


def assigns_what_has_ended(patch: Patch) -> None:
    kept = Placement.replace

    def eager(self: Placement, now_ms: int, task: Any) -> Any:
        if task.is_open or len(task.attempts) > 2 or not task.attempts:
            return kept(self, now_ms, task)
        pool = self.lanes[task.job.workload].trusted
        free = [node for node in self.roster.node_ids if pool.has(node) and pool.is_free(node)]
        return self.send(now_ms, task, Choice(free[0]), (1, task.number << 8, 3)) if free else []

    patch.setattr(Placement, "replace", eager)


def sends_what_nobody_offers(patch: Patch) -> None:
    kept = Assignment
    other = "stranger@sha256:" + "0" * 64
    patch.setattr(placement, "Assignment", lambda **fields: kept(**{**fields, "workload": other}))


SEEDS = range(8)
HARSH = replace(
    small(nodes=20, faults=Faults(partitions=2, outages=1, outage_ms=5_000, outage_regions=2)),
    attempts=Attempts(vanish_ppm=400_000, silent_ppm=100_000, close_seen_ms=100),
    churn=Churn(away_ms=1_500),
)
"""So that assignments are lost often enough for every promise to be tried."""


def sends_to_the_absent(patch: Patch) -> None:
    patch.setattr(Pool, "withdraw", lambda _pool, _node: None)


def answers_twice(patch: Patch) -> None:
    kept = Placement.end

    def twice(self: Placement, task: Any, outcome: Any) -> Any:
        outputs = kept(self, task, outcome)
        return [outputs[0], *outputs]

    patch.setattr(Placement, "end", twice)


def forgets_what_was_in_hand(patch: Patch) -> None:
    patch.setattr(Reasons, "end", lambda _reasons, _node, _reason: None)


def counts_nobody(patch: Patch) -> None:
    patch.setattr(Reasons, "pass_by", lambda _reasons, _limit: None)


def counts_what_is_given_as_passed_over(patch: Patch) -> None:
    patch.setattr(Reasons, "give", lambda reasons, _node, limit, _over_share: reasons.pass_by(limit))
    patch.setattr(Reasons, "give_again", lambda _reasons, _node: None)
    patch.setattr(Reasons, "end", lambda _reasons, _node, _reason: None)


def counts_each_assignment_for_all(patch: Patch) -> None:
    patch.setattr(Reasons, "give_again", lambda reasons, node: reasons.give(node, 0))


BREAKS = {
    forgets_to_refuse_the_tried: "no node is sent a job twice|core.check",
    never_gives_up_on_attempts: "a job has six attempts at most",
    leases_more_than_is_lent: "no slot is over-committed",
    lets_a_deadline_pass: "no job is silent past its deadline|P10",
    never_has_done_with_time: "time that has passed is attended to",
    sends_to_the_absent: "only nodes that are there|core.check|no slot is over",
    answers_twice: "exactly one outcome",
    drops_a_result: "a valid result is taken",
    forgets_who_ended: "exactly one outcome|only open jobs",
    draws_anew_each_time: "replay",
    sends_what_nobody_offers: "P54",
    assigns_what_has_ended: "only open jobs are assigned|core.check",
    forgets_what_was_in_hand: "each task given has one reason|core.check",
    counts_nobody: "each task considered has one reason|each task is considered once|core.check",
    counts_what_is_given_as_passed_over: "each task given has one reason|core.check",
    counts_each_assignment_for_all: "each task is considered once",
}


@pytest.fixture
def patch() -> Iterator[Patch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.mark.parametrize("break_it", BREAKS, ids=lambda break_it: break_it.__name__)
def test_a_broken_core_is_caught(break_it: Any, patch: Patch) -> None:
    break_it(patch)

    with pytest.raises(CheckFailed, match=BREAKS[break_it]):
        assert all(ran(HARSH, seed).measures.ended for seed in SEEDS)


def test_the_whole_core_passes_where_broken_ones_are_caught() -> None:
    assert all(ran(HARSH, seed).measures.done > 20 for seed in SEEDS)
