"""Whose turn it is to compute: one bound of processors for all workloads of a node, first come, first served.

Each workload has workers of its own, warm at any time; how many of them compute at once is decided here.
"""

import asyncio
from collections import deque


class Turns:
    """Processors that are lent, and who has them. Who wants more than there are has all of them, alone."""

    def __init__(self, cpus: int = 0) -> None:
        self._cpus = cpus
        self._taken: list[int] = []
        """Of each that computes, how many it has."""
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    def allow(self, cpus: int) -> None:
        """So many from now on. Who computes goes on; whether it may is not for this to say."""
        self._cpus = cpus
        self._go_on()

    async def take(self, cpus: int, *, timeout_s: float) -> bool:
        """Wait for a turn; whether it came in time. Then `give_back` as many."""
        if timeout_s <= 0:
            return False
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((cpus, turn))
        self._go_on()
        try:
            async with asyncio.timeout(timeout_s):
                await turn
        except (TimeoutError, asyncio.CancelledError) as error:
            if turn.done() and not turn.cancelled():
                self.give_back(cpus)
            self._go_on()  # whoever stood behind it
            if isinstance(error, TimeoutError):
                return False
            raise
        return True

    def give_back(self, cpus: int) -> None:
        """What was taken."""
        self._taken.remove(cpus)
        self._go_on()

    def _go_on(self) -> None:
        while self._waiting and self._fits(self._waiting[0]):
            cpus, turn = self._waiting.popleft()
            if not turn.done():
                self._taken.append(cpus)
                turn.set_result(None)

    def _fits(self, first: tuple[int, "asyncio.Future[None]"]) -> bool:
        cpus, turn = first
        if turn.done():  # who waited has left
            return True
        return self._cpus > 0 and (not self._taken or sum(self._taken) + cpus <= self._cpus)
