"""Where operators are paid, at the gateway's door: their own signature says it, and nothing else does."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from tests.integration.conftest import Connections, Server
from tests.integration.gateway_stand import Stand, standing
from tests.integration.test_gateway_accounts import ADMIN, code
from tests.integration.test_gateway_money import Books
from tests.outside.paying import key

from gridlight.adapters.clock import wall_s
from gridlight.adapters.payout_statements import state_payout
from gridlight.adapters.signatures import SigningKey
from gridlight.adapters.statements import sign_statement
from gridlight.adapters.successions import succession
from gridlight.client.operator_calls import payout_call
from gridlight.core.postings import grant
from gridlight.messages.envelope import EARNINGS_DOMAIN, PAYOUT_ASKED_DOMAIN, PAYOUT_DOMAIN
from gridlight.messages.ids import GatewayId, NodeId
from gridlight.messages.ledger import op_avail
from gridlight.messages.nodes import NodeEnrolled
from gridlight.messages.operators import PayoutStatement
from gridlight.services.gateway.payouts import AHEAD_MS_MAX

HERE, THERE = key("here").public_key, key("there").public_key
LEAST = 10_000


@pytest.fixture
async def stand(server: Server, connections: Connections, tmp_path: Path) -> AsyncIterator[Stand]:
    async with standing(server, connections, tmp_path) as stand:
        yield stand


def join(stand: Stand) -> SigningKey:
    """An operator whose node has enrolled."""
    operator = SigningKey.generate()
    enrolled = NodeEnrolled(
        gateway_id=GatewayId("gw1"),
        node_id=NodeId(SigningKey.generate().public),
        operator=operator.public,
        agent_version="test",
        cpus=1,
        memory_mib=1,
        endorsed=None,
        prefix="",
    )
    stand.coordinator.record(*stand.coordinator.decide(enrolled))
    return operator


async def put(stand: Stand, operator: str, text: object) -> httpx.Response:
    headers = {"X-Api-Key": ""}
    return await stand.http.put(f"/v1/operators/{operator}/payout", json={"statement": text}, headers=headers)


async def say(
    stand: Stand, operator: SigningKey, address: str | None, serial: int, threshold: int = LEAST
) -> httpx.Response:
    return await put(stand, operator.public, state_payout(operator, address, threshold=threshold, serial=serial))


async def ask(
    stand: Stand, operator: str, by: SigningKey, domain: bytes = PAYOUT_ASKED_DOMAIN, nonce: str = ""
) -> httpx.Response:
    nonce = nonce or (await stand.http.post("/v1/nodes/challenge")).json()["nonce"]
    signature = base64.b64encode(by.sign(domain, nonce.encode())).decode()
    headers = {"X-Api-Key": "", "Gridlight-Nonce": nonce, "Gridlight-Signature": signature}
    return await stand.http.get(f"/v1/operators/{operator}/payout", headers=headers)


async def stands(stand: Stand, operator: SigningKey) -> tuple[str | None, str, int] | None:
    """Address, threshold and serial."""
    answer = await ask(stand, operator.public, operator)
    assert answer.status_code == 200, answer.text
    payout = answer.json()["payout"]
    return payout and (payout["address"], payout["threshold"], payout["serial"])


async def test_an_operator_says_where_to_be_paid_and_is_told_what_stands(stand: Stand) -> None:
    operator, other = join(stand), join(stand)
    assert await stands(stand, operator) is None

    said = await say(stand, operator, HERE, 5, threshold=25_000_000)
    assert said.status_code == 200, said.text
    assert said.json() == {
        "operator": operator.public,
        "payout": {"address": HERE, "threshold": "2.5000000", "serial": 5},
        "least": "0.0010000",
    }
    assert await stands(stand, operator) == (HERE, "2.5000000", 5)
    assert (await say(stand, operator, None, 6)).status_code == 200
    assert await stands(stand, operator) == (None, "0.0010000", 6)
    assert await stands(stand, other) is None


async def test_the_newest_word_stands_and_one_that_is_sent_again_is_refused(stand: Stand) -> None:
    operator = join(stand)
    await say(stand, operator, HERE, 5)
    for address, serial in ((HERE, 5), (THERE, 5), (THERE, 4)):
        assert code(await say(stand, operator, address, serial)) == (409, "OLD_STATEMENT")
    assert await stands(stand, operator) == (HERE, "0.0010000", 5)


async def test_nobody_says_it_for_another(stand: Stand) -> None:
    operator, thief = join(stand), join(stand)
    said = PayoutStatement(operator=operator.public, address=THERE, threshold=LEAST, serial=5)
    of_thief = state_payout(thief, THERE, threshold=LEAST, serial=5)
    for whose, text in (
        (operator, sign_statement(thief, PAYOUT_DOMAIN, said)),
        (thief, sign_statement(thief, PAYOUT_DOMAIN, said)),
        (operator, of_thief),
        (operator, sign_statement(operator, EARNINGS_DOMAIN, said)),
    ):
        assert code(await put(stand, whose.public, text)) == (401, "PAYOUT_UNSIGNED")
    assert await stands(stand, operator) is None
    assert await stands(stand, thief) is None


async def test_what_nobody_can_be_paid_by_is_refused(stand: Stand) -> None:
    operator, now_ms = join(stand), wall_s() * 1_000
    ahead = now_ms + AHEAD_MS_MAX + 60_000
    addresses: tuple[object, ...] = (HERE[:-1], HERE[:-1] + "2", "S" + HERE[1:], "", "x" * 200, HERE.lower(), 7)
    thresholds: tuple[object, ...] = (0, LEAST - 1, -5, 10**18 + 1, 1.5, "10000", None)
    said: list[tuple[str, dict[str, object]]] = [
        *(("BAD_PAYOUT_ADDRESS", {"address": address}) for address in addresses),
        *(("BAD_PAYOUT_THRESHOLD", {"threshold": threshold}) for threshold in thresholds),
        ("STATEMENT_AHEAD", {"serial": ahead}),
    ]
    good: dict[str, object] = {"operator": operator.public, "address": HERE, "threshold": LEAST, "serial": now_ms}
    for wanted, changes in said:
        statement = PayoutStatement(**good | changes)  # type: ignore[arg-type]
        answer = await put(stand, operator.public, sign_statement(operator, PAYOUT_DOMAIN, statement))
        assert code(answer) == (422, wanted), changes
    assert await stands(stand, operator) is None
    assert (await say(stand, operator, HERE, now_ms)).status_code == 200


async def test_what_is_no_statement_is_refused(stand: Stand) -> None:
    operator = join(stand)
    for text in ("", "A.A", "x" * 2_000, 7, None):
        assert code(await put(stand, operator.public, text))[0] in (400, 401)
    large = await stand.http.put(f"/v1/operators/{operator.public}/payout", content=b" " * 70_000)
    assert code(large) == (413, "BODY_TOO_LARGE")
    assert code(await put(stand, operator.public[:-1] + "A", "")) == (400, "BAD_OPERATOR_KEY")


async def test_only_operators_whom_the_network_knows_are_heard(stand: Stand) -> None:
    stranger = SigningKey.generate()
    assert code(await say(stand, stranger, HERE, 5)) == (404, "UNKNOWN_OPERATOR")
    assert code(await ask(stand, stranger.public, stranger)) == (404, "UNKNOWN_OPERATOR")
    books = Books(stand, SigningKey.generate(), stranger.public)
    books.post(grant("thanks", op_avail(stranger.public), 7))
    assert (await say(stand, stranger, HERE, 5)).status_code == 200


async def test_what_stands_is_told_to_the_operator_and_to_administrators(stand: Stand) -> None:
    operator = join(stand)
    await say(stand, operator, HERE, 5)
    path = f"/v1/operators/{operator.public}/payout"
    assert code(await stand.http.get(path)) == (401, "NOT_THE_OPERATOR")
    assert code(await ask(stand, operator.public, SigningKey.generate())) == (401, "BAD_SIGNATURE")
    assert code(await ask(stand, operator.public, operator, EARNINGS_DOMAIN)) == (401, "BAD_SIGNATURE")
    assert code(await ask(stand, operator.public, operator, nonce="AAAA")) == (401, "BAD_NONCE")
    assert (await stand.http.get(path, headers=ADMIN)).json()["payout"]["address"] == HERE


async def test_a_node_is_told_the_ends_of_its_operators_address(stand: Stand) -> None:
    operator, node = join(stand), SigningKey.generate()
    books = Books(stand, node, operator.public)
    assert (await books.ask("earnings")).json()["payout"] is None
    await say(stand, operator, HERE, 5, threshold=25_000_000)
    told = (await books.ask("earnings")).json()["payout"]
    assert told == {"address": f"{HERE[:4]}\N{HORIZONTAL ELLIPSIS}{HERE[-4:]}", "threshold": "2.5000000", "serial": 5}
    await say(stand, operator, None, 6)
    assert (await books.ask("earnings")).json()["payout"]["address"] is None


async def test_a_later_key_speaks_for_its_operator_and_the_one_before_it_no_more(stand: Stand) -> None:
    first, second = join(stand), SigningKey.generate()
    led = (succession(first, second, now_ms=1),)
    assert (await say(stand, first, HERE, serial=5)).status_code == 200

    moved = state_payout(second, THERE, threshold=LEAST, serial=6, successions=led)
    assert (await put(stand, first.public, moved)).json()["payout"]["address"] == THERE
    assert code(await say(stand, first, HERE, serial=7)) == (403, "KEY_SUCCEEDED")
    nonce = (await stand.http.post("/v1/nodes/challenge")).json()["nonce"]
    call = payout_call(second, nonce, operator=first.public, successions=led)
    told = await stand.http.get(call.path, headers={"X-Api-Key": "", **call.headers})
    assert (told.status_code, told.json()["payout"]["serial"]) == (200, 6)
    of_others = payout_call(second, nonce, operator=SigningKey.generate().public, successions=led)
    refused = await stand.http.get(of_others.path, headers={"X-Api-Key": "", **of_others.headers})
    assert code(refused) == (401, "BAD_SUCCESSION")
