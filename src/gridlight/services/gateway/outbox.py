"""What the gateway tells the coordinator: whatever comes in one turn of the loop goes as one message."""

import asyncio
from collections import deque
from typing import Final

from gridlight.messages.codec import GatewayWord
from gridlight.messages.tasks import AssignmentAcknowledged

EVENTS_WAITING_MAX: Final = 8_192
EVENTS_PER_BATCH_MAX: Final = 256
"""A result with its output is at most about 8 KB of JSON, so a batch stays well below BATCH_BYTES_MAX."""


PATIENCE_S: Final = 0.025
"""How long an acknowledgement waits for company. Nothing follows from one before 600 ms are over, and the result that
comes soon after it then shares its message and its commit in the journal: a third fewer of each a task."""


class Outbox:
    """A bounded queue of events. The oldest go first when it is full: open jobs are announced again anyway."""

    def __init__(self, *, events_max: int = EVENTS_WAITING_MAX) -> None:
        self._events: deque[GatewayWord] = deque(maxlen=events_max)
        self._filled = asyncio.Event()

    def add(self, event: GatewayWord) -> None:
        """Queue an event; it goes with the others of this turn, and those that were patient."""
        self._events.append(event)
        if type(event) is not AssignmentAcknowledged:
            self._filled.set()
        elif len(self._events) == 1:
            asyncio.get_running_loop().call_later(PATIENCE_S, self._end_patience)

    def _end_patience(self) -> None:
        if self._events:
            self._filled.set()

    def take(self) -> list[GatewayWord]:
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
