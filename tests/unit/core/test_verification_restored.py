"""A verifier that goes on from a snapshot, whatever it was in the middle of."""

from collections.abc import Callable

import msgspec
import pytest
from tests.unit.core.hearing import AUDITOR, NEWCOMER, OTHER_AUDITOR, TRUST, Hearing, disputed

from gridlight.core.verification import MILLION
from gridlight.messages.trust import Assurance, Role


def in_the_middle_of_an_audit(hearing: Hearing) -> None:
    hearing.commit()
    hearing.audited()


def in_the_middle_of_a_dispute(hearing: Hearing) -> None:
    hearing.commit()
    disputed(hearing)
    hearing.audited()
    hearing.answer(hearing.asked.pop() if hearing.asked else hearing.next_check(), AUDITOR)


def in_the_middle_of_a_panel(hearing: Hearing) -> None:
    disputed(hearing)
    hearing.answer(hearing.lose_until_asked_for(Role.AUDIT), 20)


def in_the_middle_of_an_arbitration(hearing: Hearing) -> None:
    hearing.answer(hearing.audited(assurance=Assurance.ARBITRATED), AUDITOR)
    hearing.doubt()


def with_newcomers_asked(hearing: Hearing) -> None:
    hearing.answer(hearing.audited(is_public=True), AUDITOR)
    hearing.answer(hearing.next_check(), NEWCOMER)


def with_a_canary_out(hearing: Hearing) -> None:
    hearing.answer(hearing.audited(is_public=True), AUDITOR)
    hearing.lose(hearing.next_check())
    hearing.pass_ms(TRUST.canary_delay_ms_max)
    hearing.commit(OTHER_AUDITOR, audit_ppm=MILLION)
    assert hearing.next_check().role is Role.CANARY


def with_an_answer_owed(hearing: Hearing) -> None:
    hearing.lose(hearing.audited(), is_input_gone=True)


@pytest.mark.parametrize(
    "script",
    [
        in_the_middle_of_an_audit,
        in_the_middle_of_a_dispute,
        in_the_middle_of_a_panel,
        in_the_middle_of_an_arbitration,
        with_newcomers_asked,
        with_a_canary_out,
        with_an_answer_owed,
    ],
)
def test_a_restored_verifier_goes_on_as_the_first_would(script: Callable[[Hearing], None]) -> None:
    trust = msgspec.structs.replace(TRUST, shadow_ppm=1, canary_ppm=MILLION)
    first, second = Hearing(trust), Hearing(trust)
    for hearing in (first, second):
        script(hearing)
    second.go_on_from_a_snapshot()

    for hearing in (first, second):
        for _ in range(30):
            hearing.commit(audit_ppm=200_000)
            hearing.pass_ms(700)
            for wanted in list(hearing.asked):
                hearing.asked.remove(wanted)
                hearing.answer(wanted, 40 + wanted.check)
        hearing.pass_ms(400_000)

    assert first.said == second.said
    assert len(first.said) > 60
    assert first.verifier.docket.cases == second.verifier.docket.cases
