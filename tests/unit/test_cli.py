"""The command line: help of every command, one clear line for every error, and what is printed."""

import subprocess
import sys

import pytest

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
    ["coordinator"],
    ["gateway"],
]

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
        (["detect", __file__, "--url", "http://127.0.0.1:9"], 1, "cannot reach a gateway"),
        (["casestudy", __file__, "--network", "/nothing/network.json", "--out", "o"], 1, "/nothing/network.json"),
        (["simulate", "/nothing/smoke.toml"], 1, "/nothing/smoke.toml"),
        (["simulate", __file__], 1, "test_cli.py"),
        (["simulate", "x.toml", "--seed", "-1"], 2, "--seed"),
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
    script = f"import sys; import gridlight.cli; print([name for name in {HEAVY} if name in sys.modules])"

    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)

    assert ran.stdout.strip() == "[]"


def test_it_refuses_to_run_without_assertions() -> None:
    ran = subprocess.run(
        [sys.executable, "-O", "-m", "gridlight", "--version"], capture_output=True, text=True, timeout=60, check=False
    )

    assert ran.returncode == 1
    assert "assertions" in ran.stderr
