"""What the SDK asks of a gateway about operators and their nodes, and how it reads the answers."""

from typing import Final

from gridlight.client.exchange import ANSWER_BYTES_MAX, READ_TIMEOUT_S, Call
from gridlight.messages.codec import Decoder, encode
from gridlight.messages.operator_api import KeyRuledResponse, RuleKeyBody, RulingsResponse
from gridlight.messages.operators import Verdict

_PATH: Final = "/v1/network/operators"

keys_ruled: Final[Decoder[KeyRuledResponse]] = Decoder(KeyRuledResponse, ANSWER_BYTES_MAX)
rulings_responses: Final[Decoder[RulingsResponse]] = Decoder(RulingsResponse, ANSWER_BYTES_MAX)


def rule_key_call(key: str, verdict: Verdict, reason: str) -> Call:
    """`POST /v1/network/operators`."""
    body = encode(RuleKeyBody(key=key, verdict=verdict, reason=reason))
    return Call(
        method="POST", path=_PATH, timeout_s=READ_TIMEOUT_S, headers={"Content-Type": "application/json"}, body=body
    )


def rulings_call(limit: int) -> Call:
    """`GET /v1/network/operators`."""
    return Call(method="GET", path=_PATH, timeout_s=READ_TIMEOUT_S, parameters={"limit": str(limit)})
