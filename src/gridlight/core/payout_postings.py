"""What payouts do to the books: each effect as one entry with a key of its own, so that it is posted once."""

from gridlight.messages.ledger import EXT_CHAIN, NET_CHAINFEE, Posting, op_avail, op_inflight
from gridlight.messages.payouts import HoldLines, PayFee, PayLines, ReleaseLines

BooksEffect = HoldLines | PayLines | PayFee | ReleaseLines


def entry_of(effect: BooksEffect) -> tuple[str, tuple[Posting, ...]]:
    """Key and postings; no postings where nothing moves."""
    match effect:
        case HoldLines(batch=batch):
            moves = [(op_avail(line.operator), op_inflight(line.operator), line.units) for line in batch.lines]
            return f"payout:hold:{batch.batch_id}", _postings(moves)
        case PayLines(batch=batch):
            moves = [(op_inflight(line.operator), EXT_CHAIN, line.units) for line in batch.lines]
            return f"payout:pay:{batch.hash}", _postings(moves)
        case PayFee(hash=digest, units=units):
            return f"payout:fee:{digest}", _postings([(NET_CHAINFEE, EXT_CHAIN, units)] if units else [])
        case ReleaseLines(batch_id=batch_id, seal=seal, lines=lines):
            moves = [(op_inflight(line.operator), op_avail(line.operator), line.units) for line in lines]
            return f"payout:release:{batch_id}:{seal}", _postings(moves)


def _postings(moves: list[tuple[str, str, int]]) -> tuple[Posting, ...]:
    """From one account to another, each move in turn."""
    return tuple(
        posting for source, target, units in moves for posting in (Posting(source, -units), Posting(target, units))
    )
