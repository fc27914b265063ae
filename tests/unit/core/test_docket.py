"""What becomes of an answer that is contradicted, cannot be checked, or whose node is trusted no more."""

from itertools import pairwise

import msgspec
import pytest
from tests.unit.core.hearing import (
    AUDITOR,
    OTHER_AUDITOR,
    OTHER_OUTPUT,
    PRIMARY,
    REFERENCE,
    TRUST,
    Hearing,
    disputed,
    faults,
    settled,
    verdicts,
)
from tests.unit.core.world import OUTPUT, START_MS, digest_of, node_id, only

from gridlight.core.cases import PANEL
from gridlight.core.docket import ASK_AGAIN_MS, INPUT_KEPT_MS
from gridlight.core.notices import CheckDecided, CheckEnded, CommitsSettled, FaultFound, Output
from gridlight.core.verification import MILLION
from gridlight.messages.trust import (
    Assurance,
    CheckOutcome,
    RecordCheck,
    RecordCommit,
    ReleaseInput,
    Role,
    Verification,
)


def test_a_contradicted_answer_is_disputed_until_a_reference_says_that_it_is_right() -> None:
    hearing = Hearing()
    disputed(hearing)
    wanted = hearing.next_check()
    assert (wanted.role, wanted.others) == (Role.REFERENCE, (PRIMARY, AUDITOR))

    outputs = hearing.answer(wanted, REFERENCE)

    assert verdicts(outputs) == [(1, Verification.FINAL)]
    (fault,) = only(FaultFound, outputs)
    assert (fault.node, fault.role, fault.commit) == (AUDITOR, Role.AUDIT, 1)
    assert (fault.said, fault.reference, fault.settled_by) == (
        digest_of(OTHER_OUTPUT),
        digest_of(OUTPUT),
        node_id(REFERENCE),
    )
    assert [one.node for one in only(CheckDecided, outputs)] == [PRIMARY]


def test_a_wrong_answer_is_corrected_and_who_caught_it_is_not_at_fault() -> None:
    hearing = Hearing()
    disputed(hearing, served=OTHER_OUTPUT, audited=OUTPUT)

    outputs = hearing.answer(hearing.next_check(), REFERENCE)

    assert verdicts(outputs) == [(1, Verification.CORRECTED)]
    (corrected,) = [one for one in outputs if getattr(one, "verification", None) is Verification.CORRECTED]
    assert getattr(corrected, "output", None) == OUTPUT
    (fault,) = only(FaultFound, outputs)
    assert (fault.node, fault.role, fault.are_probes_wrong) == (PRIMARY, Role.PRIMARY, False)
    assert only(CommitsSettled, outputs) == []


def test_the_requester_is_told_before_anybody_is_held_to_account() -> None:
    hearing = Hearing()
    disputed(hearing, served=OTHER_OUTPUT, audited=OUTPUT)

    kinds = [type(one) for one in hearing.answer(hearing.next_check(), REFERENCE)]

    assert kinds[-1] is FaultFound
    assert ReleaseInput in kinds


def test_wrong_probes_are_said_to_be_wrong() -> None:
    hearing = Hearing()
    wanted = hearing.audited(output=OUTPUT, probes=(1,))
    assert verdicts(hearing.answer(wanted, AUDITOR, probes=(2,))) == [(1, Verification.DISPUTED)]

    (fault,) = only(FaultFound, hearing.answer(hearing.next_check(), REFERENCE, probes=(2,)))

    assert (fault.node, fault.are_probes_wrong) == (PRIMARY, True)


def test_a_reference_that_contradicts_both_is_confirmed_by_a_second_one() -> None:
    hearing = Hearing()
    wanted = hearing.audited(output=OTHER_OUTPUT)
    hearing.answer(wanted, AUDITOR, output=b"third")
    assert verdicts(hearing.answer(hearing.next_check(), REFERENCE)) == []
    second = hearing.next_check()
    assert (second.role, second.others) == (Role.REFERENCE, (PRIMARY, AUDITOR, REFERENCE))

    outputs = hearing.answer(second, REFERENCE + 10)

    assert verdicts(outputs) == [(1, Verification.CORRECTED)]
    assert faults(outputs) == [PRIMARY, AUDITOR]


def test_references_that_contradict_each_other_leave_the_answer_void() -> None:
    hearing = Hearing()
    wanted = hearing.audited(output=OTHER_OUTPUT)
    hearing.answer(wanted, AUDITOR, output=b"third")
    hearing.answer(hearing.next_check(), REFERENCE)

    outputs = hearing.answer(hearing.next_check(), REFERENCE + 10, output=OTHER_OUTPUT)

    assert verdicts(outputs) == [(1, Verification.VOID)]
    assert faults(outputs) == []
    assert only(RecordCheck, outputs)[-1].outcome is CheckOutcome.LOST


def test_nothing_of_a_node_is_final_while_one_of_its_answers_is_disputed() -> None:
    hearing = Hearing()
    hearing.commit()
    disputed(hearing)
    reference = hearing.next_check()
    later = hearing.audited()

    passed = hearing.answer(later, AUDITOR)
    assert (verdicts(passed), settled(passed)) == ([(3, Verification.FINAL)], [])

    assert settled(hearing.answer(reference, REFERENCE)) == [(3, Verification.FINAL)]
    assert len(hearing.verifier.docket.open) == 0


def test_what_a_node_passed_while_it_was_found_wrong_makes_nothing_final() -> None:
    hearing = Hearing()
    hearing.commit()
    disputed(hearing, served=OTHER_OUTPUT, audited=OUTPUT)
    reference = hearing.next_check()
    hearing.answer(hearing.audited(), AUDITOR)

    outputs = hearing.answer(reference, REFERENCE)

    assert verdicts(outputs) == [(2, Verification.CORRECTED)]
    assert settled(outputs) == []
    assert settled(hearing.doubt()) == [(3, Verification.VOID)]


def test_a_void_dispute_lets_go_what_was_passed_meanwhile() -> None:
    hearing = Hearing()
    hearing.commit()
    disputed(hearing)
    reference = hearing.next_check()
    hearing.answer(hearing.audited(), AUDITOR)

    outputs = hearing.lose(reference, is_input_gone=True)

    assert verdicts(outputs) == [(2, Verification.VOID)]
    assert settled(outputs) == [(3, Verification.FINAL)]


def panel(hearing: Hearing, *outputs: bytes) -> list[Output]:
    """No reference node is found, and a panel says this after PRIMARY and AUDITOR."""
    wanted = hearing.lose_until_asked_for(Role.AUDIT)
    said: list[Output] = []
    for place, output in enumerate(outputs):
        said = [*hearing.answer(wanted, 20 + place, output=output)]
        if place + 1 < len(outputs):
            wanted = hearing.next_check()
            assert wanted.role is Role.AUDIT
    return said


def test_without_a_reference_node_four_of_five_operators_decide() -> None:
    hearing = Hearing()
    disputed(hearing, served=OTHER_OUTPUT, audited=OUTPUT)

    outputs = panel(hearing, OUTPUT, OUTPUT, OUTPUT)

    assert [one for one in outputs if isinstance(one, FaultFound) and one.settled_by is None]
    assert faults(outputs) == [PRIMARY]
    assert len(only(RecordCheck, hearing.said)) == PANEL - 1


def test_where_no_four_agree_the_answer_is_void_and_nobody_at_fault() -> None:
    hearing = Hearing()
    disputed(hearing)

    outputs = panel(hearing, OUTPUT, OTHER_OUTPUT, OUTPUT)

    assert (faults(outputs), verdicts(hearing.said)[-1]) == ([], (1, Verification.VOID))


def test_a_panel_that_is_not_complete_in_time_decides_by_who_came() -> None:
    hearing = Hearing()
    disputed(hearing, served=OUTPUT, audited=OTHER_OUTPUT)
    wanted = hearing.lose_until_asked_for(Role.AUDIT)
    hearing.answer(wanted, 20)
    hearing.answer(hearing.next_check(), 21)

    hearing.lose_all()

    assert verdicts(hearing.said)[-1] == (1, Verification.VOID)
    assert hearing.now_ms < START_MS + 2 * INPUT_KEPT_MS


def test_a_check_that_nobody_ran_is_asked_for_again_a_moment_later() -> None:
    hearing = Hearing()
    first = hearing.audited()
    assert hearing.lose(first) == []

    second = hearing.next_check()

    assert (second.role, second.check != first.check, second.draw != first.draw) == (Role.AUDIT, True, True)
    assert verdicts(hearing.answer(second, AUDITOR)) == [(1, Verification.FINAL)]


@pytest.mark.parametrize("assurance", [Assurance.SAMPLED, Assurance.ARBITRATED])
def test_an_answer_whose_input_is_gone_is_void_and_its_nodes_next_one_audited(assurance: Assurance) -> None:
    hearing = Hearing()
    wanted = hearing.audited(assurance=assurance)

    outputs = hearing.lose(wanted, is_input_gone=True)

    assert verdicts(outputs) == [(1, Verification.VOID)]
    (lost,) = only(RecordCheck, outputs)
    assert (lost.node_id, lost.outcome) == (None, CheckOutcome.LOST)
    records = [only(RecordCommit, hearing.commit(node))[0] for node in (AUDITOR, PRIMARY, PRIMARY)]
    assert [record.is_audited for record in records] == [False, True, False]


def test_what_cannot_be_audited_within_a_minute_is_void() -> None:
    hearing = Hearing()
    hearing.commit(audit_ppm=MILLION)
    hearing.lose_all()

    assert verdicts(hearing.said) == [(1, Verification.VOID)]
    assert START_MS + INPUT_KEPT_MS <= hearing.now_ms < START_MS + INPUT_KEPT_MS + 1_000


def test_the_longer_nobody_can_be_found_the_rarer_somebody_is_looked_for() -> None:
    hearing = Hearing()
    hearing.commit(audit_ppm=MILLION)
    looked_ms = []
    while hearing.now_ms < START_MS + INPUT_KEPT_MS // 2:
        wanted = hearing.next_check()
        looked_ms.append(hearing.now_ms)
        hearing.lose(wanted, is_nobody_there=False)
    waits = [later - earlier for earlier, later in pairwise(looked_ms)]

    assert waits[0] == ASK_AGAIN_MS
    assert waits == sorted(waits)
    assert waits[-1] >= INPUT_KEPT_MS // 20


def test_a_check_that_is_still_out_when_the_minute_is_over_is_waited_for() -> None:
    hearing = Hearing()
    wanted = hearing.audited()
    hearing.pass_ms(INPUT_KEPT_MS)
    assert verdicts(hearing.said) == []

    assert verdicts(hearing.answer(wanted, AUDITOR)) == [(1, Verification.FINAL)]


def test_a_second_audit_that_comes_too_late_to_be_asked_for_leaves_what_the_first_said() -> None:
    hearing = Hearing()
    wanted = hearing.audited(assurance=Assurance.ARBITRATED)
    hearing.pass_ms(INPUT_KEPT_MS)
    hearing.answer(wanted, AUDITOR)

    hearing.pass_ms(1)

    assert verdicts(hearing.said) == [(1, Verification.FINAL)]
    assert hearing.asked == []


def test_a_contradiction_that_comes_when_nobody_can_be_asked_leaves_the_answer_void() -> None:
    hearing = Hearing()
    wanted = hearing.audited()
    hearing.pass_ms(INPUT_KEPT_MS)

    assert verdicts(hearing.answer(wanted, AUDITOR, output=OTHER_OUTPUT)) == [(1, Verification.VOID)]


def test_the_end_of_a_check_that_nobody_waits_for_changes_nothing() -> None:
    hearing = Hearing()
    wanted = hearing.audited()
    hearing.answer(wanted, AUDITOR)

    assert hearing.answer(wanted, OTHER_AUDITOR, output=OTHER_OUTPUT) == []
    assert hearing.tell(CheckEnded(999)) == []


def test_a_ban_voids_what_is_open_of_the_node_and_nothing_of_others() -> None:
    hearing = Hearing()
    for node in (PRIMARY, AUDITOR, PRIMARY):
        hearing.commit(node)

    outputs = hearing.doubt()

    assert settled(outputs) == [(3, Verification.VOID)]
    assert len(hearing.verifier.docket.open) == 1
    assert hearing.doubt() == []


def test_a_ban_of_a_node_that_never_answered_says_nothing() -> None:
    assert Hearing().doubt(77) == []


def test_what_is_examined_of_a_banned_node_needs_a_reference() -> None:
    hearing = Hearing()
    wanted = hearing.audited()
    assert verdicts(hearing.doubt()) == [(1, Verification.DISPUTED)]
    assert verdicts(hearing.answer(wanted, AUDITOR)) == []
    reference = hearing.next_check()
    assert reference.role is Role.REFERENCE

    outputs = hearing.answer(reference, REFERENCE)

    assert verdicts(outputs) == [(1, Verification.FINAL)]


def test_what_is_disputed_already_is_not_disputed_twice() -> None:
    hearing = Hearing()
    disputed(hearing)

    assert hearing.doubt() == []


def test_a_suspects_answer_that_no_reference_sees_goes_to_a_panel() -> None:
    hearing = Hearing(msgspec.structs.replace(TRUST, reference_ppm=MILLION))
    wanted = hearing.audited()
    hearing.doubt()
    hearing.lose(wanted)
    wanted = hearing.lose_until_asked_for(Role.AUDIT)
    for node in range(20, 20 + PANEL - 2):
        hearing.answer(wanted, node)
        wanted = hearing.next_check()

    outputs = hearing.answer(wanted, 30)

    assert verdicts(outputs) == [(1, Verification.FINAL)]


def test_what_is_settled_is_not_put_in_doubt_again() -> None:
    hearing = Hearing(msgspec.structs.replace(TRUST, shadow_ppm=1))
    hearing.answer(hearing.audited(), AUDITOR)
    assert hearing.next_check().role is Role.SHADOW

    assert hearing.doubt() == []
