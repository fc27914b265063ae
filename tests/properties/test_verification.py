"""Verification under churn with liars, newcomers and reference nodes: each promise by its number in the design."""

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.properties.churn import TRUST, churn
from tests.properties.drive import Drive
from tests.unit.core.hearing import TRUST as QUIET
from tests.unit.core.hearing import Hearing
from tests.unit.core.world import WORKLOAD, enrolled, job_id, node_id, offer, only, secret, slots, submitted

from gridlight.core.coordinator import Coordinator
from gridlight.core.draw import draw_keyed, is_within
from gridlight.core.notices import CheckWanted
from gridlight.messages.codec import decode_record
from gridlight.messages.trust import (
    Assurance,
    EpochBegan,
    RecordCheck,
    RecordCommit,
    RecordEpoch,
    Tier,
    Verification,
)

SEEDS = (1, 2, 3)


@cache
def busy(seed: int) -> Drive:
    """A life of faults and lies, after which what was broken can be read."""
    return churn(seed, steps=2_000, has_twin=False, is_patient=True)


def assert_kept(promise: str, *, times_min: int) -> None:
    """No run broke it, and each was held to it often enough."""
    for seed in SEEDS:
        trust = busy(seed).trust
        assert [what for what in trust.broken if what.startswith(f"{promise} ")] == []
        assert trust.held[promise] >= times_min


def test_no_promise_is_broken_that_has_no_number() -> None:
    assert [busy(seed).trust.broken for seed in SEEDS] == [[], [], []]


def test_p10_every_lease_ends_by_its_deadline_and_a_grace() -> None:
    assert_kept("P10", times_min=500)


def test_p11_nothing_is_sent_for_what_is_answered_but_checks_of_it() -> None:
    assert_kept("P11", times_min=500)


def test_p12_a_result_of_no_lease_changes_nothing_but_counts() -> None:
    assert_kept("P12", times_min=50)


def test_p13_only_a_fault_lowers_what_a_node_has_earned() -> None:
    assert_kept("P13", times_min=200)


def test_p14_who_checks_has_nothing_in_common_with_who_answered() -> None:
    assert_kept("P14", times_min=300)


def test_p15_a_check_is_sent_strictly_after_its_commit() -> None:
    assert_kept("P15", times_min=300)


def test_p16_a_result_counts_for_its_own_nodes_lease_alone() -> None:
    assert_kept("P16", times_min=300)


def test_p18_a_canary_is_issued_once_and_never_to_an_operator_who_had_it() -> None:
    assert_kept("P18", times_min=10)
    assert_kept("P14", times_min=300)


def test_p19_the_secret_says_which_answers_are_audited() -> None:
    assert_kept("P19", times_min=200)


def test_p27_a_fault_costs_what_its_grade_says_and_a_ban_is_for_good() -> None:
    assert_kept("P27", times_min=8)


def test_p28_a_newcomers_answer_is_served_to_nobody_who_relies_on_it_and_settles_nothing() -> None:
    assert_kept("P28", times_min=500)


def test_p29_nobody_rises_without_another_operators_word() -> None:
    assert_kept("P29", times_min=300)


@pytest.mark.parametrize(
    ("promise", "times_min"),
    [("states", 80), ("lag", 30), ("kept", 300), ("L2", 2_000), ("S2", 3)],
)
def test_answers_are_settled_once_in_time_and_by_the_right_ones(promise: str, times_min: int) -> None:
    assert_kept(promise, times_min=times_min)


def test_the_runs_see_every_end_an_answer_can_come_to() -> None:
    ends = {commit.said for seed in SEEDS for commit in busy(seed).trust.commits.values()}
    roles = {fault.role for seed in SEEDS for fault in busy(seed).trust.faults}

    assert ends == {Verification.FINAL, Verification.CORRECTED, Verification.VOID}
    assert len(roles) >= 3


@pytest.mark.parametrize("seed", SEEDS)
def test_p47_from_a_snapshot_at_any_boundary_the_journal_folds_to_the_same_bytes(seed: int) -> None:
    history = busy(seed).history
    boundaries = range(len(history) // 12, len(history), len(history) // 11)
    snapshots: dict[int, bytes] = {}
    core = Coordinator()
    for place, (now_ms, record) in enumerate(history):
        if place in boundaries:
            snapshots[place] = core.snapshot()
        for event in decode_record(record):
            core.handle(now_ms, event)

    for place, snapshot in snapshots.items():
        other = Coordinator.restored(snapshot)
        for now_ms, record in history[place:]:
            for event in decode_record(record):
                other.handle(now_ms, event)
        assert other.snapshot() == core.snapshot()
    assert len(snapshots) >= 10


# P19, by somebody who has only what is published


@given(
    rates=st.lists(st.tuples(st.integers(0, 1_000_000), st.sampled_from(list(Assurance)[1:])), min_size=1, max_size=40),
    changes=st.sets(st.integers(0, 40), max_size=4),
)
def test_p19_an_outsider_recomputes_audits_and_the_draws_of_who_makes_them(
    rates: list[tuple[int, Assurance]], changes: set[int]
) -> None:
    hearing, epoch = Hearing(QUIET), 1
    for place, (audit_ppm, assurance) in enumerate(rates):
        if place in changes:
            epoch += 1
            hearing.tell(EpochBegan(epoch=epoch, secret=secret(epoch), next_secret=secret(epoch + 1)))
        hearing.commit(place % 5, audit_ppm=audit_ppm, assurance=assurance)
    while hearing.verifier.docket.cases:
        wanted = hearing.next_check()
        hearing.answer(wanted, 100 + wanted.check)
    for later in (epoch + 1, epoch + 2):
        hearing.tell(EpochBegan(epoch=later, secret=secret(later), next_secret=secret(later + 1)))

    keys = {one.epoch: bytes.fromhex(one.secret) for one in only(RecordEpoch, hearing.said) if one.secret}
    commits = {one.commit: one for one in only(RecordCommit, hearing.said)}
    for number, commit in commits.items():
        assert commit.is_audited == is_within(draw_keyed(keys[commit.epoch], "audit", number), commit.audit_ppm)
    commit_of = {one.check: one.commit for one in only(RecordCheck, hearing.said)}
    asked = dict.fromkeys(commits, 0)
    for wanted in only(CheckWanted, hearing.said):
        number = commit_of[wanted.check]
        asked[number] += 1
        draw = draw_keyed(keys[commits[number].epoch], "check", number)
        assert wanted.draw == draw_keyed(draw.to_bytes(8, "little"), "checker", number, asked[number])


# P29, by an operator who tries


@given(
    moves=st.lists(
        st.tuples(st.sampled_from(["submit", "answer", "wait", "enrol", "leave"]), st.integers(0, 11)), max_size=60
    )
)
def test_p29_an_operators_nodes_cannot_raise_each_other(moves: list[tuple[str, int]]) -> None:
    drive, operator = Drive(TRUST), node_id(1)
    drive.start(7, (WORKLOAD,))
    drive.begin_epoch()
    for number in range(1, 7):
        endorsed = Tier.TRUSTED if number <= 3 else None
        drive.tell(enrolled(node_id(number), operator=operator, endorsed=endorsed))
        drive.tell(offer(node_id(number), slots(2)))
    for place, (move, number) in enumerate(moves):
        match move:
            case "submit":
                assurance = list(Assurance)[number % 4]
                drive.tell(submitted(job_id(place), assurance=assurance, is_public=number % 2 == 0))
            case "answer":
                for send in drive.live():
                    drive.give_result(send)
            case "wait":
                drive.wait(100 * number)
            case "enrol":
                drive.tell(enrolled(node_id(1 + number % 6), operator=operator, endorsed=None))
            case _:
                drive.tell(offer(node_id(1 + number % 6), slots(1 + number % 2), session=place + 2))
    drive.finish()

    clean_runs = [drive.coordinator.reputation.clean_run(number) for number in range(6)]
    assert clean_runs == [TRUST.trusted_after] * 3 + [0] * 3
