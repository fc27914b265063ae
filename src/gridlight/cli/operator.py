"""`gridlight operator`: one identity for all of an operator's nodes, kept apart from them, and not lost with a disk."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gridlight.cli.ending import explaining
from gridlight.cli.options import JsonOption
from gridlight.client.errors import BadInput

if TYPE_CHECKING:
    from gridlight.adapters.signatures import SigningKey

operator_app = typer.Typer(help="Be one operator with several nodes: one key, which the nodes need not hold.")

KEY_DEFAULT = Path("~/.config/gridlight/operator.nk")
KeyOption = Annotated[Path, typer.Option(help="The file of your key.")]
PASSWORD_VARIABLE = "GRIDLIGHT_BACKUP_PASSWORD"  # noqa: S105  (its name)


@operator_app.command("create")
def create_operator(key: KeyOption = KEY_DEFAULT, as_json: JsonOption = False) -> None:
    """Make your key, and print its recovery phrase this once: write it down, and keep it where nobody finds it."""
    from gridlight.adapters.operator_keys import phrase_of
    from gridlight.adapters.signatures import SigningKey
    from gridlight.messages.codec import encode

    operator = SigningKey.generate()
    _keep(operator, key)
    phrase = phrase_of(operator)
    if as_json:
        typer.echo(encode({"operator": operator.public, "phrase": phrase}).decode())
    else:
        typer.echo(f"operator {operator.public}\nrecovery phrase, shown this once:\n  {phrase}")


@operator_app.command("show")
def show_operator(key: KeyOption = KEY_DEFAULT) -> None:
    """Print your public key: what a network knows you by."""
    typer.echo(load_operator(key).public)


@operator_app.command("recover")
def recover_operator(key: KeyOption = KEY_DEFAULT) -> None:
    """Make your key again from its recovery phrase, which is read from standard input."""
    from gridlight.adapters.operator_keys import BadOperatorKey, operator_of_phrase

    if sys.stdin.isatty():
        typer.echo("the 24 words of your recovery phrase, on one line:", err=True)
    with explaining(BadOperatorKey):
        operator = operator_of_phrase(sys.stdin.readline(4_096))
    _keep(operator, key)
    typer.echo(operator.public)


@operator_app.command("backup")
def back_up_operator(
    file: Annotated[Path, typer.Argument(help="The file to write.")], key: KeyOption = KEY_DEFAULT
) -> None:
    """Write your key to a file that only a password opens; asked for, or from GRIDLIGHT_BACKUP_PASSWORD."""
    from gridlight.adapters.operator_keys import BadOperatorKey, encrypt_operator
    from gridlight.adapters.signatures import write_secret

    operator = load_operator(key)
    with explaining(BadOperatorKey):
        data = encrypt_operator(operator, _password(is_new=True))
    write_secret(file, data.decode("ascii"))
    typer.echo(f"wrote {file}")


@operator_app.command("restore")
def restore_operator(
    file: Annotated[Path, typer.Argument(help="As `gridlight operator backup` wrote it.", exists=True, dir_okay=False)],
    key: KeyOption = KEY_DEFAULT,
) -> None:
    """Read your key from such a file."""
    from gridlight.adapters.operator_keys import BadOperatorKey, decrypt_operator

    with explaining(BadOperatorKey):
        operator = decrypt_operator(file.read_bytes(), _password(is_new=False))
    _keep(operator, key)
    typer.echo(operator.public)


@operator_app.command("bind")
def bind_node(
    node: Annotated[str, typer.Argument(help="A node's folder on this machine, or the id of one elsewhere.")],
    key: KeyOption = KEY_DEFAULT,
    days: Annotated[int, typer.Option(min=1, max=14, help="How long your word holds.")] = 14,
) -> None:
    """Say that a node is yours. Its folder gets the certificate; for a node elsewhere it is printed, for its file
    `certificate`. Renew it before it expires; a running node takes up the new one when it joins again.
    """
    from gridlight.adapters.certificates import CERTIFICATE_FILE, certify
    from gridlight.adapters.clock import wall_s
    from gridlight.adapters.signatures import is_public_key, write_secret
    from gridlight.messages.ids import NodeId
    from gridlight.services.own_nodes import id_of_node

    operator, now_ms = load_operator(key), wall_s() * 1_000
    if is_public_key(node):
        typer.echo(certify(operator, NodeId(node), now_ms=now_ms, days=days))
        return
    folder = Path(node)
    if not folder.is_dir():
        raise BadInput(f"{node[:200]!r} is no node", "name a node's folder, or its id as `gridlight node id` prints it")
    with explaining(ValueError):
        node_id = id_of_node(folder)
    write_secret(folder / CERTIFICATE_FILE, certify(operator, node_id, now_ms=now_ms, days=days) + "\n")
    typer.echo(f"{node_id} is {operator.public}'s for {days} days")


@operator_app.command("attest")
def attest(
    file: Annotated[Path, typer.Argument(help="What an issuer gave you.", exists=True, dir_okay=False)],
    nodes: Annotated[list[Path], typer.Argument(metavar="FOLDER...", help="Of your nodes on this machine.")],
    key: KeyOption = KEY_DEFAULT,
) -> None:
    """Bring an issuer's word on you to your nodes: their networks want to know that you are one person. A running node
    takes it up when it joins again.
    """
    from gridlight.adapters.attestations import BadAttestation, read_for_operator
    from gridlight.adapters.certificates import ATTESTATION_FILE
    from gridlight.adapters.signatures import write_secret

    with explaining(BadAttestation, ValueError):
        text = file.read_text(encoding="ascii").strip()
        claims = read_for_operator(text, load_operator(key).public)
    for folder in nodes:
        if not folder.is_dir():
            raise BadInput(
                f"{str(folder)[:200]!r} is no node's folder", "name the folders that you start your nodes with"
            )
        write_secret(folder / ATTESTATION_FILE, text + "\n")
    typer.echo(f"{claims.iss} says that you are a person of level {claims.lvl}; {len(nodes)} nodes bring it")


def load_operator(key: Path) -> "SigningKey":
    """The operator's key. BadInput where there is none."""
    from gridlight.adapters.signatures import SigningKey

    path = key.expanduser()
    if not path.exists():
        raise BadInput(f"there is no key at {path}", "`gridlight operator create` makes one")
    with explaining(ValueError):
        return SigningKey.load_or_create(path)


def _keep(operator: "SigningKey", key: Path) -> None:
    """Never over another key: whoever loses it loses what its nodes earned."""
    from gridlight.adapters.signatures import write_secret

    path = key.expanduser()
    try:
        write_secret(path, operator.seed + "\n", replace=False)
    except FileExistsError:
        raise BadInput(f"{path} holds a key already", "name another file with --key") from None


def _password(*, is_new: bool) -> str:
    said = os.environ.get(PASSWORD_VARIABLE)
    if said is not None:
        return said
    return str(typer.prompt("password", hide_input=True, confirmation_prompt=is_new, err=True))
