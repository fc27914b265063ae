from pathlib import Path

import pytest

from gridlight.adapters.chain.addresses import deposit_address
from gridlight.adapters.configuration import load_config
from gridlight.services.gateway.config import GatewayConfig

MUXED = deposit_address("GA7QYNF7SOWQ3GLR2BGMZEHXAVIRZA4KVWLTJJFC7MGXUA74P7UJVSGZ", 7)
GOOD = """
shard = "s0"
nats_url = "nats://127.0.0.1:4222"
public_nats_url = "nats://127.0.0.1:4222"
credentials = "keys/gateway.creds"
node_signer_key = "keys/node_issuer.key"
network_key = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"
database_url = "sqlite:///gridlight.db"
http_host = "127.0.0.1"
http_port = 8080
admin_token_file = "keys/admin.token"
blobs_folder = "blobs"
"""


def test_a_configuration_is_read_with_its_defaults(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(GOOD)

    config = load_config(file, GatewayConfig)

    assert config.blobs_folder == Path("blobs")
    assert (config.picture_processes, config.node_jwt_ttl_s, config.log_file) == (1, 86_400, None)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("http_prot = 80", "http_prot"),
        ("http_port = 70000", "65535"),
        ("picture_processes = 0", ">= 1"),
        ("nats_url =", "config.toml"),
        ('deposits = { account = "GABC" }', "56 characters"),
        (f'deposits = {{ account = "{MUXED}" }}', "no number inside"),
    ],
)
def test_a_wrong_configuration_is_refused_with_file_and_key(tmp_path: Path, line: str, complaint: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(
        "\n".join(one for one in GOOD.splitlines() if one.split(" ")[0] != line.split(" ", maxsplit=1)[0]) + "\n" + line
    )

    with pytest.raises(ValueError, match=complaint) as caught:
        load_config(file, GatewayConfig)
    assert "config.toml" in str(caught.value)
