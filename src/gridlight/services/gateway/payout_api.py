"""The routes on where an operator is paid: said by the operator's signature, and told to whoever has that key."""

from typing import Final

import structlog
from litestar import get, put
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from gridlight.adapters.clock import SteadyClock
from gridlight.adapters.signatures import is_public_key
from gridlight.adapters.successions import speaking_key
from gridlight.messages.amounts import coins
from gridlight.messages.codec import Decoder, ProtocolViolation
from gridlight.messages.envelope import NONCE_HEADER, PAYOUT_ASKED_DOMAIN, SUCCESSIONS_HEADER
from gridlight.messages.limits import MESSAGE_BYTES_MAX
from gridlight.messages.money_api import PayoutView
from gridlight.messages.operator_api import OperatorPayoutResponse, PayoutStatementBody
from gridlight.services.gateway.account_api import read_body
from gridlight.services.gateway.administrators import AdminToken
from gridlight.services.gateway.answers import Answer, AnyRequest, answer, read, says
from gridlight.services.gateway.enrolment import Enrolments
from gridlight.services.gateway.errors import Refusal
from gridlight.services.gateway.openapi import errors
from gridlight.services.gateway.payouts import Payouts
from gridlight.services.gateway.turns import Turns
from gridlight.services.gateway.why_api import signature_of

AT_ONCE_MAX: Final = 1
"""Each statement that is kept is a commit of the coordinator's database."""
ASKING_MAX: Final = 16

_bodies: Final[Decoder[PayoutStatementBody]] = Decoder(PayoutStatementBody, MESSAGE_BYTES_MAX)
_log = structlog.get_logger()


def payout_routes(
    payouts: Payouts, enrolments: Enrolments, admin: AdminToken, clock: SteadyClock
) -> list[HTTPRouteHandler]:
    """Both of them."""
    turns = Turns(AT_ONCE_MAX, ASKING_MAX, "Too many operators say where to be paid at once.")

    def told(operator: str, payout: PayoutView | None) -> Answer:
        return answer(OperatorPayoutResponse(operator=operator, payout=payout, least=coins(payouts.least_units)))

    @put(
        "/v1/operators/{key:str}/payout",
        status_code=200,
        responses={200: says(OperatorPayoutResponse), **errors(400, 401, 404, 408, 409, 413, 422, 503)},
    )
    async def state(request: AnyRequest, key: FromPath[str]) -> Answer:
        """Say where the operator of this key is paid, and from what amount on. `statement` is a PayoutStatement, signed
        with the key for `gridlight.operator.payout.v1`; nothing else proves who says it. Its serial must be higher than
        that of the one that stands. Without an address nothing is paid. Where the key was succeeded, the one that took
        its place signs, and the successions stand below, a line each.
        """
        operator = _operator(key)
        said = await read_body(request, _bodies, "BAD_PAYOUT_STATEMENT")
        async with turns.turn():
            payout = await read(payouts.take, operator, said.statement, clock.now_ms())
        _log.info("payout_stated", operator=operator, serial=payout.serial)
        return told(operator, payout)

    @get(
        "/v1/operators/{key:str}/payout",
        responses={200: says(OperatorPayoutResponse), **errors(400, 401, 403, 404, 503)},
    )
    async def standing(request: AnyRequest, key: FromPath[str]) -> Answer:
        """Where the operator said to be paid, and from what amount on. Proved as for `GET /v1/nodes/{node_id}/why`,
        with the operator's signature for `gridlight.operator.payout.asked.v1`; or with the admin token. Where the key
        was succeeded, `Gridlight-Successions` holds how, one after the other.
        """
        operator, headers = _operator(key), dict(request.scope["headers"])
        if not admin.is_sent(headers):
            nonce = headers.get(NONCE_HEADER.lower().encode())
            key = _speaking_key(operator, headers)
            enrolments.demand_operator(clock.now_ms(), key, nonce, signature_of(headers), PAYOUT_ASKED_DOMAIN)
        async with turns.turn():
            if not await read(payouts.knows, operator):
                raise Refusal("UNKNOWN_OPERATOR")
            return told(operator, await read(payouts.standing, operator))

    return [state, standing]


def _operator(key: str) -> str:
    if not is_public_key(key):
        raise Refusal("BAD_OPERATOR_KEY")
    return key


def _speaking_key(operator: str, headers: dict[bytes, bytes]) -> str:
    """Which key of the operator's may ask."""
    texts = headers.get(SUCCESSIONS_HEADER.lower().encode(), b"").decode("latin-1").split()
    try:
        return speaking_key(operator, texts)
    except ProtocolViolation as violation:
        raise Refusal("BAD_SUCCESSION", f"The successions do not hold: {str(violation)[:200]}.") from None
