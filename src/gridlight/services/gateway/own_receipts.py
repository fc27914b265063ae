"""A node's receipts, each with its way to the root that the network signed."""

import re
from itertools import groupby
from typing import Final

from msgspec import Struct

from gridlight.adapters.ledger_lines import LedgerLines, Place
from gridlight.core.receipts import Tree
from gridlight.messages.money_api import RECEIPTS_LISTED_MAX
from gridlight.messages.receipts import ReceiptFile
from gridlight.services.gateway.errors import Refusal

SHEETS_PROVED_MAX: Final = 16
"""On one page: to prove one receipt of a sheet costs a hash over each of the sheet's."""

_is_cursor = re.compile(r"(-1|[0-9]{1,15})\.([0-9]{1,9})").fullmatch


class ReceiptsPage(Struct, frozen=True):
    """Receipts in the order of sheets, and where to go on; nothing once all are told."""

    receipts: list[ReceiptFile]
    next_after: str | None
    unsigned: int


def read_cursor(text: str) -> Place:
    """`SHEET.PLACE`. Refusal where it is none."""
    match = _is_cursor(text)
    if match is None:
        raise Refusal("BAD_REQUEST", f"after={text[:40]!r} is no SHEET.PLACE.", "Send what next_after said.")
    return Place(int(match[1]), int(match[2]))


def receipts_page(books: LedgerLines, node_id: str, after: Place) -> ReceiptsPage:
    """Blocking; O(receipts of the sheets that the page is about)."""
    places = books.places(node_id, after, RECEIPTS_LISTED_MAX)
    sheets = sorted({place.sheet for place in places})[:SHEETS_PROVED_MAX]
    told = [place for place in places if place.sheet in sheets]
    found: list[ReceiptFile] = []
    unsigned = 0
    for number, of_sheet in groupby(told, key=lambda place: place.sheet):
        statement, receipts = books.sheet(number)
        indexes = [place.place for place in of_sheet]
        if statement is None:
            unsigned += len(indexes)
            continue
        tree = Tree(receipts)
        found += [ReceiptFile(proof=tree.prove(index), root=statement) for index in indexes]
    is_more = len(told) < len(places) or len(places) == RECEIPTS_LISTED_MAX
    return ReceiptsPage(found, f"{told[-1].sheet}.{told[-1].place}" if is_more else None, unsigned)
