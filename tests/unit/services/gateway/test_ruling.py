"""What an administrator rules of a key: as the SDK says it, as the coordinator hears it, and as it is answered."""

import asyncio

import pytest

from gridlight.adapters.signatures import SigningKey
from gridlight.client.operator_calls import keys_ruled, rule_key_call, rulings_call, rulings_responses
from gridlight.messages.codec import Decoder, ProtocolViolation, encode
from gridlight.messages.ids import GatewayId
from gridlight.messages.operator_api import KeyRuledResponse, RuleKeyBody, RulingsResponse, RulingView
from gridlight.messages.operators import KeyRuled, TellRuling, Verdict
from gridlight.services.gateway.errors import Refusal
from gridlight.services.gateway.outbox import Outbox
from gridlight.services.gateway.questions import Questions

GATEWAY = GatewayId("gw0123456789ab")
KEY = SigningKey.generate().public
NOW_MS = 1_800_000_000_000

bodies: Decoder[RuleKeyBody] = Decoder(RuleKeyBody)


@pytest.mark.parametrize(("verdict", "until"), [(Verdict.BANNED, 0), (Verdict.ALLOWED, 0), (Verdict.REVOKED, NOW_MS)])
async def test_a_ruling_is_answered_once_the_coordinator_has_it(verdict: Verdict, until: int) -> None:
    outbox = Outbox()
    questions = Questions(GATEWAY, outbox)

    ruling = asyncio.ensure_future(questions.rule(KEY, verdict, "why", NOW_MS))
    await outbox.wait()
    told = TellRuling(gateway_id=GATEWAY, key=KEY, verdict=verdict, nodes=3)
    questions.ruled(told)
    questions.ruled(told)  # twice is once

    ruled = KeyRuled(gateway_id=GATEWAY, key=KEY, verdict=verdict, reason="why", revoked_until=until)
    assert outbox.take() == [ruled]
    assert await ruling == told
    questions.ruled(told)  # nobody waits any more


async def test_without_a_coordinator_it_is_not_said_to_hold() -> None:
    with pytest.raises(Refusal) as caught:
        await Questions(GATEWAY, Outbox(), ruled_s_max=0.0).rule(KEY, Verdict.BANNED, "why", NOW_MS)

    assert caught.value.code == "NO_COORDINATOR"


def test_what_the_sdk_says_and_reads() -> None:
    call = rule_key_call(KEY, Verdict.BANNED, "why")
    view = RulingView(key=KEY, verdict=Verdict.BANNED, reason="why", nodes=1, at_ms=NOW_MS)
    response = KeyRuledResponse(key=KEY, verdict=Verdict.BANNED, nodes=1)

    assert bodies.decode(call.body or b"") == RuleKeyBody(key=KEY, verdict=Verdict.BANNED, reason="why")
    assert rulings_call(5).parameters == {"limit": "5"}
    assert keys_ruled.decode(encode(response)) == response
    assert rulings_responses.decode(encode(RulingsResponse(rulings=[view]))).rulings == [view]


@pytest.mark.parametrize("reason", ["", "two\nlines", "x" * 201])
def test_a_reason_is_a_line(reason: str) -> None:
    with pytest.raises(ProtocolViolation):
        bodies.decode(encode({"key": KEY, "verdict": "banned", "reason": reason}))
