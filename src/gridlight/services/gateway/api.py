"""The gateway's HTTP routes: each reads its request, asks one part, and writes the answer."""

import asyncio
import re
from collections.abc import Mapping
from typing import Annotated, Final

import msgspec
import structlog
from litestar import Litestar, Response, get, post
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, QueryParameter
from msgspec import Struct

from gridlight.adapters.clock import SteadyClock, monotonic_ms
from gridlight.adapters.store import Store
from gridlight.messages.accounts import Scope
from gridlight.messages.api import (
    ChallengeResponse,
    DetectResponse,
    EnrolmentResponse,
    NetworkResponse,
    NodesResponse,
    RequestView,
)
from gridlight.messages.ids import JobId, WorkloadId
from gridlight.messages.limits import MESSAGE_BYTES_MAX
from gridlight.services.gateway.account_api import account_routes
from gridlight.services.gateway.accounts import Accounts, account_of
from gridlight.services.gateway.administrators import AdminToken
from gridlight.services.gateway.answers import (
    READ_S_MAX,
    Answer,
    AnyRequest,
    Reply,
    answer,
    json_answer,
    read,
    says,
)
from gridlight.services.gateway.control import Control
from gridlight.services.gateway.detect import Asked, DetectRequests
from gridlight.services.gateway.enrolment import Enrolments
from gridlight.services.gateway.errors import Refusal, RequesterGone, encode_refusal
from gridlight.services.gateway.jobs import OpenJobs, new_job_id
from gridlight.services.gateway.metrics import CONTENT_TYPE, Metrics
from gridlight.services.gateway.money_api import MoneyParts, money_routes
from gridlight.services.gateway.openapi import DetectOperation, EnrolOperation, RunOperation, errors, openapi_config
from gridlight.services.gateway.operator_api import operator_routes
from gridlight.services.gateway.payout_api import payout_routes
from gridlight.services.gateway.payouts import Payouts
from gridlight.services.gateway.peers import FORWARDED_HEADER
from gridlight.services.gateway.pictures import PicturePool
from gridlight.services.gateway.questions import Questions
from gridlight.services.gateway.terms import TrustTerms
from gridlight.services.gateway.uploads import BodyReader, check_announced
from gridlight.services.gateway.verification_api import verification_routes
from gridlight.services.gateway.views import nodes_response, open_request, request_view
from gridlight.services.gateway.why_api import signature_of, why_routes
from gridlight.services.gateway.workload_api import WorkloadParts, workload_routes
from gridlight.workloads.contract import Manifest

NODES_LISTED: Final = 1_000
NODES_LISTED_MAX: Final = 50_000

_JOB_ID: Final = re.compile(r"req_[0-9a-z]{26}")
_OF_HTTP: Final = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED", 413: "BODY_TOO_LARGE"}
"""Litestar's own refusals, by status; any other 4xx is BAD_REQUEST."""

_UNREAD: Final = Reply(400, b"")
"""To a requester who is gone."""

_log = structlog.get_logger()


class Parts(Struct, frozen=True, eq=False, kw_only=True):
    """What the routes ask."""

    version: str
    catalogue: Mapping[WorkloadId, Manifest]
    jobs: OpenJobs
    detect: DetectRequests
    enrolments: Enrolments
    questions: Questions
    control: Control
    pictures: PicturePool
    store: Store
    terms: TrustTerms
    admin: AdminToken
    accounts: Accounts
    money: MoneyParts
    payouts: Payouts
    workloads: WorkloadParts
    metrics: Metrics
    clock: SteadyClock


def create_app(parts: Parts) -> Litestar:
    """The ASGI application."""
    routes = [
        *detect_routes(parts),
        *request_routes(parts),
        *node_routes(parts),
        *workload_routes(parts.workloads),
        *verification_routes(parts.store, parts.terms, parts.admin),
        *account_routes(parts.accounts, parts.admin, parts.clock),
        *money_routes(parts.money, parts.accounts, parts.enrolments, parts.admin, parts.clock),
        *operator_routes(parts.questions, parts.store, parts.admin),
        *payout_routes(parts.payouts, parts.enrolments, parts.admin, parts.clock),
        *why_routes(parts.questions, parts.enrolments, parts.admin, parts.clock),
        *health_routes(parts),
    ]
    return Litestar(
        routes,
        openapi_config=openapi_config(parts.version),
        exception_handlers={
            Refusal: _on_refusal,
            RequesterGone: _on_gone,
            HTTPException: _on_http_exception,
            Exception: _on_mistake,
        },
        logging_config=None,
        request_max_body_size=None,  # uploads.py keeps the limits, before Litestar could buffer anything
        debug=False,
    )


def detect_routes(parts: Parts) -> list[HTTPRouteHandler]:
    """Pictures in, results out."""

    @post(
        "/v1/detect",
        status_code=200,
        operation_class=DetectOperation,
        responses={
            200: says(DetectResponse),
            **errors(400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 502, 503, 504),
        },
    )
    async def detect(request: AnyRequest) -> Answer:
        """Find what is in a picture, and where. Answers by the deadline, with a result or with the reason why not.

        `deadline_ms` (or the header `X-Deadline-Ms`) from 200 to 60000, 4000 if left out. `threshold` from 0.25, which
        is also the default, to 1. `model` by name or id. `verify` is `none`, `sampled` (if left out), `audited` or
        `arbitrated`; `GET /v1/trust` says what each means. `privacy` is `private` (if left out) or `public`, which
        allows that the input is used again to check other nodes. `dry_run=true` answers what it would cost and whether
        the account can pay it, and runs nothing. Needs an API key with the scope `detect`, as
        `Authorization: Bearer`, `apikey` or `x-api-key`. `X-Gridlight-Node` pins the request to a node and needs
        `Authorization: Bearer` with the network's admin token.
        """
        return (await picture_reply(parts, request, None)).response()

    @post(
        "/v1/run/{workload:str}",
        status_code=200,
        operation_class=RunOperation,
        responses={
            200: says(DetectResponse),
            **errors(400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 502, 503, 504),
        },
    )
    async def run(request: AnyRequest, workload: FromPath[str]) -> Answer:
        """Run a workload, by its name or id, on a picture. As `POST /v1/detect`, but for `model`, which the address
        says. A text recognition answers `lines`: each with its text, score, corners and the rectangle around them.
        """
        return (await picture_reply(parts, request, workload)).response()

    return [detect, run]


def request_routes(parts: Parts) -> list[HTTPRouteHandler]:
    """What became of a request."""

    @get("/v1/requests/{job_id:str}", responses={200: says(RequestView), **errors(401, 403, 404, 429)})
    async def request_by_id(request: AnyRequest, job_id: FromPath[str]) -> Answer:
        """How a request stands or ended, and what is known of its answer now. Only for keys of the account that sent
        it, with the scope `read`, and for administrators; to anybody else there is no such request.
        """
        caller = await parts.accounts.demand(request, Scope.READ)
        if not _JOB_ID.fullmatch(job_id):
            raise Refusal("UNKNOWN_REQUEST")
        job = parts.jobs.find(JobId(job_id))
        if job is not None and caller.may_read(account_of(job.submitted)):
            return answer(open_request(JobId(job_id)))
        record = await read(parts.store.job, JobId(job_id))
        if record is None or not caller.may_read(account_of(record.submitted)):
            raise Refusal("UNKNOWN_REQUEST")
        trust = await parts.terms.current()
        return answer(request_view(record, parts.catalogue, trust, now_ms=parts.clock.now_ms()))

    return [request_by_id]


async def picture_reply(parts: Parts, request: AnyRequest, workload: str | None) -> Reply:
    """One picture's answer, or why there is none. Raises nothing: not all who ask are Litestar's routes."""
    started_ms = monotonic_ms()
    job_id = new_job_id()
    body = BodyReader(request.receive)
    headers = dict(request.scope["headers"])
    limits: dict[str, str] = {}
    try:
        pinned_node = parts.detect.pinned_node(headers)
        caller = await parts.accounts.demand(request, Scope.DETECT)
        limits = parts.accounts.spend(caller)
        asked = Asked(query=request.scope["query_string"], headers=headers, run=workload, pinned_node=pinned_node)
        content = await parts.detect.answer(job_id, asked, body, account=caller.account)
    except Refusal as refusal:
        _log.info("request", request_id=job_id, code=refusal.code, ms=monotonic_ms() - started_ms)
        return _refused(refusal, job_id, is_last=not body.is_complete, headers=limits)
    except RequesterGone:
        _log.info("request", request_id=job_id, code="WITHDRAWN", ms=monotonic_ms() - started_ms)
        return _UNREAD
    except Exception as error:  # noqa: BLE001  (a mistake of ours, whatever it is)
        return _mistaken(request, error)
    return Reply(200, content, limits)


def node_routes(parts: Parts) -> list[HTTPRouteHandler]:
    """How nodes join, and which there are."""

    @post("/v1/nodes/challenge", status_code=200, responses={200: says(ChallengeResponse)})
    async def challenge() -> Answer:
        """A nonce for an enrolment, good for a minute."""
        return answer(parts.enrolments.challenge(parts.clock.now_ms()))

    @post(
        "/v1/nodes",
        status_code=200,
        operation_class=EnrolOperation,
        responses={200: says(EnrolmentResponse), **errors(400, 401, 403, 409, 413, 503)},
    )
    async def enrol(request: AnyRequest) -> Answer:
        """Join the network with a node's key; the answer holds what the node connects with."""
        headers = dict(request.scope["headers"])
        check_announced(headers, MESSAGE_BYTES_MAX)
        try:
            async with asyncio.timeout(READ_S_MAX):
                body = await BodyReader(request.receive).read(MESSAGE_BYTES_MAX)
        except TimeoutError:
            raise Refusal("UPLOAD_TOO_SLOW", "The enrolment did not arrive in time.", "Send it at once.") from None
        connected = request.client.host if request.client else ""
        forwarded = [value for name, value in request.scope["headers"] if name == FORWARDED_HEADER]
        return answer(
            await parts.enrolments.enrol(
                parts.clock.now_ms(), body, signature_of(headers), connected=connected, forwarded=forwarded
            )
        )

    @get("/v1/network", responses={200: says(NetworkResponse)})
    async def network() -> Answer:
        """What a node wants to know before it joins: the oldest agent that is taken, and where the bus is."""
        return answer(parts.enrolments.network(parts.version))

    @get("/v1/nodes", responses={200: says(NodesResponse), **errors(400)})
    async def nodes(limit: Annotated[int, QueryParameter(ge=1, le=NODES_LISTED_MAX)] = NODES_LISTED) -> Answer:
        """The nodes that joined, those online first. `online` and `enrolled` count all, `limit` bounds the list."""
        return json_answer(await read(_encoded_nodes, parts.store, limit))

    return [challenge, enrol, network, nodes]


def health_routes(parts: Parts) -> list[HTTPRouteHandler]:
    """For supervisors, load balancers and scrapers."""

    @get("/healthz", media_type="text/plain")
    async def healthz() -> str:
        """The process answers."""
        return "ok"

    @get("/readyz", responses=errors(503))
    async def readyz() -> Answer:
        """The bus is connected, a coordinator listens, and a picture process is alive."""
        checks = {
            "bus": parts.control.is_connected,
            "coordinator": await parts.control.is_coordinator_there(),
            "pictures": parts.pictures.is_ready,
        }
        if all(checks.values()):
            return json_answer(msgspec.json.encode({"ready": True, "checks": checks}))
        missing = ", ".join(name for name, holds in checks.items() if not holds)
        raise Refusal("NOT_READY", f"The gateway is not ready: no {missing}.")

    @get("/metrics", include_in_schema=False)
    async def metrics() -> Answer:
        return Response(parts.metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    return [healthz, readyz, metrics]


def _refused(
    refusal: Refusal, request_id: str, *, is_last: bool = False, headers: Mapping[str, str] | None = None
) -> Reply:
    headers = {**(headers or {}), **refusal.headers, "X-Request-Id": request_id}
    if refusal.retry_after_s is not None:
        headers["Retry-After"] = str(refusal.retry_after_s)
    if refusal.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if is_last:
        headers["Connection"] = "close"  # so that the rest of the body is not read; see edge.py
    return Reply(refusal.status, encode_refusal(refusal, request_id), headers)


def _on_refusal(request: AnyRequest, refusal: Refusal) -> Answer:
    request_id = new_job_id()
    _log.info("refused", request_id=request_id, path=request.scope["path"][:200], code=refusal.code)
    return _refused(refusal, request_id).response()


def _on_gone(_request: AnyRequest, _error: Exception) -> Answer:
    return _UNREAD.response()


def _on_http_exception(request: AnyRequest, error: HTTPException) -> Answer:
    if error.status_code >= 500:
        return _on_mistake(request, error)
    code = _OF_HTTP.get(error.status_code, "BAD_REQUEST")
    message = f"The request cannot be read: {str(error.detail)[:200]}." if code == "BAD_REQUEST" else None
    refused = _on_refusal(request, Refusal(code, message))
    refused.headers.update(error.headers or {})
    return refused


def _on_mistake(request: AnyRequest, error: Exception) -> Answer:
    return _mistaken(request, error).response()


def _mistaken(request: AnyRequest, error: Exception) -> Reply:
    request_id = new_job_id()
    _log.error("mistake", request_id=request_id, path=request.scope["path"][:200], exc_info=error)
    return _refused(Refusal("INTERNAL"), request_id)


def _encoded_nodes(store: Store, limit: int) -> bytes:
    return msgspec.json.encode(nodes_response(store.nodes(), limit))
