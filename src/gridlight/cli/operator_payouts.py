"""`gridlight operator payout-address`: where an operator is paid and from what amount on, by their own word."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from gridlight.cli.ending import explaining
from gridlight.cli.operator import KEY_DEFAULT, KeyOption, load_operator
from gridlight.cli.options import JsonOption
from gridlight.client.errors import BadInput

if TYPE_CHECKING:
    from gridlight.adapters.signatures import SigningKey
    from gridlight.client.requester import Gridlight
    from gridlight.messages.operator_api import OperatorPayoutResponse

NOWHERE = "none"


def payout_address(
    network: Annotated[str, typer.Option(envvar="GRIDLIGHT_URL", help="The URL of the network's gateway.")],
    address: Annotated[
        str | None,
        typer.Argument(help="An address of the chain, G... or M...; `none` to be paid nothing for now."),
    ] = None,
    key: KeyOption = KEY_DEFAULT,
    threshold: Annotated[
        str | None, typer.Option(help="Coins from which on to be paid, as 2.5; as before, or the least, if left out.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say where you are paid what your nodes earn, signed with your key; or show it, where you name nothing. A payout
    that is under way still goes where you wanted it before; what your last address did not take goes to the new one.
    """
    from gridlight.client.requester import Gridlight
    from gridlight.messages.codec import encode

    speaker = _speaker(key)
    if address is not None and address != NOWHERE:
        _check(address)
    units = None if threshold is None else _units(threshold)
    with Gridlight(network) as gateway:
        told = _standing(gateway, speaker)
        if address is not None or units is not None:
            told = _stated(gateway, speaker, told, address, units)
    if as_json:
        typer.echo(encode(told).decode())
    else:
        _print(told)


class Speaker(NamedTuple):
    """Who speaks for an operator: the key of now, and how it followed on the one that networks know."""

    key: "SigningKey"
    operator: str
    successions: tuple[str, ...]


def _speaker(path: Path) -> Speaker:
    from gridlight.adapters.successions import BadSuccession, check_successions, successions_to

    key = load_operator(path)
    with explaining(BadSuccession):
        texts = successions_to(path.expanduser(), key.public)
    return Speaker(key, check_successions(texts)[0].old_key if texts else key.public, texts)


def _standing(gateway: "Gridlight", speaker: Speaker) -> "OperatorPayoutResponse":
    from gridlight.client.operator_calls import CHALLENGE_CALL, challenges, payout_call, payout_responses

    nonce = gateway.exchange(CHALLENGE_CALL, challenges).nonce
    call = payout_call(speaker.key, nonce, operator=speaker.operator, successions=speaker.successions)
    return gateway.exchange(call, payout_responses)


def _stated(
    gateway: "Gridlight",
    speaker: Speaker,
    before: "OperatorPayoutResponse",
    address: str | None,
    threshold: int | None,
) -> "OperatorPayoutResponse":
    """What stands then. What is not named stays as it was."""
    from gridlight.adapters.clock import wall_s
    from gridlight.adapters.payout_statements import state_payout
    from gridlight.client.operator_calls import payout_responses, state_payout_call
    from gridlight.messages.codec import ProtocolViolation

    stood = before.payout
    if address is None and stood is None:
        raise BadInput("there is no address yet", "name one beside the threshold")
    where = stood.address if address is None and stood is not None else address
    units = threshold or _units(before.least if stood is None else stood.threshold)
    serial = max(wall_s() * 1_000, 0 if stood is None else stood.serial + 1)
    with explaining(ProtocolViolation):
        text = state_payout(
            speaker.key,
            None if where == NOWHERE else where,
            threshold=units,
            serial=serial,
            successions=speaker.successions,
        )
    return gateway.exchange(state_payout_call(speaker.operator, text), payout_responses)


def _check(address: str) -> None:
    """Before anything leaves this machine: it may be a secret seed."""
    if find_spec("stellar_sdk") is None:  # a machine that only lends has no need of it: the gateway checks the rest
        if address[:1] not in ("G", "M"):
            raise BadInput("an address starts with G or M", "copy it whole from the wallet; a secret seed is none")
        return
    from gridlight.adapters.chain.addresses import BadAddress, checked_address

    with explaining(BadAddress):
        checked_address(address)


def _units(threshold: str) -> int:
    from gridlight.messages.amounts import units

    try:
        counted = units(threshold)
    except ValueError as error:
        raise BadInput(str(error), "write coins as 12 or 12.5") from error
    if counted == 0:
        raise BadInput("nobody is paid nothing", "write coins as 12 or 12.5, more than 0")
    return counted


def _print(told: "OperatorPayoutResponse") -> None:
    typer.echo(f"operator {told.operator}")
    if told.payout is None:
        typer.echo(f"never said where to be paid; name an address (the least at once is {told.least} coin)")
    elif told.payout.address is None:
        typer.echo("is paid nothing for now, by their own word")
    else:
        typer.echo(f"is paid at {told.payout.address}, from {told.payout.threshold} coin on")
