"""What becomes of one payout batch: how it is sealed, sealed again, and what a failed transaction says of its lines."""

from collections import deque
from typing import Final

import msgspec
from msgspec import Struct

from gridlight.messages.payouts import (
    LINES_MAX,
    BatchState,
    ChannelRecord,
    ChannelSeen,
    PayoutBatch,
    PayoutLine,
    PayoutParameters,
    TransactionFound,
)

DAY_S: Final = 86_400
SUCCESS: Final = "op_success"

DESTINATION_CODES: Final = frozenset({"op_no_destination", "op_no_trust", "op_line_full", "op_not_authorized"})
"""What a payment's result says of whoever is paid; every other failure is the payer's own. (Horizon's names of the
payment operation's result codes.)"""


class Failure(Struct, frozen=True):
    """A failed transaction's lines: those that its codes name, and those that may be tried again."""

    dropped: tuple[tuple[PayoutLine, str], ...]
    rest: tuple[PayoutLine, ...]
    reason: str
    """Where it is the payer's own failure: nothing may be tried again as it was. Else empty."""


def sealed(
    channel: ChannelRecord,
    seen: ChannelSeen,
    lines: tuple[PayoutLine, ...],
    parameters: PayoutParameters,
    *,
    memo: str,
    root: str,
) -> PayoutBatch:
    """The channel's next batch, with the sequence that follows its last."""
    assert channel.sequence is not None
    assert 1 <= len(lines) <= LINES_MAX
    return PayoutBatch(
        batch_id=f"{channel.account}:{channel.batches + 1}",
        channel=channel.account,
        state=BatchState.SEALED,
        lines=lines,
        sequence=channel.sequence + 1,
        seal=1,
        closed_s=seen.closed_s,
        max_time_s=seen.closed_s + parameters.valid_s,
        fee_units=seen.base_fee_units,
        day=seen.closed_s // DAY_S,
        drawn_units=sum(line.units for line in lines),
        memo=memo,
        root=root,
        is_closed=not memo,
    )


def sealed_again(
    batch: PayoutBatch,
    seen: ChannelSeen,
    parameters: PayoutParameters,
    *,
    sequence: int,
    lines: tuple[PayoutLine, ...],
) -> PayoutBatch:
    """With new time bounds, at the fee of now or the one that it bid last.

    With the same sequence, whatever was signed before cannot be taken as well. With the next, the last one was used up.
    """
    assert lines
    assert sequence in (batch.sequence, batch.sequence + 1)
    assert sequence > batch.sequence or lines == batch.lines, "what may have been paid is sealed as it was"
    assert sequence > batch.sequence or seen.closed_s > batch.max_time_s, "the one before can still be taken"
    bid = max(batch.bump_units, seen.base_fee_units, batch.fee_units)
    return msgspec.structs.replace(
        batch,
        state=BatchState.SEALED,
        lines=lines,
        sequence=sequence,
        seal=batch.seal + 1,
        closed_s=seen.closed_s,
        max_time_s=seen.closed_s + parameters.valid_s,
        fee_units=min(bid, parameters.fee_units_max),
        bump_units=0,
    )


def bumped(batch: PayoutBatch, parameters: PayoutParameters) -> PayoutBatch:
    """Bids twice as much as before, up to the most that is allowed."""
    bid = min(2 * max(batch.fee_units, batch.bump_units), parameters.fee_units_max)
    return msgspec.structs.replace(batch, bump_units=bid)


def failure(batch: PayoutBatch, found: TransactionFound) -> Failure:
    """What the result codes say. A transaction is atomic: nothing of it was paid."""
    assert not found.is_successful
    codes = found.codes
    if len(codes) != len(batch.lines) or all(code == SUCCESS for code in codes):
        return Failure((), batch.lines, found.code or "failed")
    foreign = [code for code in codes if code != SUCCESS and code not in DESTINATION_CODES]
    pairs = list(zip(batch.lines, codes, strict=True))
    return Failure(
        dropped=tuple((line, code) for line, code in pairs if code in DESTINATION_CODES),
        rest=tuple(line for line, code in pairs if code not in DESTINATION_CODES),
        reason=foreign[0] if foreign else "",
    )


def drafted(
    waiting: deque[PayoutLine], seen: ChannelSeen, parameters: PayoutParameters, *, cap_left: int, lines_max: int
) -> tuple[PayoutLine, ...]:
    """Who is paid next, in the order that they stand in: whoever has enough to be worth the fee and by their own
    word, and fits the cap.

    All that it looked at is taken out of `waiting`: whoever was passed over comes again when that is filled anew.
    """
    least = max(parameters.threshold_units, parameters.threshold_fees * seen.base_fee_units, 1)
    lines: list[PayoutLine] = []
    while waiting and len(lines) < lines_max:
        line = waiting.popleft()
        if max(least, line.least_units) <= line.units <= cap_left:
            lines.append(line)
            cap_left -= line.units
    return tuple(lines)
