"""A node's identity and preferences as one file, and back into a folder: never over another node's."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

from msgspec import Meta, Struct

from gridlight.adapters.endorsements import ENDORSEMENT_FILE
from gridlight.adapters.node_folder import NODE_KEY_FILE, OPERATOR_KEY_FILE
from gridlight.adapters.preferences import PREFERENCES_FILE
from gridlight.adapters.signatures import SigningKey, write_secret
from gridlight.adapters.successions import successions_file
from gridlight.messages.codec import Decoder, ProtocolViolation, encode
from gridlight.messages.ids import NodeId

BACKUP_BYTES_MAX: Final = 256 * 1024
_VERSION: Final = 1


class CannotBackUp(ValueError):
    """There is no node, or it is not the one that is meant."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class Backup(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The file."""

    gridlight_node_backup: Annotated[int, Meta(ge=_VERSION, le=_VERSION)]
    """Its version."""
    node_id: str
    node_seed: str
    operator_seed: str
    successions: str | None = None
    """How the operator's key followed on others."""
    endorsement: str | None = None
    preferences: str | None = None


_backups: Final[Decoder[Backup]] = Decoder(Backup, BACKUP_BYTES_MAX)


def write_backup(data: Path, to: Path) -> NodeId:
    """Of the node whose folder this is; an older file of that name is replaced. CannotBackUp."""
    keys = [data / name for name in (NODE_KEY_FILE, OPERATOR_KEY_FILE)]
    if not all(path.exists() for path in keys):
        raise CannotBackUp(f"{data} is no node's folder yet", "`gridlight node start` makes its keys")
    node, operator = (SigningKey.load_or_create(path) for path in keys)
    backup = Backup(
        gridlight_node_backup=_VERSION,
        node_id=node.public,
        node_seed=node.seed,
        operator_seed=operator.seed,
        successions=_text(successions_file(data / OPERATOR_KEY_FILE)),
        endorsement=_text(data / ENDORSEMENT_FILE),
        preferences=_text(data / PREFERENCES_FILE),
    )
    write_secret(to, encode(backup).decode() + "\n")
    return NodeId(node.public)


def restore_backup(file: Path, data: Path) -> NodeId:
    """Into a folder that is empty, or this node's already. CannotBackUp where it is another's, or in use."""
    backup, node, operator = _read(file)
    with _unused(data):
        for path, key in ((data / NODE_KEY_FILE, node), (data / OPERATOR_KEY_FILE, operator)):
            if path.exists() and _public(path) != key.public:
                hint = "name an empty folder; a node's key that is overwritten is lost, and with it what it earned"
                raise CannotBackUp(f"{path} is another key, and stays", hint)
        write_secret(data / NODE_KEY_FILE, node.seed + "\n")
        write_secret(data / OPERATOR_KEY_FILE, operator.seed + "\n")
        if backup.successions is not None:
            write_secret(successions_file(data / OPERATOR_KEY_FILE), backup.successions)
        if backup.endorsement is not None:
            write_secret(data / ENDORSEMENT_FILE, backup.endorsement)
        if backup.preferences is not None:
            (data / PREFERENCES_FILE).write_text(backup.preferences, encoding="utf-8")
    return NodeId(node.public)


def _read(file: Path) -> tuple[Backup, SigningKey, SigningKey]:
    hint = "name a file that `gridlight node backup` wrote"
    try:
        backup = _backups.decode(file.read_bytes())
        node, operator = SigningKey.from_seed(backup.node_seed), SigningKey.from_seed(backup.operator_seed)
    except (ProtocolViolation, ValueError) as error:
        raise CannotBackUp(f"{file} is no node's backup: {error}", hint) from error
    if node.public != backup.node_id:
        raise CannotBackUp(f"{file} was changed: its key is not node {backup.node_id}'s", hint)
    return backup, node, operator


def _public(path: Path) -> str:
    try:
        return SigningKey.load_or_create(path).public
    except ValueError:
        return ""  # a key that cannot be read is not this one, and may still be somebody's


@contextmanager
def _unused(data: Path) -> Iterator[None]:
    """While no agent runs with the folder."""
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (data / "lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotBackUp(f"an agent runs with {data}", "stop it, and restore then") from None
        yield


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None
