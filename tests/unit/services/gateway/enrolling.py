"""A gateway's configuration as tests of enrolment need it; nothing of it is connected to."""

from pathlib import Path

from gridlight.adapters.credentials import NetworkKeys
from gridlight.services.gateway.config import GatewayConfig


def gateway_config(keys: NetworkKeys, folder: Path) -> GatewayConfig:
    """Of a network with these keys."""
    return GatewayConfig(
        nats_url="nats://127.0.0.1:4222",
        public_nats_url="nats://network.example:4222",
        credentials=keys.creds_file("gateway"),
        node_signer_key=keys.node_issuer_file,
        network_key=keys.network_public,
        database_url="sqlite://",
        admin_token_file=folder / "admin.token",
        blobs_folder=folder,
        node_jwt_ttl_s=3_600,
    )
