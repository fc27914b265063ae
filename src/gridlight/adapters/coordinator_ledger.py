"""The network's ledger as the payer reaches it: a word to the coordinator over the bus, and its answer in time."""

import asyncio
from pathlib import Path
from typing import Final

from gridlight.adapters.bus import Bus, BusError, Delivery
from gridlight.messages import subjects
from gridlight.messages.codec import PayerQuestion, ProtocolViolation, encode, payer_answers
from gridlight.messages.ledger import AccountCredited, TellPayouts

ANSWER_S_MAX: Final = 10.0


class LedgerUnreachable(Exception):
    """No answer in time: it is not known whether the word was heard. It can be said again."""


class CoordinatorLedger:
    """One connection, and one word at a time."""

    def __init__(self, bus: Bus, shard: str) -> None:
        self._bus: Final = bus
        self._shard: Final = shard
        self._question = ""
        self._answer: asyncio.Future[TellPayouts] | None = None

    @classmethod
    async def connect(cls, url: str, credentials: Path, shard: str, name: str = "payer") -> "CoordinatorLedger":
        """BusError where there is no bus, or none that takes us."""
        bus = await Bus.connect(url=url, name=name, credentials=credentials)
        ledger = cls(bus, shard)
        await bus.subscribe(subjects.payer_answers(shard), ledger._hear)
        await bus.flush()
        return ledger

    async def close(self) -> None:
        """Let go of the connection."""
        await self._bus.close()

    async def say(self, word: PayerQuestion) -> TellPayouts:
        """What the coordinator answers once it is on its disk. LedgerUnreachable."""
        assert self._answer is None, "two words at a time"
        self._question, self._answer = word.question, asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                await self._bus.publish(subjects.payer_words(self._shard), encode(word))
                return await self._answer
        except (TimeoutError, BusError) as error:
            raise LedgerUnreachable(f"the coordinator of {self._shard} does not answer: is it running?") from error
        finally:
            self._answer = None

    async def tell(self, credit: AccountCredited) -> None:
        """A deposit, which the coordinator answers by posting it. LedgerUnreachable where the bus did not take it."""
        try:
            await self._bus.publish(subjects.payer_words(self._shard), encode(credit))
            await self._bus.flush()
        except BusError as error:
            raise LedgerUnreachable(f"the coordinator of {self._shard} cannot be told: {error}") from error

    async def _hear(self, delivery: Delivery) -> None:
        try:
            told = payer_answers.decode(delivery.body)
        except ProtocolViolation:
            return  # whoever asks asks again
        if self._answer is not None and not self._answer.done() and told.question == self._question:
            self._answer.set_result(told)
