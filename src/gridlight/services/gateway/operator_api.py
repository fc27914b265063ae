"""The routes on operators: what the network's administrator rules of them and of their nodes, and has ruled."""

import asyncio
from typing import Annotated, Final

import structlog
from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter

from gridlight.adapters.clock import wall_ms
from gridlight.adapters.signatures import is_public_key
from gridlight.adapters.store import Store
from gridlight.messages.codec import Decoder, ProtocolViolation
from gridlight.messages.limits import MESSAGE_BYTES_MAX
from gridlight.messages.operator_api import (
    RULINGS_LISTED_MAX,
    KeyRuledResponse,
    RuleKeyBody,
    RulingsResponse,
)
from gridlight.services.gateway.administrators import AdminToken
from gridlight.services.gateway.answers import READ_S_MAX, Answer, AnyRequest, answer, read, says
from gridlight.services.gateway.errors import Refusal
from gridlight.services.gateway.openapi import errors
from gridlight.services.gateway.questions import Questions
from gridlight.services.gateway.uploads import BodyReader, check_announced

Listed = Annotated[int, QueryParameter(ge=1, le=RULINGS_LISTED_MAX)]

_bodies: Final[Decoder[RuleKeyBody]] = Decoder(RuleKeyBody, MESSAGE_BYTES_MAX)
_log = structlog.get_logger()


def operator_routes(questions: Questions, store: Store, admin: AdminToken) -> list[HTTPRouteHandler]:
    """All of them."""

    @post(
        "/v1/network/operators",
        status_code=200,
        responses={200: says(KeyRuledResponse), **errors(400, 401, 403, 408, 413, 503)},
    )
    async def rule(request: AnyRequest) -> Answer:
        """Ban a node or an operator, lift a ban, or revoke certificates that were signed until now. Needs the admin
        token. The answer comes when it is in the journal and every node concerned is being told.
        """
        admin.demand(dict(request.scope["headers"]))
        said = await _body(request)
        told = await questions.rule(said.key, said.verdict, said.reason, wall_ms())
        _log.warning("ruled", key=said.key, verdict=said.verdict, reason=said.reason, nodes=told.nodes)
        return answer(KeyRuledResponse(key=told.key, verdict=told.verdict, nodes=told.nodes))

    @get("/v1/network/operators", responses={200: says(RulingsResponse), **errors(400, 401, 403)})
    async def rulings(request: AnyRequest, limit: Listed = 100) -> Answer:
        """What was ruled of nodes and operators, the newest first. Needs the admin token."""
        admin.demand(dict(request.scope["headers"]))
        return answer(RulingsResponse(rulings=await read(store.rulings, limit)))

    return [rule, rulings]


async def _body(request: AnyRequest) -> RuleKeyBody:
    check_announced(dict(request.scope["headers"]), MESSAGE_BYTES_MAX)
    try:
        async with asyncio.timeout(READ_S_MAX):
            data = await BodyReader(request.receive).read(MESSAGE_BYTES_MAX)
    except TimeoutError:
        raise Refusal("UPLOAD_TOO_SLOW", "The body did not arrive in time.", "Send it at once.") from None
    try:
        said = _bodies.decode(data)
    except ProtocolViolation as violation:
        raise Refusal("BAD_REQUEST", f"The ruling cannot be read: {str(violation)[:200]}.") from None
    if not is_public_key(said.key):
        raise Refusal("BAD_REQUEST", "The key is mistyped.", "Copy it from GET /v1/nodes.")
    return said
