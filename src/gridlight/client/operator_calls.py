"""What the SDK asks of a gateway about operators and their nodes, and how it reads the answers."""

import base64
from typing import Final

from gridlight.adapters.signatures import SigningKey
from gridlight.client.exchange import ANSWER_BYTES_MAX, READ_TIMEOUT_S, Call
from gridlight.messages.api import ChallengeResponse
from gridlight.messages.codec import Decoder, encode
from gridlight.messages.envelope import NONCE_HEADER, PAYOUT_ASKED_DOMAIN, SIGNATURE_HEADER, SUCCESSIONS_HEADER
from gridlight.messages.operator_api import (
    KeyRuledResponse,
    OperatorPayoutResponse,
    PayoutStatementBody,
    RuleKeyBody,
    RulingsResponse,
)
from gridlight.messages.operators import Verdict

_PATH: Final = "/v1/network/operators"

keys_ruled: Final[Decoder[KeyRuledResponse]] = Decoder(KeyRuledResponse, ANSWER_BYTES_MAX)
rulings_responses: Final[Decoder[RulingsResponse]] = Decoder(RulingsResponse, ANSWER_BYTES_MAX)
challenges: Final[Decoder[ChallengeResponse]] = Decoder(ChallengeResponse, ANSWER_BYTES_MAX)
payout_responses: Final[Decoder[OperatorPayoutResponse]] = Decoder(OperatorPayoutResponse, ANSWER_BYTES_MAX)

CHALLENGE_CALL: Final = Call(method="POST", path="/v1/nodes/challenge", timeout_s=READ_TIMEOUT_S)


def rule_key_call(key: str, verdict: Verdict, reason: str) -> Call:
    """`POST /v1/network/operators`."""
    body = encode(RuleKeyBody(key=key, verdict=verdict, reason=reason))
    return Call(
        method="POST", path=_PATH, timeout_s=READ_TIMEOUT_S, headers={"Content-Type": "application/json"}, body=body
    )


def rulings_call(limit: int) -> Call:
    """`GET /v1/network/operators`."""
    return Call(method="GET", path=_PATH, timeout_s=READ_TIMEOUT_S, parameters={"limit": str(limit)})


def payout_call(key: SigningKey, nonce: str, *, operator: str, successions: tuple[str, ...] = ()) -> Call:
    """`GET /v1/operators/{key}/payout`: the operator signs a nonce of the gateway's to prove who asks, with the key
    that the successions lead to from the one that the network knows.
    """
    signature = base64.b64encode(key.sign(PAYOUT_ASKED_DOMAIN, nonce.encode("ascii"))).decode()
    headers = {NONCE_HEADER: nonce, SIGNATURE_HEADER: signature}
    if successions:
        headers[SUCCESSIONS_HEADER] = " ".join(successions)
    return Call(method="GET", path=_payout(operator), timeout_s=READ_TIMEOUT_S, headers=headers)


def state_payout_call(operator: str, statement: str) -> Call:
    """`PUT /v1/operators/{key}/payout`, which needs no other proof than the statement's signature."""
    headers = {"Content-Type": "application/json"}
    body = encode(PayoutStatementBody(statement=statement))
    return Call(method="PUT", path=_payout(operator), timeout_s=READ_TIMEOUT_S, headers=headers, body=body)


def _payout(operator: str) -> str:
    return f"/v1/operators/{operator}/payout"
