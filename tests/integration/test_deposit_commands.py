"""`gridlight deposits` as a process, over a real bus to a coordinator's: killed on the way, and what others forge."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.integration.conftest import Connections, Server
from tests.integration.coordinator_stand import SHARD, Stand, eventually, standing
from tests.outside.chain import Chain
from tests.outside.horizon import Horizon, Plan, served
from tests.outside.killing import DeadlyHorizon
from tests.outside.paying import PASSPHRASE, Wallet, configured, key
from tests.outside.paying_in import PAYER, WALLET, pay

from gridlight.adapters.accounts import AccountBook
from gridlight.adapters.books import Books
from gridlight.adapters.chain.addresses import deposit_address
from gridlight.messages import subjects
from gridlight.messages.accounts import Limits, deposit_number
from gridlight.messages.codec import encode
from gridlight.messages.ids import AccountId
from gridlight.messages.ledger import NET_FEE, AccountCredited, req_avail

MAIN = [sys.executable, "-c", "from gridlight.cli.main import main; main()"]
HASH = "ab" * 32


@pytest.fixture
async def stand(server: Server, connections: Connections, tmp_path: Path) -> AsyncIterator[Stand]:
    async with standing(server, connections, tmp_path) as stand:
        yield stand


async def said(*words: object) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        subprocess.run, [*MAIN, *map(str, words)], capture_output=True, text=True, timeout=120, check=False
    )


def account_of(stand: Stand) -> AccountId:
    book = AccountBook(stand.database_url)
    account = book.create("anna", Limits(), 1).account_id
    book.close()
    return account


async def test_a_watcher_that_is_killed_credits_once_and_an_administrator_attributes_what_named_nobody(
    stand: Stand, server: Server, tmp_path: Path
) -> None:
    anna, chain = account_of(stand), Chain(PASSPHRASE)
    for one in (WALLET, PAYER):
        chain.open_account(one.public_key, 10**12)
    address = deposit_address(PAYER.public_key, deposit_number(anna))
    pay(chain, (address, 25_000_000), (address, 1))
    bare = pay(chain, (PAYER.public_key, 7))
    await stand.start(await stand.gateway())
    horizon = DeadlyHorizon(Horizon(chain, Plan()), lambda step: step.startswith("did GET"))
    with served(horizon) as url:
        network = {"nats_url": server.url, "credentials": server.keys.creds_file("payer")}
        wallet = Wallet(tmp_path / "payer.db")
        path = configured(wallet, tmp_path, url, has_seeds=False, statements_url=stand.database_url, **network)
        watcher = await asyncio.create_subprocess_exec(*MAIN, "deposits", "run", "--config", path, stderr=-3)
        horizon.pid = watcher.pid
        async with asyncio.timeout(120):
            assert await watcher.wait() == -signal.SIGKILL
        ended = await said("deposits", "run", "--config", path, "--json")
        assert ended.returncode == 0, ended.stderr
        totals = json.loads(ended.stdout)["totals"]
        assert (totals["credited"], totals["credited_units"], totals["unattributed"]) == (2, 25_000_001, 1)
        listed = await said("deposits", "list", "--config", path)
        assert f"{bare}:0  from {WALLET.public_key}  names no number" in listed.stdout

        for words, hint in (((f"{bare}:0", "acc_0123456789abcdef"), "no account"), ((bare, anna), "names no deposit")):
            refused = await said("deposits", "attribute", "--config", path, *words)
            assert (refused.returncode, hint in refused.stderr, refused.stderr.count("\n")) == (1, True, 1)
        assert (await said("deposits", "attribute", "--config", path, f"{bare}:0", anna)).returncode == 0
        assert (await said("deposits", "run", "--config", path)).returncode == 0
    audit = await said("ledger", "audit", "--database", stand.database_url, "--json")
    assert json.loads(audit.stdout)["balances"]["req:*:avail"] == 25_000_008


async def test_a_gateway_forges_no_deposit_and_the_payer_no_grant(
    stand: Stand, server: Server, connections: Connections
) -> None:
    anna, gateway = account_of(stand), await stand.gateway()
    coordinator = await stand.start(gateway)
    forged = AccountCredited(key=f"deposit:{HASH}:0", account=req_avail(anna), amount=10**9, looked_to=0)
    payer = await connections.open(server, server.keys.creds_file("payer"))
    grants = (
        AccountCredited(key="grant:mine", account=req_avail(anna), amount=5, looked_to=0),
        AccountCredited(key=f"deposit:{HASH}:1", account=NET_FEE, amount=5, looked_to=0),
        AccountCredited(key=f"deposit:{HASH}:2", account=req_avail(anna), amount=5),
    )
    for grant in grants:
        await payer.publish(subjects.payer_words(SHARD), encode(grant))
    await payer.publish(subjects.control_events(SHARD), encode([forged]))  # which the bus does not let the payer say
    await payer.flush()
    await gateway.tell([forged, AccountCredited(key="grant:g", account=req_avail(anna), amount=3)])

    await eventually("the gateway's is refused", lambda: coordinator.log("a gateway's credit refused"))
    await eventually("the payer's are refused", lambda: len(coordinator.log("a payer's word refused")) == len(grants))
    await eventually("the grant is posted", lambda: stand.events(AccountCredited))
    books = Books.open(stand.database_url)
    assert [entry.key for entry in books.entries_after(0)] == ["grant:g"]
    books.close()


@pytest.mark.parametrize("others", [{}, {"nats_url": "nats://127.0.0.1:9"}])
async def test_a_watcher_that_cannot_reach_the_ledger_says_what_is_missing(
    tmp_path: Path, others: dict[str, object]
) -> None:
    path = configured(Wallet(tmp_path / "payer.db"), tmp_path, "http://127.0.0.1:9", has_seeds=False, **others)
    ended = await said("deposits", "run", "--config", path)
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert "nats_url, credentials and statements_url" in ended.stderr
    assert key("payer").public_key not in ended.stderr
