"""Which answers are checked and when, and what a check that comes out well does for its node."""

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
from tests.unit.core.world import GATEWAY, OUTPUT, START_MS, digest_of, job_id, node_id, only, secret

from gridlight.core.docket import INPUT_KEPT_MS, REFERENCE_TRIES_MAX
from gridlight.core.draw import draw_keyed, is_within
from gridlight.core.notices import CheckDecided, CommitsSettled
from gridlight.core.verification import DUE_MAX, MILLION
from gridlight.messages.host import CoordinatorStarted, TimePassed
from gridlight.messages.ids import AssignmentId
from gridlight.messages.trust import (
    Assurance,
    CheckOutcome,
    EpochBegan,
    KeepInput,
    RecordCheck,
    RecordCommit,
    ReleaseInput,
    Role,
    Verification,
)


def test_every_answer_gets_the_next_number_and_is_on_record_before_anybody_is_asked() -> None:
    hearing = Hearing()

    kept, record = hearing.commit(audit_ppm=MILLION)

    assert kept == KeepInput(job_id=job_id(1), gateway_id=GATEWAY, keep_ms=INPUT_KEPT_MS)
    assert record == RecordCommit(
        commit=1,
        job_id=job_id(1),
        node_id=node_id(PRIMARY),
        assignment_id=AssignmentId(f"{1:016x}"),
        output_digest=digest_of(OUTPUT),
        epoch=1,
        audit_ppm=MILLION,
        is_audited=True,
        is_bound=True,
    )
    assert hearing.asked == []
    committed_ms = hearing.now_ms
    hearing.next_check()
    assert hearing.now_ms > committed_ms
    (second,) = only(RecordCommit, hearing.commit())
    assert second.commit == 2


def test_an_answer_that_is_not_drawn_is_not_kept_nor_asked_again() -> None:
    hearing = Hearing()

    (record,) = hearing.commit(audit_ppm=0)

    assert isinstance(record, RecordCommit)
    assert (record.is_audited, record.is_bound, record.audit_ppm) == (False, False, 0)
    assert record.verification is Verification.PROVISIONAL
    hearing.pass_ms(TRUST.settle_ms_max)
    assert hearing.asked == []


def test_who_knows_the_secret_can_draw_the_same_audits() -> None:
    hearing = Hearing()

    records = [only(RecordCommit, hearing.commit(audit_ppm=300_000))[0] for _ in range(200)]

    key = bytes.fromhex(secret(1))
    drawn = [is_within(draw_keyed(key, "audit", record.commit), record.audit_ppm) for record in records]
    assert [record.is_audited for record in records] == drawn
    assert 40 < sum(drawn) < 80


def test_a_new_epoch_draws_with_its_own_secret() -> None:
    hearing = Hearing()
    hearing.tell(EpochBegan(epoch=2, secret=secret(2), next_secret=secret(3)))

    records = [only(RecordCommit, hearing.commit(audit_ppm=500_000))[0] for _ in range(64)]

    key = bytes.fromhex(secret(2))
    assert {record.epoch for record in records} == {2}
    assert [record.is_audited for record in records] == [
        is_within(draw_keyed(key, "audit", record.commit), 500_000) for record in records
    ]


def test_audits_are_asked_for_at_random_within_their_delay() -> None:
    hearing = Hearing()
    delays = []
    for _ in range(40):
        committed_ms = hearing.now_ms
        hearing.lose(hearing.audited(), is_input_gone=True)
        delays.append(hearing.now_ms - committed_ms)

    assert all(1 <= delay_ms <= TRUST.audit_delay_ms_max + 1 for delay_ms in delays)
    assert max(delays) - min(delays) > TRUST.audit_delay_ms_max // 2


def test_without_a_lag_what_is_not_drawn_is_final_at_once() -> None:
    hearing = Hearing(msgspec.structs.replace(TRUST, finality_lag=0))

    record, counted = hearing.commit()

    assert isinstance(record, RecordCommit)
    assert record.verification is Verification.FINAL
    assert counted == CommitsSettled(PRIMARY, 1)
    assert hearing.verifier.next_deadline_ms() is None


@pytest.mark.parametrize("assurance", [Assurance.AUDITED, Assurance.ARBITRATED])
def test_an_audit_that_was_bought_is_drawn_whatever_the_rate(assurance: Assurance) -> None:
    (record,) = only(RecordCommit, Hearing().commit(audit_ppm=0, assurance=assurance))

    assert (record.is_audited, record.is_bound, record.audit_ppm) == (True, True, MILLION)


def test_an_audit_is_asked_of_who_has_not_had_the_task_and_with_its_own_probes() -> None:
    hearing = Hearing()
    hearing.commit()

    wanted = hearing.audited()

    assert (wanted.role, wanted.others, wanted.probe_seed) == (Role.AUDIT, (PRIMARY,), 2)
    assert wanted.job.job_id == job_id(2)


def test_a_match_makes_the_answer_final_and_releases_the_input() -> None:
    hearing = Hearing()
    wanted = hearing.audited()

    outputs = hearing.answer(wanted, AUDITOR)

    assert only(RecordCheck, outputs) == [
        RecordCheck(
            check=wanted.check,
            commit=1,
            role=Role.AUDIT,
            node_id=node_id(AUDITOR),
            outcome=CheckOutcome.MATCH,
            output_digest=digest_of(OUTPUT),
        )
    ]
    assert verdicts(outputs) == [(1, Verification.FINAL)]
    assert only(CommitsSettled, outputs) == [CommitsSettled(PRIMARY, 1)]
    assert only(CheckDecided, outputs) == [
        CheckDecided(PRIMARY, CheckOutcome.MATCH, True, is_execution=False),
        CheckDecided(AUDITOR, CheckOutcome.MATCH, True, is_execution=True),
    ]
    assert outputs[-1] == ReleaseInput(job_id=job_id(1), gateway_id=GATEWAY)
    assert hearing.verifier.next_deadline_ms() is None


def test_a_match_settles_older_answers_of_its_node_and_no_younger_ones() -> None:
    hearing = Hearing()
    hearing.commit()
    hearing.commit(AUDITOR)
    hearing.commit()
    wanted = hearing.audited()
    hearing.commit()

    outputs = hearing.answer(wanted, AUDITOR)

    assert verdicts(outputs) == [(4, Verification.FINAL)]
    assert settled(outputs) == [(4, Verification.FINAL)]
    assert only(CommitsSettled, outputs) == [CommitsSettled(PRIMARY, 1), CommitsSettled(PRIMARY, 2)]
    assert len(hearing.verifier.docket.open) == 2


def test_a_drawn_answer_waits_for_its_own_audit_whatever_else_its_node_passes() -> None:
    hearing = Hearing()
    bound = hearing.audited()
    later = hearing.audited()

    outputs = hearing.answer(later, AUDITOR)

    assert (verdicts(outputs), settled(outputs)) == ([(2, Verification.FINAL)], [])
    assert verdicts(hearing.answer(bound, AUDITOR)) == [(1, Verification.FINAL)]


def test_agreeing_on_nothing_settles_the_answer_itself_and_nothing_else() -> None:
    hearing = Hearing()
    hearing.commit()
    wanted = hearing.audited(output=b"")

    outputs = hearing.answer(wanted, AUDITOR, output=b"")

    assert verdicts(outputs) == [(2, Verification.FINAL)]
    assert settled(outputs) == []
    assert only(CommitsSettled, outputs) == []
    assert {one.is_informative for one in only(CheckDecided, outputs)} == {False}
    assert len(hearing.verifier.docket.open) == 1


def test_a_single_answer_that_a_reference_contradicts_is_corrected_without_a_dispute() -> None:
    hearing = Hearing(msgspec.structs.replace(TRUST, reference_ppm=MILLION))

    outputs = hearing.answer(hearing.audited(output=OTHER_OUTPUT), REFERENCE)

    assert verdicts(outputs) == [(1, Verification.CORRECTED)]
    assert faults(outputs) == [PRIMARY]


def test_more_than_may_be_attended_to_at_once_is_attended_to_in_the_next_call() -> None:
    hearing = Hearing()
    with hearing.in_bulk():
        for _ in range(DUE_MAX + 1):
            hearing.commit(audit_ppm=MILLION)
    hearing.now_ms += TRUST.audit_delay_ms_max + 1

    asked = [len(hearing.tell(TimePassed())) for _ in range(3)]

    assert asked == [DUE_MAX, 1, 0]


def test_now_and_then_a_reference_node_is_asked_instead() -> None:
    hearing = Hearing(msgspec.structs.replace(TRUST, reference_ppm=MILLION))
    wanted = hearing.audited()
    assert wanted.role is Role.REFERENCE

    outputs = hearing.answer(wanted, REFERENCE)

    assert verdicts(outputs) == [(1, Verification.FINAL)]
    assert only(CheckDecided, outputs) == [CheckDecided(PRIMARY, CheckOutcome.MATCH, True, is_execution=False)]


def test_an_audit_that_no_reference_node_takes_goes_to_another_node() -> None:
    hearing = Hearing(msgspec.structs.replace(TRUST, reference_ppm=MILLION))
    hearing.lose(hearing.audited())

    assert hearing.next_check().role is Role.AUDIT


def test_what_was_arbitrated_is_final_after_two_audits_and_a_reference() -> None:
    hearing = Hearing()
    asked = [hearing.audited(assurance=Assurance.ARBITRATED)]
    for node in (AUDITOR, OTHER_AUDITOR):
        assert verdicts(hearing.answer(asked[-1], node)) == []
        asked.append(hearing.next_check())

    outputs = hearing.answer(asked[-1], REFERENCE)

    assert [one.role for one in asked] == [Role.AUDIT, Role.AUDIT, Role.REFERENCE]
    assert verdicts(outputs) == [(1, Verification.FINAL)]
    assert [one.node for one in only(CheckDecided, outputs)] == [PRIMARY, AUDITOR, OTHER_AUDITOR]


def test_who_is_asked_next_has_nothing_in_common_with_who_was_asked_before() -> None:
    hearing = Hearing()
    first = hearing.audited(assurance=Assurance.ARBITRATED)
    hearing.pass_ms(TRUST.audit_delay_ms_max)
    assert hearing.asked == []

    hearing.answer(first, AUDITOR)

    assert hearing.next_check().others == (PRIMARY, AUDITOR)


def test_a_reference_that_was_bought_is_replaced_by_an_audit_only_after_several_tries() -> None:
    hearing = Hearing()
    hearing.answer(hearing.audited(assurance=Assurance.ARBITRATED), AUDITOR)
    hearing.answer(hearing.next_check(), OTHER_AUDITOR)
    for _ in range(REFERENCE_TRIES_MAX):
        wanted = hearing.next_check()
        assert wanted.role is Role.REFERENCE
        hearing.lose(wanted)

    wanted = hearing.next_check()

    assert wanted.role is Role.AUDIT
    assert verdicts(hearing.answer(wanted, 4)) == [(1, Verification.FINAL)]


def test_a_reference_node_that_is_busy_is_waited_for() -> None:
    hearing = Hearing()
    disputed(hearing)
    for _ in range(3 * REFERENCE_TRIES_MAX):
        hearing.lose(hearing.next_check(), is_nobody_there=False)

    assert hearing.next_check().role is Role.REFERENCE


def test_an_arbitrated_answer_is_never_final_while_a_reference_node_is_only_busy() -> None:
    hearing = Hearing()
    hearing.answer(hearing.audited(assurance=Assurance.ARBITRATED), AUDITOR)
    hearing.answer(hearing.next_check(), OTHER_AUDITOR)
    while hearing.now_ms < START_MS + INPUT_KEPT_MS * 3 // 4:
        hearing.lose(hearing.next_check(), is_nobody_there=False)

    assert verdicts(hearing.said) == []


def test_a_node_that_went_unaudited_for_so_long_is_audited_the_next_time() -> None:
    hearing = Hearing()
    hearing.commit()
    hearing.pass_ms(TRUST.settle_ms_max - 1)
    assert not only(RecordCommit, hearing.commit())[0].is_audited
    hearing.pass_ms(1)

    (record,) = only(RecordCommit, hearing.commit())

    assert (record.is_audited, record.audit_ppm) == (True, MILLION)
    assert not only(RecordCommit, hearing.commit())[0].is_audited


def test_a_busy_node_is_audited_after_so_many_answers_and_the_shorter_time() -> None:
    trust = msgspec.structs.replace(TRUST, settle_ms_min=10_000, settle_tasks=3, settle_ms_max=100_000)
    hearing = Hearing(trust)
    hearing.commit()
    hearing.pass_ms(10_000)

    records = [only(RecordCommit, hearing.commit())[0] for _ in range(4)]

    assert [record.is_audited for record in records] == [False, False, True, False]


def test_what_nobody_settled_in_time_is_void() -> None:
    hearing = Hearing()
    limit_ms = TRUST.settle_ms_max + TRUST.settle_grace_ms
    hearing.commit()
    hearing.pass_ms(1_000)
    hearing.commit()

    assert settled(hearing.pass_ms(limit_ms - 1_001)) == []
    assert settled(hearing.pass_ms(1)) == [(1, Verification.VOID)]
    assert settled(hearing.pass_ms(1_000)) == [(2, Verification.VOID)]
    assert PRIMARY not in hearing.verifier.docket.open


def test_a_node_whose_answers_were_settled_is_watched_no_more() -> None:
    hearing = Hearing()
    hearing.commit()
    hearing.answer(hearing.audited(), AUDITOR)

    assert hearing.pass_ms(TRUST.settle_ms_max + TRUST.settle_grace_ms) == []
    assert PRIMARY not in hearing.verifier.docket.open
    assert hearing.verifier.next_deadline_ms() is None


def test_a_new_process_goes_on_with_the_parameters_it_is_told() -> None:
    hearing = Hearing()
    hearing.tell(CoordinatorStarted(seed=8, workloads=(), trust=msgspec.structs.replace(TRUST, finality_lag=0)))

    assert only(RecordCommit, hearing.commit())[0].verification is Verification.FINAL
