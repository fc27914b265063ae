"""`gridlight operator`: one identity for all of an operator's nodes, kept apart from them, and not lost with a disk."""

import os
import sys
from datetime import UTC, datetime
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
def show_operator(key: KeyOption = KEY_DEFAULT, as_json: JsonOption = False) -> None:
    """Print your public key. Where it was rotated, print the keys before it, too; networks know you by the first."""
    from gridlight.adapters.successions import BadSuccession, check_successions
    from gridlight.messages.codec import encode

    operator = load_operator(key)
    with explaining(BadSuccession):
        chain = check_successions(_successions(key, operator))
    if as_json:
        lineage = [*(one.old_key for one in chain), operator.public]
        typer.echo(encode({"key": operator.public, "operator": lineage[0], "lineage": lineage}).decode())
        return
    typer.echo(operator.public)
    for one in chain:
        until = datetime.fromtimestamp(one.serial // 1_000, UTC)
        typer.echo(f"  before: {one.old_key}, until {until:%Y-%m-%d}")
    if chain:
        typer.echo(f"networks know you as {chain[0].old_key}")


@operator_app.command("rotate")
def rotate_operator(
    nodes: Annotated[
        list[Path] | None, typer.Argument(metavar="[FOLDER]...", help="Of your nodes on this machine.")
    ] = None,
    key: KeyOption = KEY_DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Put a new key in the place of yours: networks go on knowing you by your first. Prints the recovery phrase of the
    new one this once, keeps the old key in a file beside it, and binds the nodes that are named. Bind the others within
    a day of their network's hearing of it: so long both keys hold.
    """
    from gridlight.adapters.clock import wall_ms
    from gridlight.adapters.operator_keys import phrase_of
    from gridlight.adapters.successions import BadSuccession, rotate_key
    from gridlight.messages.codec import encode
    from gridlight.services.own_nodes import id_of_node

    load_operator(key)
    for folder in nodes or ():
        _demand_node(folder)
    with explaining(BadSuccession, ValueError):
        node_ids = [id_of_node(folder) for folder in nodes or ()]
        rotation = rotate_key(key.expanduser(), now_ms=wall_ms())
    phrase, new = phrase_of(rotation.new), rotation.new
    if as_json:
        said = {"operator": new.public, "phrase": phrase, "kept": str(rotation.kept), "nodes": node_ids}
        typer.echo(encode(said).decode())
    else:
        typer.echo(f"operator {new.public}\nrecovery phrase, shown this once:\n  {phrase}")
        typer.echo(f"the key before it is kept in {rotation.kept}; {len(node_ids)} nodes are bound to the new one")
    for folder in nodes or ():
        _bind(folder, key, new)


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
        data = encrypt_operator(operator, _password(is_new=True), successions=_successions(key, operator))
    write_secret(file, data.decode("ascii"))
    typer.echo(f"wrote {file}")


@operator_app.command("restore")
def restore_operator(
    file: Annotated[Path, typer.Argument(help="As `gridlight operator backup` wrote it.", exists=True, dir_okay=False)],
    key: KeyOption = KEY_DEFAULT,
) -> None:
    """Read your key from such a file."""
    from gridlight.adapters.operator_keys import BadOperatorKey, decrypt_operator
    from gridlight.adapters.signatures import write_secret
    from gridlight.adapters.successions import successions_file

    with explaining(BadOperatorKey):
        operator, successions = decrypt_operator(file.read_bytes(), _password(is_new=False))
    _keep(operator, key)
    if successions:
        write_secret(successions_file(key.expanduser()), "".join(text + "\n" for text in successions))
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
    from gridlight.adapters.signatures import is_public_key

    operator = load_operator(key)
    if is_public_key(node):
        typer.echo(_certificate(node, key, operator, days))
        return
    folder = Path(node)
    if not folder.is_dir():
        raise BadInput(f"{node[:200]!r} is no node", "name a node's folder, or its id as `gridlight node id` prints it")
    node_id = _write_certificate(folder, key, operator, days)
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
    from gridlight.adapters.successions import check_successions

    operator = load_operator(key)
    with explaining(BadAttestation, ValueError):
        text = file.read_text(encoding="ascii").strip()
        before = (one.old_key for one in check_successions(_successions(key, operator)))
        claims = read_for_operator(text, (*before, operator.public))
    for folder in nodes:
        _demand_node(folder)
        write_secret(folder / ATTESTATION_FILE, text + "\n")
    typer.echo(f"{claims.iss} says that you are a person of level {claims.lvl}; {len(nodes)} nodes bring it")


def _demand_node(folder: Path) -> None:
    if not folder.is_dir():
        raise BadInput(f"{str(folder)[:200]!r} is no node's folder", "name the folders that you start your nodes with")


def _successions(key: Path, operator: "SigningKey") -> tuple[str, ...]:
    from gridlight.adapters.successions import BadSuccession, successions_to

    with explaining(BadSuccession):
        return successions_to(key.expanduser(), operator.public)


def _certificate(node_id: str, key: Path, operator: "SigningKey", days: int) -> str:
    from gridlight.adapters.certificates import certify
    from gridlight.adapters.clock import wall_ms
    from gridlight.messages.ids import NodeId

    said = _successions(key, operator)
    return certify(operator, NodeId(node_id), now_ms=wall_ms(), days=days, successions=said)


def _write_certificate(folder: Path, key: Path, operator: "SigningKey", days: int) -> str:
    """Into the node's folder; the node's id."""
    from gridlight.adapters.certificates import CERTIFICATE_FILE
    from gridlight.adapters.signatures import write_secret
    from gridlight.services.own_nodes import id_of_node

    with explaining(ValueError):
        node_id = id_of_node(folder)
    write_secret(folder / CERTIFICATE_FILE, _certificate(node_id, key, operator, days) + "\n")
    return node_id


def _bind(folder: Path, key: Path, operator: "SigningKey") -> None:
    """A node whose folder holds this key file, and no certificate, signs for itself each time it joins."""
    from gridlight.adapters.certificates import CERTIFICATE_FILE
    from gridlight.adapters.node_folder import OPERATOR_KEY_FILE
    from gridlight.messages.operators import CERTIFICATE_DAYS_MAX

    is_own_key = (folder / OPERATOR_KEY_FILE).resolve() == key.expanduser().resolve()
    if not is_own_key or (folder / CERTIFICATE_FILE).exists():
        _write_certificate(folder, key, operator, CERTIFICATE_DAYS_MAX)


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
