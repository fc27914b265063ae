"""The payer of a network on this machine: `payouts.toml` in its folder, which its founder writes.

It is the payer's own file; what the network knows by itself may be left out of it.
"""

from pathlib import Path
from typing import Any, Final

from msgspec import Struct, to_builtins

from gridlight.adapters.configuration import BadConfiguration, load_config
from gridlight.adapters.credentials import NetworkKeys
from gridlight.services.addresses import CannotStart

PAYOUTS_FILE: Final = "payouts.toml"
PAYER_CREDENTIALS: Final = "payer"
PAYER_PROGRAMS: Final = {"payer": "payouts", "deposits": "deposits"}
"""Its processes, and the word that each runs: one pays operators, one credits requesters what they pay in."""


class OwnPayer(Struct, frozen=True):
    """What its processes are told, and the gateway of it."""

    config: dict[str, Any]
    gateway: dict[str, Any]
    """Where requesters pay in; and that the payer pays nobody less at once than its own threshold, so that the gateway
    takes none below.
    """


def own_payer(folder: Path, keys: NetworkKeys, nats_url: str, database_url: str) -> OwnPayer | None:
    """None where nobody is paid. CannotStart where the file, or an address in it, cannot be read."""
    path = folder / PAYOUTS_FILE
    if not path.exists():
        return None
    # Only here: what it loads for the chain is large, and most networks pay nobody.
    from gridlight.adapters.chain.addresses import account_of
    from gridlight.services.payer.config import PayerConfig

    known = {
        "database_url": f"sqlite:///{folder / 'payer' / 'payouts.db'}",
        "nats_url": nats_url,
        "credentials": str(keys.creds_file(PAYER_CREDENTIALS)),
        "statements_url": database_url,
    }
    try:
        told = load_config(path, PayerConfig, defaults=known)
        told.builder()
        told.channel_records()
    except BadConfiguration as error:
        raise CannotStart(str(error)) from error
    except ValueError as error:
        raise CannotStart(f"{path}: {error}") from error
    config: dict[str, Any] = to_builtins(told, enc_hook=str)
    least_units = told.parameters.threshold_units
    return OwnPayer(
        config={key: value for key, value in config.items() if value is not None},
        gateway={
            "deposits": {"account": account_of(told.payer), "passphrase": told.passphrase},
            **({"payout_least_units": least_units} if least_units else {}),
        },
    )
