"""What the coordinator's file says of trust and epochs; a wrong table is refused before anything is connected."""

from pathlib import Path

import pytest

from gridlight.adapters.configuration import BadConfiguration, load_config
from gridlight.messages.trust import LAPTOP, PRODUCTION
from gridlight.services.coordinator.config import CoordinatorConfig

REST = """
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


def test_a_network_that_says_nothing_of_trust_is_in_production(path: Path) -> None:
    path.write_text(REST)
    config = load_config(path, CoordinatorConfig)

    assert config.trust_parameters() == PRODUCTION
    assert config.epoch_s == 600


def test_a_profile_is_all_that_a_laptop_needs(path: Path) -> None:
    path.write_text(REST + '[trust]\nprofile = "laptop"\n')

    assert load_config(path, CoordinatorConfig).trust_parameters() == LAPTOP


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[trust]\nprofile = "desktop"\n', r"\[trust\] has no profile 'desktop'; there are laptop, production"),
        ("[trust]\nzeal = 1\n", r"\[trust\] has no key zeal; there are profile, trusted_after"),
        ("[trust]\ncanary_ppm = 0.1\n", r"\[trust\] has a wrong value: .*canary_ppm"),
        ("trust = 1\n", r"Expected `object`, got `int` - at `\$\.trust`"),
        ("epoch_s = 0\n", r"`int` >= 1 - at `\$\.epoch_s`"),
    ],
)
def test_what_is_wrong_is_named_with_its_file(path: Path, text: str, said: str) -> None:
    path.write_text(REST + text)

    with pytest.raises(BadConfiguration, match=rf"config\.toml: .*{said}"):
        load_config(path, CoordinatorConfig)
