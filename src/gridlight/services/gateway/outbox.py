"""What the gateway tells the coordinator: whatever comes in one turn of the loop, or in a few while it is busy, goes as
one message.
"""

import asyncio
from collections import deque
from collections.abc import Sized
from typing import Final

from gridlight.messages.codec import GatewayWord

EVENTS_WAITING_MAX: Final = 8_192
EVENTS_PER_BATCH_MAX: Final = 256
"""A result with its output is at most about 8 KB of JSON, so a batch stays well below BATCH_BYTES_MAX."""

COMPANY_MS: Final = 40
BUSY_JOBS: Final = 4
"""While so many jobs are open, an event waits so long for others: a message costs the same whatever it holds, and so
does its commit. PostgreSQL has it as `commit_delay` and `commit_siblings`.
"""

COMPANY: Final = 8
"""But once so many are together they go: a ninth would save little more, and a gateway that has many need not wait."""

COMPANY_SHARE: Final = 50
"""And no longer than one part in so many of the deadline of what it is about."""


class Outbox:
    """A bounded queue of events. The oldest go first when it is full: open jobs are announced again anyway."""

    def __init__(self, jobs: Sized = (), *, events_max: int = EVENTS_WAITING_MAX) -> None:
        self._jobs = jobs
        """Those that are open, by whose number the gateway is busy or not."""
        self._events: deque[GatewayWord] = deque(maxlen=events_max)
        self._filled = asyncio.Event()
        self._patience: asyncio.TimerHandle | None = None
        """When those that wait for company have waited long enough."""

    def add(self, event: GatewayWord, *, patience_ms: int = 0, deadline_ms: int | None = None) -> None:
        """Queue an event; it goes with the others of this turn, or where it is patient, with the next that is not.

        While the gateway is busy every event is a little patient, by the deadline of what it is about if it has one.
        """
        self._events.append(event)
        if len(self._jobs) >= BUSY_JOBS:
            company_ms = COMPANY_MS if deadline_ms is None else min(COMPANY_MS, deadline_ms // COMPANY_SHARE)
            patience_ms = max(patience_ms, company_ms)
        if not patience_ms or len(self._events) >= COMPANY:
            self._filled.set()
            return
        loop = asyncio.get_running_loop()
        due_s = loop.time() + patience_ms / 1_000
        if self._patience is None or due_s < self._patience.when():
            self._end_patience()
            self._patience = loop.call_at(due_s, self._filled.set)

    def take(self) -> list[GatewayWord]:
        """The next batch, empty where nothing waits."""
        count = min(len(self._events), EVENTS_PER_BATCH_MAX)
        batch = [self._events.popleft() for _ in range(count)]
        if not self._events:
            self.clear()
        return batch

    def clear(self) -> None:
        """Forget what waits: it is about a connection that is gone."""
        self._events.clear()
        self._filled.clear()
        self._end_patience()

    async def wait(self) -> None:
        """Until something waits."""
        await self._filled.wait()

    def _end_patience(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
