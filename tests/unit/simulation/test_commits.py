"""The simulator's own account of committed answers: what is open, what is settled, and since when."""

import pytest

from gridlight.messages.trust import Verification
from gridlight.simulation.commits import Commits
from gridlight.simulation.demands import CheckFailed

PROVISIONAL, FINAL = Verification.PROVISIONAL, Verification.FINAL


def with_answers(*nodes: int, bound: frozenset[int] = frozenset()) -> Commits:
    """An answer a second of these nodes, counted from commit 10; those at the places given are audited."""
    commits = Commits(nodes=4)
    for place, node in enumerate(nodes):
        is_bound = place in bound
        commits.add(place * 1_000, 10 + place, node, verification=PROVISIONAL, is_audited=is_bound, is_bound=is_bound)
    return commits


def test_answers_up_to_a_commit_are_settled_together() -> None:
    commits = with_answers(0, 1, 0, 0)

    assert commits.settle(12, 0) == [2, 0]
    assert commits.settle(12, 0) == []
    assert commits.open_count() == 2


def test_an_answer_that_is_bound_to_its_audit_is_not_settled_with_others() -> None:
    commits = with_answers(0, 0, 0, bound=frozenset({1}))

    assert commits.settle(12, 0) == [2, 0]
    assert commits.open_count() == 1

    assert commits.change(11, FINAL) == 1
    assert commits.open_count() == 0


@pytest.mark.parametrize("end", [Verification.FINAL, Verification.CORRECTED, Verification.VOID])
def test_what_is_told_for_good_stays_so(end: Verification) -> None:
    commits = with_answers(0, bound=frozenset({0}))
    commits.change(10, Verification.DISPUTED)
    commits.change(10, end)

    with pytest.raises(CheckFailed, match="P6"):
        commits.change(10, Verification.VOID)


def test_the_oldest_open_answer_is_overdue_first() -> None:
    commits = with_answers(0, 1, 0)

    assert commits.overdue(4_000, limit_ms=5_000) is None
    assert commits.overdue(7_001, limit_ms=5_000) == 0
    commits.settle(10, 0)
    assert commits.overdue(8_001, limit_ms=5_000) == 1
    commits.settle(11, 1)
    assert commits.overdue(9_001, limit_ms=5_000) == 2


def test_a_disputed_answer_is_overdue_like_any_other() -> None:
    commits = with_answers(0, bound=frozenset({0}))
    commits.change(10, Verification.DISPUTED)

    assert commits.overdue(9_000, limit_ms=5_000) == 0


def test_commits_are_counted_without_gaps() -> None:
    commits = with_answers(0)

    with pytest.raises(CheckFailed, match="gaps"):
        commits.add(2_000, 12, 0, verification=PROVISIONAL, is_audited=False, is_bound=False)


def test_it_is_known_when_an_answer_was_committed() -> None:
    commits = with_answers(0, 1, 0)

    assert [commits.committed_ms(place) for place in range(3)] == [0, 1_000, 2_000]
