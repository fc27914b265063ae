"""What one gateway process is told: its one TOML file, unknown keys refused."""

from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from gridlight.adapters.chain.addresses import account_of
from gridlight.adapters.chain.passphrases import STELLAR_TESTNET
from gridlight.adapters.signatures import is_public_key
from gridlight.messages.attestations import TrustedIssuer
from gridlight.messages.subjects import SHARD_DEFAULT
from gridlight.services.gateway.peers import read_networks


class DepositsConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where requesters pay in: what the payer's configuration calls `payer`, and the chain by its passphrase."""

    account: str
    passphrase: Annotated[str, Meta(min_length=1, max_length=100)] = STELLAR_TESTNET

    def __post_init__(self) -> None:
        if account_of(self.account) != self.account:
            raise ValueError("deposits.account must be an account, as `G` and 55 characters, with no number inside")


class GatewayConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Paths are as written, relative to the process's folder; `http_port` 0 takes any free port."""

    nats_url: str
    public_nats_url: str
    """What an enrolled node is told to connect to; empty where it is to come by WebSocket alone."""
    credentials: Path
    node_signer_key: Path
    network_key: str
    """The public key that endorsements of nodes are checked with."""
    database_url: str
    admin_token_file: Path
    blobs_folder: Path
    published_folder: Path | None = None
    """What publishers bring is kept here; nobody can publish at this gateway where it is absent."""
    published_bytes_max: Annotated[int, Meta(ge=1)] = 8 * 1024**3
    publishers: tuple[str, ...] = ()
    """Public keys of those who may publish; anybody where there is none."""
    shard: str = SHARD_DEFAULT
    http_host: str = "127.0.0.1"
    http_port: Annotated[int, Meta(ge=0, le=65_535)] = 8080
    picture_processes: Annotated[int, Meta(ge=1, le=64)] = 1
    node_jwt_ttl_s: Annotated[int, Meta(ge=60, le=30 * 86_400)] = 86_400
    reconnect_jitter_s: Annotated[float, Meta(ge=0, le=600)] = 2.0
    public_websocket_url: str | None = None
    """The same for nodes that get nowhere by TCP."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses and networks of the reverse proxies whose X-Forwarded-For is believed; nobody else's is."""
    agent_version_min: str = "0.1.0"
    """Older agents are told to upgrade."""
    issuers: tuple[TrustedIssuer, ...] = ()
    """Whose attestations of operators are believed."""
    are_attestations_required: bool = False
    """Whether a node without one is refused."""
    status_refresh_s: Annotated[float, Meta(ge=1, le=900)] = 30.0
    """How often issuers' status lists are read."""
    payout_least_units: Annotated[int, Meta(ge=1, le=10**18)] = 10_000
    """No operator's threshold may be lower, in units of 1e-7 coin: a hundred times what Stellar usually takes."""
    deposits: DepositsConfig | None = None
    """Nobody is told where to pay in where it is absent."""
    log_file: Path | None = None
    """Standard error where it is absent."""

    def __post_init__(self) -> None:
        if not is_public_key(self.network_key):
            raise ValueError("network_key must be the public nkey of a user, as `U` and 55 characters")
        if not all(is_public_key(issuer.key) for issuer in self.issuers):
            raise ValueError("an issuer's key must be the public nkey of a user")
        if self.are_attestations_required and not self.issuers:
            raise ValueError("are_attestations_required needs issuers whose attestations are believed")
        try:
            read_networks(self.trusted_proxies)
        except ValueError as error:
            raise ValueError(f"trusted_proxies must be addresses or networks: {error}") from error
