"""What the gateway tells the coordinator: whatever comes in one turn of the loop goes as one message."""

import asyncio
from collections import deque
from typing import Final

from gridlight.messages.codec import GatewayEvent

EVENTS_WAITING_MAX: Final = 8_192
EVENTS_PER_BATCH_MAX: Final = 256
"""A result with its output is at most about 8 KB of JSON, so a batch stays well below BATCH_BYTES_MAX."""


class Outbox:
    """A bounded queue of events. The oldest go first when it is full: open jobs are announced again anyway."""

    def __init__(self, *, events_max: int = EVENTS_WAITING_MAX) -> None:
        self._events: deque[GatewayEvent] = deque(maxlen=events_max)
        self._filled = asyncio.Event()

    def add(self, event: GatewayEvent) -> None:
        """Queue an event; it goes with the others of this turn."""
        self._events.append(event)
        self._filled.set()

    def take(self) -> list[GatewayEvent]:
        """The next batch, empty where nothing waits."""
        count = min(len(self._events), EVENTS_PER_BATCH_MAX)
        batch = [self._events.popleft() for _ in range(count)]
        if not self._events:
            self._filled.clear()
        return batch

    def clear(self) -> None:
        """Forget what waits: it is about a connection that is gone."""
        self._events.clear()
        self._filled.clear()

    async def wait(self) -> None:
        """Until something waits."""
        await self._filled.wait()
