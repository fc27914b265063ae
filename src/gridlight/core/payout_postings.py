"""What payouts do to the books: each effect as one entry with a key of its own, so that it is posted once."""

from collections.abc import Iterable
from typing import assert_never

from gridlight.core.postings import Draft, confirm, give_back, seal
from gridlight.messages import ledger
from gridlight.messages.payouts import HoldLines, PayFee, PayLines, PayoutLine, ReleaseLines

BooksEffect = HoldLines | PayLines | PayFee | ReleaseLines


def entry_of(effect: BooksEffect) -> Draft | None:
    """None where nothing moves."""
    match effect:
        case HoldLines(batch=batch):
            return seal(batch.batch_id, _lines(batch.lines))
        case PayLines(batch=batch, fee_units=fee_units):
            return confirm(batch.hash, _lines(batch.lines), fee_units)
        case PayFee(hash=digest, units=units):
            return confirm(digest, (), units) if units else None
        case ReleaseLines(batch_id=batch_id, seal=count, lines=lines):
            return give_back(f"{batch_id}:{count}", _lines(lines)) if lines else None
        case _:
            assert_never(effect)


def _lines(lines: Iterable[PayoutLine]) -> list[ledger.PayoutLine]:
    """As the ledger knows them: it does not ask where they go."""
    return [ledger.PayoutLine(line.operator, line.units) for line in lines]
