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

from gridlight.messages.amounts import coins

NODES, REQUESTS = 3, 6
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


def earned(network: Network) -> list[dict[str, object]]:
    return [said("node", "earnings", "--data", data, "--network", network.url) for data in node_folders(network)]


def summed(file: Path, column: str) -> Decimal:
    with file.open(encoding="utf-8", newline="") as lines:
        return sum((Decimal(row[column]) for row in csv.DictReader(lines)), Decimal(0))


def stranger(*words: object, home: Path) -> "subprocess.CompletedProcess[str]":
    """A process that knows nothing of the network but what it is told: another home, another folder, no variables."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(home)}
    command = [GRIDLIGHT, *map(str, words)]
    return subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_money_is_granted_priced_spent_earned_and_proved(paid: Network, bus: Path, tmp_path: Path) -> None:
    made = said("account", "create", "robots", "--data", paid.folder)
    account, key = made["account"]["account_id"], str(made["key"])  # type: ignore[index]
    at = ("--url", paid.url, "--api-key", key)

    refused = ask(paid, key, bus)
    dry = gridlight("detect", bus, "--dry-run", "--verify", "none", *at)
    assert refused.status_code == 402
    assert refused.json()["error"]["details"] == {
        "price": coins(PRICE_NONE),
        "balance": coins(0),
        "missing": coins(PRICE_NONE),
    }
    assert (dry.returncode, f"{coins(PRICE_NONE)} are missing" in dry.stdout) == (1, True)

    credit = ("account", "credit", account, "--key", "first", "--data", paid.folder)
    assert said(*credit, "2.5") == said(*credit, "2.5")
    other = gridlight(*credit, "2.6")
    assert (other.returncode, "IDEMPOTENCY_KEY_REUSED" in other.stderr) == (1, True)
    assert "2.5000000 coin available" in gridlight("account", "show", *at).stdout
    assert '"event":"account_credited"' in (paid.folder / "gateway" / "log.jsonl").read_text(encoding="utf-8").replace(
        ": ", ":"
    )

    served = [ask(paid, key, bus) for _ in range(REQUESTS)]
    assert [answer.status_code for answer in served] == [200] * REQUESTS

    reward = Decimal(coins(MWU))
    until(
        lambda: sum(Decimal(str(one["earned"])) for one in earned(paid)) == REQUESTS * reward,
        EARNED_S,
        "every run to be on a closed sheet",
    )
    for data in node_folders(paid):
        file = tmp_path / "earned.csv"
        told = said("node", "earnings", "--data", data, "--csv", file)
        assert summed(file, "pending") == Decimal(str(told["pending"])) == Decimal(str(told["earned"]))
        held = [Decimal(day["amount"]) for day in told["vesting"]]  # type: ignore[attr-defined]
        assert sum(held, Decimal(0)) == Decimal(str(told["pending"]))

    proved = Decimal(0)
    network_key, last = "", Path()
    for number, data in enumerate(node_folders(paid)):
        out = tmp_path / f"receipts{number}"
        network_key = str(said("node", "receipts", "--data", data, "--out", out)["network_key"])
        assert said("node", "receipts", "--data", data, "--out", out)["written"] == 0, "what is there stays"
        for last in out.iterdir():
            verified = stranger("receipt", "verify", last, "--network-key", network_key, "--json", home=tmp_path)
            assert verified.returncode == 0, verified.stderr
            proved += Decimal(json.loads(verified.stdout)["receipt"]["amount"]) / 10_000_000
    assert proved == REQUESTS * reward

    flipped_bytes = bytearray(last.read_bytes())
    flipped_bytes[flipped_bytes.index(b'"amount":') + 9] ^= 1
    last.write_bytes(flipped_bytes)
    flipped = stranger("receipt", "verify", last, "--network-key", network_key, home=tmp_path)
    assert flipped.returncode == 1
    assert len(flipped.stderr.splitlines()) == 1

    file = tmp_path / "statement.csv"
    statement = said("account", "statement", account, "--data", paid.folder, "--csv", file)
    assert (
        summed(file, "available")
        == Decimal(str(statement["available"]))
        == Decimal("2.5") - REQUESTS * Decimal(coins(PRICE_NONE))
    )
    assert summed(file, "held") == Decimal(str(statement["held"])) == 0, "the network's share is collected"
    audited = gridlight("ledger", "audit", "--data", paid.folder)
    assert audited.returncode == 0, audited.stderr


def test_a_coordinator_that_is_killed_charges_nobody_twice_nor_for_nothing(paid: Network, bus: Path) -> None:
    found = kill_under_load(paid, bus, kills=2, sampled_share=0.0, seed=7)

    assert found.wrong == []
    assert found.charged >= found.answered > 0
    assert found.still_held == 0
