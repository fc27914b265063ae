"""The payer: hosts the core of payouts. What an event decided is durable before anything is done outside for it.

Whenever it is killed, a new one goes on from the database: the same batches make the same bytes.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol, assert_never

import structlog

from gridlight.adapters.chain.calls import ChainUnreachable
from gridlight.adapters.chain.horizon import Horizon
from gridlight.adapters.chain.pi_platform import PiPayment, PiPlatform, PiRefusal
from gridlight.adapters.chain.transactions import Builder
from gridlight.adapters.coordinator_ledger import LedgerUnreachable
from gridlight.adapters.payout_store import PayoutStore
from gridlight.adapters.stored_books import StoredBooks
from gridlight.core.payouts import Payouts
from gridlight.messages.payouts import (
    AnnouncePayment,
    Answer,
    ChannelRecord,
    ChannelResumed,
    ChannelSeen,
    ChannelUnseen,
    ClosePayment,
    LookAtChannel,
    OutsideEffect,
    PaymentAnnounced,
    PaymentClosed,
    PaymentNotAnnounced,
    PayoutBatch,
    PayoutEvent,
    PayoutParameters,
    PayoutsDue,
    SubmissionAnswered,
    SubmitBatch,
    TimeCame,
)
from gridlight.services.payer.feed import Feed, LedgerPort, LedgersDisagree
from gridlight.services.payer.signing import NotSigned, SignerPort, build
from gridlight.services.payer.statements import KeptWords, Statements

REFILL_MS: Final = 60_000
FEED_AGAIN_MS: Final = 5_000
"""Once the network's ledger, or the chain whose fee is to be known, did not answer."""
PATIENCE_MS: Final = 60_000
"""How long a halted channel's open batch is looked for in vain before a run that is once gives it to somebody."""
PI_MEMO: Final = "Gridlight payout"
NOT_SIGNED: Final = "not_signed"

_log = structlog.get_logger()


class Clock(Protocol):
    """Time, and waiting for it; tests move it."""

    def now_ms(self) -> int:
        """Never steps back."""

    async def wait(self, woken: asyncio.Event, timeout_ms: int) -> None:
        """Until woken, or that long."""


def _ignore(_point: str) -> None:
    pass


class Payer:
    """One process's payouts. `reached` hears of each step between which it might be killed."""

    def __init__(
        self,
        store: PayoutStore,
        books: StoredBooks,
        *,
        builder: Builder,
        parameters: PayoutParameters,
        channels: Sequence[ChannelRecord],
        horizon: Horizon,
        signer: SignerPort,
        clock: Clock,
        pi: PiPlatform | None = None,
        ledger: LedgerPort | None = None,
        words: KeptWords | None = None,
        told: Callable[[], None] = lambda: None,
        reached: Callable[[str], None] = _ignore,
    ) -> None:
        self._store: Final = store
        self._books: Final = books
        self._builder: Final = builder
        self._horizon: Final = horizon
        self._signer: Final = signer
        self._clock: Final = clock
        self._pi: Final = pi
        self._told: Final = told
        self._reached: Final = reached
        self._woken: Final = asyncio.Event()
        self._in_hand = 0
        self._refill_ms = 0
        self._patient_ms = clock.now_ms() + PATIENCE_MS
        self._is_stopping = False
        self.disagreement = ""
        """Between the network's ledger and the payer's books; it ends the payer, and somebody must look."""
        self._feed: Feed | None = None
        if ledger is not None:
            self._feed = Feed(ledger, store, books, parameters, now_ms=clock.now_ms, reached=reached)
        self._is_fed = ledger is None
        self._statements = None if words is None else Statements(words, store, clock.now_ms)
        store.add_channels(channels)
        stored = store.load()
        wanted = {channel.account for channel in channels}
        busy = {batch.channel for batch in stored.batches}
        self.core: Final = Payouts(parameters)
        self.core.restore(
            [channel for channel in stored.channels if channel.account in wanted | busy],
            stored.batches,
            day=stored.day,
            drawn_units=stored.drawn_units,
        )

    def stop(self) -> None:
        """End after what is in hand."""
        self._is_stopping = True
        self._woken.set()

    def resume(self, channel: str, *, is_given_up: bool) -> None:
        """Somebody has looked at a halted channel."""
        self._decide(ChannelResumed(channel=channel, is_given_up=is_given_up))

    async def run(self, *, is_once: bool = False) -> None:
        """Until stopped; or once, until nothing is left to do but for channels that are halted."""
        await self._tidy_platform()
        async with asyncio.TaskGroup() as group:
            while not self._is_stopping:
                self._woken.clear()
                await self._refill()
                for effect in self._decide(TimeCame()):
                    self._in_hand += 1
                    group.create_task(self._carry(effect))
                if is_once and self._is_done() and await self._is_settled():
                    return
                await self._clock.wait(self._woken, self._idle_ms())

    def _is_done(self) -> bool:
        halted = {one.account for one in self.core.channels if one.halted is not None}
        is_patient = self._clock.now_ms() < self._patient_ms
        is_waiting = any(is_patient or batch.channel not in halted for batch in self.core.open_batches)
        return self._is_fed and self._in_hand == 0 and not is_waiting and self.core.is_idle

    def _idle_ms(self) -> int:
        due_ms = self.core.due_ms
        until_ms = self._refill_ms if due_ms is None else min(due_ms, self._refill_ms)
        return max(0, until_ms - self._clock.now_ms())

    async def _is_settled(self) -> bool:
        """Whether the network's ledger knows how everything ended; else it is told again a little later."""
        if self._feed is None:
            return True
        try:
            self._feed.hand_back(self.core.announced)
            await self._feed.settle()
        except LedgerUnreachable as error:
            _log.warning("not_settled", problem=str(error))
            self._refill_ms = self._clock.now_ms() + FEED_AGAIN_MS
            return False
        except LedgersDisagree as error:
            self.disagreement = str(error)
        return True

    async def _feed_in(self, feed: Feed) -> None:
        """What ended is told first, so that what went back can be held anew."""
        try:
            await feed.settle()
            ledger = await self._horizon.newest_ledger()
            await feed.hold(ledger.base_fee_units)
            self._is_fed = True
        except (LedgerUnreachable, ChainUnreachable) as error:
            _log.warning("not_fed", problem=str(error))
            self._refill_ms = self._clock.now_ms() + FEED_AGAIN_MS
        except LedgersDisagree as error:
            self.disagreement = str(error)
            self.stop()

    async def _refill(self) -> None:
        now_ms = self._clock.now_ms()
        if now_ms < self._refill_ms:
            return
        self._refill_ms = now_ms + REFILL_MS
        is_other = self._store.log_given(now_ms)
        if self._statements is not None:
            is_other = self._statements.take_over() or is_other
        if self._feed is not None:
            if self._feed.hand_back(self.core.announced) or is_other:
                self._tell_due()  # no channel drafts what went back, or by an old word, while the ledger is asked
            await self._feed_in(self._feed)
        self._tell_due()

    def _tell_due(self) -> None:
        self._decide(PayoutsDue(lines=self._store.lines(self._books.available()), fees_units=self._books.fees()))

    def _decide(self, event: PayoutEvent) -> list[OutsideEffect]:
        """What is left to do outside, once the rest is on the disk."""
        now_ms = self._clock.now_ms()
        effects = self.core.handle(now_ms, event)
        outside: list[OutsideEffect] = []
        durable = []
        for effect in effects:
            if isinstance(effect, OutsideEffect):
                outside.append(effect)
            else:
                durable.append(effect)
        self._reached(f"decided {type(event).__name__}")
        if durable:
            self._store.commit(now_ms, durable, self._books, lambda batch: build(self._builder, batch))
            self._patient_ms = now_ms + PATIENCE_MS
            self._reached(f"committed {type(durable[0]).__name__}")
            self._told()
        return outside

    async def _carry(self, effect: OutsideEffect) -> None:
        """One channel's steps, one after the other, until it waits."""
        steps = deque([effect])
        while steps:
            step = steps.popleft()
            event = await self._perform(step)
            self._reached(f"performed {type(step).__name__}")
            steps.extend(self._decide(event))
        self._in_hand -= 1
        self._woken.set()

    async def _perform(self, effect: OutsideEffect) -> PayoutEvent:
        match effect:
            case LookAtChannel(channel=channel):
                try:
                    return await self._look(channel)
                except ChainUnreachable as error:
                    _log.warning("chain_unseen", channel=channel, problem=str(error))
                    return ChannelUnseen(channel=channel)
            case SubmitBatch(batch=batch):
                return await self._submit(batch)
            case AnnouncePayment():
                return await self._announce(effect)
            case ClosePayment():
                return await self._close(effect)
            case _:
                assert_never(effect)

    async def _look(self, channel: str) -> ChannelSeen:
        """In the order that ChannelSeen is believed by."""
        ledger = await self._horizon.newest_ledger()
        account = await self._horizon.account(channel)
        found = None
        for batch in self.core.open_batches:
            if batch.channel == channel:
                for sealed in self._store.transactions(channel, batch.sequence):
                    found = found or await self._horizon.transaction(sealed.hash)
        return ChannelSeen(
            channel=channel,
            closed_s=ledger.closed_s,
            base_fee_units=ledger.base_fee_units,
            sequence=account.sequence,
            found=found,
        )

    async def _submit(self, batch: PayoutBatch) -> SubmissionAnswered:
        """The stored bytes: whatever was signed for this seal before is signed and submitted again, byte by byte."""
        digest = build(self._builder, batch).hash
        try:
            signed = await self._signer.sign(digest)
        except NotSigned as error:
            _log.warning("not_signed", batch=batch.batch_id, problem=str(error))
            return SubmissionAnswered(channel=batch.channel, answer=Answer.REFUSED, code=NOT_SIGNED)
        self._reached("signed")
        self._store.write_signed(digest, signed.inner)
        self._reached("journalled")
        answer, code = await self._horizon.submit(signed.outer)
        return SubmissionAnswered(channel=batch.channel, answer=answer, code=code)

    async def _announce(self, effect: AnnouncePayment) -> PaymentAnnounced | PaymentNotAnnounced:
        assert self._pi is not None, "a line for Pi without Pi's platform"
        try:
            await self._tidy_platform()
            payment = await self._pi.announce(effect.line.destination, effect.line.units, PI_MEMO)
        except (ChainUnreachable, PiRefusal) as error:
            return PaymentNotAnnounced(channel=effect.channel, reason=str(error))
        return PaymentAnnounced(channel=effect.channel, identifier=payment.identifier, destination=payment.to_address)

    async def _close(self, effect: ClosePayment) -> PaymentClosed | ChannelUnseen:
        assert self._pi is not None, "a payment of Pi without Pi's platform"
        try:
            await self._tell_end(self._pi, effect.identifier, effect.hash)
        except ChainUnreachable as error:
            _log.warning("payment_not_closed", payment=effect.identifier, problem=str(error))
            return ChannelUnseen(channel=effect.channel)
        return PaymentClosed(channel=effect.channel)

    async def _tell_end(self, pi: PiPlatform, identifier: str, digest: str) -> None:
        """A refusal counts where the payment is still listed; what is not listed has ended."""
        try:
            if digest:
                await pi.complete(identifier, digest)
            else:
                await pi.cancel(identifier)
        except PiRefusal as refusal:
            if any(one.identifier == identifier for one in await pi.incomplete()):
                raise ChainUnreachable(f"the platform refuses to close {identifier}: {refusal}") from refusal

    async def _tidy_platform(self) -> None:
        """Cancel what was announced and never sealed: nothing was signed for it, so nothing can have been paid."""
        if self._pi is None:
            return
        sealed = {batch.memo for batch in self.core.open_batches}
        try:
            payments: list[PiPayment] = await self._pi.incomplete()
            for payment in payments:
                if payment.identifier not in sealed:
                    await self._pi.cancel(payment.identifier)
        except (ChainUnreachable, PiRefusal) as error:
            _log.warning("platform_not_tidied", problem=str(error))
