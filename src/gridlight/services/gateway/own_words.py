"""A node's words, each with its way to the root that the network signed; and that a sheet lacks its receipt."""

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from gridlight.adapters.ledger_lines import LedgerLines
from gridlight.adapters.words import unsealed_page
from gridlight.core.merkle import Tree, leaf_hash
from gridlight.core.receipts import Tree as SheetTree
from gridlight.messages.money_api import ABSENCES_LISTED_MAX, WORDS_LISTED_MAX
from gridlight.messages.receipts import Absence, ReceiptFile
from gridlight.messages.words import WordsFile
from gridlight.services.gateway.errors import Refusal

PAGES_HELD_MAX: Final = 32
"""Pages whose hashes are in memory, a megabyte each at most: all nodes ask for the same newest ones."""


class HeldPage(Struct, frozen=True, eq=False):
    """A page's signed root, and every hash of it."""

    statement: str
    tree: Tree


class AbsencesPage(Struct, frozen=True):
    """Of one run, some sheets in a row."""

    absences: list[Absence]
    receipt: ReceiptFile | None
    next_after: int | None


def page_of(books: LedgerLines, page: int) -> HeldPage | None:
    """Blocking; O(parts of the page). None where it is not kept any more."""
    found = books.words_page(page)
    return None if found is None else HeldPage(found[0], Tree([leaf_hash(part) for part in found[1]]))


def words_page(
    books: LedgerLines, held: Callable[[int], HeldPage | None], node_id: str, after: int
) -> tuple[list[WordsFile], int | None]:
    """A node's words after a page, and where to go on. Blocking; O(parts of pages that are not held)."""
    parts = books.words(node_id, after, WORDS_LISTED_MAX)
    is_more = len(parts) == WORDS_LISTED_MAX
    if is_more and parts[0].page < parts[-1].page:  # of the last page there may be more: it is told as a whole
        parts = [part for part in parts if part.page < parts[-1].page]
    files = [
        WordsFile(words=part.words, index=part.place, path=page.tree.path(part.place), root=page.statement)
        for part in parts
        if (page := held(part.page)) is not None
    ]
    return files, parts[-1].page if is_more else None


def absences_page(books: LedgerLines, node_id: str, page: int, attempt: str, after: int) -> AbsencesPage:
    """Blocking; O(receipts of the sheets that it is about). Refusal where the node has no word on that run."""
    given = [part for part in books.words(node_id, page - 1, WORDS_LISTED_MAX) if part.page == page]
    words = next((part.words for part in given if any(word.attempt == attempt for word in part.words.words)), None)
    found = books.words_page(page)
    if words is None or found is None:
        raise Refusal("UNKNOWN_WORD", f"Page {page} of the network's words has none on {attempt[:16]!r} of this node.")
    first = max(after, unsealed_page(found[0]).sheet - 1)
    roots = [root for root, statement in books.roots(first, ABSENCES_LISTED_MAX) if statement is not None]
    absences: list[Absence] = []
    for root in roots:
        statement, receipts = books.sheet(root.sheet)
        assert statement is not None
        tree = SheetTree(receipts)
        absence = tree.prove_absent(statement, (words.operator, attempt))
        if absence is None:
            index = next(place for place, one in enumerate(receipts) if one.attempt == attempt)
            return AbsencesPage(absences, ReceiptFile(proof=tree.prove(index), root=statement), None)
        absences.append(absence)
    is_more = len(roots) == ABSENCES_LISTED_MAX
    return AbsencesPage(absences, None, roots[-1].sheet if is_more else None)
