"""Canaries: answers that were found right, asked once more of somebody who has not seen them."""

import msgspec
from tests.unit.core.hearing import AUDITOR, OTHER_OUTPUT, PRIMARY, REFERENCE, TRUST, Hearing, faults, settled, verdicts
from tests.unit.core.world import GATEWAY, OUTPUT, digest_of, job_id, only, submitted

from gridlight.core.canaries import CANARIES_MAX, Canaries, Canary
from gridlight.core.cases import Answer
from gridlight.core.docket import INPUT_KEPT_MS
from gridlight.core.notices import NOBODY, CheckDecided
from gridlight.core.verification import MILLION
from gridlight.messages.trust import Assurance, CheckOutcome, KeepInput, RecordCheck, RecordCommit, ReleaseInput, Role


def canary(number: int, *, executors: tuple[int, ...] = (1, 2), ready_ms: int = 1_000) -> Canary:
    answer = Answer(Role.PRIMARY, NOBODY, None, OUTPUT, digest_of(OUTPUT), ())
    return Canary(number, submitted(job_id(number)), number, answer, executors, ready_ms)


def test_a_canary_is_issued_once() -> None:
    canaries = Canaries()
    canaries.add(canary(1))

    taken = canaries.take(1_000, 9)

    assert taken is not None
    assert taken.commit == 1
    assert canaries.take(1_000, 9) is None


def test_the_oldest_canary_goes_first() -> None:
    canaries = Canaries()
    for number in (1, 2):
        canaries.add(canary(number))

    taken = [canaries.take(1_000, 9) for _ in range(2)]

    assert [one and one.commit for one in taken] == [1, 2]


def test_a_canary_waits_until_it_is_ready() -> None:
    canaries = Canaries()
    canaries.add(canary(1, ready_ms=2_000))
    canaries.add(canary(2, ready_ms=1_000))

    taken = canaries.take(1_999, 9)

    assert taken is not None
    assert taken.commit == 2
    assert canaries.take(1_999, 9) is None
    assert canaries.take(2_000, 9) is not None


def test_a_canary_is_never_issued_to_who_had_the_task() -> None:
    canaries = Canaries()
    canaries.add(canary(1, executors=(5, 6)))

    assert canaries.take(1_000, 5) is None
    assert canaries.take(1_000, 6) is None
    assert canaries.take(1_000, 7) is not None


def test_in_a_full_pool_the_oldest_makes_room_and_is_named() -> None:
    canaries = Canaries()
    gone = [canaries.add(canary(number)) for number in range(1, CANARIES_MAX + 2)]

    assert gone[:-1] == [None] * CANARIES_MAX
    assert gone[-1] is not None
    assert gone[-1].commit == 1
    assert len(canaries.kept) == CANARIES_MAX


CANARIES = msgspec.structs.replace(TRUST, canary_ppm=MILLION)


def with_canary() -> Hearing:
    """An answer that was found right, and that may be asked again."""
    hearing = Hearing(CANARIES)
    wanted = hearing.audited(is_public=True)
    outputs = hearing.answer(wanted, AUDITOR)
    (kept,) = [one for one in only(KeepInput, outputs) if one.is_canary]
    assert INPUT_KEPT_MS <= kept.keep_ms <= CANARIES.canary_delay_ms_max + INPUT_KEPT_MS
    assert only(ReleaseInput, outputs) == []
    hearing.pass_ms(CANARIES.canary_delay_ms_max)
    return hearing


TESTED = 5


def test_an_answer_becomes_a_canary_only_with_its_owners_leave() -> None:
    hearing = Hearing(CANARIES)
    wanted = hearing.audited(is_public=False)

    outputs = hearing.answer(wanted, AUDITOR)

    assert only(ReleaseInput, outputs)
    assert hearing.verifier.docket.canaries.kept == []


def test_a_canary_is_asked_of_the_node_that_was_drawn_in_place_of_an_audit() -> None:
    hearing = with_canary()

    (record,) = hearing.commit(TESTED, audit_ppm=MILLION)

    assert isinstance(record, RecordCommit)
    assert (record.is_audited, record.is_bound) == (True, False)
    wanted = hearing.next_check()
    assert (wanted.role, wanted.node, wanted.job.job_id) == (Role.CANARY, TESTED, job_id(1))
    assert set(wanted.others) == {PRIMARY, AUDITOR}
    assert wanted.probe_seed == 1


def test_a_node_that_knows_a_canarys_answer_passed_a_check_and_no_answer_becomes_final_by_it() -> None:
    hearing = with_canary()
    hearing.commit(TESTED, audit_ppm=MILLION)

    outputs = hearing.answer(hearing.next_check(), TESTED)

    assert only(CheckDecided, outputs) == [CheckDecided(TESTED, CheckOutcome.MATCH, True, is_execution=True)]
    assert (verdicts(outputs), settled(outputs)) == ([], [])
    assert only(ReleaseInput, outputs)


def test_a_node_that_fails_a_canary_is_at_fault_once_a_reference_confirms_it() -> None:
    hearing = with_canary()
    hearing.commit(TESTED, audit_ppm=MILLION)
    hearing.answer(hearing.next_check(), TESTED, output=OTHER_OUTPUT)
    wanted = hearing.next_check()
    assert wanted.role is Role.REFERENCE

    outputs = hearing.answer(wanted, REFERENCE)

    assert faults(outputs) == [TESTED]
    assert verdicts(outputs) == []


def test_a_poisoned_canary_faults_nobody() -> None:
    hearing = with_canary()
    hearing.commit(TESTED, audit_ppm=MILLION)
    hearing.answer(hearing.next_check(), TESTED, output=OTHER_OUTPUT)

    outputs = hearing.answer(hearing.next_check(), REFERENCE, output=OTHER_OUTPUT)

    assert faults(outputs) == []
    assert hearing.verifier.docket.cases == {}


def test_a_canary_is_issued_once_and_what_was_a_canary_is_none_again() -> None:
    hearing = with_canary()
    hearing.commit(TESTED, audit_ppm=MILLION)
    hearing.answer(hearing.next_check(), TESTED)
    hearing.pass_ms(CANARIES.canary_delay_ms_max)

    assert hearing.verifier.docket.canaries.kept == []
    assert hearing.audited(TESTED + 1).role is Role.AUDIT


def test_a_node_that_was_not_tested_after_all_is_audited_the_next_time() -> None:
    hearing = with_canary()
    hearing.commit(TESTED, audit_ppm=MILLION)

    outputs = hearing.lose(hearing.next_check())

    (lost,) = only(RecordCheck, outputs)
    assert (lost.role, lost.outcome) == (Role.CANARY, CheckOutcome.LOST)
    (record,) = only(RecordCommit, hearing.commit(TESTED))
    assert (record.is_audited, record.is_bound) == (True, True)


def test_an_audit_that_was_bought_is_never_replaced_by_a_canary() -> None:
    hearing = with_canary()

    assert hearing.audited(TESTED, assurance=Assurance.AUDITED).role is Role.AUDIT


def test_in_a_full_pool_the_oldest_canary_is_released() -> None:
    hearing = Hearing(msgspec.structs.replace(CANARIES, canary_delay_ms_max=0, canary_ppm=0))
    released: list[ReleaseInput] = []
    for _ in range(257):
        released += only(ReleaseInput, hearing.answer(hearing.audited(is_public=True), AUDITOR))

    assert released == [ReleaseInput(job_id=job_id(1), gateway_id=GATEWAY)]
