"""Money through a whole network of processes: granted, priced, spent, earned, proved to strangers, and never twice."""

import csv
import json
import os
import subprocess
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
from tests.acceptance.paid_restarts import MWU, PRICE_NONE, kill_under_load, write_prices
from tests.acceptance.stand import GRIDLIGHT, Network, gridlight, running, until

from gridlight.adapters.credentials import NetworkKeys
from gridlight.adapters.receipts import verify_receipt
from gridlight.client.earnings import total
from gridlight.messages.amounts import coins
from gridlight.services.agent.own_books import all_earnings
from gridlight.services.own_nodes import KEYS_FOLDER

NODES, REQUESTS = 3, 5
EARNED_S = 30.0


@pytest.fixture(scope="module")
def paid(photos: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    folder = tmp_path_factory.mktemp("paid")
    with running(folder / "network", NODES, "--money", str(write_prices(folder / "prices.toml"))) as network:
        yield network


def said(*words: object) -> dict[str, object]:
    """What a command says as JSON; it ends well."""
    ran = gridlight(*words, "--json")
    assert ran.returncode == 0, ran.stderr
    told: dict[str, object] = json.loads(ran.stdout)
    return told


def node_folders(network: Network) -> list[str]:
    return [one.data or "" for one in network.read().processes if one.role == "agent"]


def ask(network: Network, key: str, photo: Path) -> httpx.Response:
    headers = {"X-Api-Key": key, "Content-Type": "image/jpeg"}
    with httpx.Client(base_url=network.url, trust_env=False, timeout=30) as http:
        return http.post("/v1/detect?verify=none", content=photo.read_bytes(), headers=headers)


def earned(network: Network) -> int:
    """Units, by all nodes together."""
    return sum(total(all_earnings(network.url, Path(data))[0], "pending") for data in node_folders(network))


def summed(file: Path, column: str) -> Decimal:
    with file.open(encoding="utf-8", newline="") as lines:
        return sum((Decimal(row[column]) for row in csv.DictReader(lines)), Decimal(0))


def stranger(*words: object, home: Path) -> "subprocess.CompletedProcess[str]":
    """A process that knows nothing of the network but what it is told: another home, another folder, no variables."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(home)}
    command = [GRIDLIGHT, *map(str, words)]
    return subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, timeout=60, check=False)


class Payer:
    """An account of the network, and what was asked with it."""

    def __init__(self, network: Network, photo: Path) -> None:
        made = said("account", "create", "robots", "--data", network.folder)
        self.account = made["account"]["account_id"]  # type: ignore[index]
        self.key = str(made["key"])
        self.network = network
        self.photo = photo
        self.at = ("--url", network.url, "--api-key", self.key)

    def ask(self) -> httpx.Response:
        return ask(self.network, self.key, self.photo)

    def credit(self, amount: str) -> "subprocess.CompletedProcess[str]":
        words = ("account", "credit", self.account, amount, "--key", self.account, "--data", self.network.folder)
        return gridlight(*words, "--json")


def check_what_is_missing_is_told(payer: Payer) -> None:
    """Before anything was granted."""
    price, nothing = coins(PRICE_NONE), coins(0)
    refused = payer.ask()
    dry = gridlight("detect", payer.photo, "--dry-run", "--verify", "none", *payer.at)

    assert refused.status_code == 402
    assert refused.json()["error"]["details"] == {"price": price, "balance": nothing, "missing": price}
    assert (dry.returncode, f"{price} are missing" in dry.stdout) == (1, True)


def check_a_grant_is_credited_once(payer: Payer) -> None:
    """And nothing else under its key."""
    first, again, other = payer.credit("2.5"), payer.credit("2.5"), payer.credit("2.6")

    assert (first.returncode, first.stdout) == (0, again.stdout)
    assert (other.returncode, "IDEMPOTENCY_KEY_REUSED" in other.stderr) == (1, True)
    assert "2.5000000 coin available" in gridlight("account", "show", *payer.at).stdout
    log = (payer.network.folder / "gateway" / "log.jsonl").read_text(encoding="utf-8")
    assert sum("account_credited" in line and payer.account in line for line in log.splitlines()) == 2


def check_earnings_add_up(data: str, file: Path) -> None:
    """The lines to the totals, and what is held back to what is pending."""
    told = said("node", "earnings", "--data", data, "--csv", file)
    held = [Decimal(day["amount"]) for day in told["vesting"]]  # type: ignore[attr-defined]

    assert summed(file, "pending") == Decimal(str(told["pending"])) == Decimal(str(told["earned"]))
    assert sum(held, Decimal(0)) == Decimal(str(told["pending"]))


def fetched(data: str, out: Path) -> list[Path]:
    """A node's receipts as files."""
    told = said("node", "receipts", "--data", data, "--out", out)
    files = sorted(out.iterdir())
    assert told["written"] == len(files)
    return files


def check_a_stranger_believes(file: Path, network_key: str, home: Path) -> None:
    """Who has nothing but the file and the network's key."""
    verified = stranger("receipt", "verify", file, "--network-key", network_key, "--json", home=home)
    assert verified.returncode == 0, verified.stderr
    assert json.loads(verified.stdout)["receipt"]["amount"] == MWU


def check_a_flipped_byte_is_refused(file: Path, network_key: str, home: Path) -> None:
    """Of the amount."""
    changed = bytearray(file.read_bytes())
    changed[changed.index(b'"amount":') + 9] ^= 1
    file.write_bytes(changed)
    refused = stranger("receipt", "verify", file, "--network-key", network_key, home=home)

    assert refused.returncode == 1
    assert len(refused.stderr.splitlines()) == 1


def check_the_network_kept_its_word(data: str, out: Path) -> None:
    """It gave it on each run, and has a receipt for each: nothing is owed."""
    told = said("node", "omitted", "--data", data, "--out", out)
    assert (told["gives_words"], told["waiting"], told["unheard"], told["omissions"]) == (True, 0, 0, [])


def check_the_statement_adds_up(payer: Payer, file: Path) -> None:
    """To what was granted less what was asked for, and the network's share is collected."""
    words = ("account", "statement", payer.account, "--data", payer.network.folder, "--csv", file)
    told = said(*words)
    spent = REQUESTS * Decimal(coins(PRICE_NONE))

    assert summed(file, "available") == Decimal(str(told["available"])) == Decimal("2.5") - spent
    assert summed(file, "held") == Decimal(str(told["held"])) == 0


def test_money_is_granted_priced_spent_earned_and_proved(paid: Network, bus: Path, tmp_path: Path) -> None:
    payer = Payer(paid, bus)
    check_what_is_missing_is_told(payer)
    check_a_grant_is_credited_once(payer)

    before = earned(paid)
    served = [payer.ask().json()["id"] for _ in range(REQUESTS)]

    until(lambda: earned(paid) == before + REQUESTS * MWU, EARNED_S, "every run to be on a closed sheet")
    folders = node_folders(paid)
    files = [file for number, data in enumerate(folders) for file in fetched(data, tmp_path / f"receipts{number}")]
    key = NetworkKeys.load(paid.folder / KEYS_FOLDER).network_public
    receipts = [verify_receipt(file.read_bytes(), key).receipt for file in files]
    assert sum(one.amount for one in receipts) == before + REQUESTS * MWU
    assert set(served) <= {one.task for one in receipts}
    earner = folders[int(files[0].parent.name.removeprefix("receipts"))]
    check_earnings_add_up(earner, tmp_path / "earned.csv")
    assert said("node", "receipts", "--data", earner, "--out", files[0].parent)["written"] == 0, "what is there stays"
    check_the_network_kept_its_word(earner, tmp_path / "proofs")
    check_a_stranger_believes(files[0], key, tmp_path)
    check_a_flipped_byte_is_refused(files[0], key, tmp_path)
    check_the_statement_adds_up(payer, tmp_path / "statement.csv")
    audited = gridlight("ledger", "audit", "--data", paid.folder)
    assert audited.returncode == 0, audited.stderr


def test_a_coordinator_that_is_killed_charges_nobody_twice_nor_for_nothing(paid: Network, bus: Path) -> None:
    found = kill_under_load(paid, bus, kills=2, sampled_share=0.0, seed=7)

    assert found.wrong == []
    assert found.charged >= found.answered > 0
    assert found.still_held == 0
