import base64
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from gridlight.messages.api import Privacy
from gridlight.messages.limits import JSON_BODY_BYTES_MAX, UPLOAD_BYTES_MAX
from gridlight.messages.trust import Assurance
from gridlight.services.gateway.errors import Refusal, RequesterGone
from gridlight.services.gateway.uploads import (
    BodyBudget,
    BodyReader,
    Parameters,
    body_bytes_max,
    check_announced,
    parse_upload,
    read_query,
)


class Wire:
    """ASGI's `receive` over given messages; knows how many were taken."""

    def __init__(self, *messages: dict[str, Any]) -> None:
        self.messages = messages
        self.taken = 0

    async def __call__(self) -> dict[str, Any]:
        self.taken += 1
        return self.messages[self.taken - 1]


def part(body: bytes, *, more: bool) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


def code_of(act: Callable[[], object]) -> str:
    with pytest.raises(Refusal) as caught:
        act()
    assert 400 <= caught.value.status < 500
    assert caught.value.message
    assert caught.value.hint
    return caught.value.code


def as_json(**fields: Any) -> bytes:
    return msgspec.json.encode({"image": {"b64": base64.b64encode(b"picture").decode()}, **fields})


def json_code(body: bytes) -> str:
    return code_of(lambda: parse_upload("application/json", {}, body))


async def test_a_body_in_parts_is_joined() -> None:
    body = BodyReader(Wire(part(b"ab", more=True), part(b"", more=True), part(b"cd", more=False)))

    assert await body.read(10) == b"abcd"
    assert body.is_complete


async def test_a_body_past_its_limit_is_refused_and_its_rest_never_read() -> None:
    wire = Wire(*[part(b"x" * 1_000, more=True)] * 100)
    body = BodyReader(wire)

    with pytest.raises(Refusal, match="more than 2500 bytes") as caught:
        await body.read(2_500)

    assert caught.value.status == 413
    assert wire.taken == 3
    assert not body.is_complete


async def test_a_requester_who_leaves_while_uploading_is_noticed() -> None:
    body = BodyReader(Wire(part(b"x", more=True), {"type": "http.disconnect"}))

    with pytest.raises(RequesterGone):
        await body.read(10)


def test_an_announced_length_past_the_limit_is_refused_before_reading() -> None:
    assert code_of(lambda: check_announced({b"content-length": b"104857600"}, UPLOAD_BYTES_MAX)) == "BODY_TOO_LARGE"
    assert code_of(lambda: check_announced({b"content-length": b"9" * 5_000}, UPLOAD_BYTES_MAX)) == "BODY_TOO_LARGE"
    assert code_of(lambda: check_announced({b"content-length": b"-1"}, UPLOAD_BYTES_MAX)) == "BAD_REQUEST"


def test_a_body_of_unknown_length_counts_as_the_longest() -> None:
    assert check_announced({}, 100) == 100
    assert check_announced({b"content-length": b"7"}, 100) == 7


def test_bodies_beyond_the_budget_are_refused_until_others_are_done() -> None:
    budget = BodyBudget(100)
    budget.take(60)

    with pytest.raises(Refusal) as caught:
        budget.take(60)
    assert caught.value.code == "BUSY"

    budget.give_back(60)
    budget.take(100)


def test_each_media_type_has_its_limit_and_others_are_refused() -> None:
    assert body_bytes_max("image/jpeg") == UPLOAD_BYTES_MAX
    assert body_bytes_max("application/json") == JSON_BODY_BYTES_MAX
    assert body_bytes_max("multipart/form-data") > UPLOAD_BYTES_MAX
    for kind in ("", "text/plain", "application/x-www-form-urlencoded", "application/octet-stream"):
        assert code_of(lambda kind=kind: body_bytes_max(kind)) == "UNSUPPORTED_MEDIA_TYPE"  # type: ignore[misc]  # bound now


def test_a_raw_picture_is_taken_as_it_is() -> None:
    assert parse_upload("image/jpeg", {}, b"picture").picture == b"picture"


@pytest.mark.parametrize("kind", ["image/jpeg", "application/json"])
def test_an_empty_body_is_refused(kind: str) -> None:
    assert code_of(lambda: parse_upload(kind, {}, b"")) == "EMPTY_BODY"


def test_json_carries_picture_and_parameters() -> None:
    upload = parse_upload("application/json", {}, as_json(model="coco-ssd", deadline_ms=2_000, threshold=0.4))

    assert upload.picture == b"picture"
    assert upload.parameters == Parameters(model="coco-ssd", deadline_ms=2_000, threshold=4_000)


def test_json_may_carry_a_data_url() -> None:
    body = msgspec.json.encode({"image": {"b64": "data:image/png;base64,cGljdHVyZQ=="}})

    assert parse_upload("application/json", {}, body).picture == b"picture"


@pytest.mark.parametrize(
    "text", ["not base64!", "cGljdHVyZQ", "cGlj\ndHVyZQ==", "cGljdHVyZQ==x", "é", "data:image/png,cGlj", "data:"]
)
def test_base64_junk_is_refused(text: str) -> None:
    assert json_code(msgspec.json.encode({"image": {"b64": text}})) == "BAD_BASE64"


def test_json_without_a_picture_is_refused() -> None:
    assert json_code(b'{"image":{"b64":""}}') == "EMPTY_BODY"
    assert json_code(b"{}") == "BAD_JSON"
    assert json_code(b'{"image":{"url":"http://example.org"}}') == "BAD_JSON"
    assert json_code(b"not json") == "BAD_JSON"
    assert json_code(b'"' + b"\xff" * 10) == "BAD_JSON"
    assert json_code(b"[" * 100_000) == "BAD_JSON"
    assert json_code(as_json(treshold=0.5)) == "BAD_JSON"


@pytest.mark.parametrize("deadline", [-1, 0, 199, 60_001, 10**30, 1.5, "4000", True])
def test_a_bad_deadline_in_json_has_its_own_code(deadline: Any) -> None:
    assert json_code(as_json(deadline_ms=deadline)) == "BAD_DEADLINE"


@pytest.mark.parametrize("threshold", [0.2, -1, 1.01, "0.5"])
def test_a_bad_threshold_in_json_has_its_own_code(threshold: Any) -> None:
    assert json_code(as_json(threshold=threshold)) == "BAD_THRESHOLD"


def test_base64_of_more_than_the_largest_picture_is_refused() -> None:
    body = msgspec.json.encode({"image": {"b64": base64.b64encode(bytes(UPLOAD_BYTES_MAX + 1)).decode()}})

    assert len(body) < JSON_BODY_BYTES_MAX
    assert json_code(body) == "BODY_TOO_LARGE"


def test_the_query_names_parameters_and_the_header_fills_in_the_deadline() -> None:
    assert read_query(b"model=coco-ssd&threshold=0.5&deadline_ms=300", {}) == Parameters(
        model="coco-ssd", deadline_ms=300, threshold=5_000
    )
    assert read_query(b"", {b"x-deadline-ms": b"300"}) == Parameters(deadline_ms=300)
    assert read_query(b"deadline_ms=400", {b"x-deadline-ms": b"300"}) == Parameters(deadline_ms=400)


@pytest.mark.parametrize("text", ["-5", "0", "199", "60001", "9" * 400, "4e3", "", "+400", "²00", "400 ", "0x190"])
def test_a_bad_deadline_in_the_query_is_refused_with_the_range(text: str) -> None:
    with pytest.raises(Refusal, match="deadline_ms is") as caught:
        read_query(f"deadline_ms={text}".encode("latin-1"), {})
    assert caught.value.code == "BAD_DEADLINE"
    assert "200 to 60000" in caught.value.hint


@pytest.mark.parametrize("text", ["0.24", "0.2499999", "nan", "inf", "-inf", "1.0001", "x", "", "1e400"])
def test_a_bad_threshold_in_the_query_is_refused_with_the_range(text: str) -> None:
    with pytest.raises(Refusal, match="threshold is") as caught:
        read_query(f"threshold={text}".encode(), {})
    assert caught.value.code == "BAD_THRESHOLD"
    assert "0.25 to 1" in caught.value.hint


FORM = b"".join(
    b'--x\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % field
    for field in [(b"image", b"picture"), (b"verify", b"audited"), (b"privacy", b"public")]
)


def test_verification_and_privacy_are_chosen_in_query_form_and_json_alike() -> None:
    chosen = Parameters(verify=Assurance.AUDITED, privacy=Privacy.PUBLIC)

    assert read_query(b"verify=audited&privacy=public", {}) == chosen
    assert parse_upload("multipart/form-data", {"boundary": "x"}, FORM + b"--x--\r\n").parameters == chosen
    assert parse_upload("application/json", {}, as_json(verify="audited", privacy="public")).parameters == chosen


def test_what_the_body_chooses_goes_before_the_query() -> None:
    inside = Parameters(verify=Assurance.NONE)
    asked = Parameters(verify=Assurance.AUDITED, privacy=Privacy.PUBLIC)

    assert inside.over(asked) == Parameters(verify=Assurance.NONE, privacy=Privacy.PUBLIC)


@pytest.mark.parametrize("text", ["", "Audited", "full", "none ", "sampled,audited"])
def test_an_unknown_choice_is_refused_with_those_there_are(text: str) -> None:
    for name, code, allowed in (
        ("verify", "BAD_VERIFY", "none, sampled, audited, arbitrated"),
        ("privacy", "BAD_PRIVACY", "private, public"),
    ):
        acts: list[Callable[[], object]] = [
            lambda name=name: read_query(f"{name}={text}".encode(), {}),  # type: ignore[misc]  # bound now
            lambda name=name: parse_upload("application/json", {}, as_json(**{name: text})),  # type: ignore[misc]
        ]
        for act in acts:
            with pytest.raises(Refusal) as caught:
                act()
            assert (caught.value.code, caught.value.status) == (code, 400)
            assert allowed in caught.value.hint


@pytest.mark.parametrize("value", [1, True, ["audited"]])
def test_a_choice_in_json_that_is_no_text_has_its_own_code(value: Any) -> None:
    assert json_code(as_json(verify=value)) == "BAD_VERIFY"
    assert json_code(as_json(privacy=value)) == "BAD_PRIVACY"


def test_a_parameter_that_nobody_knows_is_refused() -> None:
    assert code_of(lambda: read_query(b"treshold=0.5", {})) == "BAD_PARAMETER"
    assert code_of(lambda: read_query(b"model=" + b"x" * 5_000, {})) == "BAD_PARAMETER"
    assert code_of(lambda: read_query(b"&".join([b"model=x"] * 100), {})) == "BAD_PARAMETER"
    assert code_of(lambda: read_query(b"", {b"x-deadline-ms": b"soon"})) == "BAD_DEADLINE"
