"""Who may be in a network: whom an issuer vouches for comes in; whoever is banned or taken back is out in seconds."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from tests.acceptance.paid_restarts import write_prices
from tests.acceptance.stand import GRIDLIGHT, Network, gridlight, running, until

from gridlight.client.earnings import total
from gridlight.services.agent.own_books import all_earnings

WITHIN_S = 30.0
"""A minute is promised; seconds are seen."""


def said(*words: object) -> str:
    """What a command that ends well prints."""
    ran = gridlight(*words)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


class Node:
    """One node's process, as an operator starts it."""

    def __init__(self, network: Network, folder: Path, log: Path) -> None:
        self.log = log
        words = [GRIDLIGHT, "node", "start", "--always", "--engine", "subprocess"]
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [*words, "--network", network.url, "--data", str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env={**os.environ, "GRIDLIGHT_URL": ""},
            )

    def joins(self, network: Network, node_id: str, what: str) -> None:
        """Wait until it is online; where it is not, what it said tells why."""

        def is_online_or_ended() -> bool:
            return is_online(network, node_id) or self.process.poll() is not None

        try:
            until(is_online_or_ended, WITHIN_S, what)
        except AssertionError as late:
            raise AssertionError(f"{late}: {self.log.read_text(encoding='utf-8')}") from None
        assert self.process.poll() is None, self.log.read_text(encoding="utf-8")

    def ended(self) -> str:
        """What it said, once it has ended by itself."""
        until(lambda: self.process.poll() is not None, WITHIN_S, "the node to end")
        return self.log.read_text(encoding="utf-8")


@contextmanager
def started(network: Network, folder: Path, log: Path) -> Iterator[Node]:
    node = Node(network, folder, log)
    try:
        yield node
    finally:
        node.process.kill()
        node.process.wait()


def is_online(network: Network, node_id: str) -> bool:
    listed = httpx.get(f"{network.url}/v1/nodes", trust_env=False).json()["nodes"]
    return any(one["online"] for one in listed if one["node_id"] == node_id)


def test_operators_are_vouched_for_banned_and_taken_back(tmp_path: Path) -> None:
    issuer, folder, key = tmp_path / "issuer", tmp_path / "node", tmp_path / "operator.nk"
    data = tmp_path / "network"
    data.mkdir()
    believed = said("issuer", "init", "--data", issuer, "--name", "https://issuer.example")
    (data / "issuers.toml").write_text(f"are_attestations_required = true\nstatus_refresh_s = 1.0\n\n{believed}\n")
    said("operator", "create", "--key", key)
    operator = said("operator", "show", "--key", key)
    folder.mkdir()
    node_id = said("node", "id", "--data", folder)
    said("operator", "bind", folder, "--key", key)
    with running(data, nodes=0) as network:
        network_key = said("network", "key", "--data", data)
        with started(network, folder, tmp_path / "without") as stranger:
            assert "ATTESTATION_MISSING" in stranger.ended()

        person = ("--person", "Ada", "--level", "0")
        word = said("issuer", "attest", operator, "--data", issuer, *person, "--network", network_key)
        (tmp_path / "word").write_text(word)
        said("operator", "attest", tmp_path / "word", folder, "--key", key)
        with started(network, folder, tmp_path / "attested") as node:
            node.joins(network, node_id, "the attested node to be online")
            shown = " ".join(said("network", "node", node_id, "--data", data).split())
            assert "held in shadow: level 0 attestation" in shown
            began = time.monotonic()
            rule = ("network", "operators", "ban", operator, "--reason", "wrong answers for sale", "--data", data)
            ruled = json.loads(said(*rule, "--json"))
            told = node.ended()
            print(f"out {time.monotonic() - began:.1f} s after the command to ban began")
            assert ruled == {"key": operator, "verdict": "banned", "nodes": 1}
            assert "NODE_BANNED" in told
            assert "wrong answers for sale" in told
            assert not is_online(network, node_id)
        with started(network, folder, tmp_path / "banned") as banned:
            assert "NODE_BANNED" in banned.ended()

        said("network", "operators", "unban", operator, "--data", data)
        audit_log = json.loads(said("network", "operators", "list", "--data", data, "--json"))["rulings"]
        assert [(one["key"], one["verdict"]) for one in audit_log] == [(operator, "allowed"), (operator, "banned")]
        with started(network, folder, tmp_path / "again") as node:
            node.joins(network, node_id, "the node to be back")
            said("network", "operators", "revoke", node_id, "--reason", "stolen disk", "--data", data)
            assert "CERTIFICATE_REVOKED" in node.ended()
        said("operator", "bind", folder, "--key", key)
        with started(network, folder, tmp_path / "bound") as node:
            node.joins(network, node_id, "the node to be back with a new certificate")
            said("issuer", "revoke", operator, "--data", issuer)
            assert "ATTESTATION_REVOKED" in node.ended()
        with started(network, folder, tmp_path / "revoked") as node:
            assert "ATTESTATION_REVOKED" in node.ended()


def operator_of(network: Network, node_id: str) -> str:
    """As anybody reads it."""
    listed = httpx.get(f"{network.url}/v1/nodes", trust_env=False).json()["nodes"]
    [operator] = [str(one["operator"]) for one in listed if one["node_id"] == node_id]
    return operator


def earned(network: Network, folder: Path) -> tuple[str, int]:
    """Whose the node's earnings are, and how many units they came to."""
    lines, last = all_earnings(network.url, folder)
    return last.operator, total(lines, "pending")


def pay_for_a_task(network: Network, photo: Path) -> None:
    """Ask until a node that has just joined answers."""
    made = json.loads(said("account", "create", "robots", "--data", network.folder, "--json"))
    said("account", "credit", made["account"]["account_id"], "2.5", "--key", "one", "--data", network.folder)
    headers = {"X-Api-Key": made["key"], "Content-Type": "image/jpeg"}
    body = photo.read_bytes()

    def is_served() -> bool:
        with httpx.Client(base_url=network.url, headers=headers, trust_env=False, timeout=30) as http:
            return http.post("/v1/detect?verify=none", content=body).status_code == 200

    until(is_served, WITHIN_S, "the node to serve")


def test_an_operator_rotates_its_key_and_stays_who_it_is(tmp_path: Path, bus: Path) -> None:
    folder, stolen, key = tmp_path / "node", tmp_path / "thief", tmp_path / "operator.nk"
    for one in (folder, stolen):
        one.mkdir()
    said("operator", "create", "--key", key)
    first = said("operator", "show", "--key", key)
    (stolen / "operator.nk").write_bytes(key.read_bytes())
    node_id = said("node", "id", "--data", folder)
    said("operator", "bind", folder, "--key", key)
    prices = write_prices(tmp_path / "prices.toml")
    with running(tmp_path / "network", 0, "--money", str(prices)) as network:
        (folder / "endorsement").write_text(
            said("network", "endorse", node_id, "--as", "trusted", "--data", network.folder)
        )
        with started(network, folder, tmp_path / "before") as node:
            node.joins(network, node_id, "the node to be online")
            pay_for_a_task(network, bus)
            until(lambda: earned(network, folder)[1] > 0, WITHIN_S, "the run to be on a closed sheet")
        before = earned(network, folder)

        rotated = json.loads(said("operator", "rotate", folder, "--key", key, "--json"))
        until(lambda: not is_online(network, node_id), WITHIN_S, "the node to be gone")
        with started(network, folder, tmp_path / "after") as node:
            node.joins(network, node_id, "the node to be back under the new key")
            assert operator_of(network, node_id) == first == before[0]
            operator, units = earned(network, folder)
            assert (operator, units >= before[1]) == (first, True)
            assert json.loads(said("operator", "show", "--key", key, "--json"))["lineage"] == [
                first,
                rotated["operator"],
            ]

            said("operator", "rotate", stolen, "--key", stolen / "operator.nk")
            with started(network, stolen, tmp_path / "fork") as thief:
                assert "SUCCESSION_REFUSED" in thief.ended()
            assert is_online(network, node_id)
