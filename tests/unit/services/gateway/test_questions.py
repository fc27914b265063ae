"""What a gateway asks the coordinator for a node, and how the answer is put into words."""

import asyncio

import pytest

from gridlight.messages.ids import GatewayId, NodeId, WorkloadId
from gridlight.messages.reasons import NOT_GIVEN, Reason, ReasonsAsked, TellReasons, WorkloadReasons
from gridlight.services.gateway import questions as limits
from gridlight.services.gateway.errors import Refusal
from gridlight.services.gateway.outbox import Outbox
from gridlight.services.gateway.questions import Questions
from gridlight.services.gateway.why import SAID, why_response

GATEWAY = GatewayId("gw0123456789ab")
NODE = NodeId("U" + "A" * 55)
COUNTED = WorkloadReasons(
    workload=WorkloadId("coco-ssd@sha256:" + "0" * 64),
    since_ms=1_000,
    considered=12,
    reasons={Reason.DONE: 4, Reason.NOT_DRAWN: 7, Reason.LATE: 1},
)


async def asked(
    questions: Questions, outbox: Outbox
) -> tuple["asyncio.Task[tuple[WorkloadReasons, ...]]", ReasonsAsked]:
    """A question on its way, and what the coordinator hears of it."""
    asking = asyncio.create_task(questions.reasons(NODE))
    await asyncio.sleep(0)
    (word,) = outbox.take()
    assert isinstance(word, ReasonsAsked)
    return asking, word


async def test_each_question_has_its_own_answer() -> None:
    outbox = Outbox()
    questions = Questions(GATEWAY, outbox)
    first, word = await asked(questions, outbox)
    second, other = await asked(questions, outbox)

    questions.answered(TellReasons(gateway_id=GATEWAY, question=other.question, workloads=()))
    questions.answered(TellReasons(gateway_id=GATEWAY, question=word.question, workloads=(COUNTED,)))

    assert (word.gateway_id, word.node_id) == (GATEWAY, NODE)
    assert await first == (COUNTED,)
    assert await second == ()


async def test_a_node_that_the_coordinator_does_not_know_is_unknown() -> None:
    outbox = Outbox()
    questions = Questions(GATEWAY, outbox)
    asking, word = await asked(questions, outbox)

    questions.answered(TellReasons(gateway_id=GATEWAY, question=word.question, workloads=None))

    with pytest.raises(Refusal) as refused:
        await asking
    assert refused.value.code == "UNKNOWN_NODE"


async def test_whoever_gets_no_answer_in_time_is_told_so_and_a_late_one_hurts_nobody() -> None:
    outbox = Outbox()
    questions = Questions(GATEWAY, outbox, answer_s_max=0.01)
    asking, word = await asked(questions, outbox)

    with pytest.raises(Refusal) as refused:
        await asking

    assert (refused.value.code, refused.value.status) == ("NO_COORDINATOR", 503)
    questions.answered(TellReasons(gateway_id=GATEWAY, question=word.question, workloads=()))


async def test_an_answer_that_comes_twice_is_taken_once() -> None:
    outbox = Outbox()
    questions = Questions(GATEWAY, outbox)
    asking, word = await asked(questions, outbox)

    for workloads in ((COUNTED,), ()):
        questions.answered(TellReasons(gateway_id=GATEWAY, question=word.question, workloads=workloads))

    assert await asking == (COUNTED,)


async def test_only_so_many_questions_wait_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "WAITING_MAX", 1)
    outbox = Outbox()
    questions = Questions(GATEWAY, outbox)
    asking, word = await asked(questions, outbox)

    with pytest.raises(Refusal) as refused:
        await questions.reasons(NODE)

    assert refused.value.code == "BUSY"
    questions.answered(TellReasons(gateway_id=GATEWAY, question=word.question, workloads=()))
    await asking


async def test_only_so_many_are_asked_in_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter([5, 5, 5, 6])
    monkeypatch.setattr(limits, "ASKED_A_SECOND_MAX", 2)
    monkeypatch.setattr(limits, "monotonic_ms", lambda: next(seconds) * 1_000)
    outbox = Outbox()
    questions = Questions(GATEWAY, outbox)
    first, second = await asked(questions, outbox), await asked(questions, outbox)

    with pytest.raises(Refusal) as refused:
        await questions.reasons(NODE)
    third = await asked(questions, outbox)

    assert (refused.value.code, refused.value.status) == ("BUSY", 503)
    for asking, word in (first, second, third):
        questions.answered(TellReasons(gateway_id=GATEWAY, question=word.question, workloads=()))
        assert await asking == ()


def test_every_reason_is_told_in_sentences_with_what_to_do() -> None:
    assert list(SAID) == list(Reason)
    for said in SAID.values():
        assert said.sentence.endswith(".")
        assert said.advice.endswith(".")


def test_the_most_frequent_reason_comes_first_and_all_add_up() -> None:
    (told,) = why_response(NODE, 5_000, (COUNTED,)).workloads

    assert [view.reason for view in told.reasons] == ["not_drawn", "done", "late"]
    assert sum(view.tasks for view in told.reasons) == told.considered
    assert [view.is_given for view in told.reasons] == [False, True, True]
    assert told.reasons[1].sentence == SAID[Reason.DONE].sentence
    assert Reason.DONE not in NOT_GIVEN
