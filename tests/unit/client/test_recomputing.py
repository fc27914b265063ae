"""A network that audits as it drew deviates nowhere; one that hides an audit, an answer or a secret does."""

import pytest
from msgspec.structs import replace

from gridlight.client.recomputing import Deviation, recompute
from gridlight.core.draw import draw_keyed
from gridlight.core.epochs import commitment
from gridlight.messages.api import CommitView, EpochView
from gridlight.messages.ids import NodeId

SECRET = "17" * 32
OTHER = "18" * 32
EPOCH = EpochView(epoch=3, commitment=commitment(SECRET), secret=SECRET)
NODE = NodeId("U" + "A" * 55)
RATE = 250_000


def drawn(commit: int, audit_ppm: int = RATE) -> CommitView:
    draw = draw_keyed(bytes.fromhex(SECRET), "audit", commit)
    return CommitView(commit, NODE, audit_ppm, draw * 1_000_000 >> 64 < audit_ppm)


@pytest.fixture
def commits() -> list[CommitView]:
    return [drawn(number) for number in range(100, 500)]


def test_an_honest_epoch_has_no_deviation(commits: list[CommitView]) -> None:
    findings = recompute(EPOCH, commits)

    assert (findings.epoch, findings.commits, findings.deviations) == (3, 400, [])
    assert 70 < findings.audited < 130


def test_forced_audits_are_drawn_like_all_others() -> None:
    assert recompute(EPOCH, [drawn(1, 1_000_000), drawn(2, 0)]).deviations == []


@pytest.mark.parametrize(
    ("was_audited", "what"),
    [(True, "had to be audited and was not"), (False, "was audited although it was not drawn")],
)
def test_an_audit_that_was_not_as_drawn_is_named(commits: list[CommitView], was_audited: bool, what: str) -> None:
    row = next(row for row, one in enumerate(commits) if one.is_audited is was_audited)
    commits[row] = replace(commits[row], is_audited=not was_audited)

    assert recompute(EPOCH, commits).deviations == [Deviation(what, commits[row].commit)]


def test_an_answer_that_is_left_out_is_named(commits: list[CommitView]) -> None:
    del commits[5:8]

    assert recompute(EPOCH, commits).deviations == [Deviation("commits 105 to 107 are not shown", 108)]


def test_a_rate_that_was_changed_afterwards_shows(commits: list[CommitView]) -> None:
    findings = recompute(EPOCH, [replace(one, audit_ppm=RATE // 2) for one in commits])

    assert {one.what for one in findings.deviations} == {"was audited although it was not drawn"}


def test_another_secret_than_the_one_committed_to_shows_at_once(commits: list[CommitView]) -> None:
    first, *others = recompute(replace(EPOCH, secret=OTHER), commits).deviations

    assert first == Deviation("the secret is not the one that was committed to")
    assert others, "its draws are others, too"


def test_an_epoch_without_answers_is_as_drawn() -> None:
    assert recompute(EPOCH, []).deviations == []
