"""Nodes of ill will do what their strategy says, knowing no more than they were told."""

import pytest

from gridlight.core.comparing import compare
from gridlight.simulation.adversary import Adversaries, Answers, Knowledge
from gridlight.simulation.answers import COMPARISON, Answer, colluded, copied, faulty, right
from gridlight.simulation.scenario import Adversary, Strategy

ALWAYS, NEVER = 0, 0xFFFF_FFFF
"""Bits by which what may happen does, or does not."""


class Told:
    """What the group finds out, to be changed by a test."""

    def __init__(self) -> None:
        self.is_trusted = True
        self.age = 100
        self.is_canary = False
        self.now_ms = 0

    def knowledge(self) -> Knowledge:
        return Knowledge(
            is_trusted=lambda _node: self.is_trusted,
            age=lambda _node: self.age,
            is_canary=lambda _number: self.is_canary,
            now_ms=lambda: self.now_ms,
        )


def group(strategy: Strategy, told: Told, *, rate_ppm: int = 500_000, recognised_ppm: int = 0) -> Adversaries:
    plan = Adversary(strategy=strategy, rate_ppm=rate_ppm, turns_at_age=50, recognised_ppm=recognised_ppm)
    return Adversaries(plan, told.knowledge(), turns_ms=1_000)


def agrees(one: Answer, other: Answer) -> bool:
    return compare(COMPARISON, one.output, other.output, one.probes, other.probes).is_match


@pytest.mark.parametrize("number", [1, 77, 1_023, 5_000])
def test_honest_answers_agree_and_wrong_ones_agree_with_nobody_but_colluders(number: int) -> None:
    assert agrees(right(number, 9), right(number, 9))
    assert agrees(colluded(number, 9), colluded(number, 9))
    assert not agrees(colluded(number, 9), right(number, 9))
    assert not agrees(faulty(number, 9, 3), right(number, 9))
    assert not agrees(faulty(number, 9, 3), faulty(number, 9, 4))
    assert not agrees(right(number, 9), right(number, 8)), "probes are of the seed"


def test_who_checks_a_colluder_covers_it_up() -> None:
    adversaries = group(Strategy.COLLUDERS, Told())

    wrong, covered = adversaries.answer(0, 7, 1, ALWAYS), adversaries.answer(1, 7, 1, NEVER)

    assert (wrong, covered) == (colluded(7, 1), copied(colluded(7, 1)))


def test_who_checks_a_colluder_that_was_honest_does_not_contradict_it() -> None:
    adversaries = group(Strategy.COLLUDERS, Told())

    adversaries.answer(0, 7, 1, NEVER)

    assert adversaries.answer(1, 7, 1, ALWAYS) == copied(right(7, 1))


@pytest.mark.parametrize(("is_trusted", "age"), [(False, 100), (True, 49)])
def test_nobody_turns_before_it_is_trusted_and_old_enough(is_trusted: bool, age: int) -> None:
    told = Told()
    told.is_trusted, told.age = is_trusted, age

    assert group(Strategy.COLLUDERS, told).answer(0, 7, 1, ALWAYS) == right(7, 1)


def test_a_newcomer_covers_up_what_another_began() -> None:
    told = Told()
    adversaries = group(Strategy.COLLUDERS, told)
    adversaries.answer(0, 7, 1, ALWAYS)
    told.is_trusted = False

    assert adversaries.answer(1, 7, 1, ALWAYS) == copied(colluded(7, 1))


def test_sleepers_wait_for_their_moment() -> None:
    told = Told()
    adversaries = group(Strategy.SLEEPERS, told)

    assert adversaries.answer(0, 7, 1, ALWAYS) == right(7, 1)
    told.now_ms = 1_000
    assert adversaries.answer(0, 8, 1, ALWAYS) == colluded(8, 1)


def test_a_canary_that_is_recognised_is_answered_honestly() -> None:
    told = Told()
    adversaries = group(Strategy.CANARY_AWARE, told, recognised_ppm=500_000)
    told.is_canary = True

    assert adversaries.answer(0, 7, 1, ALWAYS) == right(7, 1)
    assert adversaries.answer(0, 8, 1, NEVER << 32) == colluded(8, 1)


def test_who_minds_duplicates_wants_more_than_one_copy() -> None:
    adversaries = group(Strategy.DUPLICATE_AWARE, Told())
    for number, copies in ((7, 1), (8, 2)):
        for _ in range(copies):
            adversaries.sent(number)

    assert adversaries.answer(0, 7, 1, ALWAYS) == right(7, 1)
    assert adversaries.answer(0, 8, 1, ALWAYS) == colluded(8, 1)


@pytest.mark.parametrize("strategy", [Strategy.LAZY, Strategy.CHEAP_MODEL])
def test_who_works_for_itself_is_wrong_alone_and_its_probes_are_wrong_too(strategy: Strategy) -> None:
    adversaries = group(strategy, Told())

    answers = [adversaries.answer(node, 7, 1, ALWAYS) for node in (0, 1)]

    assert answers[0].probes != right(7, 1).probes
    assert not agrees(answers[0], right(7, 1))
    assert not agrees(answers[0], answers[1])


def test_only_the_first_nodes_are_of_ill_will() -> None:
    adversaries = group(Strategy.COLLUDERS, Told())
    answers = Answers(adversaries=adversaries, count=2, fault_ppm=500_000)

    assert answers.answer(1, 7, 1, ALWAYS) == colluded(7, 1)
    assert answers.answer(2, 7, 1, ALWAYS) == faulty(7, 1, 2)
    assert answers.answer(2, 7, 1, NEVER) == right(7, 1)
    answers.is_faulty = False
    assert answers.answer(2, 7, 1, ALWAYS) == right(7, 1)
