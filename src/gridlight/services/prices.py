"""A network's prices, as `gridlight up --money FILE` reads them for its coordinator."""

from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, structs

from gridlight.messages.ids import WorkloadIdField
from gridlight.messages.ledger import MoneyParameters
from gridlight.services.gateway.config import DepositsConfig


class PricesFile(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The file: the tables of the services' configurations by the same names."""

    money: MoneyParameters
    work: dict[WorkloadIdField, Annotated[int, Meta(ge=0, lt=2**53)]]
    """mWU of a task of each workload; one that is not named costs nothing."""
    deposits: DepositsConfig | UnsetType = UNSET
    """What the gateway tells requesters of paying in."""
    epoch_s: Annotated[int, Meta(ge=1)] = 600
    """How often sheets of receipts are closed, and secrets of audits change."""


def coordinator_keys(prices: PricesFile, network_key_file: Path) -> dict[str, Any]:
    """What the coordinator's configuration says more, where a network has prices: also the key that signs receipts."""
    said: dict[str, Any] = msgspec.to_builtins(structs.replace(prices, deposits=UNSET))
    return {**said, "network_key_file": network_key_file}


def gateway_keys(prices: PricesFile) -> dict[str, Any]:
    """What the gateway's configuration says more, where requesters can pay in."""
    return {} if prices.deposits is UNSET else {"deposits": msgspec.to_builtins(prices.deposits)}
