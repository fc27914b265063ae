"""Money at the gateway's door: grants once a key, prices before the fact, statements, and a node's own books."""

import base64
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from tests.integration.conftest import Connections, Server
from tests.integration.gateway_stand import Stand, add_node, standing
from tests.integration.test_gateway import jpeg
from tests.integration.test_gateway_accounts import ADMIN, account, code, key_of
from tests.unit.core.world import node_id

from gridlight.adapters.kept_words import KEPT_MS
from gridlight.adapters.receipts import ReceiptInvalid, verify_receipt, write_receipt
from gridlight.adapters.signatures import SigningKey
from gridlight.adapters.words import sign_closed, verify_words
from gridlight.core.postings import Draft, final, grant
from gridlight.core.receipts import Sheet
from gridlight.core.words import Words
from gridlight.messages.envelope import EARNINGS_DOMAIN
from gridlight.messages.ids import AssignmentId, JobId, NodeId
from gridlight.messages.jobs import JobCode, JobState, JobSubmitted, Outcome, Shortfall
from gridlight.messages.ledger import MoneyParameters, PricesSet, RecordEntry, op_pending, req_escrow
from gridlight.messages.money_api import ReceiptsResponse, WordsResponse
from gridlight.messages.receipts import Receipt, RecordSheet
from gridlight.messages.words import RecordWords, Word, WordsFile
from gridlight.services.gateway import credits as credits_module
from gridlight.services.gateway import money_api
from gridlight.workloads.contract import catalogue

[WORKLOAD] = list(catalogue())[:1]
PRICES = PricesSet(money=MoneyParameters(), work={WORKLOAD: 1_000_000})
"""A reward of 0.1 coin, 0.01 to the network, and 0.012 for checks where an answer is sampled."""


@pytest.fixture
async def stand(server: Server, connections: Connections, tmp_path: Path) -> AsyncIterator[Stand]:
    async with standing(server, connections, tmp_path) as stand:
        stand.coordinator.core.handle(0, PRICES)
        yield stand


async def credit(stand: Stand, account_id: str, amount: object, key: str = "k1") -> httpx.Response:
    headers = {**ADMIN, "Idempotency-Key": key} if key else ADMIN
    return await stand.http.post(f"/v1/accounts/{account_id}/credits", json={"amount": amount}, headers=headers)


async def balance(stand: Stand, account_id: str) -> tuple[str, str]:
    said = (await stand.http.get(f"/v1/accounts/{account_id}/balance", headers=ADMIN)).json()
    return said["available"], said["held"]


async def test_a_grant_is_credited_once_however_often_it_is_sent(stand: Stand) -> None:
    account_id = await account(stand)

    first, again = await credit(stand, account_id, "12.5"), await credit(stand, account_id, "12.5000000")

    assert first.status_code == 200, first.text
    assert first.json() == again.json()
    assert (first.json()["amount"], first.json()["key"]) == ("12.5000000", "k1")
    assert await balance(stand, account_id) == ("12.5000000", "0.0000000")


async def test_a_key_stands_for_one_grant_alone(stand: Stand) -> None:
    account_id, other = await account(stand), await account(stand)
    await credit(stand, account_id, "12.5")

    for answer in (await credit(stand, account_id, "12.6"), await credit(stand, other, "12.5")):
        assert code(answer) == (409, "IDEMPOTENCY_KEY_REUSED")
        assert f"12.5000000 coin to {account_id}" in answer.json()["error"]["message"]
    assert await balance(stand, other) == ("0.0000000", "0.0000000")


@pytest.mark.parametrize("amount", ["0", "-1", "1e3", "1.00000001", 1, 1.5, "", None, "99999999999999"])
async def test_what_is_no_amount_is_not_granted(stand: Stand, amount: object) -> None:
    account_id = await account(stand)
    assert code(await credit(stand, account_id, amount)) == (400, "BAD_AMOUNT")
    assert await balance(stand, account_id) == ("0.0000000", "0.0000000")


async def test_only_administrators_grant_and_only_with_a_key_to_accounts_that_are_there(stand: Stand) -> None:
    account_id = await account(stand)
    key = await key_of(stand, account_id, "detect", "read", "keys")
    own = await stand.http.post(
        f"/v1/accounts/{account_id}/credits", json={"amount": "1"}, headers={"Authorization": f"Bearer {key}"}
    )

    assert code(own) == (403, "FORBIDDEN")
    assert code(await credit(stand, account_id, "1", key="")) == (400, "BAD_IDEMPOTENCY_KEY")
    assert code(await credit(stand, account_id, "1", key="a b")) == (400, "BAD_IDEMPOTENCY_KEY")
    assert code(await credit(stand, "acc_" + "0" * 16, "1")) == (404, "UNKNOWN_ACCOUNT")


async def test_a_grant_that_no_coordinator_takes_is_told_to_be_sent_again(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    account_id = await account(stand)
    monkeypatch.setattr(credits_module, "POSTED_S_MAX", 0.2)
    stand.coordinator.is_silent = True

    refused = await credit(stand, account_id, "1")

    assert code(refused) == (503, "NO_COORDINATOR")
    assert "same Idempotency-Key" in refused.json()["error"]["hint"]


async def test_a_dry_run_says_the_price_and_runs_nothing(stand: Stand) -> None:
    account_id = await account(stand)
    key = await key_of(stand, account_id)
    await credit(stand, account_id, "0.1")
    sent = {"X-Api-Key": key, "Content-Type": "image/jpeg"}

    async def asked(path: str, **parameters: str) -> dict[str, object]:
        answer = await stand.http.post(path, content=jpeg(), headers=sent, params={"dry_run": "true", **parameters})
        assert answer.status_code == 200, answer.text
        said: dict[str, object] = answer.json()
        return said

    sampled = await asked("/v1/detect")
    unchecked = await asked(f"/v1/run/{WORKLOAD}", verify="none")

    assert (sampled["price"], sampled["escrow"], sampled["available"]) == ("0.1220000", "0.1220000", "0.1000000")
    assert (sampled["missing"], sampled["is_sufficient"], sampled["dry_run"]) == ("0.0220000", False, True)
    assert (unchecked["price"], unchecked["missing"]) == ("0.1100000", "0.0100000")
    assert not [event for event in stand.coordinator.events if type(event) is JobSubmitted]
    bad = await stand.http.post("/v1/detect?dry_run=yes", content=jpeg(), headers=sent)
    assert code(bad) == (400, "BAD_PARAMETER")


async def test_a_dry_run_in_a_json_body_and_by_an_administrator_whom_nothing_costs(stand: Stand) -> None:
    body = {"image": {"b64": base64.b64encode(jpeg()).decode()}, "dry_run": True}
    said = (await stand.http.post("/v1/detect", json=body, headers=ADMIN)).json()
    assert (said["price"], said["account_id"], said["is_sufficient"]) == ("0.0000000", None, True)


async def test_who_has_too_little_is_told_price_balance_and_what_is_missing(
    stand: Stand, connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_node(stand, connections)
    refused = Outcome(
        state=JobState.REFUSED,
        code=JobCode.INSUFFICIENT_FUNDS,
        shortfall=Shortfall(price=1_220_000, available=1_000_000),
    )
    monkeypatch.setattr(
        stand.coordinator,
        "_assign",
        lambda job: stand.coordinator.ended(job, refused),
    )
    answer = await stand.detect(jpeg())

    assert code(answer) == (402, "INSUFFICIENT_FUNDS")
    assert answer.json()["error"]["details"] == {
        "price": "0.1220000",
        "balance": "0.1000000",
        "missing": "0.0220000",
    }


async def test_a_statement_adds_up_page_by_page_and_is_its_own_account_s(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(money_api, "STATEMENT_LINES_MAX", 2)
    account_id, other = await account(stand), await account(stand)
    for number in range(5):
        await credit(stand, account_id, f"{number + 1}.0000001", key=f"k{number}")
    await credit(stand, other, "7", key="other")
    path = f"/v1/accounts/{account_id}/statement"
    lines: list[dict[str, object]] = []
    page: dict[str, Any] = {"next_after": 0}
    while (after := page["next_after"]) is not None:
        page = (await stand.http.get(path, headers=ADMIN, params={"after": after})).json()
        lines += page["lines"]

    assert [line["key"] for line in lines] == [f"grant:k{number}" for number in range(5)]
    assert [line["available"] for line in lines] == [f"{number + 1}.0000001" for number in range(5)]
    assert (page["available"], page["held"], page["entry"]) == ("15.0000005", "0.0000000", 6)
    stranger = {"X-Api-Key": await key_of(stand, other)}
    for what in (path, path.replace("statement", "balance")):
        assert code(await stand.http.get(what, headers=stranger)) == (404, "UNKNOWN_ACCOUNT")


class Books:
    """What a coordinator would have written of one node."""

    def __init__(self, stand: Stand, node: SigningKey, operator: str) -> None:
        self.stand = stand
        self.node = node
        self.operator = operator
        self.core = stand.coordinator.core
        self.sheet = Sheet()
        self.key = SigningKey.generate()
        self.core.bookkeeping.earnings.know(node.public, operator)

    def post(self, draft: Draft) -> None:
        entry = self.core.bookkeeping.ledger.post(draft.key, draft.postings)
        self.stand.coordinator.record(RecordEntry(entry=entry))

    def earn(self, number: int, amount: int) -> None:
        """As a final answer does."""
        self.post(grant(f"escrow{number}", req_escrow("anna"), amount))
        self.post(final(f"req_{number}", "anna", self.operator, amount))
        self.core.bookkeeping.earnings.earned(0, self.node.public, self.operator, amount)
        self.sheet.write(
            Receipt(
                sheet=self.sheet.number,
                task=JobId(f"req_{number:026d}"),
                attempt=AssignmentId(f"{number:016x}"),
                operator=self.operator,
                node=NodeId(self.node.public),
                workload=WORKLOAD,
                mwu=1,
                amount=amount,
                status="final",
            )
        )

    def close(self, network: SigningKey) -> None:
        ledger = self.core.bookkeeping.ledger
        root, receipts = self.sheet.close(1, ledger_seq=ledger.seq, ledger_head=ledger.head, epoch=1)
        effect = RecordSheet(root=root, receipts=tuple(receipts))
        self.stand.coordinator.record(effect, sign=partial(sign_closed, network))

    async def ask(self, what: str, key: SigningKey | None = None, **parameters: str | int) -> httpx.Response:
        nonce = (await self.stand.http.post("/v1/nodes/challenge")).json()["nonce"]
        signature = (key or self.node).sign(EARNINGS_DOMAIN, nonce.encode())
        headers = {"Gridlight-Nonce": nonce, "Gridlight-Signature": base64.b64encode(signature).decode()}
        path = f"/v1/nodes/{self.node.public}/{what}"
        return await self.stand.http.get(path, headers=headers, params=dict(parameters))


async def test_a_node_reads_what_its_operator_earned_on_closed_sheets(stand: Stand) -> None:
    books = Books(stand, SigningKey.generate(), SigningKey.generate().public)
    network = SigningKey.generate()
    for number in (1, 2):
        books.earn(number, 1_000)
    books.close(network)
    books.close(network)
    books.post(grant("thanks", op_pending(books.operator), 7))

    told = (await books.ask("earnings")).json()

    assert told["operator"] == books.operator
    assert [(line["sheet"], line["kind"], line["pending"]) for line in told["lines"]] == [(0, "earned", "0.0002000")]
    assert told["next_after"] is None
    assert [day["amount"] for day in told["vesting"]] == ["0.0002000"]
    assert (await books.ask("earnings", after=0)).json()["lines"] == []


async def test_a_nodes_books_are_its_own(stand: Stand) -> None:
    books = Books(stand, SigningKey.generate(), SigningKey.generate().public)
    for what in ("earnings", "receipts", "words"):
        path = f"/v1/nodes/{books.node.public}/{what}"
        assert code(await books.ask(what, key=SigningKey.generate())) == (401, "BAD_SIGNATURE")
        assert code(await stand.http.get(path)) == (401, "NOT_THE_NODE")
        assert code(await stand.http.get(path.replace(books.node.public, "U1"))) == (400, "BAD_NODE_ID")
        assert (await stand.http.get(path, headers=ADMIN)).status_code == 200
    unknown = f"/v1/nodes/{SigningKey.generate().public}/earnings"
    assert code(await stand.http.get(unknown, headers=ADMIN)) == (404, "NO_EARNINGS")
    assert code(await books.ask("receipts", after="x")) == (400, "BAD_REQUEST")
    assert code(await books.ask("words", after=-2))[0] == 400
    stranger, attempt = SigningKey.generate(), "ab" * 8
    assert code(await books.ask("absences", key=stranger, page=0, attempt=attempt)) == (401, "BAD_SIGNATURE")
    assert code(await books.ask("absences", page=0, attempt=attempt)) == (404, "UNKNOWN_WORD")


async def test_receipts_come_page_by_page_with_proofs_that_hold(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gridlight.services.gateway.own_receipts.RECEIPTS_LISTED_MAX", 2)
    monkeypatch.setattr("gridlight.services.gateway.own_receipts.SHEETS_PROVED_MAX", 1)
    books, network = Books(stand, SigningKey.generate(), SigningKey.generate().public), SigningKey.generate()
    for sheet in range(3):
        for number in range(3):
            books.earn(10 * sheet + number, 100)
        books.close(network)
    found, after = [], "-1.0"
    while True:
        answer = await books.ask("receipts", after=after)
        page = msgspec.json.decode(answer.content, type=ReceiptsResponse)
        found += page.receipts
        if page.next_after is None:
            break
        after = page.next_after

    files = [write_receipt(one.proof, one.root) for one in found]
    assert len({verify_receipt(file, network.public).receipt.attempt for file in files}) == 9
    broken = files[0].replace(b'"amount":100', b'"amount":900')
    assert broken != files[0]
    with pytest.raises(ReceiptInvalid):
        verify_receipt(broken, network.public)


async def test_words_come_page_by_page_and_are_dropped_in_time(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gridlight.services.gateway.own_words.WORDS_LISTED_MAX", 2)
    books, network, words = Books(stand, SigningKey.generate(), "ben"), SigningKey.generate(), Words()
    for at_ms in (1, 2, 3, 4):
        for node in (NodeId(books.node.public), node_id(1)):
            words.write(node, "ben", Word(AssignmentId(f"{at_ms:016x}"), 0, at_ms), due_ms=9)
        effect = words.close(at_ms, sheet=0, epoch=1)
        stand.coordinator.record(effect, sign=partial(sign_closed, network))
        stand.coordinator.record(words_of_nobody(words))
    found: list[WordsFile] = []
    after: int | None = -1
    while after is not None:
        answer = await books.ask("words", after=after)
        page = msgspec.json.decode(answer.content, type=WordsResponse)
        found, after = found + page.words, page.next_after
        assert page.newest == 6
    assert [verify_words(file, network.public).page for file in found] == [0, 2, 4, 6], "unsigned ones are none"

    words.write(node_id(1), "ben", Word(AssignmentId("ab" * 8), 0, 9), due_ms=9)
    late = words.close(KEPT_MS + 4, sheet=0, epoch=1)
    stand.coordinator.record(late, sign=partial(sign_closed, network))
    page = msgspec.json.decode((await books.ask("words")).content, type=WordsResponse)
    assert [file.words.page for file in page.words] == [6]


def words_of_nobody(words: Words) -> RecordWords:
    """A page that the host has no key to sign."""
    words.write(node_id(1), "ben", Word(AssignmentId("ab" * 8), 0, 1), due_ms=9)
    return words.close(1, sheet=0, epoch=1)
