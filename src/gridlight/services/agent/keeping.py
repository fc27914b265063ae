"""What an agent remembers of its operator from one run to the next: the last word, and how much was moved today."""

from pathlib import Path
from typing import Final

import structlog
import tomli_w
from msgspec import Struct

from gridlight.adapters.configuration import BadConfiguration, load_config
from gridlight.core.owner import Word, WordKind

KEPT_FILE: Final = "owner.toml"
SAVE_EVERY_BYTES: Final = 8 * 1024 * 1024
"""Moved before it is written down again: so much may be forgotten where the machine dies."""

_log = structlog.get_logger()


class Kept(Struct, frozen=True, kw_only=True):
    """The file."""

    word: WordKind = WordKind.RUN
    until_s: int | None = None
    day: str = ""
    transferred_bytes: int = 0


class Keeping:
    """The file of one node's folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / KEPT_FILE
        kept = _read(self._path)
        self.word = Word(kept.word, kept.until_s)
        self._day = kept.day
        self._bytes = kept.transferred_bytes
        self._saved_bytes = kept.transferred_bytes

    def say(self, word: Word) -> None:
        """The operator's word, from now on and after a restart."""
        self.word = word
        self._save()

    def add(self, count: int) -> None:
        """So many bytes were sent or received."""
        self._bytes += count
        if self._bytes - self._saved_bytes >= SAVE_EVERY_BYTES:
            self._save()

    def transferred_bytes(self, day: str) -> int:
        """Today."""
        if day != self._day:
            self._day, self._bytes = day, 0
            self._save()
        return self._bytes

    def _save(self) -> None:
        table = {"word": self.word.kind.value, "day": self._day, "transferred_bytes": self._bytes}
        if self.word.until_s is not None:
            table["until_s"] = self.word.until_s
        partial = self._path.with_suffix(".partial")
        partial.write_text(tomli_w.dumps(table), encoding="utf-8")
        partial.replace(self._path)
        self._saved_bytes = self._bytes


def _read(path: Path) -> Kept:
    """Nothing where the file is not there. One that cannot be read is no reason not to start, nor to work."""
    if not path.exists():
        return Kept()
    try:
        return load_config(path, Kept)
    except BadConfiguration as error:
        _log.error("the operator's last word cannot be read, so the node is paused", error=str(error))
        return Kept(word=WordKind.PAUSE)
