"""A network's prices, as `gridlight up --money FILE` reads them for its coordinator."""

from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from gridlight.messages.ids import WorkloadIdField
from gridlight.messages.ledger import MoneyParameters


class PricesFile(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The file: the tables of the coordinator's configuration by the same names."""

    money: MoneyParameters
    work: dict[WorkloadIdField, Annotated[int, Meta(ge=0, lt=2**53)]]
    """mWU of a task of each workload; one that is not named costs nothing."""
    epoch_s: Annotated[int, Meta(ge=1)] = 600
    """How often sheets of receipts are closed, and secrets of audits change."""


def coordinator_keys(prices: PricesFile, network_key_file: Path) -> dict[str, Any]:
    """What the coordinator's configuration says more, where a network has prices: also the key that signs receipts."""
    said: dict[str, Any] = msgspec.to_builtins(prices)
    return {**said, "network_key_file": network_key_file}
