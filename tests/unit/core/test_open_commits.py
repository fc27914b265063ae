"""Each node's provisional answers, by number."""

import pytest

from gridlight.core.open_commits import OpenCommits

NODE, OTHER = 3, 4


def with_answers(*answers: tuple[int, int]) -> OpenCommits:
    """Commits of one node, with their times."""
    commits = OpenCommits()
    for commit, now_ms in answers:
        commits.add(NODE, commit, now_ms)
    return commits


def test_a_node_is_new_with_its_first_answer_until_it_is_forgotten() -> None:
    commits = OpenCommits()

    assert [commits.add(NODE, 1, 10), commits.add(NODE, 2, 20)] == [True, False]
    commits.take_until(NODE, 2)
    assert not commits.add(NODE, 3, 30)
    commits.take_until(NODE, 3)
    commits.forget(NODE)

    assert NODE not in commits
    assert commits.add(NODE, 4, 40)


def test_answers_are_taken_up_to_one_and_no_further() -> None:
    commits = with_answers((1, 10), (5, 20), (9, 30))
    commits.add(OTHER, 2, 10)

    assert commits.take_until(NODE, 5) == 2
    assert commits.take_until(NODE, 8) == 0
    assert (len(commits), commits.oldest_ms(NODE), commits.oldest_ms(OTHER)) == (2, 30, 10)


def test_a_node_without_answers_has_none_to_take() -> None:
    commits = OpenCommits()

    assert commits.take_until(NODE, 9) == 0
    assert commits.oldest_ms(NODE) is None
    assert commits.last_before(NODE, 99) is None


def test_the_last_answer_before_a_time_is_strictly_before_it() -> None:
    commits = with_answers((1, 10), (5, 20), (9, 20), (11, 30))

    assert [commits.last_before(NODE, before_ms) for before_ms in (10, 11, 20, 21, 99)] == [None, 1, 1, 9, 11]


def test_a_node_with_an_open_answer_is_not_forgotten() -> None:
    with pytest.raises(AssertionError):
        with_answers((1, 10)).forget(NODE)


def test_commits_come_in_order() -> None:
    with pytest.raises(AssertionError):
        with_answers((2, 10), (2, 20))


def test_restored_answers_are_the_same_answers() -> None:
    commits = with_answers((1, 10), (2**40, 2**41))

    restored = OpenCommits()
    restored.restore(commits.snapshot())

    assert restored.snapshot() == commits.snapshot()
    assert restored.last_before(NODE, 2**42) == 2**40
