"""Deadlines tell nothing of roles, or the check says so."""

import pytest

from gridlight.simulation.deadlines import DeadlineCounts
from gridlight.simulation.demands import CheckFailed


def counted(*, task_ms: list[int], check_ms: list[int]) -> DeadlineCounts:
    counts = DeadlineCounts()
    for deadline_ms in task_ms:
        counts.count(deadline_ms, is_check=False)
    for deadline_ms in check_ms:
        counts.count(deadline_ms, is_check=True)
    return counts


def test_deadlines_that_are_alike_pass() -> None:
    counted(task_ms=[3_950] * 5_000 + [3_300] * 400, check_ms=[3_950] * 1_500 + [3_300] * 60).check()


def test_checks_with_more_time_than_tasks_are_told_apart() -> None:
    with pytest.raises(CheckFailed, match="P17"):
        counted(task_ms=[3_950] * 5_000, check_ms=[3_950] * 1_000 + [9_000] * 200).check()


@pytest.mark.parametrize(
    ("task_ms", "check_ms"),
    [([3_950] * 5_000, [9_000] * 999), ([3_950] * 2_000 + [100] * 3_000, [9_000] * 2_000)],
)
def test_nothing_is_said_of_few_or_of_a_network_that_is_overloaded(task_ms: list[int], check_ms: list[int]) -> None:
    counted(task_ms=task_ms, check_ms=check_ms).check()
