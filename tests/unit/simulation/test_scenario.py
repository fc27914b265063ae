"""Scenario files: all that are kept can be read, and a wrong key is named."""

from pathlib import Path

import pytest

from gridlight.simulation.scenario import BadScenario, load_scenario

SCENARIOS = sorted((Path(__file__).resolve().parents[3] / "scenarios").glob("*.toml"))
PLAIN = 'description = "x"\nseconds = 1\n[demand]\ntasks_per_second = 1\n[nodes]\ncount = 1\n'


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_every_kept_scenario_can_be_read(path: Path) -> None:
    assert load_scenario(path).description.endswith(".")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (PLAIN + "speed = 3\n", "speed"),
        (PLAIN + "[weather]\n", "weather"),
        (PLAIN.replace("count = 1", "count = 0"), "nodes.count"),
        (PLAIN + "[attempts]\nvanish_ppm = 0.05\n", "vanish_ppm"),
        ("no toml", "scenario.toml"),
        ('description = "x"\n', "seconds"),
    ],
)
def test_a_wrong_key_is_named(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "scenario.toml"
    path.write_text(text)

    with pytest.raises(BadScenario, match=words):
        load_scenario(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadScenario, match=r"nothing\.toml"):
        load_scenario(tmp_path / "nothing.toml")
