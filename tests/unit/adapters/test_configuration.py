"""A service's configuration file: read as it was meant, or refused with the key that is wrong."""

from pathlib import Path

import pytest

from gridlight.adapters.configuration import BadConfiguration, load_config
from gridlight.services.coordinator.config import CoordinatorConfig

GOOD = """
shard = "s0"
nats_url = "nats://127.0.0.1:4222"
credentials = "keys/coordinator.creds"
system_credentials = "keys/system.creds"
account = "A"
database_url = "sqlite:///gridlight.db"
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def test_every_key_is_read_as_its_type(path: Path) -> None:
    path.write_text(GOOD + 'log_file = "log.jsonl"\n')

    config = load_config(path, CoordinatorConfig)

    assert config == CoordinatorConfig(
        shard="s0",
        nats_url="nats://127.0.0.1:4222",
        credentials=Path("keys/coordinator.creds"),
        system_credentials=Path("keys/system.creds"),
        account="A",
        database_url="sqlite:///gridlight.db",
        log_file=Path("log.jsonl"),
    )


def test_a_key_that_may_be_left_out_has_its_default(path: Path) -> None:
    path.write_text(GOOD)

    assert load_config(path, CoordinatorConfig).log_file is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD + "zeal = 1\n", "unknown field `zeal`"),
        (GOOD.replace('shard = "s0"', ""), "missing required field `shard`"),
        (GOOD.replace('"s0"', "0"), r"\$.shard"),
        (GOOD.replace('"keys/system.creds"', "7"), r"Expected `str`, got `int` - at `\$.system_credentials`"),
        (GOOD + 'shard = "s1"\n', "Cannot overwrite"),
        ("shard = = 1", "line 1"),
    ],
    ids=["unknown", "missing", "wrong type", "no path", "twice", "no TOML"],
)
def test_what_is_wrong_is_named_with_its_file(path: Path, text: str, said: str) -> None:
    path.write_text(text)

    with pytest.raises(BadConfiguration, match=f"config.toml: .*{said}"):
        load_config(path, CoordinatorConfig)


def test_a_file_that_is_no_text_is_named(path: Path) -> None:
    path.write_bytes(b'shard = "\xff"')

    with pytest.raises(BadConfiguration, match=r"config.toml: .*utf-8"):
        load_config(path, CoordinatorConfig)


def test_a_file_that_is_not_there_is_named(path: Path) -> None:
    with pytest.raises(BadConfiguration, match=r"config.toml cannot be read: No such file"):
        load_config(path, CoordinatorConfig)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match="cannot be read: Is a directory"):
        load_config(tmp_path, CoordinatorConfig)
