"""Who may ask a gateway for what: keys, scopes, limits, revocation, over real HTTP."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec import UNSET
from tests.integration.conftest import Connections, Server
from tests.integration.gateway_stand import ADMIN_TOKEN, Stand, add_node, own_key, standing
from tests.integration.test_gateway import jpeg

from gridlight.adapters.accounts import AccountBook
from gridlight.adapters.api_keys import new_api_key, read_api_key
from gridlight.adapters.clock import SteadyClock, monotonic_ms
from gridlight.core.rates import Rate
from gridlight.messages.accounts import Limits, Scope
from gridlight.messages.jobs import JobSubmitted
from gridlight.services.gateway import accounts as module
from gridlight.services.gateway.accounts import Accounts
from gridlight.services.gateway.administrators import AdminToken
from gridlight.services.gateway.errors import Refusal

ADMIN = {"Authorization": f"Bearer {ADMIN_TOKEN}", "X-Api-Key": ""}


@pytest.fixture
async def stand(server: Server, connections: Connections, tmp_path: Path) -> AsyncIterator[Stand]:
    async with standing(server, connections, tmp_path) as stand:
        yield stand


def code(answer: httpx.Response) -> tuple[int, str]:
    said = answer.json()["error"]
    assert said["message"]
    assert said["hint"]
    return answer.status_code, said["code"]


async def ask(stand: Stand, **headers: str) -> httpx.Response:
    """With these headers and no key but theirs."""
    sent = {"X-Api-Key": "", "Content-Type": "image/jpeg"} | headers
    return await stand.http.post("/v1/detect", content=jpeg(), headers=sent)


async def account(stand: Stand, **limits: int) -> str:
    body = {"name": "robots", "limits": limits}
    answer = await stand.http.post("/v1/accounts", json=body, headers=ADMIN)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["account_id"])


async def key_of(stand: Stand, account_id: str, *scopes: str) -> str:
    body = {"scopes": list(scopes)} if scopes else {}
    answer = await stand.http.post(f"/v1/accounts/{account_id}/keys", json=body, headers=ADMIN)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["key"])


async def test_a_key_is_taken_in_three_headers_and_its_account_goes_with_the_job(
    stand: Stand, connections: Connections
) -> None:
    await add_node(stand, connections)
    account_id = await account(stand)
    key = await key_of(stand, account_id)

    answers = [
        await ask(stand, Authorization=f"Bearer {key}"),
        await ask(stand, apikey=key),
        await ask(stand, **{"X-Api-Key": key}),
    ]

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert [job.account_id for job in await stand.coordinator.heard(JobSubmitted, 3)] == [account_id] * 3
    assert "RateLimit" not in answers[0].headers


async def test_who_sends_no_key_or_a_wrong_one_is_refused_and_nothing_is_spent_on_it(stand: Stand) -> None:
    key = own_key(stand.config.database_url)
    real = read_api_key(key)
    assert real is not None
    wrong = {
        "": "NO_API_KEY",
        "Basic abc": "NO_API_KEY",
        "Bearer": "NO_API_KEY",
        "Bearer 0000000000": "UNKNOWN_API_KEY",
        f"Bearer {new_api_key().text}": "UNKNOWN_API_KEY",
        f"Bearer gl_{real.key_id}_{new_api_key().secret}": "UNKNOWN_API_KEY",
        f"Bearer {key[:-1]}": "UNKNOWN_API_KEY",
        f"Bearer {ADMIN_TOKEN}x": "UNKNOWN_API_KEY",
    }
    for sent, expected in wrong.items():
        answer = await ask(stand, Authorization=sent)
        assert code(answer) == (401, expected), sent
        assert answer.headers["WWW-Authenticate"] == "Bearer"

    assert not [event for event in stand.coordinator.events if type(event) is JobSubmitted]


async def test_a_key_is_for_its_scopes_alone(stand: Stand) -> None:
    account_id = await account(stand)
    reads, detects = await key_of(stand, account_id, "read"), await key_of(stand, account_id, "detect")
    keys = f"/v1/accounts/{account_id}/keys"

    assert code(await ask(stand, apikey=reads)) == (403, "SCOPE_MISSING")
    for path in ("/v1/account", "/v1/requests/req_" + "0" * 26, keys):
        answer = await stand.http.get(path, headers={"X-Api-Key": detects})
        assert code(answer) == (403, "SCOPE_MISSING"), path
    own = (await stand.http.get("/v1/account", headers={"X-Api-Key": reads})).json()
    assert (own["account"]["account_id"], own["key"]["scopes"], own["requests_today"]) == (account_id, ["read"], 0)
    assert code(await stand.http.get("/v1/account", headers=ADMIN)) == (401, "NO_API_KEY")


async def test_a_request_is_its_own_account_s_business(stand: Stand, connections: Connections) -> None:
    await add_node(stand, connections)
    served = (await stand.detect(jpeg())).json()["id"]
    other = await key_of(stand, await account(stand))
    path = f"/v1/requests/{served}"

    assert (await stand.http.get(path)).json()["id"] == served
    assert (await stand.http.get(path, headers=ADMIN)).json()["id"] == served
    assert code(await stand.http.get(path, headers={"X-Api-Key": other})) == (404, "UNKNOWN_REQUEST")
    assert code(await stand.http.get(path, headers={"X-Api-Key": ""})) == (401, "NO_API_KEY")


async def test_an_administrator_may_ask_without_an_account_or_with_one(stand: Stand, connections: Connections) -> None:
    await add_node(stand, connections)
    account_id = await account(stand)
    key = await key_of(stand, account_id)

    alone = await ask(stand, Authorization=f"Bearer {ADMIN_TOKEN}")
    together = await ask(stand, Authorization=f"Bearer {ADMIN_TOKEN}", apikey=key)

    assert (alone.status_code, together.status_code) == (200, 200)
    assert [job.account_id for job in await stand.coordinator.heard(JobSubmitted, 2)] == [UNSET, account_id]


async def test_a_revoked_key_is_refused_at_once_and_elsewhere_within_a_minute(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    account_id = await account(stand)
    key = await key_of(stand, account_id)
    elsewhere = Accounts(AccountBook(stand.config.database_url), AdminToken(ADMIN_TOKEN), SteadyClock(0))
    request: Any = httpx.Request("GET", stand.url)
    request.scope, request.client = {"headers": [(b"apikey", key.encode())]}, None
    await elsewhere.demand(request, Scope.READ)
    now_ms = monotonic_ms()

    key_id = key.split("_")[1]
    revoked = await stand.http.delete(f"/v1/accounts/{account_id}/keys/{key_id}", headers=ADMIN)

    assert revoked.json()["revoked_ms"]
    assert code(await ask(stand, apikey=key)) == (401, "API_KEY_REVOKED")
    monkeypatch.setattr(module, "monotonic_ms", lambda: now_ms + 60_000)
    with pytest.raises(Refusal) as caught:
        await elsewhere.demand(request, Scope.READ)
    assert caught.value.code == "API_KEY_REVOKED"
    elsewhere.book.close()


async def test_who_asks_too_often_is_told_when_to_ask_again(stand: Stand) -> None:
    key = await key_of(stand, await account(stand, rate_per_minute=1, burst=2))

    answers = [await ask(stand, apikey=key) for _ in range(3)]

    assert [code(answer)[1] for answer in answers] == ["NO_NODE_ONLINE", "NO_NODE_ONLINE", "RATE_LIMITED"]
    assert answers[2].status_code == 429
    assert 50 <= int(answers[2].headers["Retry-After"]) <= 60
    assert {answer.headers["RateLimit-Policy"] for answer in answers} == {'"account";q=2;w=120'}
    assert [answer.headers["RateLimit"].split(";")[1] for answer in answers] == ["r=1", "r=0", "r=0"]


async def test_a_quota_is_one_for_all_gateways(stand: Stand) -> None:
    account_id = await account(stand, requests_per_day=2)
    key = await key_of(stand, account_id)
    assert code(await ask(stand, apikey=key))[1] == "NO_NODE_ONLINE"
    elsewhere = Accounts(AccountBook(stand.config.database_url), AdminToken(ADMIN_TOKEN), SteadyClock(0))
    request: Any = httpx.Request("GET", stand.url)
    request.scope, request.client = {"headers": [(b"apikey", key.encode())]}, None
    caller = await elsewhere.demand(request, Scope.DETECT)

    elsewhere.spend(caller)
    await elsewhere.save()
    await elsewhere.save()
    elsewhere.book.close()
    fresh = Accounts(AccountBook(stand.config.database_url), AdminToken(ADMIN_TOKEN), SteadyClock(0))
    caller = await fresh.demand(request, Scope.DETECT)

    fresh.spend(caller)
    with pytest.raises(Refusal) as caught:
        fresh.spend(caller)
    assert caught.value.code == "QUOTA_EXHAUSTED"
    assert 0 < (caught.value.retry_after_s or 0) <= 86_400
    fresh.book.close()


async def test_keys_are_made_by_administrators_and_by_keys_that_may(stand: Stand) -> None:
    account_id, other = await account(stand), await account(stand)
    may = {"X-Api-Key": await key_of(stand, account_id, "keys", "read")}
    keys = f"/v1/accounts/{account_id}/keys"

    made = await stand.http.post(keys, json={"scopes": ["read"], "label": "robot 7"}, headers=may)
    listed = await stand.http.get(keys, headers=may)

    assert made.status_code == 200
    assert "robot 7" in {one["label"] for one in listed.json()["keys"]}
    assert made.json()["key"].split("_")[2] not in listed.text
    more = await stand.http.post(keys, json={"scopes": ["detect"]}, headers=may)
    assert code(more) == (403, "SCOPE_MISSING")
    for path in (f"/v1/accounts/{other}/keys", "/v1/accounts/acc_0/keys", "/v1/accounts/acc_" + "0" * 16 + "/keys"):
        assert code(await stand.http.get(path, headers=may)) == (404, "UNKNOWN_ACCOUNT")
    nobody = "/v1/accounts/acc_" + "0" * 16 + "/keys"
    assert code(await stand.http.get(nobody, headers=ADMIN)) == (404, "UNKNOWN_ACCOUNT")
    assert code(await stand.http.delete(f"{keys}/none", headers=may)) == (404, "UNKNOWN_KEY")
    assert code(await stand.http.get("/v1/accounts", headers=may)) == (401, "UNAUTHORIZED")
    assert code(await stand.http.post("/v1/accounts", headers=may)) == (401, "UNAUTHORIZED")
    for body in (b"{}", b"nonsense", b'{"name":"a","limits":{"burst":-1}}'):
        assert code(await stand.http.post("/v1/accounts", content=body, headers=ADMIN)) == (400, "BAD_ACCOUNT")
    shown = (await stand.http.get("/v1/accounts", headers=ADMIN)).json()["accounts"]
    assert {account_id, other} <= {one["account_id"] for one in shown}


async def test_keys_are_not_tried_through(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FAILURES", Rate(per_minute=1, burst=3))
    good = own_key(stand.config.database_url, Limits())
    assert code(await ask(stand, apikey=good))[1] == "NO_NODE_ONLINE"

    codes = [code(await ask(stand, apikey=new_api_key().text)) for _ in range(4)]

    assert codes == [(401, "UNKNOWN_API_KEY")] * 3 + [(429, "TOO_MANY_FAILURES")]
    assert code(await ask(stand, apikey=good))[1] == "NO_NODE_ONLINE", "a key that is known already still serves"


async def test_what_lets_anybody_check_the_network_needs_no_key(stand: Stand) -> None:
    paths = [
        "/healthz",
        "/readyz",
        "/v1/network",
        "/v1/models",
        "/v1/workloads",
        "/v1/trust",
        "/v1/nodes",
        "/v1/epochs",
    ]
    for path in paths:
        assert (await stand.http.get(path, headers={"X-Api-Key": ""})).status_code == 200, path
    assert (await stand.http.post("/v1/nodes/challenge", headers={"X-Api-Key": ""})).status_code == 200
