"""How long to wait until nothing about an answer changes any more, and how often to look."""

from collections.abc import Callable
from typing import Final

from gridlight.client.errors import (
    AnswerOverdue,
    GridlightError,
    RequestRefused,
    Unreachable,
    VerificationOverdue,
)
from gridlight.client.exchange import DEADLINE_GRACE_S, READ_TIMEOUT_S, Call, request_call
from gridlight.messages.api import RequestView
from gridlight.messages.ids import JobId
from gridlight.messages.trust import Verification

WAIT_S: Final = 120.0
PAUSE_S_MIN: Final = 0.1
PAUSE_S_MAX: Final = 5.0
PAUSE_GROWTH: Final = 1.5
TRY_AGAIN: Final = 503

IN_THE_BALANCE: Final = (Verification.PROVISIONAL, Verification.DISPUTED)

ViewListener = Callable[[RequestView], None]
"""Hears a request's view when it is first seen, and each time that its state or verification changed."""


class Waiting:
    """One wait, without I/O: says what to ask, whether that was the end, and how long to pause. Time is an argument."""

    def __init__(self, job_id: JobId, timeout_s: float, now_ms: int, listen: ViewListener | None) -> None:
        assert timeout_s >= 0
        self._job_id = job_id
        self._timeout_s = timeout_s
        self._ends_ms = now_ms + int(timeout_s * 1000)
        self._listen = listen
        self._view: RequestView | None = None
        self._error: GridlightError | None = None
        self._pause_s = PAUSE_S_MIN

    def call(self, now_ms: int) -> Call:
        """The next look; it ends soon after the wait does."""
        left_s = max(0, self._ends_ms - now_ms) / 1000
        return request_call(self._job_id, timeout_s=min(READ_TIMEOUT_S, left_s + DEADLINE_GRACE_S))

    def is_over(self, view: RequestView) -> bool:
        """Whether this is how it stays."""
        before, self._view, self._error = self._view, view, None
        is_news = before is None or (before.state, before.verification) != (view.state, view.verification)
        if is_news and self._listen is not None:
            self._listen(view)
        return view.state != "open" and view.verification not in IN_THE_BALANCE

    def bear(self, error: GridlightError) -> None:
        """A look that failed is made up for by the next one, unless it would fail for ever."""
        is_passing = isinstance(error, Unreachable | AnswerOverdue)
        if not is_passing and not (isinstance(error, RequestRefused) and error.status == TRY_AGAIN):
            raise error
        self._error = error

    def pause_s(self, now_ms: int) -> float:
        """Until the next look, longer each time. VerificationOverdue where no time is left."""
        left_ms = self._ends_ms - now_ms
        if left_ms <= 0:
            raise VerificationOverdue(self._job_id, self._timeout_s, self._view) from self._error
        pause_s = min(self._pause_s, left_ms / 1000)
        self._pause_s = min(self._pause_s * PAUSE_GROWTH, PAUSE_S_MAX)
        return pause_s
