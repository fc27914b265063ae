"""`gridlight issuer`: vouches for operators, in private networks and in tests; for open ones a known service does."""

from pathlib import Path
from typing import Annotated

import typer

from gridlight.cli.ending import explaining
from gridlight.cli.options import JsonOption

issuer_app = typer.Typer(help="Vouch for operators: that each is one person, and who has been taken back.")

FolderOption = Annotated[Path, typer.Option("--data", help="The issuer's folder: key, secret, register, status list.")]


@issuer_app.command("init")
def init(
    data: FolderOption,
    name: Annotated[str, typer.Option(help="What you call yourself in each attestation: your address, as a rule.")],
    status_uri: Annotated[
        str | None, typer.Option(help="Where you will serve the status list; a file of the folder if left out.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make an issuer, and print what a network's founder puts into `issuers.toml` to believe it."""
    import tomli_w
    from msgspec import to_builtins

    from gridlight.adapters.clock import wall_s
    from gridlight.adapters.issuer import CannotIssue, Issuer
    from gridlight.messages.codec import encode

    with explaining(CannotIssue, ValueError):
        issuer = Issuer.create(data, iss=name, status_uri=status_uri)
        issuer.write_status(now_s=wall_s())
        trusted = issuer.trusted()
    if as_json:
        typer.echo(encode(trusted).decode())
    else:
        typer.echo(tomli_w.dumps({"issuers": [to_builtins(trusted)]}).strip())


@issuer_app.command("attest")
def attest(
    operator: Annotated[str, typer.Argument(help="The operator's public key: `gridlight operator show`.")],
    data: FolderOption,
    person: Annotated[
        str, typer.Option(help="Who it is, the same for the same person each time; a keyed hash is kept.")
    ],
    network: Annotated[str, typer.Option(help="The network's public key: `gridlight network key`.")],
    level: Annotated[int, typer.Option(min=0, max=2, help="0 unknown, 1 by telephone, 2 by papers.")] = 2,
    days: Annotated[int, typer.Option(min=1, max=180, help="How long it holds.")] = 90,
) -> None:
    """Print your word on an operator, which brings it to the nodes with `gridlight operator attest`."""
    from gridlight.adapters.clock import wall_s
    from gridlight.adapters.issuer import CannotIssue, Issuer

    with explaining(CannotIssue, ValueError):
        issuer = Issuer(data)
        typer.echo(issuer.attest(operator, person, network=network, level=level, days=days, now_s=wall_s()))


@issuer_app.command("revoke")
def revoke(operator: Annotated[str, typer.Argument(help="The operator's public key.")], data: FolderOption) -> None:
    """Take back what you said of an operator, and sign the status list anew."""
    from gridlight.adapters.clock import wall_s
    from gridlight.adapters.issuer import CannotIssue, Issuer

    with explaining(CannotIssue, ValueError):
        issuer = Issuer(data)
        count = issuer.revoke(operator)
        path = issuer.write_status(now_s=wall_s())
    typer.echo(f"{count} attestations of {operator} hold no longer, says {path}")


@issuer_app.command("status-list")
def status_list(data: FolderOption) -> None:
    """Sign the status list anew: it holds for a day."""
    from gridlight.adapters.clock import wall_s
    from gridlight.adapters.issuer import CannotIssue, Issuer

    with explaining(CannotIssue, ValueError):
        typer.echo(Issuer(data).write_status(now_s=wall_s()))
