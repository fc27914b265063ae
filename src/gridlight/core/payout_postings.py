"""What payouts do to the payer's books: each effect as one entry with a key of its own, so that it is posted once.

What the network's ledger holds for payouts comes in, and what cannot be paid goes back. Every entry by which something
left these books is told to that ledger.
"""

from collections.abc import Iterable, Mapping
from typing import Final, assert_never

from gridlight.core.postings import Draft, confirm, give_back, seal
from gridlight.messages import ledger
from gridlight.messages.ledger import EXT_CHAIN, NET_CHAINFEE, Entry, PayoutsEnded, Posting, TellPayouts, op_avail
from gridlight.messages.payouts import HoldLines, PayFee, PayLines, PayoutLine, ReleaseLines

HOLD: Final = "hold"
CONFIRM: Final = "confirm"
RETURN: Final = "return"
"""What keys begin with."""

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


def held(told: TellPayouts) -> Draft:
    """What the network's ledger holds came in: operators' money, and some for the chain's fees."""
    moved = [Posting(op_avail(line.operator), line.amount) for line in told.lines]
    moved += [Posting(NET_CHAINFEE, told.fees_units)] if told.fees_units else []
    return Draft(f"{HOLD}:{told.held}", (Posting(EXT_CHAIN, -sum(one.amount for one in moved)), *moved))


def handed_back(number: int, units: Mapping[str, int]) -> Draft:
    """What operators cannot be paid goes back to the network's ledger."""
    moved = [Posting(op_avail(operator), -amount) for operator, amount in units.items()]
    return Draft(f"{RETURN}:{number}", (*moved, Posting(EXT_CHAIN, sum(units.values()))))


def end_of(entry: Entry, *, number: int, question: str) -> PayoutsEnded:
    """What the network's ledger is told of an entry by which something left these books."""
    kind, _, digest = entry.key.partition(":")
    return PayoutsEnded(
        question=question,
        number=number,
        lines=tuple(
            ledger.PayoutLine(posting.account.split(":")[1], -posting.amount)
            for posting in entry.postings
            if posting.account.startswith("op:")
        ),
        hash=digest if kind == CONFIRM else "",
        fee_units=-sum(posting.amount for posting in entry.postings if posting.account == NET_CHAINFEE),
    )


def _lines(lines: Iterable[PayoutLine]) -> list[ledger.PayoutLine]:
    """As the ledger knows them: it does not ask where they go."""
    return [ledger.PayoutLine(line.operator, line.units) for line in lines]
