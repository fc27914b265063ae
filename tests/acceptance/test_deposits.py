"""A requester without money is refused, pays on the chain, and is served: processes all, and a chain beside them."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.acceptance.paid_restarts import PRICE_NONE, write_prices
from tests.acceptance.stand import GRIDLIGHT, Network, gridlight, running, until
from tests.acceptance.test_money import Payer, said
from tests.outside.chain import Chain
from tests.outside.horizon import Horizon, Plan, served
from tests.outside.paying import PASSPHRASE, Wallet, configured
from tests.outside.paying_in import PAYER, WALLET, pay

from gridlight.messages.amounts import coins
from gridlight.services.own_nodes import KEYS_FOLDER, database_file

CREDITED_S = 60.0


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    prices = write_prices(tmp_path / "prices.toml")
    with prices.open("a") as file:
        file.write(f'[deposits]\naccount = "{PAYER.public_key}"\npassphrase = "{PASSPHRASE}"\n')
    with running(tmp_path / "network", 1, "--money", str(prices)) as network:
        yield network


def is_credited(requester: Payer) -> bool:
    ran = gridlight("account", "show", *requester.at)
    return ran.returncode == 0 and f"{coins(2 * PRICE_NONE)} coin available" in ran.stdout


def test_a_requester_pays_on_the_chain_and_is_served(network: Network, bus: Path, tmp_path: Path) -> None:
    requester, chain = Payer(network, bus), Chain(PASSPHRASE)
    for one in (WALLET, PAYER):
        chain.open_account(one.public_key, 10**12)
    assert requester.ask().status_code == 402
    where = said("account", "deposit-address", *requester.at)
    assert where["network"] == PASSPHRASE
    assert "bare account" in gridlight("account", "deposit-address", *requester.at).stdout

    with served(Horizon(chain, Plan())) as url:
        config = configured(
            Wallet(tmp_path / "payer.db"),
            tmp_path,
            url,
            has_seeds=False,
            nats_url=network.read().nats_url,
            credentials=network.folder / KEYS_FOLDER / "payer.creds",
            statements_url=f"sqlite:///{database_file(network.folder)}",
        )
        with subprocess.Popen([GRIDLIGHT, "deposits", "run", "--config", config, "--watch"]) as watcher:
            digest = pay(chain, (str(where["address"]), 2 * PRICE_NONE))
            until(lambda: is_credited(requester), CREDITED_S, "the deposit to be credited")
            watcher.terminate()
    assert watcher.returncode == 0
    assert requester.ask().status_code == 200
    ran = gridlight("account", "statement", requester.account, *requester.at, "--json")
    first = json.loads(ran.stdout)["lines"][0]
    assert (first["key"], first["available"]) == (f"deposit:{digest}:0", coins(2 * PRICE_NONE))
    audit = gridlight("ledger", "audit", "--data", network.folder, "--json")
    assert (audit.returncode, json.loads(audit.stdout)["balances"]["ext:chain"]) == (0, -2 * PRICE_NONE)
