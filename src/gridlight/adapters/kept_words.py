"""The network's words in SQL: a page with the journal's record, and dropped once no omission can be proved by it."""

from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import Connection, delete, insert, select

from gridlight.adapters.books import Sign
from gridlight.adapters.word_tables import word_pages, words
from gridlight.messages.words import RecordWords, words_bytes

KEPT_MS: Final = 2 * 86_400_000
"""After a page was closed: many times what it takes until its receipts are due."""


class WordChanges:
    """One batch's share in the tables of words. What nobody signs is no word, and is not kept."""

    def __init__(self, effects: Iterable[Any], sign: Sign) -> None:
        self._pages: list[dict[str, Any]] = []
        self._words: list[dict[str, Any]] = []
        for effect in effects:
            if type(effect) is RecordWords and (statement := sign(effect.root)) is not None:
                page = effect.root.page
                self._pages.append({"page": page, "statement": statement, "closed_ms": effect.root.closed_ms})
                self._words += [
                    {"page": page, "place": place, "node_id": part.node, "part": words_bytes(part)}
                    for place, part in enumerate(effect.parts)
                ]

    def write(self, connection: Connection) -> None:
        """Within the transaction of the journal's record. O(words, and those that are dropped)."""
        if not self._pages:
            return
        is_old = word_pages.c.closed_ms < self._pages[-1]["closed_ms"] - KEPT_MS
        old = connection.execute(select(word_pages.c.page).where(is_old)).scalars().all()
        if old:
            connection.execute(delete(words).where(words.c.page <= max(old)))
            connection.execute(delete(word_pages).where(is_old))
        connection.execute(insert(word_pages), self._pages)
        connection.execute(insert(words), self._words)
