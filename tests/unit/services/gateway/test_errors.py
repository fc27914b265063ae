import msgspec
import pytest

from gridlight.messages.jobs import JobCode, JobState, Outcome
from gridlight.services.gateway.errors import (
    KINDS,
    PICTURE_CODES,
    Refusal,
    encode_refusal,
    horde_code,
    refusal_of,
)


@pytest.mark.parametrize("code", list(JobCode))
def test_every_way_a_job_can_end_has_a_status_a_sentence_and_a_hint(code: JobCode) -> None:
    kind = KINDS[code.value]

    assert 400 <= kind.status < 600
    assert kind.message.endswith(".")
    assert kind.hint.endswith(".")


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("UNKNOWN_MODEL", 404),
        ("NO_CAPABLE_NODE", 422),
        ("DEADLINE_TOO_SHORT", 422),
        ("NO_NODE_ONLINE", 503),
        ("BUSY", 503),
        ("COORDINATOR_RESTARTED", 503),
        ("DEADLINE_EXCEEDED", 504),
        ("ATTEMPTS_EXHAUSTED", 502),
        ("NODE_NOT_ONLINE", 409),
    ],
)
def test_a_code_has_its_http_status(code: str, status: int) -> None:
    assert Refusal(code).status == status


def test_every_503_says_when_to_come_back() -> None:
    assert all(kind.retry_after_s for kind in KINDS.values() if kind.status == 503)


def test_every_refusal_of_a_picture_is_a_4xx() -> None:
    assert all(400 <= KINDS[code].status < 500 for code in PICTURE_CODES)


def test_the_coordinators_own_hint_and_retry_go_before_the_usual() -> None:
    outcome = Outcome(state=JobState.REFUSED, code=JobCode.BUSY, hint="Wait for a slot.", retry_after_ms=1_200)

    refusal = refusal_of(outcome)

    assert refusal.hint == "Wait for a slot."
    assert refusal.retry_after_s == 2
    assert refusal.message == KINDS["BUSY"].message


def test_a_code_is_also_spelt_as_ai_horde_does() -> None:
    assert horde_code("NO_CAPABLE_NODE") == "NoCapableNode"


def test_a_body_names_code_message_hint_and_request() -> None:
    body = msgspec.json.decode(encode_refusal(Refusal("BAD_DEADLINE", "deadline_ms is 5."), "req_x"))

    assert body["rc"] == "BadDeadline"
    assert body["error"]["code"] == "BAD_DEADLINE"
    assert body["error"]["message"] == "deadline_ms is 5."
    assert "200 to 60000" in body["error"]["hint"]
    assert body["error"]["request_id"] == "req_x"
