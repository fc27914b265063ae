"""Hostile agents as real processes against a real network: each is found out, and what it served wrongly is put right.

One campaign (hostile/campaign.py) that all tests read. Its figures are printed: `pytest -s` shows them.
"""

from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.acceptance.hostile.campaign import (
    FAULTLESS,
    LATE,
    LATE_AND_ENDORSED,
    OTHER_MODEL,
    SLEEPERS,
    TWINS,
    Campaign,
    Fate,
    carry_out,
    table,
)
from tests.acceptance.hostile.lies import Behaviour
from tests.acceptance.hostile.requesting import Asked

from gridlight.client.casestudy.findings import are_alike
from gridlight.messages.api import RequestView
from gridlight.messages.codec import ViolationReason
from gridlight.messages.trust import Assurance, Tier, Verification

pytestmark = pytest.mark.timeout(300)

ANSWERED_MS = 4_000
SHOWN = ("bus.jpg", "zidane.jpg", "astronaut.png", "cat.png", "motorcycle.png", "coffee.png")
"""Photos in which something is found."""

CORRECTED_MIN = 5
VOID_SHARE_MAX = 0.02
GIVEN_MAX = 8
"""Tasks of a newcomer who lies: one contradicted lie or two, and what it was given while they were looked at."""

TELLING = 0.2
"""So much better than always saying the same must a guess be, to tell anything."""


@pytest.fixture(scope="module")
def campaign(photos: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    """What was seen of it."""
    seen = carry_out([photos[name] for name in SHOWN], tmp_path_factory.mktemp("attacks"))
    print(f"\n{len(seen.asked)} requests, and what became of each hostile node:\n{table(seen)}")
    print(f"replies that were refused: {seen.refused_replies}")
    return seen


def test_every_node_that_answers_wrongly_is_banned(campaign: Campaign) -> None:
    liars = liars_of(campaign)

    assert {name: fate.lies for name, fate in liars.items() if not fate.lies} == {}
    assert {name: fate.node.tier for name, fate in liars.items() if fate.node.tier is not Tier.BANNED} == {}


def test_a_newcomer_who_lies_is_found_out_before_it_serves_anybody(campaign: Campaign) -> None:
    newcomers = {name: fate for name, fate in liars_of(campaign).items() if not fate.recruit.is_endorsed}
    newcomers.pop(LATE)

    assert len(newcomers) >= 7
    assert {name: fate.served for name, fate in newcomers.items() if fate.served} == {}
    assert {name: fate.given for name, fate in newcomers.items() if fate.given > GIVEN_MAX} == {}


def test_no_wrong_answer_is_ever_final(campaign: Campaign) -> None:
    served = wrong_answers(campaign)

    assert len(served) > CORRECTED_MIN
    put_right = (Verification.CORRECTED, Verification.VOID)
    left = [(one.number, view.verification) for one, view in served if view.verification not in put_right]
    assert left == []


def test_a_corrected_answer_is_what_an_honest_node_finds_and_what_was_served_can_still_be_read(
    campaign: Campaign,
) -> None:
    corrected = [(one, view) for one, view in wrong_answers(campaign) if view.verification is Verification.CORRECTED]

    assert len(corrected) >= CORRECTED_MIN
    for one, view in corrected:
        assert view.result is not None
        assert view.served is not None
        assert one.answer is not None
        assert are_alike(view.result.detections, one.picture.truth)
        assert view.served.detections == one.answer.detections


def test_a_smaller_model_than_the_networks_is_found_out(campaign: Campaign) -> None:
    if not OTHER_MODEL.exists():
        pytest.skip(f"there is no other detector at {OTHER_MODEL}; GRIDLIGHT_OTHER_MODEL names one")
    [other] = [fate for fate in campaign.fates.values() if fate.recruit.behaviour is Behaviour.OTHER_MODEL]

    assert other.node.tier is Tier.BANNED
    assert other.node.faults == 1, "what it calls probes is not the network's model's: no second chance"


def test_a_right_answer_is_never_corrected(campaign: Campaign) -> None:
    replaying = {fate.node.node_id for fate in campaign.fates.values() if fate.recruit.behaviour is Behaviour.REPLAYED}
    right = [(one, view) for one, view in answers(campaign) if not one.is_wrong]
    # An old answer is right where the old picture comes again; its probes are not.
    right = [(one, view) for one, view in right if one.answer is not None and one.answer.node_id not in replaying]

    assert len(right) > len(campaign.asked) // 2
    assert [one.number for one, view in right if view.verification is Verification.CORRECTED] == []


def test_no_honest_node_is_faulted_and_what_it_says_is_right(campaign: Campaign) -> None:
    honest = {view.node_id for view in campaign.honest}
    said = [(one, view) for one, view in answers(campaign) if one.answer is not None and one.answer.node_id in honest]

    assert [view for view in campaign.honest if view.faults or view.tier not in (Tier.TRUSTED, Tier.REFERENCE)] == []
    assert said
    assert [one.number for one, _ in said if one.is_wrong] == []
    held = (Verification.FINAL, Verification.PROVISIONAL)
    lost = [view.verification for _, view in said if view.verification not in held]
    # Where no reference node was free to say who is right, five operators may not agree so either.
    assert set(lost) <= {Verification.VOID}
    assert len(lost) <= len(said) * VOID_SHARE_MAX


def test_every_request_is_answered_in_time_throughout(campaign: Campaign) -> None:
    assert [str(one.ended) for one in campaign.asked if one.answer is None] == []
    assert [str(one.ended) for one in campaign.asked if one.ended.lasted_ms > ANSWERED_MS] == []


def test_whoever_works_well_and_then_cheats_is_found_out_and_its_open_answers_stand_for_nothing(
    campaign: Campaign,
) -> None:
    late, endorsed = campaign.fates[LATE], campaign.fates[LATE_AND_ENDORSED]

    assert late.given - late.lies >= 8, "it was honest until it was trusted"
    assert endorsed.given - endorsed.lies == 32
    for fate in (late, endorsed):
        assert fate.node.faults == 2, "the first one that was contradicted with sound probes is forgiven"


def test_two_nodes_of_one_operator_never_check_each_other(campaign: Campaign) -> None:
    assert any(TWINS[0] in pair for pair in campaign.met)
    assert any(TWINS[1] in pair for pair in campaign.met)
    assert frozenset(TWINS) not in campaign.met


def test_two_who_cover_for_each_other_are_found_out_where_answers_are_arbitrated(campaign: Campaign) -> None:
    arbitrated = [one for one, _ in wrong_answers(campaign) if one.verify is Assurance.ARBITRATED]
    plotters = {campaign.fates[name].node.node_id for name in SLEEPERS}

    assert {one.answer.node_id for one in arbitrated if one.answer is not None} <= plotters
    assert all(campaign.fates[name].node.tier is Tier.BANNED for name in SLEEPERS)


def test_a_node_cannot_tell_a_check_by_the_time_it_has_for_it(campaign: Campaign) -> None:
    """The only thing that varies between two tasks of one size: a rule made after the fact is no better than none."""
    requesters, others = campaign.left_ms[True], campaign.left_ms[False]
    count = len(requesters) + len(others)

    assert min(len(requesters), len(others)) >= 10
    always = max(len(requesters), len(others)) / count
    assert best_guess(requesters, others) / count < always + TELLING


def test_silence_and_broken_words_are_no_fault_and_serve_nobody_wrongly(campaign: Campaign) -> None:
    quiet = [fate for fate in campaign.fates.values() if fate.recruit.behaviour in FAULTLESS]

    assert {fate.recruit.behaviour for fate in quiet} == FAULTLESS
    assert [fate.recruit.called for fate in quiet if not fate.given] == [], "each was asked"
    assert [fate.recruit.called for fate in quiet if fate.node.faults or fate.node.tier is not Tier.TRUSTED] == []
    assert [fate.recruit.called for fate in quiet if fate.wrong] == []


def test_a_signed_result_of_another_task_and_anothers_digest_are_refused(campaign: Campaign) -> None:
    by_behaviour = {fate.recruit.behaviour: fate for fate in campaign.fates.values()}
    refused = campaign.refused_replies

    assert refused[ViolationReason.UNKNOWN_ASSIGNMENT] >= by_behaviour[Behaviour.OLD_WORD].given // 2 > 0
    assert refused[ViolationReason.DIGEST_MISMATCH] >= by_behaviour[Behaviour.OTHERS_DIGEST].given // 2 > 0
    assert by_behaviour[Behaviour.OLD_WORD].served <= 1, "what it signed first was right"
    assert by_behaviour[Behaviour.OTHERS_DIGEST].served == 0


def liars_of(campaign: Campaign) -> dict[str, Fate]:
    """Those that give wrong answers."""
    return {name: fate for name, fate in campaign.fates.items() if fate.recruit.behaviour not in FAULTLESS}


def answers(campaign: Campaign) -> list[tuple[Asked, RequestView]]:
    """Every answered request, and how it stands."""
    return [(one, campaign.views[one.answer.id]) for one in campaign.asked if one.answer is not None]


def wrong_answers(campaign: Campaign) -> list[tuple[Asked, RequestView]]:
    """Those that were answered wrongly."""
    return [(one, view) for one, view in answers(campaign) if one.is_wrong]


def best_guess(ones: Sequence[int], others: Sequence[int]) -> int:
    """How many are told apart by the one limit that tells most of them apart."""
    below = [sum(one < limit for one in ones) + sum(other >= limit for other in others) for limit in {*ones, *others}]
    count = len(ones) + len(others)
    return max(max(right, count - right) for right in below)
