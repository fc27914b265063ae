"""Acknowledgements that wait for their results: where one comes soon, it says both, as TCP delays its own.

A message costs its signature, its way over the bus and its checking, and nothing follows from an acknowledgement in its
first moments. So one waits where the node's own estimate is short, and is spared where the result is there in time.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from gridlight.core.agent import Reply
from gridlight.messages.ids import AssignmentId
from gridlight.messages.results import ResultSubmitted
from gridlight.messages.tasks import AssignmentAcknowledged

WAIT_MS_MAX: Final = 200
WAIT_SHARE: Final = 16
"""And no longer than one part in so many of the deadline: half the time after which the first hedge may be made."""


class Acknowledgements:
    """Of one node. At most one waits for each assignment in hand."""

    def __init__(self, send: Callable[[Reply], None]) -> None:
        self._send = send
        self._waiting: dict[AssignmentId, tuple[Reply, asyncio.TimerHandle]] = {}

    def pass_on(self, reply: Reply, deadline_ms: int | None) -> None:
        """Send a reply, an acknowledgement perhaps later or never. `deadline_ms` is its assignment's, of one that
        comes right now; None of any other.
        """
        message = reply.message
        if isinstance(message, AssignmentAcknowledged) and deadline_ms is not None:
            wait_ms = min(WAIT_MS_MAX, deadline_ms // WAIT_SHARE)
            if message.eta_ms < wait_ms:
                timer = asyncio.get_running_loop().call_later(wait_ms / 1_000, self._say, reply.assignment_id)
                self._waiting[reply.assignment_id] = reply, timer
                return
        elif isinstance(message, ResultSubmitted):
            self._take(reply.assignment_id)
        else:
            self._say(reply.assignment_id)
        self._send(reply)

    def _say(self, assignment_id: AssignmentId) -> None:
        """What waits, if anything does: nothing but a result speaks for it."""
        waited = self._take(assignment_id)
        if waited is not None:
            self._send(waited)

    def _take(self, assignment_id: AssignmentId) -> Reply | None:
        if assignment_id not in self._waiting:
            return None
        reply, timer = self._waiting.pop(assignment_id)
        timer.cancel()
        return reply
