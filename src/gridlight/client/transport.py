"""How a call goes over HTTP: who is said to ask, how long each step may take, and what went wrong, in our words."""

import httpx

from gridlight.adapters.api_keys import find_api_key
from gridlight.client.errors import AnswerOverdue, AnswerUnreadable, GridlightError, Unreachable
from gridlight.client.exchange import ANSWER_BYTES_MAX, CONNECT_TIMEOUT_S, Call


def authorization(url: str, token: str | None, api_key: str | None) -> dict[str, str]:
    """The headers that say who asks."""
    if token is None:
        key = api_key or find_api_key(url)
        return {} if key is None else {"Authorization": f"Bearer {key}"}
    return {"Authorization": f"Bearer {token}"} | ({} if api_key is None else {"X-Api-Key": api_key})


def timeouts(call: Call) -> httpx.Timeout:
    """Of each step; `connect` is shorter, so that a dead address is known as one."""
    return httpx.Timeout(call.timeout_s, connect=min(CONNECT_TIMEOUT_S, call.timeout_s))


def check_progress(url: str, call: Call, body_bytes: int, *, is_overdue: bool) -> None:
    """Raise where the answer has become too long or too late."""
    if is_overdue:
        raise overdue(url, call)
    if body_bytes > ANSWER_BYTES_MAX:
        raise AnswerUnreadable(f"{url} answered more than {ANSWER_BYTES_MAX} bytes", "is this a Gridlight gateway?")


def overdue(url: str, call: Call) -> AnswerOverdue:
    """No answer within the call's own time."""
    return AnswerOverdue(
        f"no answer from {url}{call.path} within {call.timeout_s:g} s",
        "the gateway is overloaded or hangs: see its log, or try again later",
    )


def transport_error(url: str, call: Call, error: httpx.HTTPError) -> GridlightError:
    """httpx's many errors, as the two that a requester tells apart."""
    if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
        return overdue(url, call)
    reason = str(error) or type(error).__name__
    return Unreachable(
        f"cannot reach a gateway at {url} ({reason})", "is the network up? `gridlight up` starts one on this machine"
    )
