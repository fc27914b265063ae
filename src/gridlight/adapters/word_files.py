"""A node's own words of the network: a file for each page of which a receipt is missing still, and which those are."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from msgspec import Struct

from gridlight.adapters.words import read_words, write_words
from gridlight.messages.codec import Decoder, ProtocolViolation, encode
from gridlight.messages.words import WordsFile

FOLDER: Final = "words"
"""In the node's folder."""

OWED_MAX: Final = 100_000
"""Runs without a receipt; beyond, the oldest are forgotten."""

_STATE: Final = "state.json"
_LOCK: Final = "lock"


class Standing(Struct):
    """Up to where the network was asked, and what it owes by its own words."""

    network_key: str = ""
    """The first that its words were signed with; another one's do not count."""
    page: int = -1
    receipt: str = ""
    """`SHEET.PLACE` of the newest receipt that was looked at; empty before the first word."""
    owed: dict[str, tuple[int, int]] = {}
    """Runs without a receipt: the word's page, and by when the receipt is due."""
    unheard: int = 0
    """Results that went out in time, as the node sees it, and got no word."""
    unheard_ms: int = 0


_standings: Final[Decoder[Standing]] = Decoder(Standing, 128 * OWED_MAX)


class WordFiles:
    """One node's folder of words. Blocking."""

    def __init__(self, data: Path) -> None:
        self.folder = data / FOLDER

    @contextmanager
    def held(self) -> Iterator[Standing]:
        """The standing, to be changed and kept; by one process at a time. It is kept unless the block fails."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / _LOCK).open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            standing = self.read()
            yield standing
            self._prune(standing)
            self._write(self.folder / _STATE, encode(standing))

    def add(self, file: WordsFile) -> None:
        """Keep a part of a page."""
        self._write(self.folder / _name(file), write_words(file))

    def find(self, page: int, attempt: str) -> WordsFile | None:
        """The part of a page that names a run. ReceiptInvalid where it was spoiled."""
        for path in sorted(self.folder.glob(f"{page:012d}-*.words")):
            file = read_words(path.read_bytes())
            if any(word.attempt == attempt for word in file.words.words):
                return file
        return None

    def read(self) -> Standing:
        """As it is now, for those who only look."""
        try:
            return _standings.decode((self.folder / _STATE).read_bytes())
        except (OSError, ProtocolViolation):  # not there yet, or spoiled: what the network keeps is asked for again
            return Standing()

    def _prune(self, standing: Standing) -> None:
        """Drop what the network owes no more, and the oldest of too much."""
        too_many = len(standing.owed) - OWED_MAX
        if too_many > 0:
            for attempt, _ in sorted(standing.owed.items(), key=lambda one: one[1])[:too_many]:
                del standing.owed[attempt]
        pages = {page for page, _ in standing.owed.values()}
        for path in self.folder.glob("*.words"):
            if int(path.name[:12]) not in pages:
                path.unlink()

    def _write(self, path: Path, data: bytes) -> None:
        partial = path.with_suffix(".partial")
        partial.write_bytes(data)
        partial.replace(path)


def _name(file: WordsFile) -> str:
    return f"{file.words.page:012d}-{file.index:06d}.words"
