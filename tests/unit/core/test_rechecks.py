"""Workloads that dither: each run has a seed of its own, and a reference node repeats some of them."""

import msgspec
import pytest
from tests.unit.core.hearing import (
    AUDITOR,
    NEWCOMER,
    PRIMARY,
    REFERENCE,
    TRUST,
    Hearing,
    faults,
    verdicts,
)
from tests.unit.core.world import WORKLOAD, only

from gridlight.core.notices import CheckWanted, FaultFound, Output
from gridlight.core.verification import MILLION
from gridlight.messages.limits import DITHER_BITS
from gridlight.messages.results import Detection, encode_detections
from gridlight.messages.trust import (
    Assurance,
    CheckOutcome,
    Comparison,
    KeepInput,
    RecordCheck,
    ReleaseInput,
    Role,
    TrustParameters,
    Verification,
)

BOXES = Comparison(
    name="boxes",
    parameters={
        "iou_min": 9_500,
        "score_delta_max": 100,
        "border_band": 100,
        "probe_delta_max": 10,
        "dither_delta_max": 1_000,
    },
)
ALWAYS = msgspec.structs.replace(TRUST, recheck_ppm=MILLION)
NEVER = msgspec.structs.replace(TRUST, recheck_ppm=0)
THING = encode_detections([Detection(class_id=1, score=9_000, box=(160, 160, 1_760, 1_760))])
ELSEWHERE = encode_detections([Detection(class_id=1, score=9_000, box=(2_000, 160, 3_600, 1_760))])
SERVED_PROBES, OTHER_DITHER, NO_DITHER = (0,), (500,), (5_000,)
"""Of the first run; of another one, which are near them; and of another model."""


def asked(
    hearing: Hearing,
    *,
    probes: tuple[int, ...] = (),
    assurance: Assurance = Assurance.SAMPLED,
    is_public: bool = False,
) -> CheckWanted:
    """An answer that is drawn, and the check that is asked for."""
    return hearing.audited(output=THING, probes=probes, assurance=assurance, is_public=is_public)


def said(
    hearing: Hearing, wanted: CheckWanted, node: int, *, output: bytes = THING, probes: tuple[int, ...] = ()
) -> list[Output]:
    """A node ran the check."""
    return hearing.answer(wanted, node, output=output, probes=probes)


def dithering(trust: TrustParameters = NEVER) -> Hearing:
    return Hearing(trust, {WORKLOAD: BOXES})


def audit(hearing: Hearing, probes: tuple[int, ...] = OTHER_DITHER) -> tuple[CheckWanted, list[Output]]:
    wanted = asked(hearing, probes=SERVED_PROBES)
    return wanted, said(hearing, wanted, AUDITOR, probes=probes)


def recheck_of(role: Role, trust: TrustParameters = ALWAYS) -> tuple[Hearing, CheckWanted]:
    """An audited answer whose primary's or auditor's run a reference node is asked to repeat; which one is drawn."""
    hearing = dithering(trust)
    for _ in range(40):
        wanted, outputs = audit(hearing)
        assert verdicts(outputs) == [(hearing.verifier.commit, Verification.FINAL)]
        again = hearing.next_check()
        assert again.role is Role.REFERENCE
        if (again.probe_seed == wanted.probe_seed) is (role is Role.AUDIT):
            return hearing, again
        hearing.lose(again)
    raise AssertionError("one run is never drawn")


def test_a_check_has_a_seed_of_its_own_with_the_places_of_the_task() -> None:
    hearing = dithering()
    seeds = {audit(hearing)[0].probe_seed for _ in range(20)}

    assert len(seeds) == 20
    assert all(seed >> DITHER_BITS == 0 for seed in seeds), "these tasks have places 0"
    assert len({seed & 0xFF for seed in seeds}) > 10


def test_runs_of_two_dithers_agree_where_their_probes_are_near() -> None:
    _, outputs = audit(dithering(), OTHER_DITHER)
    assert verdicts(outputs) == [(1, Verification.FINAL)]

    _, outputs = audit(dithering(), NO_DITHER)
    assert verdicts(outputs) == [(1, Verification.DISPUTED)]


def test_a_share_of_nothing_repeats_no_run() -> None:
    _, outputs = audit(dithering())

    assert only(ReleaseInput, outputs)


def test_a_workload_that_does_not_dither_has_nothing_repeated() -> None:
    hearing = Hearing(ALWAYS)
    wanted = asked(hearing)

    assert wanted.probe_seed == 1
    assert only(ReleaseInput, said(hearing, wanted, AUDITOR))


@pytest.mark.parametrize(
    ("role", "node", "own"), [(Role.PRIMARY, PRIMARY, SERVED_PROBES), (Role.AUDIT, AUDITOR, OTHER_DITHER)]
)
def test_who_ran_the_model_stands_when_its_run_is_repeated(role: Role, node: int, own: tuple[int, ...]) -> None:
    hearing, again = recheck_of(role)
    assert {PRIMARY, AUDITOR} <= set(again.others), node

    outputs = said(hearing, again, REFERENCE, probes=own)

    assert (verdicts(outputs), faults(outputs)) == ([], [])
    assert [one.role for one in only(RecordCheck, outputs)] == [Role.REFERENCE]
    assert only(ReleaseInput, outputs)
    assert not hearing.verifier.docket.cases


@pytest.mark.parametrize(("role", "node"), [(Role.PRIMARY, PRIMARY), (Role.AUDIT, AUDITOR)])
def test_who_copied_is_found_when_its_run_is_repeated_and_the_requester_keeps_its_answer(role: Role, node: int) -> None:
    hearing, again = recheck_of(role)

    outputs = said(hearing, again, REFERENCE, probes=(250,))

    assert verdicts(outputs) == []
    (fault,) = only(FaultFound, outputs)
    assert (fault.node, fault.role, fault.are_probes_wrong) == (node, role, True)
    assert not hearing.verifier.docket.cases


def test_a_reference_node_that_is_busy_is_waited_for_and_one_that_is_not_there_is_not() -> None:
    hearing, again = recheck_of(Role.AUDIT)

    hearing.lose(again, is_nobody_there=False)
    later = hearing.next_check()
    assert (later.role, later.probe_seed) == (Role.REFERENCE, again.probe_seed)

    assert only(ReleaseInput, hearing.lose(later))
    assert not hearing.verifier.docket.cases


def test_an_input_that_is_gone_is_not_run_again() -> None:
    hearing, again = recheck_of(Role.AUDIT)

    assert only(ReleaseInput, hearing.lose(again, is_input_gone=True))


def test_nothing_is_repeated_of_an_input_that_is_kept_no_longer() -> None:
    hearing = dithering(ALWAYS)
    wanted = asked(hearing, probes=SERVED_PROBES)
    hearing.pass_ms(60_000)

    assert only(ReleaseInput, said(hearing, wanted, AUDITOR, probes=OTHER_DITHER))


def test_a_reference_node_that_audits_repeats_the_run_that_was_served() -> None:
    hearing = dithering(msgspec.structs.replace(ALWAYS, reference_ppm=MILLION))
    wanted = asked(hearing, probes=SERVED_PROBES)
    assert (wanted.role, wanted.probe_seed) == (Role.REFERENCE, 1)

    outputs = said(hearing, wanted, REFERENCE, probes=SERVED_PROBES)

    assert verdicts(outputs) == [(1, Verification.FINAL)]
    assert only(ReleaseInput, outputs), "no run is left that nobody repeated"


def test_newcomers_runs_are_repeated_too() -> None:
    hearing = dithering(msgspec.structs.replace(ALWAYS, shadow_ppm=1, shadows_per_check_max=2))
    found = set[int]()
    for _ in range(30):
        audit(hearing)
        seeds = {}
        for node in (NEWCOMER, NEWCOMER + 1):
            wanted = hearing.next_check()
            assert wanted.role is Role.SHADOW
            seeds[wanted.probe_seed] = node
            said(hearing, wanted, node, probes=OTHER_DITHER)
        again = hearing.next_check()
        assert again.role is Role.REFERENCE
        found |= set(faults(said(hearing, again, REFERENCE, probes=(250,)))) & set(seeds.values())
    assert found == {NEWCOMER, NEWCOMER + 1}


def test_a_canary_has_a_seed_of_its_own_and_its_run_is_repeated() -> None:
    hearing = dithering(msgspec.structs.replace(ALWAYS, canary_ppm=MILLION, canary_delay_ms_max=0))
    wanted = asked(hearing, is_public=True, probes=SERVED_PROBES)
    said(hearing, wanted, AUDITOR, probes=OTHER_DITHER)
    outputs = hearing.lose(hearing.next_check())
    assert [one.is_canary for one in only(KeepInput, outputs)] == [True]
    hearing.pass_ms(100)
    hearing.commit(5, audit_ppm=MILLION)
    canary = hearing.next_check()
    assert (canary.role, canary.probe_seed == 1, canary.probe_seed >> DITHER_BITS) == (Role.CANARY, False, 0)
    said(hearing, canary, 5, probes=OTHER_DITHER)

    again = hearing.next_check()
    assert (again.role, again.probe_seed) == (Role.REFERENCE, canary.probe_seed)
    assert faults(said(hearing, again, REFERENCE, probes=(250,))) == [5]


def disputed() -> tuple[Hearing, CheckWanted]:
    """An auditor says that something else is there; the first reference node repeats what was served, and agrees."""
    hearing = dithering()
    wanted = asked(hearing, probes=SERVED_PROBES)
    said(hearing, wanted, AUDITOR, output=ELSEWHERE, probes=OTHER_DITHER)
    first = hearing.next_check()
    assert (first.role, first.probe_seed) == (Role.REFERENCE, 1)
    outputs = said(hearing, first, REFERENCE, probes=SERVED_PROBES)
    assert faults(outputs) == []
    second = hearing.next_check()
    assert (second.role, second.probe_seed) == (Role.REFERENCE, wanted.probe_seed)
    return hearing, second


def test_who_is_contradicted_is_judged_by_a_repetition_of_its_own_run() -> None:
    hearing, second = disputed()

    outputs = said(hearing, second, REFERENCE + 10, probes=OTHER_DITHER)

    assert verdicts(outputs) == [(1, Verification.FINAL)]
    (fault,) = only(FaultFound, outputs)
    assert (fault.node, fault.are_probes_wrong) == (AUDITOR, False)


def test_who_is_right_by_the_own_seed_is_no_liar_though_another_dither_differs() -> None:
    hearing = dithering()
    wanted = asked(hearing, probes=SERVED_PROBES)
    said(hearing, wanted, AUDITOR, probes=(1_200,))
    said(hearing, hearing.next_check(), REFERENCE, probes=SERVED_PROBES)

    outputs = said(hearing, hearing.next_check(), REFERENCE + 10, probes=(900,))
    assert faults(outputs) == [AUDITOR]

    hearing = dithering()
    said(hearing, asked(hearing, probes=SERVED_PROBES), AUDITOR, probes=(1_001,))
    said(hearing, hearing.next_check(), REFERENCE, probes=SERVED_PROBES)

    outputs = said(hearing, hearing.next_check(), REFERENCE + 10, probes=(999,))
    assert (faults(outputs), verdicts(outputs)) == ([], [(1, Verification.FINAL)])


def test_without_a_second_reference_node_other_probes_alone_ban_nobody() -> None:
    hearing, second = disputed()
    while second.role is Role.REFERENCE and not faults(outputs := hearing.lose(second)):
        second = hearing.next_check()

    (fault,) = only(FaultFound, outputs)
    assert (fault.node, fault.are_probes_wrong) == (AUDITOR, False)


def test_an_arbitrated_answer_is_run_again_as_it_was() -> None:
    hearing = dithering()
    first = asked(hearing, assurance=Assurance.ARBITRATED, probes=SERVED_PROBES)
    said(hearing, first, AUDITOR, probes=OTHER_DITHER)
    second = hearing.next_check()
    said(hearing, second, AUDITOR + 1, probes=OTHER_DITHER)
    third = hearing.next_check()

    assert (third.role, third.probe_seed) == (Role.REFERENCE, 1)
    assert len({1, first.probe_seed, second.probe_seed}) == 3
    outputs = said(hearing, third, REFERENCE, probes=SERVED_PROBES)
    assert [one.outcome for one in only(RecordCheck, outputs)] == [CheckOutcome.MATCH]


def test_a_restored_verifier_knows_whose_run_is_repeated() -> None:
    first, again = recheck_of(Role.AUDIT)
    second, same = recheck_of(Role.AUDIT)
    second.go_on_from_a_snapshot()

    assert again == same
    assert said(first, again, REFERENCE, probes=(250,)) == said(second, same, REFERENCE, probes=(250,))


def test_where_two_dithers_differ_much_and_all_ran_the_model_the_answer_is_final() -> None:
    """In a dark, even picture the last bits decide: probes of two dithers are nothing alike there."""
    hearing = dithering()
    said(hearing, asked(hearing, probes=SERVED_PROBES), AUDITOR, probes=NO_DITHER)
    said(hearing, hearing.next_check(), REFERENCE, probes=SERVED_PROBES)

    outputs = said(hearing, hearing.next_check(), REFERENCE + 10, probes=NO_DITHER)

    assert (faults(outputs), verdicts(outputs)) == ([], [(1, Verification.FINAL)])


def lost_from(hearing: Hearing) -> list[Output]:
    """No further reference node is there."""
    outputs = list[Output]()
    while hearing.verifier.docket.cases:
        outputs = hearing.lose(hearing.next_check())
    return outputs


def test_where_two_dithers_differ_and_no_reference_node_is_left_nobody_is_at_fault() -> None:
    hearing = dithering()
    said(hearing, asked(hearing, probes=SERVED_PROBES), AUDITOR, probes=NO_DITHER)
    said(hearing, hearing.next_check(), REFERENCE, probes=SERVED_PROBES)

    assert verdicts(lost_from(hearing)) == [(1, Verification.VOID)]
    assert faults(hearing.said) == []


def panel(*, output: bytes, probes: tuple[int, ...]) -> list[Output]:
    """An auditor contradicts, and without a reference node three others repeat the run that was served."""
    hearing = dithering()
    said(hearing, asked(hearing, probes=SERVED_PROBES), AUDITOR, output=output, probes=probes)
    outputs = list[Output]()
    for node in (20, 21, 22):
        wanted = hearing.lose_until_asked_for(Role.AUDIT)
        assert wanted.probe_seed == 1
        outputs = said(hearing, wanted, node, probes=SERVED_PROBES)
    assert verdicts(outputs) == [(1, Verification.FINAL)]
    return outputs


def test_a_panel_repeats_the_run_that_was_served_and_another_dither_is_no_fault() -> None:
    assert faults(panel(output=THING, probes=NO_DITHER)) == []
    assert faults(panel(output=ELSEWHERE, probes=OTHER_DITHER)) == [AUDITOR]


def test_reference_nodes_that_see_two_things_settle_nothing() -> None:
    hearing, second = disputed()

    assert verdicts(said(hearing, second, REFERENCE + 10, output=ELSEWHERE, probes=OTHER_DITHER)) == [
        (1, Verification.VOID)
    ]
    assert faults(hearing.said) == []
