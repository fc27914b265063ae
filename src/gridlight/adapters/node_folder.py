"""A node's folder: where it is if nobody says, and the network that its node joined last."""

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
_URL_CHARACTERS_MAX: Final = 2_048


def default_folder() -> Path:
    """`$XDG_DATA_HOME/gridlight/node`, else the same in the user's `~/.local/share`."""
    shared = os.environ.get("XDG_DATA_HOME")
    base = Path(shared).absolute() if shared else Path.home() / ".local" / "share"
    return base / "gridlight" / "node"


def keep_network(folder: Path, url: str) -> None:
    """The node was taken there; so whoever asks about it later need not say where it belongs."""
    if kept_network(folder) != url:
        with suppress(OSError):
            (folder / _NETWORK_FILE).write_text(f"{url}\n", encoding="utf-8")


def kept_network(folder: Path) -> str | None:
    """The network that the node joined last, None where it has joined none."""
    try:
        return (folder / _NETWORK_FILE).read_text(encoding="utf-8")[:_URL_CHARACTERS_MAX].strip() or None
    except (OSError, UnicodeDecodeError):
        return None
