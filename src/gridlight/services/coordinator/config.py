"""The coordinator's configuration, from one TOML file; unknown keys are refused."""

from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta, Struct

from gridlight.messages.ids import WorkloadIdField
from gridlight.messages.ledger import MoneyParameters
from gridlight.messages.trust import TrustParameters, parameters_from


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
    trust: dict[str, Any] = {}
    """A profile's name, and what differs from that profile; the keys are those of TrustParameters."""
    money: MoneyParameters | None = None
    """What work costs; without this table the network has no money, and jobs are done for nothing."""
    work: dict[WorkloadIdField, Annotated[int, Meta(ge=0, lt=2**53)]] = {}
    """mWU of a task of each workload; one that is not named costs nothing."""
    network_key_file: Path | None = None
    """The network's secret key, to sign its words on runs and the roots of receipts; without it there are no words,
    and the roots are kept unsigned.
    """
    epoch_s: Annotated[int, Meta(ge=1)] = 600
    """How long one secret decides which answers are audited."""

    def __post_init__(self) -> None:
        self.trust_parameters()  # a wrong table is refused together with the file's other keys

    def trust_parameters(self) -> TrustParameters:
        """What the `[trust]` table says."""
        return parameters_from(self.trust)
