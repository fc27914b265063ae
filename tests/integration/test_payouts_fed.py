"""A payer's process paid out of the ledger of a coordinator's process, over a real bus; both are killed on the way."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.integration.conftest import Connections, Server
from tests.integration.coordinator_stand import Stand, standing
from tests.outside.horizon import Horizon, Plan, served
from tests.outside.killing import DeadlyHorizon
from tests.outside.paying import Purse, configured

MAIN = [sys.executable, "-c", "from gridlight.cli.main import main; main()"]


@pytest.fixture
async def stand(server: Server, connections: Connections, tmp_path: Path) -> AsyncIterator[Stand]:
    async with standing(server, connections, tmp_path) as stand:
        yield stand


async def said(*words: object) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        subprocess.run, [*MAIN, *map(str, words)], capture_output=True, text=True, timeout=120, check=False
    )


async def test_what_operators_have_in_the_networks_ledger_is_paid_once_though_both_sides_are_killed(
    stand: Stand, server: Server, tmp_path: Path
) -> None:
    purse = Purse(tmp_path / "payer.db", 6, network=stand.database_url)
    del purse.chain.accounts[purse.operators["OP5"]]
    gateway = await stand.gateway()
    coordinator = await stand.start(gateway)
    ends_at = ["did POST"]

    def kills(step: str) -> bool:
        """With the payer, once its first transaction was taken, the coordinator, which must hear of it later."""
        is_end = step.startswith(ends_at[0])
        if is_end and coordinator.is_running:
            coordinator.kill()
        return is_end

    horizon = DeadlyHorizon(Horizon(purse.chain, Plan()), kills)
    with served(horizon) as url:
        path = configured(purse, tmp_path, url, nats_url=server.url, credentials=server.keys.creds_file("payer"))
        payer = await asyncio.create_subprocess_exec(*MAIN, "payouts", "run", "--config", path)
        horizon.pid = payer.pid
        async with asyncio.timeout(120):
            assert await payer.wait() == -signal.SIGKILL
        assert not coordinator.is_running
        await stand.start(gateway)
        ended = await said("payouts", "run", "--config", path, "--json")
    assert ended.returncode == 0, ended.stderr
    shown = json.loads(ended.stdout)
    assert (shown["inflight_units"], shown["available_units"], list(shown["refused"])) == (0, 0, ["OP5"])
    audit = await said("ledger", "audit", "--database", stand.database_url, "--json")
    assert audit.returncode == 0, audit.stderr
    assert json.loads(audit.stdout)["balances"]["op:*:avail"] == purse.owed["OP5"]
    purse.check(unpaid=frozenset({"OP5"}))


async def test_a_payer_whose_books_are_not_those_that_the_ledger_knows_holds_nothing(
    stand: Stand, server: Server, tmp_path: Path
) -> None:
    purse = Purse(tmp_path / "payer.db", 1, network=stand.database_url)
    gateway = await stand.gateway()
    await stand.start(gateway)
    with served(Horizon(purse.chain, Plan())) as url:
        path = configured(purse, tmp_path, url, nats_url=server.url, credentials=server.keys.creds_file("payer"))
        assert (await said("payouts", "run", "--config", path)).returncode == 0
        other = Purse(tmp_path / "other.db", 1, network=f"sqlite:///{tmp_path / 'network.db'}")
        configured(other, tmp_path, url, nats_url=server.url, credentials=server.keys.creds_file("payer"))
        ended = await said("payouts", "run", "--config", path)
    assert ended.returncode == 1
    assert "knows 1 holds and 1 ends, the payer 0 and 0" in ended.stderr
