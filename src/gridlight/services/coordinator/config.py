"""The coordinator's configuration, from one TOML file; unknown keys are refused."""

from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct


class CoordinatorConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One shard's coordinator."""

    shard: str
    nats_url: str
    credentials: Path
    """NATS credentials of a service user."""
    system_credentials: Path
    """NATS credentials of the system user, to hear who connects and disconnects."""
    account: str
    """Public key of the account whose connections are watched."""
    database_url: str
    metrics_port: Annotated[int, Meta(ge=1, le=65_535)] | None = None
    """On the loopback address; no metrics where it is absent."""
    log_file: Path | None = None
