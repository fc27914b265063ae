"""Newcomers: tried on answers that are final already, and never heard on what is not."""

import msgspec
from tests.unit.core.hearing import (
    AUDITOR,
    NEWCOMER,
    OTHER_OUTPUT,
    PRIMARY,
    REFERENCE,
    TRUST,
    Hearing,
    faults,
    verdicts,
)
from tests.unit.core.world import only

from gridlight.core.notices import CheckDecided
from gridlight.messages.trust import CheckOutcome, ReleaseInput, Role, Verification


def shadowed(*, runs: int = 2) -> Hearing:
    """An answer that is final, on which newcomers are tried."""
    hearing = Hearing(msgspec.structs.replace(TRUST, shadow_ppm=1, shadows_per_check_max=runs))
    outputs = hearing.answer(hearing.audited(), AUDITOR)
    assert verdicts(outputs) == [(1, Verification.FINAL)]
    assert only(ReleaseInput, outputs) == []
    return hearing


def test_newcomers_are_tried_on_what_is_final_one_after_the_other() -> None:
    hearing = shadowed()
    first = hearing.next_check()
    assert (first.role, first.others) == (Role.SHADOW, (PRIMARY, AUDITOR))
    hearing.answer(first, NEWCOMER)
    second = hearing.next_check()
    assert (second.role, second.others) == (Role.SHADOW, (PRIMARY, AUDITOR, NEWCOMER))

    outputs = hearing.answer(second, NEWCOMER + 1)

    assert only(CheckDecided, outputs) == [
        CheckDecided(node, CheckOutcome.MATCH, True, is_execution=True) for node in (NEWCOMER, NEWCOMER + 1)
    ]
    assert only(ReleaseInput, outputs)
    assert verdicts(outputs) == []


def test_newcomers_are_not_insisted_on() -> None:
    hearing = shadowed()

    outputs = hearing.lose(hearing.next_check())

    assert only(ReleaseInput, outputs)
    assert hearing.verifier.docket.cases == {}


def test_a_newcomer_that_contradicts_what_is_final_is_settled_by_a_reference() -> None:
    hearing = shadowed(runs=1)
    said = hearing.answer(hearing.next_check(), NEWCOMER, output=OTHER_OUTPUT)
    assert verdicts(said) == []
    wanted = hearing.next_check()
    assert wanted.role is Role.REFERENCE

    outputs = hearing.answer(wanted, REFERENCE)

    assert faults(outputs) == [NEWCOMER]
    assert verdicts(outputs) == []


def test_a_newcomer_that_was_right_against_two_exposes_both_though_final_stays_final() -> None:
    hearing = shadowed(runs=1)
    hearing.answer(hearing.next_check(), NEWCOMER, output=OTHER_OUTPUT)

    outputs = hearing.answer(hearing.next_check(), REFERENCE, output=OTHER_OUTPUT)

    assert faults(outputs) == [PRIMARY, AUDITOR]
    assert verdicts(outputs) == []


def test_without_a_reference_newcomers_that_agree_pass_and_nobody_is_at_fault() -> None:
    hearing = shadowed()
    hearing.answer(hearing.next_check(), NEWCOMER, output=OTHER_OUTPUT)
    hearing.answer(hearing.next_check(), NEWCOMER + 1)

    hearing.lose_all()

    assert faults(hearing.said) == []
    passed = [one.node for one in only(CheckDecided, hearing.said) if one.is_execution]
    assert passed == [AUDITOR, NEWCOMER + 1]
