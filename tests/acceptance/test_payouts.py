"""An operator says where to be paid, earns, and is paid there: a whole network of processes, and a chain beside it."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from tests.acceptance.stand import Network, gridlight, running, until
from tests.acceptance.test_money import Payer, node_folders, said
from tests.outside.chain import Chain
from tests.outside.horizon import Horizon, Plan, served
from tests.outside.paying import PASSPHRASE, Wallet, configured, key

from gridlight.adapters.node_folder import OPERATOR_KEY_FILE
from gridlight.client.earnings import total
from gridlight.messages.amounts import coins
from gridlight.services.agent.own_books import all_earnings
from gridlight.services.own_nodes import KEYS_FOLDER, database_file
from gridlight.workloads.contract import catalogue

REWARD, REQUESTS = 30_000, 2
EARNED_S = 60.0
PAID_S = 180.0
"""The payer looks who is due once a minute."""
HERE, THERE = key("here").public_key, key("there").public_key


@pytest.fixture
def network(photos: dict[str, Path], tmp_path: Path) -> Iterator[Network]:
    """Two nodes that check each other; what is final is their operators' when the next epoch begins."""
    with running(tmp_path / "network", 2, "--money", str(priced(tmp_path / "prices.toml"))) as network:
        yield network


def priced(prices: Path) -> Path:
    """Nothing is held back, and an epoch is short."""
    workload = next(iter(catalogue()))
    prices.write_text(
        f'epoch_s = 2\n[money]\nhold_ms = 0\nhold_tasks = 0\n[work]\n"{workload}" = {REWARD}\n', encoding="ascii"
    )
    return prices


def work(network: Network, requester: Payer) -> None:
    """The first node does a task that is audited by the second, and earns the whole reward."""
    [node, _] = network.agents()
    headers = {"Authorization": f"Bearer {network.token}", "X-Api-Key": requester.key, "X-Gridlight-Node": node}
    headers["Content-Type"] = "image/jpeg"
    photo, wanted = requester.photo.read_bytes(), {"verify": "audited", "deadline_ms": "30000"}
    with httpx.Client(base_url=network.url, headers=headers, trust_env=False, timeout=40) as http:
        until(lambda: http.post("/v1/detect", content=photo, params=wanted).is_success, EARNED_S, "an answer")


def summed_of(network: Network, data: str, part: str, kind: str | None = None) -> int:
    """Units of the operator of the node in this folder, as the network says."""
    return total(all_earnings(network.url, Path(data))[0], part, kind)


def payer_of(network: Network) -> psutil.Process:
    """The network's own."""
    [payer] = [child for child in psutil.Process(network.up.pid).children() if "payouts" in child.cmdline()]
    return payer


def paid_out(config: Path, chain: Chain) -> int:
    """Units that came to the operator's address, once the payer has run."""
    ran = gridlight("payouts", "run", "--config", config)
    assert ran.returncode == 0, ran.stderr
    return chain.accounts[HERE].units


def test_a_network_with_a_payer_of_its_own_pays_by_itself(photos: dict[str, Path], bus: Path, tmp_path: Path) -> None:
    wallet, chain, folder = Wallet(tmp_path / "payer.db"), Chain(PASSPHRASE), tmp_path / "network"
    for account, units in ((wallet.payer, 10**12), (wallet.channel_keys[0], 10**12), (key("here"), 0)):
        chain.open_account(account.public_key, units)
    folder.mkdir()
    with served(Horizon(chain, Plan())) as url:
        configured(wallet, folder, url)
        with running(folder, 2, "--money", str(priced(tmp_path / "prices.toml"))) as network:
            [data, _] = node_folders(network)
            said("operator", "payout-address", HERE, "--key", Path(data) / OPERATOR_KEY_FILE, "--network", network.url)
            requester = Payer(network, bus)
            requester.credit("2.5")
            work(network, requester)
            until(lambda: summed_of(network, data, "available") == REWARD, EARNED_S, "the reward to be the operator's")
            payer_of(network).kill()  # the one that follows it looks at once who is due, not in a minute
            until(lambda: chain.accounts[HERE].units == REWARD, PAID_S, "the reward to be paid")
            status = said("payouts", "status", "--config", folder / "payer" / "config.toml")

    assert [one["detail"] for one in status["actions"] if one["what"] == "address"]  # type: ignore[attr-defined]


def test_an_operator_is_paid_where_they_say_and_sees_it(network: Network, bus: Path, tmp_path: Path) -> None:
    wallet, chain, [data, _] = Wallet(tmp_path / "payer.db"), Chain(PASSPHRASE), node_folders(network)
    for account, units in ((wallet.payer, 10**12), (wallet.channel_keys[0], 10**12), (key("here"), 0)):
        chain.open_account(account.public_key, units)
    word = ("operator", "payout-address", "--key", Path(data) / OPERATOR_KEY_FILE, "--network", network.url)
    assert said(*word)["payout"] is None
    said(*word, THERE)
    stands = said(*word, HERE, "--threshold", coins(REQUESTS * REWARD))
    assert said(*word) == stands

    def summed(part: str, kind: str | None = None) -> int:
        return summed_of(network, data, part, kind)

    requester = Payer(network, bus)
    requester.credit("2.5")
    with served(Horizon(chain, Plan())) as url:
        config = configured(
            wallet,
            tmp_path,
            url,
            nats_url=network.read().nats_url,
            credentials=network.folder / KEYS_FOLDER / "payer.creds",
            statements_url=f"sqlite:///{database_file(network.folder)}",
        )

        work(network, requester)
        until(lambda: summed("available") == REWARD, EARNED_S, "the first reward to be the operator's")
        assert paid_out(config, chain) == 0, "less than the operator wants at once"
        work(network, requester)
        until(lambda: summed("available") == REQUESTS * REWARD, EARNED_S, "both rewards to be the operator's")
        assert paid_out(config, chain) == REQUESTS * REWARD

    until(lambda: summed("in_flight", "paid") == -REQUESTS * REWARD, EARNED_S, "`paid` to be told")
    told, paid = said("node", "earnings", "--data", data), coins(chain.accounts[HERE].units)
    assert (told["paid"], paid) == (paid, coins(REQUESTS * REWARD))
    assert (told["available"], told["in_flight"], told["earned"]) == (coins(0), coins(0), paid)
    assert told["payout"] == {**stands["payout"], "address": f"{HERE[:4]}\N{HORIZONTAL ELLIPSIS}{HERE[-4:]}"}  # type: ignore[dict-item]
    log = json.loads(gridlight("payouts", "status", "--config", config, "--json").stdout)["actions"]
    assert [HERE in one["detail"] for one in log if one["what"] == "address"] == [True]
    audited = gridlight("ledger", "audit", "--data", network.folder)
    assert audited.returncode == 0, audited.stderr
