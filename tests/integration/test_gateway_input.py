"""Whatever is sent, the answer is an explicit 4xx with code, message, hint and request id, and the service goes on."""

import asyncio
import base64
import io
import struct
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from PIL import Image
from tests.integration.conftest import WAIT_S, Connections, Server
from tests.integration.gateway_stand import Stand, add_node, standing

from gridlight.adapters.blobs import Blobs
from gridlight.adapters.signatures import sha256_digest
from gridlight.messages.api import ErrorResponse, ModelsResponse
from gridlight.services.gateway import connection
from gridlight.workloads.contract import catalogue

MIB = 1024 * 1024


@pytest.fixture
async def stand(server: Server, connections: Connections, tmp_path: Path) -> AsyncIterator[Stand]:
    async with standing(server, connections, tmp_path) as one:
        await add_node(one, connections)
        yield one


def picture(kind: str = "JPEG", mode: str = "RGB", size: tuple[int, int] = (64, 48), **options: object) -> bytes:
    file = io.BytesIO()
    Image.new(mode, size).save(file, kind, **options)
    return file.getvalue()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(width: int, height: int, depth: int = 8) -> bytes:
    """A well-formed PNG of zeros: very large once decoded."""
    compressor = zlib.compressobj(9)
    row = bytes(1 + width * 3 * depth // 8)
    rows = b"".join(compressor.compress(row) for _ in range(height)) + compressor.flush()
    header = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", rows) + png_chunk(b"IEND", b"")


def animated_png() -> bytes:
    file = io.BytesIO()
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue")]
    frames[0].save(file, "PNG", save_all=True, append_images=frames[1:])
    return file.getvalue()


def refusal(status: int, body: bytes) -> str:
    """The code of a refusal that has all that it must have."""
    assert 400 <= status < 500, (status, body)
    response = msgspec.json.decode(body, type=ErrorResponse)
    assert response.error.message
    assert response.error.hint
    assert response.error.request_id.startswith("req_")
    assert response.rc == response.error.code.title().replace("_", "")
    return response.error.code


BAD_PICTURES = {
    "text": (b"this is a text file\n" * 100, "NOT_A_PICTURE"),
    "truncated JPEG": (picture(size=(640, 480), quality=95)[:1_500], "PICTURE_BROKEN"),
    "50 megapixels": (png_of(10_000, 5_000), "TOO_MANY_PIXELS"),
    "decompression bomb": (png_of(30_000, 3_000), "TOO_MANY_PIXELS"),
    "animated PNG": (animated_png(), "PICTURE_UNSUPPORTED"),
    "16-bit PNG": (png_of(40, 40, depth=16), "PICTURE_UNSUPPORTED"),
    "CMYK JPEG": (picture(mode="CMYK"), "PICTURE_UNSUPPORTED"),
    "GIF": (picture("GIF", "P"), "NOT_A_PICTURE"),
}


async def test_bad_pictures_are_refused_with_a_reason(stand: Stand) -> None:
    for name, (content, code) in BAD_PICTURES.items():
        answer = await stand.detect(content)
        assert refusal(answer.status_code, answer.content) == code, name

    assert (await stand.detect(picture())).status_code == 200
    assert await stand.metric("gridlight_picture_process_restarts_total") == 0


async def test_legal_pictures_of_every_kind_work(stand: Stand) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    legal = {
        "grayscale": picture(mode="L"),
        "palette": picture("PNG", "P"),
        "alpha": picture("PNG", "RGBA"),
        "WebP": picture("WEBP"),
        "turned": picture(exif=exif),
        "8-bit PNG": png_of(64, 48),
    }
    sizes = {}
    for name, content in legal.items():
        answer = await stand.detect(content)
        assert answer.status_code == 200, (name, answer.text)
        sizes[name] = answer.json()["image"]

    assert sizes.pop("turned") == {"width": 48, "height": 64}
    assert all(size == {"width": 64, "height": 48} for size in sizes.values())


async def test_bad_bodies_and_parameters_are_refused_with_a_reason(stand: Stand) -> None:
    good = picture()
    encoded = base64.b64encode(good).decode()

    async def said(body: object) -> str:
        answer = await stand.http.post("/v1/detect", json=body)
        return refusal(answer.status_code, answer.content)

    async def asked(content: bytes = good, kind: str = "image/jpeg", **parameters: object) -> str:
        answer = await stand.detect(content, kind, **parameters)
        return refusal(answer.status_code, answer.content)

    assert await asked(b"") == "EMPTY_BODY"
    assert await asked(kind="text/plain") == "UNSUPPORTED_MEDIA_TYPE"
    assert await asked(kind="") == "UNSUPPORTED_MEDIA_TYPE"
    assert await asked(kind="multipart/form-data") == "BAD_FORM"
    assert await asked(kind="application/json") == "BAD_JSON"
    assert await asked(model="no-such-model") == "UNKNOWN_MODEL"
    assert await asked(model="coco-ssd@sha256:" + "0" * 64) == "UNKNOWN_MODEL"
    assert await asked(deadline_ms=-1) == "BAD_DEADLINE"
    assert await asked(deadline_ms=10**12) == "BAD_DEADLINE"
    assert await asked(threshold=0.1) == "BAD_THRESHOLD"
    assert await asked(treshold=0.5) == "BAD_PARAMETER"
    assert await said({"image": {"b64": "@@@ junk @@@"}}) == "BAD_BASE64"
    assert await said({"image": {"b64": base64.b64encode(b"text").decode()}}) == "NOT_A_PICTURE"
    assert await said({"image": {"b64": encoded}, "deadline_ms": 0}) == "BAD_DEADLINE"
    assert await said({"image": {"b64": encoded}, "model": "no-such-model"}) == "UNKNOWN_MODEL"
    assert await said({"image": {"b64": encoded}, "threshold": 2}) == "BAD_THRESHOLD"
    assert await said({"image": {"b64": base64.b64encode(bytes(9 * MIB)).decode()}}) == "BODY_TOO_LARGE"
    assert (await stand.detect(good)).status_code == 200


async def test_a_workload_is_run_by_its_name_or_id_with_the_same_refusals(stand: Stand) -> None:
    good = picture()

    async def run(workload: str, content: bytes = good, kind: str = "image/jpeg", **parameters: Any) -> httpx.Response:
        headers = {"Content-Type": kind} if kind else {}
        return await stand.http.post(f"/v1/run/{workload}", content=content, params=parameters, headers=headers)

    for workload in ("coco-ssd", next(iter(catalogue()))):
        answer = await run(workload)
        assert answer.status_code == 200, answer.text
        assert answer.json()["model"] == next(iter(catalogue()))
        assert "lines" not in answer.json()

    async def code(workload: str = "coco-ssd", *arguments: Any, **parameters: Any) -> str:
        answer = await run(workload, *arguments, **parameters)
        return refusal(answer.status_code, answer.content)

    assert await code("no-such-workload") == "UNKNOWN_MODEL"
    assert await code(model="coco-ssd") == "BAD_PARAMETER"
    assert await code("coco-ssd", b"") == "EMPTY_BODY"
    assert await code("coco-ssd", b"text") == "NOT_A_PICTURE"
    assert await code("coco-ssd", good, "text/plain") == "UNSUPPORTED_MEDIA_TYPE"
    assert await code(deadline_ms=1) == "BAD_DEADLINE"
    assert await code(threshold=0.1) == "BAD_THRESHOLD"


async def upload(stand: Stand, head: str, chunk: bytes, chunks_max: int) -> tuple[int, bytes, int]:
    """Write until the gateway answers: its status, its body, and how many bytes it let us send."""
    host, port = stand.url.removeprefix("http://").split(":")
    async with asyncio.timeout(WAIT_S):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"POST /v1/detect HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n{head}\r\n\r\n".encode())
        answering = asyncio.ensure_future(reader.readuntil(b"\r\n\r\n"))
        sent = 0
        while sent < chunks_max * len(chunk) and not answering.done():
            writer.write(chunk)
            await writer.drain()
            sent += len(chunk)
        answer = await answering
        length = int(answer.lower().partition(b"content-length: ")[2].split()[0])
        body = await reader.readexactly(length)
        writer.close()
    return int(answer.split()[1]), body, sent


async def test_a_100_mb_upload_is_refused_without_being_read(stand: Stand) -> None:
    status, body, sent = await upload(stand, f"Content-Length: {100 * MIB}", bytes(64 * 1024), 1_600)

    assert (status, refusal(status, body)) == (413, "BODY_TOO_LARGE")
    assert sent < 16 * MIB


async def test_an_upload_that_hides_its_length_is_refused_at_the_limit(stand: Stand) -> None:
    chunk = b"10000\r\n" + bytes(64 * 1024) + b"\r\n"

    status, body, sent = await upload(stand, "Transfer-Encoding: chunked", chunk, 1_600)

    assert (status, refusal(status, body)) == (413, "BODY_TOO_LARGE")
    assert sent < 24 * MIB


async def test_an_upload_that_stalls_is_refused_by_its_deadline(stand: Stand) -> None:
    status, body, _ = await upload(stand, "Content-Length: 1000\r\nX-Deadline-Ms: 300", b"a few bytes", 1)

    assert (status, refusal(status, body)) == (408, "UPLOAD_TOO_SLOW")


async def spoken(stand: Stand, *chunks: bytes) -> tuple[int, bytes]:
    """Raw bytes to the gateway's port, until it answers; and its answer."""
    host, port = stand.url.removeprefix("http://").split(":")
    async with asyncio.timeout(WAIT_S):
        reader, writer = await asyncio.open_connection(host, int(port))
        answering = asyncio.ensure_future(reader.readuntil(b"\r\n\r\n"))
        for chunk in chunks:
            if not answering.done():
                writer.write(chunk)
                await writer.drain()
                await asyncio.sleep(0)
        answer = await answering
        body = await reader.readexactly(int(answer.lower().partition(b"content-length: ")[2].split()[0]))
        writer.close()
    return int(answer.split()[1]), body


async def test_what_is_no_http_is_refused_in_the_same_shape(stand: Stand) -> None:
    status, body = await spoken(stand, b"\x16\x03\x01 this is no HTTP\r\n\r\n")

    assert (status, refusal(status, body)) == (400, "BAD_REQUEST")


async def test_a_head_without_end_is_refused(stand: Stand) -> None:
    head = b"GET /healthz HTTP/1.1\r\nX-Long: "

    status, body = await spoken(stand, head, *[b"x" * 8_192] * 1_000)

    assert (status, refusal(status, body)) == (431, "HEAD_TOO_LARGE")


async def test_a_head_that_never_comes_is_refused(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_S_MAX", 0.05)

    status, body = await spoken(stand, b"GET /healthz HTTP/1.1\r\nX-Slow: ")

    assert (status, refusal(status, body)) == (408, "HEAD_TOO_SLOW")


async def test_bad_input_does_not_slow_other_requests(stand: Stand) -> None:
    bomb = png_of(8_000, 5_000)  # forty megapixels: the largest that is taken
    bad = [stand.detect(content) for content, _ in BAD_PICTURES.values()]

    answers = await asyncio.gather(stand.detect(bomb, deadline_ms=20_000), *bad, stand.detect(picture()))

    assert answers[0].status_code == 200
    assert answers[-1].status_code == 200


async def test_unknown_addresses_and_methods_are_refused_in_the_same_shape(stand: Stand) -> None:
    expected = {
        ("GET", "/nowhere"): (404, "NOT_FOUND"),
        ("GET", "/v1/detect"): (405, "METHOD_NOT_ALLOWED"),
        ("DELETE", "/v1/nodes"): (405, "METHOD_NOT_ALLOWED"),
        ("GET", "/v1/requests/req_" + "0" * 26): (404, "UNKNOWN_REQUEST"),
        ("GET", "/v1/requests/nonsense"): (404, "UNKNOWN_REQUEST"),
        ("GET", "/v1/blobs/sha256:" + "0" * 64): (404, "UNKNOWN_BLOB"),
        ("GET", "/v1/blobs/..%2F..%2Fadmin.token"): (404, "NOT_FOUND"),
        ("GET", "/v1/blobs/..admin.token"): (404, "UNKNOWN_BLOB"),
        ("POST", "/v1/nodes"): (400, "BAD_ENROLMENT"),
    }
    for (method, path), (status, code) in expected.items():
        answer = await stand.http.request(method, path)
        assert (answer.status_code, refusal(answer.status_code, answer.content)) == (status, code), path


async def test_models_and_their_artefacts_are_served_by_digest(stand: Stand) -> None:
    models = msgspec.json.decode((await stand.http.get("/v1/models")).content, type=ModelsResponse)
    assert [model.id for model in models.data] == list(catalogue())
    digest = next(iter(models.data[0].artifacts.values()))
    url = f"/v1/blobs/sha256:{digest}"

    missing = await stand.http.get(url)
    assert refusal(missing.status_code, missing.content) == "UNKNOWN_BLOB"
    content = bytes(range(256)) * 4_096
    stand.config.blobs_folder.mkdir(exist_ok=True)
    (stand.config.blobs_folder / digest).write_bytes(content)
    other = Blobs(stand.config.blobs_folder).put(b"no model's", sha256_digest(b"no model's"))

    served = await stand.http.get(url)
    assert served.content == content
    assert "immutable" in served.headers["Cache-Control"]
    again = await stand.http.get(url, headers={"If-None-Match": served.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert (await stand.http.get(f"/v1/blobs/sha256:{other.name}")).status_code == 404


async def test_the_api_describes_itself_without_the_internet(stand: Stand) -> None:
    page = await stand.http.get("/schema")
    document = (await stand.http.get("/schema/openapi.json")).json()

    assert page.headers["Content-Type"].startswith("text/html")
    assert "<script" not in page.text
    assert "http" not in page.text.replace("http://json", "")
    assert {"/v1/detect", "/v1/nodes", "/v1/models", "/v1/requests/{job_id}"} <= set(document["paths"])
    assert set(document["paths"]["/v1/detect"]["post"]["requestBody"]["content"]) == {
        "image/jpeg",
        "image/png",
        "image/webp",
        "multipart/form-data",
        "application/json",
    }
    assert "class" in document["components"]["schemas"]["DetectionView"]["properties"]


async def test_health_and_readiness_are_told_apart(stand: Stand) -> None:
    assert (await stand.http.get("/healthz")).text == "ok"
    assert (await stand.http.get("/readyz")).json()["ready"] is True

    await stand.coordinator.bus.close()
    unready = await _unready(stand)

    assert unready.status_code == 503
    assert unready.json()["error"]["message"] == "The gateway is not ready: no coordinator."
    assert (await stand.http.get("/healthz")).status_code == 200


async def _unready(stand: Stand) -> httpx.Response:
    """The first answer that says no: the server may learn of a closed connection after it answers the next question."""
    async with asyncio.timeout(WAIT_S):
        while True:
            answer = await stand.http.get("/readyz")
            if answer.status_code != 200:
                return answer
            await asyncio.sleep(0.02)
