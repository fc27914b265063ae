"""A node's folder: where it is if nobody says, and what its node remembers of the network that it joined last."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

NODE_KEY_FILE: Final = "node.nk"
OPERATOR_KEY_FILE: Final = "operator.nk"
LOCK_FILE: Final = "lock"
"""Held by the agent that runs."""

WAY_FILE: Final = "way"
_NETWORK_FILE: Final = "network"
_ISSUER_FILE: Final = "issuer"
_CHARACTERS_MAX: Final = 2_048


def default_folder() -> Path:
    """`$XDG_DATA_HOME/gridlight/node`, else the same in the user's `~/.local/share`."""
    shared = os.environ.get("XDG_DATA_HOME")
    base = Path(shared).absolute() if shared else Path.home() / ".local" / "share"
    return base / "gridlight" / "node"


def kept_network(folder: Path) -> str | None:
    """The network that the node joined last, None where it has joined none."""
    return _kept(folder / _NETWORK_FILE)


def kept_issuer(folder: Path) -> str | None:
    """Who vouched for that network when the node joined it for the first time, None where that is not known."""
    return _kept(folder / _ISSUER_FILE)


def keep_network(folder: Path, url: str, issuer: str | None) -> None:
    """The node was taken there; so whoever asks about it later need not say where it belongs.

    A folder that takes no more files forgets, and the node serves all the same.
    """
    with suppress(OSError):
        (folder / _NETWORK_FILE).write_text(f"{url}\n", encoding="utf-8")
        (folder / _ISSUER_FILE).write_text(f"{issuer or ''}\n", encoding="utf-8")


def _kept(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")[:_CHARACTERS_MAX].strip() or None
    except (OSError, UnicodeDecodeError):
        return None
