"""Scenario files: all that are kept can be read, and a wrong key is named."""

from pathlib import Path

import pytest

from gridlight.simulation.scenario import BadScenario, Strategy, load_scenario

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
        (PLAIN + "[trust]\nA = 3\n", "has no key A"),
        (PLAIN.replace("count = 1", "count = 2"), "fewer nodes"),
        (PLAIN.replace("count = 1", "count = 9") + "[fleet]\nage_max = 3\n", "age_max is below"),
    ],
)
def test_a_wrong_key_is_named(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "scenario.toml"
    path.write_text(text)

    with pytest.raises(BadScenario, match=words):
        load_scenario(path)


def test_single_keys_can_be_set(tmp_path: Path) -> None:
    path = tmp_path / "scenario.toml"
    path.write_text(PLAIN)

    scenario = load_scenario(path, ["nodes.count=50", "adversary.strategy=lazy", "trust.profile=laptop", "seed=0x10"])

    assert scenario.nodes.count == 50
    assert scenario.adversary.strategy is Strategy.LAZY
    assert scenario.trust_parameters.trusted_after == 8
    assert scenario.seed == 16


@pytest.mark.parametrize("override", ["nodes.count", "nodes.=3", "seconds.more=3", "nodes.count=few", "nodes.many=3"])
def test_a_setting_that_is_none_is_refused(tmp_path: Path, override: str) -> None:
    path = tmp_path / "scenario.toml"
    path.write_text(PLAIN.replace("count = 1", "count = 9"))

    with pytest.raises(BadScenario):
        load_scenario(path, [override])


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadScenario, match=r"nothing\.toml"):
        load_scenario(tmp_path / "nothing.toml")
