"""Pages of words: which runs came in time, gathered for some seconds, and closed as one root that is signed once.

A page says the same of every run, at the same time, whatever the run was for. No sheet of receipts is closed while a
page is open: so a node hears the network's word on a run before, or with, the receipt.
"""

from typing import Final

from msgspec import Struct

from gridlight.core.merkle import Tree, leads_to, leaf_hash, merkle_root
from gridlight.messages.ids import NodeId
from gridlight.messages.words import PAGE_WORDS_MAX, NodeWords, RecordWords, Word, WordsFile, WordsRoot, words_bytes

PAGE_MS: Final = 20_000
"""From the first word of a page until it is closed."""


class WordsSnapshot(Struct):
    """The state as plain values."""

    page: int = 0
    opened_ms: int = 0
    due_ms: int = 0
    words: list[tuple[NodeId, str, Word]] = []


class Words:
    """The page that is open."""

    def __init__(self) -> None:
        self.page = 0
        self._opened_ms = self._due_ms = 0
        self._words: dict[tuple[NodeId, str], list[Word]] = {}
        self._count = 0

    def __len__(self) -> int:
        """Words on the open page."""
        return self._count

    @property
    def is_full(self) -> bool:
        """Whether it must be closed before a further word is written."""
        return self._count >= PAGE_WORDS_MAX

    def closes_ms(self) -> int | None:
        """When the page is to be closed; None where nothing is on it."""
        return self._opened_ms + PAGE_MS if self._count else None

    def write(self, node: NodeId, operator: str, word: Word, *, due_ms: int) -> None:
        """A node's result came in time, and has a receipt by then. O(1)."""
        assert not self.is_full
        if not self._count:
            self._opened_ms = word.seen_ms
        self._due_ms = max(self._due_ms, due_ms)
        self._words.setdefault((node, operator), []).append(word)
        self._count += 1

    def close(self, now_ms: int, *, sheet: int, epoch: int) -> RecordWords:
        """The root to be signed, each node's part in its order, and a new page is open. O(words)."""
        parts = tuple(
            NodeWords(page=self.page, node=node, operator=operator, words=tuple(self._words[node, operator]))
            for node, operator in sorted(self._words)
        )
        root = WordsRoot(
            page=self.page,
            parts=len(parts),
            merkle_root=merkle_root([part_hash(part) for part in parts]),
            sheet=sheet,
            epoch=epoch,
            closed_ms=now_ms,
            due_ms=self._due_ms,
        )
        self.page += 1
        self._words, self._count, self._due_ms = {}, 0, 0
        return RecordWords(root=root, parts=parts)

    def snapshot(self) -> WordsSnapshot:
        """The state, to be encoded at once."""
        words = [(node, operator, word) for (node, operator), said in self._words.items() for word in said]
        return WordsSnapshot(self.page, self._opened_ms, self._due_ms, words)

    def restore(self, snapshot: WordsSnapshot) -> None:
        """Take what `snapshot` gave, after a trip through bytes."""
        self.page, self._count = snapshot.page, len(snapshot.words)
        self._opened_ms, self._due_ms = snapshot.opened_ms, snapshot.due_ms
        self._words = {}
        for node, operator, word in snapshot.words:
            self._words.setdefault((node, operator), []).append(word)


def part_hash(part: NodeWords) -> bytes:
    """A node's part as it stands in the tree."""
    return leaf_hash(words_bytes(part))


def prove_words(parts: list[bytes], index: int) -> tuple[str, ...]:
    """The way from a part, as the bytes of one, to the root of its page. O(parts)."""
    return Tree([leaf_hash(part) for part in parts]).path(index)


def is_given(root: WordsRoot, file: WordsFile) -> bool:
    """Whether a node's part stands on that page. The root is the signed one that the file carries."""
    is_there = leads_to(root.merkle_root, part_hash(file.words), file.index, root.parts, file.path)
    return is_there and file.words.page == root.page
