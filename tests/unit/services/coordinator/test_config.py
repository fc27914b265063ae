"""What the coordinator's file says of trust and epochs; a wrong table is refused before anything is connected."""

from pathlib import Path

import pytest

from gridlight.adapters.configuration import BadConfiguration, load_config
from gridlight.adapters.receipts import read_root
from gridlight.adapters.signatures import SigningKey
from gridlight.core.receipts import Sheet
from gridlight.messages.ledger import GENESIS, MoneyParameters
from gridlight.messages.trust import LAPTOP, PRODUCTION
from gridlight.services.coordinator.config import CoordinatorConfig
from gridlight.services.coordinator.main import signer

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


def test_a_network_that_says_nothing_of_money_has_none(path: Path) -> None:
    path.write_text(REST)
    config = load_config(path, CoordinatorConfig)

    assert (config.money, config.work, config.network_key_file) == (None, {}, None)


def test_prices_are_set_in_a_table_of_their_own(path: Path) -> None:
    workload = "coco-ssd@sha256:" + "5d" * 32
    path.write_text(f'{REST}[money]\nfee_ppm = 50_000\n[work]\n"{workload}" = 1250\n')
    config = load_config(path, CoordinatorConfig)

    assert config.money == MoneyParameters(fee_ppm=50_000)
    assert config.work == {workload: 1_250}


def test_a_price_is_an_integer(path: Path) -> None:
    path.write_text(f"{REST}[money]\nfee_ppm = 0.05\n")
    with pytest.raises(BadConfiguration, match="fee_ppm"):
        load_config(path, CoordinatorConfig)


def test_roots_are_signed_where_the_key_is_at_hand(tmp_path: Path) -> None:
    key = SigningKey.load_or_create(tmp_path / "network.nk")
    root, _ = Sheet().close(1, ledger_seq=0, ledger_head=GENESIS, epoch=1)

    assert signer(None)(root) is None
    assert read_root(signer(tmp_path / "network.nk")(root) or "", key.public) == root
