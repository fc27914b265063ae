"""The route on why a node gets nothing: for the node itself, which proves that it asks, and for administrators."""

import base64
import binascii

from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from gridlight.adapters.clock import SteadyClock
from gridlight.adapters.signatures import is_public_key
from gridlight.messages.api import WhyResponse
from gridlight.messages.envelope import NONCE_HEADER, SIGNATURE_HEADER
from gridlight.messages.ids import NodeId
from gridlight.services.gateway.administrators import AdminToken
from gridlight.services.gateway.answers import Answer, AnyRequest, answer, says
from gridlight.services.gateway.enrolment import Enrolments
from gridlight.services.gateway.errors import Refusal
from gridlight.services.gateway.openapi import errors
from gridlight.services.gateway.questions import Questions
from gridlight.services.gateway.why import why_response


def why_routes(
    questions: Questions, enrolments: Enrolments, admin: AdminToken, clock: SteadyClock
) -> list[HTTPRouteHandler]:
    """How often the node was considered for a task, and what became of it each time."""

    @get("/v1/nodes/{node_id:str}/why", responses={200: says(WhyResponse), **errors(400, 401, 403, 404, 503)})
    async def why(request: AnyRequest, node_id: FromPath[str]) -> Answer:
        """Why the node did not get, finish or get paid for tasks, each reason counted since it first offered a slot.

        For the node itself: `Gridlight-Nonce` with a nonce of `POST /v1/nodes/challenge`, and `Gridlight-Signature`
        with the node's signature over it. Or for administrators, with the admin token.
        """
        if not is_public_key(node_id):
            raise Refusal("BAD_NODE_ID")
        headers = dict(request.scope["headers"])
        if not admin.is_sent(headers):
            nonce = headers.get(NONCE_HEADER.lower().encode())
            enrolments.demand_node(clock.now_ms(), NodeId(node_id), nonce, signature_of(headers))
        return answer(why_response(NodeId(node_id), clock.now_ms(), await questions.reasons(NodeId(node_id))))

    return [why]


def signature_of(headers: dict[bytes, bytes]) -> bytes | None:
    """The signature that came with a request; None where there is none that can be read."""
    text = headers.get(SIGNATURE_HEADER.lower().encode())
    try:
        return None if text is None else base64.b64decode(text, validate=True)
    except binascii.Error:
        return None
