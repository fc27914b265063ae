"""The command line: help of every command, one clear line for every error, and what is printed."""

import subprocess
import sys
from pathlib import Path

import pytest

from gridlight.adapters.credentials import NetworkKeys
from gridlight.adapters.endorsements import endorsed_tier
from gridlight.messages.ids import NodeId
from gridlight.messages.trust import Tier

COMMANDS = [
    [],
    ["detect"],
    ["casestudy"],
    ["demo"],
    ["simulate"],
    ["setup"],
    ["up"],
    ["node"],
    ["node", "start"],
    ["node", "id"],
    ["node", "install"],
    ["node", "uninstall"],
    ["node", "doctor"],
    ["network"],
    ["network", "endorse"],
    ["network", "audits"],
    ["network", "node"],
    ["network", "trust"],
    ["network", "recompute"],
    ["ledger", "audit"],
    ["receipt", "verify"],
    ["receipt", "omitted"],
    ["coordinator"],
    ["gateway"],
]

NODE_ID = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"
HEAVY = ("httpx", "numpy", "PIL", "matplotlib", "asyncio", "litestar", "onnxruntime", "sqlalchemy", "nats", "psutil")


def gridlight(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gridlight", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help(command: list[str]) -> None:
    ran = gridlight(*command, "--help")

    assert ran.returncode == 0
    assert "Usage: gridlight" in ran.stdout
    assert ran.stderr == ""


def test_without_a_command_it_says_what_there_is() -> None:
    ran = gridlight()

    assert ran.returncode == 0
    assert "casestudy" in ran.stdout


def test_the_version_is_one_line() -> None:
    assert gridlight("--version").stdout.split() == ["gridlight", "0.1.0"]


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["detect"], 2, "photo"),
        (["fly"], 2, "fly"),
        (["detect", "x.jpg", "--threshold", "2"], 2, "threshold"),
        (["casestudy", "x.jpg", "--out", "o"], 2, "--network"),
        (["detect", "/nothing/x.jpg"], 1, "/nothing/x.jpg"),
        (["detect", __file__, "--url", "nowhere"], 1, "nowhere"),
        (["detect", "x.jpg", "--verify", "twice"], 2, "arbitrated"),
        (["detect", "x.jpg", "--privacy", "no"], 2, "public"),
        (["network", "audits", "--limit", "0"], 2, "limit"),
        (["network", "node"], 2, "node"),
        (["network", "trust", "--url", "http://127.0.0.1:9"], 1, "cannot reach a gateway"),
        (["network", "recompute", "--epoch", "-1"], 2, "--epoch"),
        (["network", "audits", "--data", "/nothing"], 1, "/nothing"),
        (["detect", __file__, "--url", "http://127.0.0.1:9"], 1, "cannot reach a gateway"),
        (["casestudy", __file__, "--network", "/nothing/network.json", "--out", "o"], 1, "/nothing/network.json"),
        (["simulate", "/nothing/smoke.toml"], 1, "/nothing/smoke.toml"),
        (["simulate", __file__], 1, "test_cli.py"),
        (["simulate", "x.toml", "--seed", "-1"], 2, "--seed"),
        (["up", "--data", "x", "--references", "10"], 2, "--references"),
        (["up", "--data", "x", "--trust", "blind"], 2, "--trust"),
        (["up", "--data", "x", "--engine", "luck"], 2, "--engine"),
        (["node", "start", "--network", "http://127.0.0.1:9", "--data", "x", "--engine", "luck"], 2, "bubblewrap"),
        (["network", "endorse", "U1", "--as", "trusted", "--data", "x"], 1, "'U1' is no node's id"),
        (["network", "endorse", NODE_ID, "--as", "trusted", "--data", "/nothing"], 1, "holds no network's keys"),
        (["network", "endorse", NODE_ID, "--as", "banned", "--data", "x"], 2, "banned"),
        (["network", "endorse", NODE_ID, "--data", "x"], 2, "--as"),
        (
            ["node", "start", "--network", "http://127.0.0.1:9", "--data", "x", "--endorsement", "/nothing/x"],
            2,
            "/nothing/x",
        ),
        (["node", "install", "--data", "x"], 2, "--network URL"),
        (["node", "doctor", "--network", "nowhere"], 1, "nowhere"),
        (["coordinator", "--config", "/nothing/config.toml"], 2, "/nothing/config.toml"),
    ],
)
def test_an_error_is_one_line_with_a_hint(arguments: list[str], status: int, words: str) -> None:
    ran = gridlight(*arguments)

    assert ran.returncode == status
    assert ran.stdout == ""
    assert words in ran.stderr
    assert ran.stderr.startswith("gridlight: ")
    assert ran.stderr.endswith(")\n")
    assert ran.stderr.count("\n") == 1


def test_help_loads_nothing_heavy() -> None:
    script = f"import sys; import gridlight.cli.main; print([name for name in {HEAVY} if name in sys.modules])"

    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)

    assert ran.stdout.strip() == "[]"


def test_it_refuses_to_run_without_assertions() -> None:
    ran = subprocess.run(
        [sys.executable, "-O", "-m", "gridlight", "--version"], capture_output=True, text=True, timeout=60, check=False
    )

    assert ran.returncode == 1
    assert "assertions" in ran.stderr


def test_a_node_is_endorsed_from_the_networks_folder(tmp_path: Path) -> None:
    keys = NetworkKeys.create(tmp_path / "network" / "keys")
    node_id = NodeId(gridlight("node", "id", "--data", str(tmp_path / "node")).stdout.strip())
    words = ["network", "endorse", node_id, "--as", "reference", "--data", str(tmp_path / "network")]

    printed = gridlight(*words)
    written = gridlight(*words, "--out", str(tmp_path / "node" / "endorsement"))

    assert (printed.returncode, written.returncode, written.stdout) == (0, 0, "")
    assert printed.stdout == (tmp_path / "node" / "endorsement").read_text()
    assert endorsed_tier(printed.stdout.strip(), node_id, keys.network_public) is Tier.REFERENCE
    assert gridlight("node", "id", "--data", str(tmp_path / "node")).stdout.strip() == node_id
