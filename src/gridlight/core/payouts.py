"""Payouts: which lines a channel pays next, and what becomes of a batch by what the chain shows.

`DRAFT -> SEALED -> SUBMITTED* -> CONFIRMED | FAILED | EXPIRED -> SEALED`. A channel is an account that has one open
batch at most. Its sequence numbers are the fence: of all that was ever signed for one number, the chain takes one.
So a batch is sealed again under its own number until the chain shows that number used, and its lines are given back
only where the chain shows a transaction of ours that failed. Answers to submissions decide nothing but the pace.
"""

from collections import deque
from collections.abc import Iterable
from typing import Final, assert_never

import msgspec

from gridlight.core.payout_batches import DAY_S, bumped, drafted, failure, sealed, sealed_again
from gridlight.core.payout_channels import LOOK_AGAIN_MS, Channel, Effects
from gridlight.messages.payouts import (
    LINES_MAX,
    AnnouncePayment,
    Answer,
    BatchState,
    ChannelEvent,
    ChannelRecord,
    ChannelResumed,
    ChannelSeen,
    ChannelUnseen,
    ClosePayment,
    HaltReason,
    HoldLines,
    LookAtChannel,
    OutsideEffect,
    PayFee,
    PayLines,
    PaymentAnnounced,
    PaymentClosed,
    PaymentNotAnnounced,
    PayoutBatch,
    PayoutEvent,
    PayoutLine,
    PayoutParameters,
    PayoutsDue,
    Rail,
    RecordBatch,
    RecordChannel,
    RefuseAddress,
    ReleaseLines,
    SealBatch,
    SubmissionAnswered,
    SubmitBatch,
    TimeCame,
    TransactionFound,
)

SEALS_MAX: Final = 32
FEES_RESERVED: Final = 4
"""Times the base fee that must be there for each line: a transaction may fail, and a bid may be raised."""
FEE_TOO_LOW: Final = "tx_insufficient_fee"
OURS_TO_MEND: Final = frozenset({"tx_bad_auth", "tx_insufficient_balance", "tx_no_source_account", "not_signed"})
"""Refusals that no waiting mends."""


class Payouts:
    """All channels of a payer. Handling costs what the lines of a batch do; PayoutsDue, what all of its lines do."""

    def __init__(self, parameters: PayoutParameters) -> None:
        self._parameters: Final = parameters
        self._channels: Final[dict[str, Channel]] = {}
        self._waiting: dict[Rail, deque[PayoutLine]] = {rail: deque() for rail in Rail}
        self._root = ""
        self._fees_units = 0
        self._day = 0
        self._drawn_units = 0

    def restore(
        self, channels: Iterable[ChannelRecord], batches: Iterable[PayoutBatch], *, day: int, drawn_units: int
    ) -> None:
        """Go on from what is durable: channels, batches that are open or not closed, and the cap's newest day."""
        for record in channels:
            self._channels[record.account] = Channel(record)
        for batch in batches:
            channel = self._channels[batch.channel]
            assert channel.batch is None, f"{batch.channel} has two open batches"
            channel.batch = batch
        self._day, self._drawn_units = day, drawn_units

    @property
    def due_ms(self) -> int | None:
        """When TimeCame is wanted; None while everything waits for an event."""
        return min((one.due_ms for one in self._channels.values() if one.due_ms is not None), default=None)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is on the way, and nothing is left to be looked at but halted channels."""
        return all(one.is_halted or (one.due_ms is None and one.line is None) for one in self._channels.values())

    @property
    def channels(self) -> tuple[ChannelRecord, ...]:
        """As they stand."""
        return tuple(channel.record for channel in self._channels.values())

    @property
    def open_batches(self) -> tuple[PayoutBatch, ...]:
        """Those that are in flight, or that the platform was not told the end of."""
        return tuple(channel.batch for channel in self._channels.values() if channel.batch is not None)

    @property
    def announced(self) -> set[str]:
        """Operators whose payment the platform was told of, and whose line is sealed next."""
        return {channel.line.operator for channel in self._channels.values() if channel.line is not None}

    def handle(self, now_ms: int, event: PayoutEvent) -> Effects:
        """What is durable comes first; the host performs the rest only when that is on the disk."""
        match event:
            case PayoutsDue():
                return self._refill(now_ms, event)
            case TimeCame():
                return [effect for one in self._channels.values() for effect in self._wake(now_ms, one)]
            case _:
                channel = self._channels[event.channel]
                effects = self._hear(now_ms, channel, event)
                if not isinstance(event, ChannelResumed):
                    channel.is_asked = any(isinstance(effect, OutsideEffect) for effect in effects)
                return effects

    def check(self) -> None:
        """Assert what always holds."""
        for account, channel in self._channels.items():
            batch = channel.batch
            assert batch is None or batch.channel == account == channel.record.account
            assert batch is None or batch.is_open or not batch.is_closed
            assert batch is None or channel.line is None
            assert not channel.is_asked or channel.due_ms is None
            assert batch is None or not batch.is_open or batch.sequence == (channel.record.sequence or 0) + 1

    def _hear(self, now_ms: int, channel: Channel, event: ChannelEvent) -> Effects:
        match event:
            case ChannelSeen():
                channel.misses = 0
                return self._seen(now_ms, channel, event)
            case ChannelUnseen():
                return channel.look_later(now_ms)
            case SubmissionAnswered():
                return self._answered(now_ms, channel, event)
            case PaymentAnnounced():
                channel.identifier, channel.destination = event.identifier, event.destination
                channel.due_ms = now_ms
                return [channel.action("announced", event.identifier)]
            case PaymentNotAnnounced():
                return self._not_announced(now_ms, channel, event)
            case PaymentClosed():
                return self._closed(now_ms, channel)
            case ChannelResumed():
                return self._resumed(now_ms, channel, event)
            case _:
                assert_never(event)

    def _refill(self, now_ms: int, event: PayoutsDue) -> Effects:
        announced = self.announced
        self._waiting = {rail: deque() for rail in Rail}
        for line in event.lines:
            if line.operator not in announced:
                self._waiting[line.rail].append(line)
        self._root, self._fees_units = event.root, event.fees_units
        for channel in self._channels.values():
            if channel.batch is None and channel.due_ms is None and not channel.is_asked:
                channel.due_ms = now_ms
        return []

    def _wake(self, now_ms: int, channel: Channel) -> Effects:
        if channel.due_ms is None or channel.due_ms > now_ms:
            return []
        channel.due_ms, channel.is_asked = None, True
        batch = channel.batch
        if batch is not None and not batch.is_open:
            return [
                ClosePayment(
                    channel=batch.channel,
                    identifier=batch.memo,
                    hash=batch.hash if batch.state is BatchState.CONFIRMED else "",
                )
            ]
        return [LookAtChannel(channel=channel.record.account)]

    def _seen(self, now_ms: int, channel: Channel, seen: ChannelSeen) -> Effects:
        batch = channel.batch
        if batch is None:
            return self._idle(now_ms, channel, seen)
        if seen.found is None:
            return self._missing(now_ms, channel, batch, seen)
        if seen.found.is_successful:
            return self._confirm(now_ms, channel, batch, seen.found)
        return self._fail(now_ms, channel, batch, seen, seen.found)

    def _missing(self, now_ms: int, channel: Channel, batch: PayoutBatch, seen: ChannelSeen) -> Effects:
        """None of its transactions stands in a ledger, as far as one was told."""
        channel.due_ms = now_ms + LOOK_AGAIN_MS
        is_expired = seen.closed_s > batch.max_time_s
        if seen.sequence >= batch.sequence:
            if channel.record.is_given_up and is_expired:
                return self._give_back(now_ms, channel, batch, seen.sequence, "given_up")
            return channel.halt(HaltReason.FOREIGN_USE)
        if channel.is_halted:
            return []
        if not is_expired:
            return self._submit(channel, batch)
        if batch.seal >= SEALS_MAX:
            return channel.halt(HaltReason.SEALED_TOO_OFTEN)
        again = sealed_again(batch, seen, self._parameters, sequence=batch.sequence, lines=batch.lines)
        return [channel.action("expired", f"{batch.max_time_s}"), *self._seal_again(channel, again)]

    def _submit(self, channel: Channel, batch: PayoutBatch) -> Effects:
        channel.due_ms = None
        if batch.state is BatchState.SUBMITTED:
            return [SubmitBatch(batch=batch)]
        channel.batch = batch = msgspec.structs.replace(batch, state=BatchState.SUBMITTED)
        return [RecordBatch(batch=batch), channel.action("submitted"), SubmitBatch(batch=batch)]

    def _seal_again(self, channel: Channel, batch: PayoutBatch) -> Effects:
        channel.batch = batch
        return [SealBatch(batch=batch), channel.action("sealed", f"sequence {batch.sequence}, seal {batch.seal}")]

    def _confirm(self, now_ms: int, channel: Channel, batch: PayoutBatch, found: TransactionFound) -> Effects:
        done = msgspec.structs.replace(
            batch, state=BatchState.CONFIRMED, hash=found.hash, ledger=found.ledger, reason=""
        )
        return [
            PayLines(batch=done, fee_units=found.fee_units),
            *self._end(now_ms, channel, done, batch.sequence, None),
        ]

    def _fail(
        self, now_ms: int, channel: Channel, batch: PayoutBatch, seen: ChannelSeen, found: TransactionFound
    ) -> Effects:
        """Nothing was paid, but the sequence and the fee are gone."""
        said = failure(batch, found)
        effects: Effects = [PayFee(hash=found.hash, units=found.fee_units)]
        for line, code in said.dropped:
            effects.append(
                RefuseAddress(operator=line.operator, destination=line.destination, reason=code, rail=line.rail)
            )
            effects.append(channel.action("dropped", f"{line.operator} {line.units}: {code}"))
        if said.reason or not said.rest or seen.sequence > batch.sequence:
            done = msgspec.structs.replace(batch, hash=found.hash, ledger=found.ledger)
            halted = HaltReason.OUR_FAULT if said.reason else None
            reason = said.reason or said.dropped[0][1]
            return effects + self._give_back(now_ms, channel, done, batch.sequence, reason, halted)
        released = tuple(line for line, _ in said.dropped)
        channel.record = msgspec.structs.replace(channel.record, sequence=batch.sequence, halted=None)
        channel.due_ms = now_ms
        again = sealed_again(batch, seen, self._parameters, sequence=batch.sequence + 1, lines=said.rest)
        effects.append(ReleaseLines(batch_id=batch.batch_id, seal=batch.seal, lines=released))
        return [*effects, RecordChannel(channel=channel.record), *self._seal_again(channel, again)]

    def _give_back(
        self,
        now_ms: int,
        channel: Channel,
        batch: PayoutBatch,
        sequence: int,
        reason: str,
        halted: HaltReason | None = None,
    ) -> Effects:
        done = msgspec.structs.replace(batch, state=BatchState.FAILED, reason=reason)
        released = ReleaseLines(batch_id=batch.batch_id, seal=batch.seal, lines=batch.lines)
        return [released, *self._end(now_ms, channel, done, sequence, halted)]

    def _end(
        self, now_ms: int, channel: Channel, done: PayoutBatch, sequence: int, halted: HaltReason | None
    ) -> Effects:
        channel.record = msgspec.structs.replace(
            channel.record, sequence=sequence, halted=halted, is_given_up=False, is_resumed=False
        )
        channel.batch, channel.due_ms = None if done.is_closed else done, now_ms
        action = channel.action(done.state.value, done.hash or done.reason, done.batch_id)
        effects: Effects = [RecordBatch(batch=done), RecordChannel(channel=channel.record), action]
        return effects if halted is None else [*effects, channel.action("halted", halted.value)]

    def _idle(self, now_ms: int, channel: Channel, seen: ChannelSeen) -> Effects:
        record = channel.record
        if record.sequence is None or record.is_resumed:
            record = msgspec.structs.replace(record, sequence=seen.sequence, is_resumed=False, is_given_up=False)
        assert record.sequence is not None
        if channel.is_halted:
            return []
        if seen.sequence < record.sequence or seen.base_fee_units > self._parameters.fee_units_max:
            return channel.look_later(now_ms)
        if seen.sequence > record.sequence:
            return channel.halt(HaltReason.FOREIGN_USE)
        channel.record = record
        if channel.line is not None:
            line = msgspec.structs.replace(channel.line, destination=channel.destination)
            memo, channel.line = channel.identifier, None
            return self._seal(now_ms, channel, seen, (line,), memo)
        lines = self._draft(channel, seen)
        if not lines:
            return []
        if record.rail is Rail.CHAIN:
            return self._seal(now_ms, channel, seen, lines, "")
        channel.line = lines[0]
        return [
            channel.action("announcing", lines[0].operator),
            AnnouncePayment(channel=record.account, line=lines[0]),
        ]

    def _draft(self, channel: Channel, seen: ChannelSeen) -> tuple[PayoutLine, ...]:
        """Takes lines out of those that wait, and out of the day's cap."""
        day = max(seen.closed_s // DAY_S, self._day)
        if day > self._day:
            self._day, self._drawn_units = day, 0
        rail, fee = channel.record.rail, FEES_RESERVED * seen.base_fee_units
        lines = drafted(
            self._waiting[rail],
            seen,
            self._parameters,
            cap_left=self._parameters.daily_cap_units - self._drawn_units,
            lines_max=min(LINES_MAX if rail is Rail.CHAIN else 1, self._fees_units // fee),
        )
        self._fees_units -= fee * len(lines)
        self._drawn_units += sum(line.units for line in lines)
        return lines

    def _seal(
        self, now_ms: int, channel: Channel, seen: ChannelSeen, lines: tuple[PayoutLine, ...], memo: str
    ) -> Effects:
        batch = sealed(channel.record, seen, lines, self._parameters, memo=memo, root="" if memo else self._root)
        channel.record = msgspec.structs.replace(channel.record, batches=channel.record.batches + 1)
        channel.batch, channel.due_ms = batch, now_ms
        said = f"{len(lines)} lines, {batch.units} units, sequence {batch.sequence}"
        durable: Effects = [SealBatch(batch=batch), HoldLines(batch=batch), RecordChannel(channel=channel.record)]
        return [*durable, channel.action("sealed", said)]

    def _answered(self, now_ms: int, channel: Channel, event: SubmissionAnswered) -> Effects:
        batch = channel.batch
        assert batch is not None
        channel.due_ms = now_ms if event.answer is Answer.ACCEPTED else now_ms + LOOK_AGAIN_MS
        if event.answer is not Answer.REFUSED:
            return []
        if event.code in OURS_TO_MEND:
            return [channel.action("refused", event.code), *channel.halt(HaltReason.REFUSED)]
        if event.code != FEE_TOO_LOW:
            return [channel.action("refused", event.code)]
        channel.batch = batch = bumped(batch, self._parameters)
        return [RecordBatch(batch=batch), channel.action("bumped", f"{batch.bump_units} units an operation")]

    def _not_announced(self, now_ms: int, channel: Channel, event: PaymentNotAnnounced) -> Effects:
        """Whoever it was waits for the next refill."""
        assert channel.line is not None
        self._drawn_units = max(0, self._drawn_units - channel.line.units)
        effects: Effects = [channel.action("not_announced", f"{channel.line.operator}: {event.reason}")]
        channel.line = None
        return effects + channel.look_later(now_ms)

    def _closed(self, now_ms: int, channel: Channel) -> Effects:
        batch = channel.batch
        assert batch is not None
        assert not batch.is_open
        channel.batch, channel.due_ms = None, now_ms
        done = msgspec.structs.replace(batch, is_closed=True)
        return [RecordBatch(batch=done), channel.action("closed", batch.memo, batch.batch_id)]

    def _resumed(self, now_ms: int, channel: Channel, event: ChannelResumed) -> Effects:
        channel.record = msgspec.structs.replace(
            channel.record, halted=None, is_resumed=True, is_given_up=event.is_given_up
        )
        if not channel.is_asked:
            channel.due_ms = now_ms
        return [RecordChannel(channel=channel.record), channel.action("resumed")]
