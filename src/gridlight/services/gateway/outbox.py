"""What the gateway tells the coordinator: whatever comes in one turn of the loop goes as one message."""

import asyncio
from collections import deque
from typing import Final

from gridlight.messages.codec import GatewayWord

EVENTS_WAITING_MAX: Final = 8_192
EVENTS_PER_BATCH_MAX: Final = 256
"""A result with its output is at most about 8 KB of JSON, so a batch stays well below BATCH_BYTES_MAX."""


class Outbox:
    """A bounded queue of events. The oldest go first when it is full: open jobs are announced again anyway."""

    def __init__(self, *, events_max: int = EVENTS_WAITING_MAX) -> None:
        self._events: deque[GatewayWord] = deque(maxlen=events_max)
        self._filled = asyncio.Event()
        self._patience: asyncio.TimerHandle | None = None
        """When those that wait for company have waited long enough."""

    def add(self, event: GatewayWord, *, patience_ms: int = 0) -> None:
        """Queue an event; it goes with the others of this turn, or where it is patient, with the next that is not."""
        self._events.append(event)
        if not patience_ms:
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
