"""The words by which an operator stays owner of the machine, with no agent running. With one: tests/integration."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from gridlight.adapters.signatures import SigningKey
from gridlight.cli.main import app
from gridlight.client.errors import GridlightError

ASKING = (["status"], ["pause"], ["pause", "--for", "2h"], ["resume"], ["finish"])
WORDS = (*ASKING[:2], *ASKING[3:], ["preferences"], ["page"], ["logs"], ["backup"], ["restore"])


def say(*words: object) -> Result:
    """On the command line."""
    return CliRunner().invoke(app, ["node", *(str(word) for word in words)])


def told(*words: object) -> Any:
    ran = say(*words, "--json")
    assert ran.exit_code == 0, ran.output
    return json.loads(ran.stdout)


def refused(*words: object) -> GridlightError:
    """What the command line makes one line of."""
    ran = say(*words)
    assert isinstance(ran.exception, GridlightError), ran.output
    assert ran.exception.hint
    return ran.exception


@pytest.mark.parametrize("word", WORDS, ids=" ".join)
def test_every_word_has_help_and_prints_json_where_it_is_asked_to(word: list[str]) -> None:
    ran = say(*word, "--help")

    assert ran.exit_code == 0
    assert "--json" in ran.stdout
    assert "--data" in ran.stdout


@pytest.mark.parametrize("words", ASKING, ids=" ".join)
def test_without_an_agent_it_says_so_and_how_to_start_one(words: list[str], tmp_path: Path) -> None:
    refusal = refused(*words, "--data", tmp_path)

    assert f"no agent runs with the folder {tmp_path}" in str(refusal)
    assert "gridlight node start" in refusal.hint


@pytest.mark.parametrize("length", ["2x", "", "0m", "-1h", "400d", "1.5h"])
def test_a_length_of_time_that_is_none_is_refused(length: str, tmp_path: Path) -> None:
    assert "no length of time" in str(refused("pause", f"--for={length}", "--data", tmp_path))


def test_preferences_show_both_layers_and_what_holds(tmp_path: Path) -> None:
    (tmp_path / "preferences.toml").write_text("max_ncpus_pct = 75\nstart_hour = 22\nend_hour = 6\n")

    shown = told("preferences", "--data", tmp_path)
    [row] = [line for line in say("preferences", "--data", tmp_path).stdout.splitlines() if "max_ncpus" in line]

    assert [shown[layer]["max_ncpus_pct"] for layer in ("defaults", "host", "effect")] == [50, 75, 75]
    assert (shown["host"]["run_on_batteries"], shown["effect"]["run_on_batteries"]) == (None, False)
    assert shown["effect"]["start_hour"] == 22
    assert row.split() == ["max_ncpus_pct", "50", "75", "75"]


def test_a_mistyped_preference_is_named_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "preferences.toml").write_text("max_cpus_pct = 75\n")

    ran = say("preferences", "--data", tmp_path)

    assert "did you mean `max_ncpus_pct`?" in str(ran.exception)


def test_logs_are_shown_for_a_person_and_for_a_program(tmp_path: Path) -> None:
    lines = [f'{{"event": "told", "number": {number}, "level": "info"}}' for number in range(9)]
    (tmp_path / "agent.jsonl").write_text("\n".join(lines) + "\n")

    assert say("logs", "--data", tmp_path, "-n", 2, "--json").stdout.splitlines() == lines[-2:]
    assert say("logs", "--data", tmp_path, "-n", 1).stdout.split() == ["info", "told", "number=8"]
    assert "nothing yet" in str(refused("logs", "--data", tmp_path / "none"))


def test_a_node_is_backed_up_and_restored(tmp_path: Path) -> None:
    keys = [SigningKey.load_or_create(tmp_path / "node" / name) for name in ("node.nk", "operator.nk")]
    backup = told("backup", "--data", tmp_path / "node", "--to", tmp_path / "file")

    restored = told("restore", tmp_path / "file", "--data", tmp_path / "new")

    assert backup["node_id"] == restored["node_id"] == keys[0].public
    assert "is another key" in str(refused("restore", tmp_path / "file", "--data", other_node(tmp_path)))
    assert "no node's folder" in str(refused("backup", "--data", tmp_path, "--to", tmp_path / "file"))


def other_node(folder: Path) -> Path:
    SigningKey.load_or_create(folder / "other" / "node.nk")
    return folder / "other"
