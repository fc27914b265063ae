"""What can go wrong for a requester, as exceptions that say what happened and what to do."""

from gridlight.messages.api import RequestView
from gridlight.messages.ids import JobId


class GridlightError(Exception):
    """Something the requester can act on: `str()` says what happened, `hint` what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class RequestRefused(GridlightError):
    """The network's own answer that it does not, or cannot, do this; `code` is for programs."""

    def __init__(
        self,
        *,
        code: str,
        message: str,
        hint: str,
        request_id: str,
        status: int,
        retry_after_s: float | None = None,
        details: dict[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}", hint)
        self.code = code
        self.message = message
        self.request_id = request_id
        self.status = status
        self.retry_after_s = retry_after_s
        self.details = details or {}


class DeadlineExceeded(RequestRefused):
    """The deadline came first; the network said so, and nothing is still running for this request."""


class Unreachable(GridlightError):
    """No connection, or it broke off: whether the request was done is unknown."""


class AnswerOverdue(GridlightError):
    """Connected, but no answer by the deadline and the time allowed on top: whether it was done is unknown."""


class AnswerUnreadable(GridlightError):
    """What answered is no Gridlight gateway, or one of another version."""


class VerificationOverdue(GridlightError):
    """The wait was over before the verification was; `view` is how the request stood then, where anything was heard."""

    def __init__(self, job_id: JobId, timeout_s: float, view: RequestView | None) -> None:
        stood = "unknown" if view is None else view.verification or view.state
        settles_by_ms = None if view is None else view.settles_by_ms
        later = (
            "ask for it again later" if settles_by_ms is None else f"it settles within {-(-settles_by_ms // 1000)} s"
        )
        super().__init__(f"request {job_id} is still {stood} after {timeout_s:g} s", later)
        self.view = view


class BadInput(GridlightError):
    """A file or folder that was named is missing, or is not what it must be; nothing was sent."""
