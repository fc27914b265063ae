"""Whom a network on this machine believes on operators: `issuers.toml` in its folder, which its founder writes."""

from pathlib import Path
from typing import Annotated, Any, Final

from msgspec import Meta, Struct, to_builtins

from gridlight.adapters.configuration import BadConfiguration, load_config
from gridlight.messages.attestations import TrustedIssuer
from gridlight.services.addresses import CannotStart

ISSUERS_FILE: Final = "issuers.toml"


class IssuersFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`issuers.toml` in the network's folder: whose attestations of operators its gateway believes."""

    issuers: list[TrustedIssuer] = []
    are_attestations_required: bool = False
    status_refresh_s: Annotated[float, Meta(ge=1, le=900)] = 30.0
    """How often their status lists are read."""


def issuers_of(folder: Path) -> dict[str, Any]:
    """What the file says, for the gateway's configuration. CannotStart where it cannot be read."""
    path = folder / ISSUERS_FILE
    if not path.exists():
        return {}
    try:
        said: dict[str, Any] = to_builtins(load_config(path, IssuersFile))
    except BadConfiguration as error:
        raise CannotStart(str(error)) from error
    return said
