"""The routes on workloads: what is offered, what publishers bring, and what the network's administrator rules."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, Final

from litestar import Response, get, head, post, put
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response import Stream
from msgspec import Struct

from gridlight.adapters.clock import SteadyClock
from gridlight.adapters.signatures import verify
from gridlight.messages.api import ModelsResponse
from gridlight.messages.envelope import UPLOAD_DOMAIN
from gridlight.messages.ids import WorkloadId
from gridlight.messages.limits import BATCH_BYTES_MAX, MESSAGE_BYTES_MAX
from gridlight.messages.workload_api import (
    PublishedResponse,
    RuledResponse,
    WorkloadResponse,
    WorkloadsResponse,
)
from gridlight.messages.workloads import WorkloadState
from gridlight.services.gateway.administrators import AdminToken
from gridlight.services.gateway.answers import READ_S_MAX, Answer, AnyRequest, answer, decoded_base64, says
from gridlight.services.gateway.errors import Refusal
from gridlight.services.gateway.offered import Offered, OfferedWorkload, workload_response, workload_view
from gridlight.services.gateway.openapi import errors
from gridlight.services.gateway.publications import CHUNK_BYTES_MAX, Publications, Published
from gridlight.services.gateway.rulings import Rulings
from gridlight.services.gateway.uploads import BodyReader, check_announced
from gridlight.services.gateway.views import models_response

BLOB_CHUNK_BYTES: Final = 256 * 1024
UPLOAD_S_MAX: Final = 3_600.0
UPLOAD_PAUSE_S_MAX: Final = 30.0
OFFSET_HEADER: Final = "Upload-Offset"
"""How much of an artifact came: where its publisher goes on."""


class WorkloadParts(Struct, frozen=True, eq=False, kw_only=True):
    """What these routes ask."""

    offered: Offered
    publications: Publications
    rulings: Rulings
    admin: AdminToken
    clock: SteadyClock


def workload_routes(parts: WorkloadParts) -> list[HTTPRouteHandler]:
    """All of them."""
    return [*offered_routes(parts), *blob_routes(parts), *publisher_routes(parts), *ruling_routes(parts)]


def offered_routes(parts: WorkloadParts) -> list[HTTPRouteHandler]:
    """What the network runs."""

    @get("/v1/models", responses={200: says(ModelsResponse)})
    async def list_models() -> Answer:
        """The models that a request may name."""
        return answer(models_response(parts.offered.approved()))

    @get("/v1/workloads", responses={200: says(WorkloadsResponse), **errors(401, 403)})
    async def list_workloads(request: AnyRequest) -> Answer:
        """What nodes may run: who published it, why, what it sees and asks for. With the admin token also what is
        published and not approved yet.
        """
        views = parts.offered.views()
        if parts.admin.is_sent(dict(request.scope["headers"])):
            views += [_waiting_view(parts.publications, one) for one in parts.publications.waiting()]
        return answer(WorkloadsResponse(data=views))

    @get("/v1/workloads/{workload:str}", responses={200: says(WorkloadResponse), **errors(404)})
    async def one_workload(workload: FromPath[str]) -> Answer:
        """One workload by `name@sha256:...`, with its manifest and the signatures over it."""
        one = parts.offered.find(workload)
        if one is None:
            raise Refusal("UNKNOWN_WORKLOAD")
        return answer(workload_response(WorkloadId(workload), one))

    return [list_models, list_workloads, one_workload]


def blob_routes(parts: WorkloadParts) -> list[HTTPRouteHandler]:
    """The artefacts that nodes fetch."""

    @get("/v1/blobs/{digest:str}", responses=errors(404, 416))
    async def blob(request: AnyRequest, digest: FromPath[str]) -> Response[Any]:
        """An artefact of a model by `sha256:<hex>`. It never changes, so it may be kept for ever. `Range: bytes=N-`
        goes on where a transfer broke off.
        """
        hexadecimal = digest.removeprefix("sha256:")
        path = _served(parts, hexadecimal)
        if path is None:
            raise Refusal("UNKNOWN_BLOB")
        headers = {
            "ETag": f'"sha256:{hexadecimal}"',
            "Cache-Control": "public, max-age=31536000, immutable",
            "Accept-Ranges": "bytes",
        }
        if headers["ETag"] in request.headers.get("if-none-match", ""):
            return Response(b"", status_code=304, headers=headers)
        size = path.stat().st_size
        offset = _first_byte(request.headers.get("range"), size)
        headers["Content-Length"] = str(size - offset)
        if offset:
            headers["Content-Range"] = f"bytes {offset}-{size - 1}/{size}"
        status = 206 if offset else 200
        return Stream(_chunks(path, offset), media_type="application/octet-stream", headers=headers, status_code=status)

    @head("/v1/blobs/{digest:str}", responses=errors(404))
    async def blob_state(digest: FromPath[str]) -> Response[None]:
        """Whether an artefact is here: 200, or 204 where it is on its way from its publisher. `Upload-Offset` is how
        much of it came.
        """
        hexadecimal = digest.removeprefix("sha256:")
        path = _served(parts, hexadecimal)
        if path is not None:
            return Response(None, status_code=200, headers={OFFSET_HEADER: str(path.stat().st_size)})
        parts.publications.expected(hexadecimal)
        is_whole, count = await asyncio.to_thread(parts.publications.came, hexadecimal)
        return Response(None, status_code=200 if is_whole else 204, headers={OFFSET_HEADER: str(count)})

    return [blob, blob_state]


def publisher_routes(parts: WorkloadParts) -> list[HTTPRouteHandler]:
    """What publishers bring. Nothing of it is offered before the network has countersigned it."""

    @post(
        "/v1/workloads",
        status_code=200,
        responses={200: says(PublishedResponse), **errors(400, 401, 403, 404, 408, 413, 507)},
    )
    async def publish(request: AnyRequest) -> Answer:
        """A manifest with its publisher's signature. The answer names the artifacts that are still to come."""
        data = await _body(request, BATCH_BYTES_MAX)
        published = await parts.publications.take(data, now_ms=parts.clock.now_ms())
        one = parts.offered.find(published.workload)
        state = WorkloadState.PUBLISHED if one is None else one.state
        missing = await asyncio.to_thread(parts.publications.missing, published.manifest)
        return answer(PublishedResponse(published.workload, state, missing))

    @put("/v1/blobs/{digest:str}", status_code=204, responses=errors(400, 401, 404, 408, 409, 413, 422))
    async def upload(request: AnyRequest, digest: FromPath[str]) -> Response[None]:
        """Bytes of an artifact from `Upload-Offset` on (from the first one if left out), up to its end.
        `Gridlight-Signature` is base64 of the publisher's signature over `gridlight.workload.upload.v1`, a zero byte,
        and the digest's 64 hexadecimal digits.
        """
        hexadecimal = digest.removeprefix("sha256:")
        headers = dict(request.scope["headers"])
        said = decoded_base64(headers.get(b"gridlight-signature"))
        published = _uploaders(parts.publications.expected(hexadecimal), hexadecimal, said)
        turn = parts.publications.turn(hexadecimal)
        if turn.locked():
            raise Refusal("UPLOAD_CONFLICT", "Somebody uploads this artifact at this moment.")
        async with turn:
            await _upload(parts.publications, published, hexadecimal, headers, BodyReader(request.receive))
        return Response(None, status_code=204)

    return [publish, upload]


def ruling_routes(parts: WorkloadParts) -> list[HTTPRouteHandler]:
    """What the administrator says, and the network signs."""

    @post(
        "/v1/network/workloads",
        status_code=200,
        responses={200: says(RuledResponse), **errors(400, 401, 403, 404, 409, 503)},
    )
    async def rule(request: AnyRequest) -> Answer:
        """Let a workload run on a share of the nodes, or stop it everywhere. Needs the admin token, and the network's
        signature. The answer comes when it is in the journal and every node concerned is being told.
        """
        parts.admin.demand(dict(request.scope["headers"]))
        data = await _body(request, MESSAGE_BYTES_MAX)
        workload, one = await parts.rulings.take(data, now_ms=parts.clock.now_ms())
        return answer(RuledResponse(workload_view(workload, one)))

    return [rule]


async def _body(request: AnyRequest, bytes_max: int) -> bytes:
    check_announced(dict(request.scope["headers"]), bytes_max)
    try:
        async with asyncio.timeout(READ_S_MAX):
            return await BodyReader(request.receive).read(bytes_max)
    except TimeoutError:
        raise Refusal("UPLOAD_TOO_SLOW", "The body did not arrive in time.", "Send it at once.") from None


def _uploaders(expected: list[Published], digest: str, signature: bytes | None) -> Published:
    """The publication of whoever signed the upload: several may announce one artifact, and any of them may bring it."""
    for one in expected:
        publisher = one.manifest.publisher
        if publisher is None or signature is None:
            continue
        if verify(publisher, UPLOAD_DOMAIN, digest.encode("ascii"), signature):
            return one
    raise Refusal("BAD_SIGNATURE", "The upload is not signed by a publisher whose manifest names the artefact.")


async def _upload(
    publications: Publications, published: Published, digest: str, headers: dict[bytes, bytes], body: BodyReader
) -> None:
    is_whole, count = await asyncio.to_thread(publications.came, digest)
    if is_whole:
        return
    asked = headers.get(OFFSET_HEADER.lower().encode(), b"0")
    if not asked.isdigit() or int(asked) != count:
        raise Refusal(
            "UPLOAD_CONFLICT", f"{count} bytes of this artifact came.", f"Go on with {OFFSET_HEADER}: {count}."
        )
    bytes_max = published.manifest.resources.download_bytes
    check_announced(headers, max(0, bytes_max - count))
    held: list[bytes] = []
    try:
        async with asyncio.timeout(UPLOAD_S_MAX):
            while (chunk := await _next_chunk(body)) is not None:
                held.append(chunk)
                if sum(map(len, held)) >= CHUNK_BYTES_MAX:
                    await asyncio.to_thread(publications.append, digest, b"".join(held), bytes_max)
                    held.clear()
    finally:  # what came before a break stays, to go on from there
        publications.append(digest, b"".join(held), bytes_max)
    await asyncio.to_thread(publications.finish, digest)


async def _next_chunk(body: BodyReader) -> bytes | None:
    """None at the end."""
    if body.is_complete:
        return None
    try:
        async with asyncio.timeout(UPLOAD_PAUSE_S_MAX):
            return await body.chunk()
    except TimeoutError:
        raise Refusal(
            "UPLOAD_TOO_SLOW", "The upload stood still.", "Go on where HEAD says that it broke off."
        ) from None


def _waiting_view(publications: Publications, published: Published) -> Any:
    one = OfferedWorkload(published.manifest)
    view = workload_view(published.workload, one, publications.missing(published.manifest))
    view.state, view.rollout_percent = WorkloadState.PUBLISHED, None
    return view


def _served(parts: WorkloadParts, digest: str) -> Path | None:
    """Only what is offered: a gateway is nobody's file host."""
    if not parts.offered.serves(digest):
        return None
    return parts.publications.path(digest)


def _first_byte(asked: str | None, size: int) -> int:
    """Where to begin: `bytes=N-` is all that is understood; whatever else is asked for gets the whole."""
    if asked is None or not asked.startswith("bytes=") or not asked.endswith("-"):
        return 0
    digits = asked.removeprefix("bytes=").removesuffix("-")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 18:
        return 0
    if int(digits) >= size:
        raise Refusal("RANGE_NOT_SATISFIABLE", f"The artifact has {size} bytes.")
    return int(digits)


async def _chunks(path: Path, offset: int) -> AsyncGenerator[bytes, None]:
    with await asyncio.to_thread(path.open, "rb") as file:
        file.seek(offset)
        while chunk := await asyncio.to_thread(file.read, BLOB_CHUNK_BYTES):
            yield chunk
