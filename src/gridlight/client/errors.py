"""What can go wrong for a requester, as exceptions that say what happened and what to do."""


class GridlightError(Exception):
    """Something the requester can act on: `str()` says what happened, `hint` what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class RequestRefused(GridlightError):
    """The network's own answer that it does not, or cannot, do this; `code` is for programs."""

    def __init__(
        self, *, code: str, message: str, hint: str, request_id: str, status: int, retry_after_s: float | None = None
    ) -> None:
        super().__init__(f"{code}: {message}", hint)
        self.code = code
        self.message = message
        self.request_id = request_id
        self.status = status
        self.retry_after_s = retry_after_s


class DeadlineExceeded(RequestRefused):
    """The deadline came first; the network said so, and nothing is still running for this request."""


class Unreachable(GridlightError):
    """No connection, or it broke off: whether the request was done is unknown."""


class AnswerOverdue(GridlightError):
    """Connected, but no answer by the deadline and the time allowed on top: whether it was done is unknown."""


class AnswerUnreadable(GridlightError):
    """What answered is no Gridlight gateway, or one of another version."""


class BadInput(GridlightError):
    """A file or folder that was named is missing, or is not what it must be; nothing was sent."""
