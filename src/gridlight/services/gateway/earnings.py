"""An operator's share of the ledger, by sheets of receipts and kinds: exact, and without telling what a run was for.

A served answer is paid when it is final, a check when an epoch begins. So entries are not shown one by one, nor before
the sheet is closed at which both have been paid: only what all of a kind came to by then.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from gridlight.adapters.ledger_lines import LedgerLines, Line
from gridlight.messages.amounts import coins
from gridlight.messages.funds import HeldBack
from gridlight.messages.money_api import EARNINGS_SHEETS_MAX, EarningsLine, VestingView
from gridlight.messages.receipts import SheetRoot

ENTRIES_READ_MAX: Final = 20_000
"""Of one page, unless a single sheet has more."""

_ALL: Final = 2**31
_KINDS: Final = {
    "final": "earned",
    "checks": "earned",
    "vest": "vested",
    "claw": "clawed back",
    "slash": "slashed",
    "stake": "staked",
    "seal": "payout sent",
    "confirm": "paid",
    "fail": "payout returned",
}
_PARTS: Final = ("pending", "avail", "stake", "inflight")


class EarningsPage(Struct, frozen=True):
    """Lines, and the sheet to go on after; nothing once all are told."""

    lines: list[EarningsLine]
    next_after: int | None


def earnings_page(books: LedgerLines, operator: str, after_sheet: int) -> EarningsPage:
    """What the operator's accounts gained and lost on the sheets after one. Blocking; O(entries of the operator)."""
    before = [] if after_sheet < 0 else books.roots(after_sheet - 1, 1)
    start = before[0][0].ledger_seq if before else 0
    roots = [root for root, _ in books.roots(after_sheet, EARNINGS_SHEETS_MAX)]
    if not roots:
        return EarningsPage([], None)
    until = roots[-1].ledger_seq
    found = books.lines(f"op:{operator}", after=start, until=until, limit=ENTRIES_READ_MAX)
    if len(found) == ENTRIES_READ_MAX:  # there may be more: tell whole sheets alone, or one at least
        whole = [root for root in roots if root.ledger_seq < found[-1].seq] or roots[:1]
        roots, until = whole, whole[-1].ledger_seq
        found = books.lines(f"op:{operator}", after=start, until=until, limit=_ALL)
    is_last = len(roots) < EARNINGS_SHEETS_MAX and not books.roots(roots[-1].sheet, 1)
    return EarningsPage(by_sheet(found, roots), None if is_last else roots[-1].sheet)


def by_sheet(found: Sequence[Line], roots: Sequence[SheetRoot]) -> list[EarningsLine]:
    """Entries added up by the sheet at whose end they stood in the ledger, and by kind. Both are in their order, and
    every entry is of one of these sheets.
    """
    sums: dict[tuple[int, str, str], dict[str, int]] = {}
    place = 0
    for line in found:
        while roots[place].ledger_seq < line.seq:
            place += 1
        total = sums.setdefault((place, *_kind(line.key)), dict.fromkeys(_PARTS, 0))
        for part, amount in line.changes.items():
            total[part] += amount
    return [
        EarningsLine(
            sheet=roots[place].sheet,
            closed_ms=roots[place].closed_ms,
            kind=kind,
            pending=coins(total["pending"]),
            available=coins(total["avail"]),
            stake=coins(total["stake"]),
            in_flight=coins(total["inflight"]),
            why=why,
        )
        for (place, kind, why), total in sums.items()
    ]


def _kind(key: str) -> tuple[str, str]:
    """What an entry is to an operator, and why it lost by it; not which of its runs it was, nor what for."""
    word, _, rest = key.partition(":")
    kind = _KINDS.get(word, "credited")
    if word not in ("claw", "slash"):
        return kind, ""
    node, commit, _role = rest.split(":")
    return kind, f"node {node} was found to give a false answer (number {commit} of the network's)"


def vesting_view(held: HeldBack) -> VestingView:
    """About a day's earnings, for the operator."""
    return VestingView(amount=coins(held.amount), not_before_ms=held.vests_ms, tasks_missing=held.tasks_missing)
