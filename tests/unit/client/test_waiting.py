"""A wait ends when nothing about the answer changes any more, or when its time is over; time is moved by hand."""

import pytest

from gridlight.client.errors import (
    AnswerOverdue,
    AnswerUnreadable,
    GridlightError,
    RequestRefused,
    Unreachable,
    VerificationOverdue,
)
from gridlight.client.waiting import PAUSE_S_MAX, PAUSE_S_MIN, Waiting
from gridlight.messages.api import RequestView
from gridlight.messages.ids import JobId
from gridlight.messages.trust import Verification

JOB = JobId("req_" + "0" * 26)


def view(verification: Verification | None, *, state: str = "done", settles_by_ms: int | None = None) -> RequestView:
    return RequestView(id=JOB, state=state, verification=verification, settles_by_ms=settles_by_ms)


def refused(status: int) -> RequestRefused:
    return RequestRefused(code="BUSY", message="m", hint="h", request_id=JOB, status=status)


@pytest.mark.parametrize("verification", list(Verification))
def test_only_what_may_still_change_is_waited_for(verification: Verification) -> None:
    waiting = Waiting(JOB, 60, 0, None)

    is_open = verification in (Verification.PROVISIONAL, Verification.DISPUTED)
    assert waiting.is_over(view(verification)) is not is_open


def test_an_open_request_is_waited_for_and_a_failed_one_is_over() -> None:
    waiting = Waiting(JOB, 60, 0, None)

    assert not waiting.is_over(view(None, state="open"))
    assert waiting.is_over(view(None, state="failed"))


def test_pauses_grow_up_to_a_maximum_and_the_last_one_ends_with_the_wait() -> None:
    waiting = Waiting(JOB, 60, 1_000, None)
    waiting.is_over(view(Verification.PROVISIONAL))
    now_ms = 1_000
    pauses: list[float] = []
    while now_ms < 61_000:
        pauses.append(waiting.pause_s(now_ms))
        now_ms += round(pauses[-1] * 1_000)

    with pytest.raises(VerificationOverdue):
        waiting.pause_s(now_ms)
    assert pauses[0] == PAUSE_S_MIN
    assert pauses[:-1] == sorted(pauses[:-1])
    assert max(pauses) == PAUSE_S_MAX
    assert sum(pauses) == pytest.approx(60, abs=0.02)
    assert len(pauses) < 30


def test_an_overdue_wait_says_how_the_request_stands_and_when_it_settles() -> None:
    waiting = Waiting(JOB, 2, 0, None)
    last = view(Verification.DISPUTED, settles_by_ms=61_001)
    waiting.is_over(last)

    with pytest.raises(VerificationOverdue, match="still disputed after 2 s") as caught:
        waiting.pause_s(2_000)

    assert caught.value.view is last
    assert caught.value.hint == "it settles within 62 s"


def test_a_wait_in_which_nothing_was_heard_names_the_reason() -> None:
    waiting = Waiting(JOB, 0, 0, None)
    reason = Unreachable("no route")
    waiting.bear(reason)

    with pytest.raises(VerificationOverdue, match="still unknown after 0 s") as caught:
        waiting.pause_s(0)

    assert caught.value.__cause__ is reason
    assert caught.value.view is None


@pytest.mark.parametrize("error", [Unreachable("x"), AnswerOverdue("x"), refused(503)])
def test_a_look_that_fails_for_now_is_made_up_for(error: GridlightError) -> None:
    waiting = Waiting(JOB, 60, 0, None)

    waiting.bear(error)

    assert waiting.pause_s(0) == PAUSE_S_MIN


@pytest.mark.parametrize("error", [refused(404), AnswerUnreadable("x")])
def test_a_look_that_would_fail_for_ever_ends_the_wait(error: GridlightError) -> None:
    with pytest.raises(type(error)):
        Waiting(JOB, 60, 0, None).bear(error)


def test_a_look_does_not_outlast_the_wait_by_much() -> None:
    waiting = Waiting(JOB, 60, 0, None)

    assert waiting.call(0).timeout_s == 10
    assert waiting.call(58_000).timeout_s == 3.5
    assert waiting.call(70_000).timeout_s == 1.5


def test_each_change_is_heard_once() -> None:
    heard: list[tuple[str, Verification | None]] = []
    waiting = Waiting(JOB, 60, 0, lambda one: heard.append((one.state, one.verification)))
    for one in (
        view(None, state="open"),
        view(Verification.PROVISIONAL),
        view(Verification.PROVISIONAL, settles_by_ms=5),
        view(Verification.DISPUTED),
        view(Verification.FINAL),
    ):
        waiting.is_over(one)

    assert heard == [
        ("open", None),
        ("done", Verification.PROVISIONAL),
        ("done", Verification.DISPUTED),
        ("done", Verification.FINAL),
    ]
