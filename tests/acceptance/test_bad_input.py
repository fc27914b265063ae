"""Whatever is sent is refused with code, message, hint and request id, and good requests at the side notice nothing."""

import base64
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import msgspec
import pytest
from tests.acceptance.callers import Callers
from tests.acceptance.stand import Network, gridlight, picture_process_of
from tests.pictures.making import BAD, GOOD, encoded, photo

from gridlight.messages.api import DetectResponse, ErrorResponse

pytestmark = pytest.mark.xdist_group("network")

MIB: Final = 1024 * 1024
ENDLESS_BYTES: Final = 100 * MIB
SENT_BYTES_MAX: Final = 60 * MIB
"""What may go out before the refusal is heard: 8 MiB are read, and the kernel's own buffers hold some 40 at most."""

REFUSED_S: Final = 2.5
"""A refusal never takes longer, and a good request beside it neither."""

JPEG: Final = {"Content-Type": "image/jpeg"}


@pytest.fixture(scope="module", autouse=True)
def good_requests(network: Network, bus: Path) -> Iterator[Callers]:
    """Two requesters ask on while every test of this file runs; not one of their requests may fail or be slow."""
    pictures = picture_process_of(network)
    with Callers(network.url, bus, 2) as callers:
        yield callers
    assert len(callers.answered) > 50
    assert [str(one) for one in callers.refused] == []
    assert [str(one) for one in callers.ends if one.lasted_ms > REFUSED_S * 1_000] == []
    assert picture_process_of(network) == pictures, "no picture cost the process that decodes them its life"


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False, timeout=10) as client:
        yield client


def post(http: httpx.Client, network: Network, **request: Any) -> httpx.Response:
    """To /v1/detect; every answer has to come soon."""
    query = request.pop("query", "")
    started_s = time.monotonic()
    answer = http.post(f"{network.url}/v1/detect{query}", **request)
    assert time.monotonic() - started_s <= REFUSED_S
    return answer


def refusal(answer: httpx.Response) -> str:
    """The code of a refusal that has all that it must have."""
    assert 400 <= answer.status_code < 500, (answer.status_code, answer.content[:500])
    refused = msgspec.json.decode(answer.content, type=ErrorResponse)
    assert refused.error.message
    assert refused.error.hint
    assert refused.error.request_id.startswith("req_")
    assert refused.rc
    return refused.error.code


@pytest.mark.parametrize("name", list(BAD))
def test_a_bad_picture_is_refused(name: str, http: httpx.Client, network: Network) -> None:
    code, make = BAD[name]

    # The gateway looks at sizes before any picture is decoded, and has its own words for them.
    of_gateway = {"EMPTY_PICTURE": "EMPTY_BODY", "PICTURE_TOO_LARGE": "BODY_TOO_LARGE"}
    assert refusal(post(http, network, content=make(), headers=JPEG)) == of_gateway.get(code, code)


@pytest.mark.parametrize("name", list(GOOD))
def test_an_odd_but_legal_picture_is_answered(name: str, http: httpx.Client, network: Network) -> None:
    answer = post(http, network, content=GOOD[name](), headers=JPEG)

    assert answer.status_code == 200, answer.content
    assert msgspec.json.decode(answer.content, type=DetectResponse).state == "done"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("?deadline_ms=-1", "BAD_DEADLINE"),
        ("?deadline_ms=0", "BAD_DEADLINE"),
        ("?deadline_ms=199", "BAD_DEADLINE"),
        ("?deadline_ms=60001", "BAD_DEADLINE"),
        ("?deadline_ms=99999999999999999999999", "BAD_DEADLINE"),
        ("?deadline_ms=soon", "BAD_DEADLINE"),
        ("?deadline_ms=NaN", "BAD_DEADLINE"),
        ("?deadline_ms=", "BAD_DEADLINE"),
        ("?threshold=0.1", "BAD_THRESHOLD"),
        ("?threshold=2", "BAD_THRESHOLD"),
        ("?threshold=nan", "BAD_THRESHOLD"),
        ("?model=skynet", "UNKNOWN_MODEL"),
        ("?model=", "UNKNOWN_MODEL"),
        ("?modle=coco-ssd", "BAD_PARAMETER"),
        ("?" + "x" * 5_000, "BAD_PARAMETER"),
    ],
)
def test_a_bad_parameter_is_refused(query: str, code: str, http: httpx.Client, network: Network) -> None:
    assert refusal(post(http, network, content=GOOD["jpeg"](), headers=JPEG, query=query)) == code


@pytest.mark.parametrize(
    ("kind", "body", "code"),
    [
        ("text/plain", b"a bus", "UNSUPPORTED_MEDIA_TYPE"),
        ("", b"a bus", "UNSUPPORTED_MEDIA_TYPE"),
        ("application/x-www-form-urlencoded", b"image=bus", "UNSUPPORTED_MEDIA_TYPE"),
        ("application/json", b"", "EMPTY_BODY"),
        ("application/json", b"{", "BAD_JSON"),
        ("application/json", b'{"image": "bus"}', "BAD_JSON"),
        ("application/json", b'{"image": {"b64": "!!! junk !!!"}}', "BAD_BASE64"),
        ("application/json", b'{"image": {"b64": "AAA"}}', "BAD_BASE64"),
        ("application/json", b'{"image": {"b64": ""}}', "EMPTY_BODY"),
        ("application/json", b'{"image": {"b64": "QUJD"}}', "NOT_A_PICTURE"),
        ("application/json", b'{"image": {"b64": "QUJD"}, "deadline_ms": -5}', "BAD_DEADLINE"),
        ("application/json", b'{"image": {"b64": "QUJD"}, "colour": 1}', "BAD_JSON"),
        ("application/json", b"[" * 100_000, "BAD_JSON"),
        ("application/json", b"\xff\xfe", "BAD_JSON"),
        ("multipart/form-data", b"junk", "BAD_FORM"),
        ("multipart/form-data; boundary=x", b"junk", "BAD_FORM"),
    ],
)
def test_a_bad_body_is_refused(kind: str, body: bytes, code: str, http: httpx.Client, network: Network) -> None:
    assert refusal(post(http, network, content=body, headers={"Content-Type": kind})) == code


def test_a_pin_without_the_administrator_s_token_is_refused(http: httpx.Client, network: Network) -> None:
    node_id = next(iter(network.agents()))
    pin = {**JPEG, "X-Gridlight-Node": node_id}

    codes = [
        refusal(post(http, network, content=GOOD["jpeg"](), headers={**pin, **more}))
        for more in ({}, {"Authorization": "Bearer " + "0" * 43}, {"Authorization": f"Basic {network.token}"})
    ]

    assert codes == ["UNAUTHORIZED", "FORBIDDEN", "UNAUTHORIZED"]


def test_a_json_body_over_its_limit_is_refused(http: httpx.Client, network: Network) -> None:
    body = b'{"image": {"b64": "' + base64.b64encode(bytes(10 * MIB)) + b'"}}'

    assert refusal(post(http, network, content=body, headers={"Content-Type": "application/json"})) == "BODY_TOO_LARGE"


@pytest.mark.parametrize("is_announced", [True, False])
def test_a_100_mb_upload_is_refused_without_being_read_whole(is_announced: bool, network: Network) -> None:
    address = urlsplit(network.url)
    length = f"Content-Length: {ENDLESS_BYTES}" if is_announced else "Transfer-Encoding: chunked"
    head = f"POST /v1/detect HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: image/jpeg\r\n{length}\r\n\r\n"
    block = bytes(MIB) if is_announced else b"%x\r\n" % MIB + bytes(MIB) + b"\r\n"
    sent = 0
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=REFUSED_S) as connection:
        connection.sendall(head.encode())
        try:
            while sent < ENDLESS_BYTES:
                connection.sendall(block)
                sent += len(block)
        except (ConnectionError, TimeoutError):
            pass  # the gateway has turned away
        answer = heard(connection)

    assert sent <= SENT_BYTES_MAX
    # Where the connection was reset under what we still sent, the answer may be lost on its way.
    assert not answer or (b" 413 " in answer and b"BODY_TOO_LARGE" in answer)


def heard(connection: socket.socket) -> bytes:
    """What has been answered so far, as far as it can still be read."""
    answer = b""
    try:
        while piece := connection.recv(65_536):
            answer += piece
    except (ConnectionError, TimeoutError):
        pass
    return answer


def test_a_patient_requester_reads_why_100_mb_are_refused(network: Network) -> None:
    address = urlsplit(network.url)
    head = (
        f"POST /v1/detect HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: image/jpeg\r\n"
        f"Content-Length: {ENDLESS_BYTES}\r\nExpect: 100-continue\r\n\r\n"
    )
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=REFUSED_S) as connection:
        connection.sendall(head.encode())
        answer = heard(connection)

    assert b" 413 " in answer.splitlines()[0]
    assert b"BODY_TOO_LARGE" in answer


def test_what_is_no_http_is_hung_up_on(network: Network) -> None:
    address = urlsplit(network.url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=REFUSED_S) as connection:
        connection.sendall(b"\x16\x03\x01\x02\x00 what is in my photo?\r\n\r\n")

        assert heard(connection)[:12] in (b"", b"HTTP/1.1 400")


@pytest.mark.parametrize(
    "path", ["/v1/requests/req_nothing", f"/v1/requests/req_{'0' * 26}", "/v1/nothing", "/v1/detect"]
)
def test_what_is_not_there_is_said_to_be_missing(path: str, http: httpx.Client, network: Network) -> None:
    assert refusal(http.get(f"{network.url}{path}")) in ("UNKNOWN_REQUEST", "NOT_FOUND", "METHOD_NOT_ALLOWED")


@pytest.mark.parametrize("name", ["text", "truncated jpeg", "decompression bomb", "animated png"])
def test_the_command_line_says_in_one_line_what_is_wrong(name: str, network: Network, tmp_path: Path) -> None:
    code, make = BAD[name]
    path = tmp_path / "picture"
    path.write_bytes(make())

    ran = gridlight("detect", path, "--url", network.url)

    assert ran.returncode == 1
    assert ran.stdout == ""
    assert len(ran.stderr.splitlines()) == 1
    assert code in ran.stderr


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--deadline-ms", "-5"], "deadline"),
        (["--deadline-ms", "100000000"], "deadline"),
        (["--threshold", "0.1"], "threshold"),
        (["--model", "skynet"], "UNKNOWN_MODEL"),
    ],
)
def test_the_command_line_refuses_bad_options(options: list[str], word: str, network: Network, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(encoded(photo(), "PNG"))

    ran = gridlight("detect", path, "--url", network.url, *options)

    assert ran.returncode in (1, 2)
    assert word in ran.stderr
    assert "Traceback" not in ran.stderr
