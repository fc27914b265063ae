"""The coordinator's configuration, from one TOML file; unknown keys are refused."""

from pathlib import Path

import msgspec
from msgspec import Struct


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
    log_file: Path | None = None


def load_config(path: Path) -> CoordinatorConfig:
    """Read the file; ValueError says which key is wrong."""
    try:
        return msgspec.toml.decode(path.read_bytes(), type=CoordinatorConfig)
    except msgspec.MsgspecError as error:
        raise ValueError(f"{path}: {error}") from error
