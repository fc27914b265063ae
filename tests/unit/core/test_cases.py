"""Cases: what follows from all that was said of one answer. Outputs match here where they are equal."""

import msgspec
import pytest
from tests.unit.core.world import digest_of, job_id, node_id, submitted

from gridlight.core.cases import PANEL, PANEL_AGREEING_MIN, Answer, Case, Finding, Step, find
from gridlight.core.notices import NOBODY
from gridlight.messages.trust import Role

Said = tuple[Role, bytes]
AUDIT, REFERENCE, SHADOW = Role.AUDIT, Role.REFERENCE, Role.SHADOW
RIGHT, WRONG, THIRD = b"right", b"wrong", b"third"


def answer(node: int, role: Role, output: bytes) -> Answer:
    return Answer(role, node, node_id(node), output, digest_of(output), ())


def case_of(served: bytes, *others: Said) -> Case:
    """Node 1 served, nodes 2, 3, ... were asked."""
    answers = [answer(1, Role.PRIMARY, served)]
    answers += [answer(2 + place, role, output) for place, (role, output) in enumerate(others)]
    return Case(
        number=1,
        commit=1,
        job=submitted(job_id(1)),
        probe_seed=1,
        draw=0,
        answers=answers,
        due_ms=0,
        until_ms=60_000,
        wanted=[],
    )


def judged(case: Case) -> Finding:
    return find(case, lambda one, other: one.output == other.output)


def wrong_nodes(finding: Finding) -> list[int]:
    return [one.node for one in finding.wrong]


@pytest.mark.parametrize("role", [AUDIT, REFERENCE, SHADOW])
def test_an_answer_that_all_others_agree_with_stands(role: Role) -> None:
    assert judged(case_of(RIGHT, (role, RIGHT))) == Finding(Step.AGREED)


@pytest.mark.parametrize("others", [[(AUDIT, WRONG)], [(AUDIT, RIGHT), (AUDIT, WRONG)], [(SHADOW, WRONG)]])
def test_a_contradiction_goes_to_a_reference_node(others: list[Said]) -> None:
    assert judged(case_of(RIGHT, *others)) == Finding(Step.ASK_REFERENCE)


def test_whoever_contradicts_the_reference_is_wrong() -> None:
    finding = judged(case_of(RIGHT, (AUDIT, WRONG), (AUDIT, RIGHT), (REFERENCE, RIGHT)))

    assert finding.step is Step.SETTLED
    assert wrong_nodes(finding) == [2]
    assert finding.truth is not None
    assert finding.truth.node == 1
    assert finding.settled_by == node_id(4)


def test_a_wrong_answer_is_corrected_by_what_the_reference_says() -> None:
    finding = judged(case_of(WRONG, (AUDIT, RIGHT), (REFERENCE, RIGHT)))

    assert wrong_nodes(finding) == [1]
    assert finding.truth is not None
    assert finding.truth.role is REFERENCE


def test_against_one_node_a_single_reference_has_the_last_word() -> None:
    assert wrong_nodes(judged(case_of(WRONG, (REFERENCE, RIGHT)))) == [1]


def test_a_reference_that_all_others_contradict_is_not_believed_alone() -> None:
    case = case_of(WRONG, (AUDIT, WRONG), (REFERENCE, RIGHT))

    assert judged(case) == Finding(Step.ASK_REFERENCE)


def test_two_references_are_believed_against_all_others() -> None:
    finding = judged(case_of(WRONG, (AUDIT, WRONG), (REFERENCE, RIGHT), (REFERENCE, RIGHT)))

    assert wrong_nodes(finding) == [1, 2]


def test_where_there_is_no_second_reference_the_first_is_believed() -> None:
    case = case_of(WRONG, (AUDIT, WRONG), (REFERENCE, RIGHT))
    case.lacks_reference = True

    assert wrong_nodes(judged(case)) == [1, 2]


def test_references_that_contradict_each_other_decide_nothing() -> None:
    assert judged(case_of(WRONG, (AUDIT, WRONG), (REFERENCE, RIGHT), (REFERENCE, WRONG))) == Finding(Step.UNDECIDED)


def test_a_suspects_answer_is_not_cleared_by_audits() -> None:
    case = case_of(RIGHT, (AUDIT, RIGHT), (AUDIT, RIGHT))
    case.is_suspect = True
    assert judged(case) == Finding(Step.ASK_REFERENCE)

    case.answers.append(answer(9, REFERENCE, RIGHT))

    assert judged(case) == Finding(Step.AGREED)


def test_without_a_reference_a_panel_is_asked() -> None:
    case = case_of(RIGHT, (AUDIT, WRONG))
    case.lacks_reference = True

    assert judged(case) == Finding(Step.ASK_PANEL)


def panel_of(served: bytes, *others: bytes) -> Case:
    """No reference node was found, and the panel has spoken."""
    case = case_of(served, *((AUDIT, output) for output in others))
    case.lacks_reference = case.is_panel = True
    return case


def test_four_of_five_operators_settle_it() -> None:
    finding = judged(panel_of(WRONG, RIGHT, RIGHT, RIGHT, RIGHT))

    assert (finding.step, wrong_nodes(finding), finding.settled_by) == (Step.SETTLED, [1], None)
    assert finding.truth is not None
    assert finding.truth.output == RIGHT
    assert (PANEL, PANEL_AGREEING_MIN) == (5, 4)


def test_the_served_answer_stays_where_the_panel_agrees_with_it() -> None:
    finding = judged(panel_of(RIGHT, WRONG, RIGHT, RIGHT, RIGHT))

    assert wrong_nodes(finding) == [2]
    assert finding.truth is not None
    assert finding.truth.node == 1


@pytest.mark.parametrize("others", [(WRONG, WRONG, RIGHT, RIGHT), (WRONG, THIRD, RIGHT, RIGHT), (WRONG, RIGHT)])
def test_fewer_than_four_that_agree_decide_nothing(others: tuple[bytes, ...]) -> None:
    assert judged(panel_of(RIGHT, *others)) == Finding(Step.UNDECIDED)


def test_a_panel_can_clear_a_suspect() -> None:
    case = panel_of(RIGHT, RIGHT, RIGHT, RIGHT, RIGHT)
    case.is_suspect = True

    assert judged(case) == Finding(Step.AGREED)


def test_newcomers_have_no_voice_in_a_panel() -> None:
    case = panel_of(RIGHT, WRONG, RIGHT, RIGHT)
    case.answers.append(answer(9, SHADOW, RIGHT))

    assert judged(case) == Finding(Step.UNDECIDED)


def test_a_newcomers_contradiction_is_not_worth_a_panel() -> None:
    case = case_of(RIGHT, (AUDIT, RIGHT), (SHADOW, WRONG))
    case.is_settled = case.lacks_reference = True

    assert judged(case) == Finding(Step.UNDECIDED)


def test_the_known_answer_of_a_canary_can_be_found_wrong() -> None:
    case = case_of(WRONG, (Role.CANARY, RIGHT), (REFERENCE, RIGHT))
    case.answers[0] = msgspec.structs.replace(case.answers[0], node=NOBODY, node_id=None)
    case.is_canary = True

    assert wrong_nodes(judged(case)) == [NOBODY]
