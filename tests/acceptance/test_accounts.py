"""Accounts from the command line, against a network that runs: made, used, limited, revoked."""

import json
import os
import subprocess
from pathlib import Path

import httpx
import pytest
from tests.acceptance.stand import GRIDLIGHT, Network, gridlight


def run(*arguments: object, **environment: str) -> "subprocess.CompletedProcess[str]":
    words = [GRIDLIGHT, *(str(argument) for argument in arguments)]
    told = {**os.environ, **environment}
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, env=told)


def test_a_network_on_this_machine_is_asked_without_a_word_of_its_key(network: Network, bus: Path) -> None:
    shown = json.loads(gridlight("account", "show", "--url", network.url, "--json").stdout)

    assert gridlight("detect", bus, "--url", network.url).returncode == 0
    assert shown["account"]["name"] == "this machine"
    assert (network.folder / "requester.key").stat().st_mode & 0o777 == 0o600
    assert "requester.key" in (network.folder / "up.out").read_text()
    assert not any(network.api_key in path.read_text() for path in network.folder.rglob("*.jsonl"))


def test_an_account_is_made_used_and_its_key_revoked(network: Network, bus: Path) -> None:
    made = gridlight("account", "create", "robots", "--data", network.folder, "--rate", 600, "--json")
    account, key = json.loads(made.stdout)["account"]["account_id"], json.loads(made.stdout)["key"]
    at = ("--url", network.url)

    served = gridlight("detect", bus, *at, "--api-key", key)
    by_environment = run("detect", bus, *at, GRIDLIGHT_API_KEY=key)
    keys = gridlight("account", "keys", "list", account, "--data", network.folder)
    revoked = gridlight("account", "keys", "revoke", account, key.rpartition("_")[0], "--data", network.folder)
    refused = gridlight("detect", bus, *at, "--api-key", key)

    assert (served.returncode, by_environment.returncode) == (0, 0), served.stderr + by_environment.stderr
    assert account in gridlight("account", "list", "--data", network.folder).stdout
    assert key.rpartition("_")[0] in keys.stdout
    assert key.rpartition("_")[2] not in keys.stdout
    assert "revoked" in revoked.stdout
    assert refused.returncode == 1
    assert "API_KEY_REVOKED" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


@pytest.mark.parametrize("sent", [{}, {"Authorization": "Bearer gl_nonsense"}, {"apikey": "0000000000"}])
def test_nobody_is_served_without_a_key(sent: dict[str, str], network: Network, bus: Path) -> None:
    answer = httpx.post(
        f"{network.url}/v1/detect",
        content=bus.read_bytes(),
        headers={"Content-Type": "image/jpeg", **sent},
        trust_env=False,
    )

    assert answer.status_code == 401
    assert answer.json()["error"]["code"] in ("NO_API_KEY", "UNKNOWN_API_KEY")
    assert answer.json()["error"]["hint"]


@pytest.mark.parametrize(
    "words", [("keys", "list", "somebody"), ("keys", "revoke", "acc_0123456789abcdef", "../x"), ("create", "")]
)
def test_what_cannot_be_is_said_in_one_line(words: tuple[str, ...], network: Network) -> None:
    ran = gridlight("account", *words, "--data", network.folder)

    assert ran.returncode in (1, 2)
    assert len(ran.stderr.splitlines()) == 1
    assert "Traceback" not in ran.stderr
