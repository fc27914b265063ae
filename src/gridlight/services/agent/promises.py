"""Keeps the network's words on this node's results, and tells its owner at once where there are none."""

import asyncio
from random import SystemRandom
from typing import Final

import structlog

from gridlight.adapters.clock import monotonic_ms, wall_s
from gridlight.adapters.receipts import ReceiptInvalid
from gridlight.adapters.signatures import SigningKey
from gridlight.adapters.word_files import WordFiles
from gridlight.messages.codec import NodeReply
from gridlight.messages.ids import AssignmentId
from gridlight.messages.results import ResultSubmitted
from gridlight.messages.tasks import Assignment
from gridlight.services.agent.gateway_api import GatewayApi, GatewayRefused, GatewayUnreachable, apart
from gridlight.services.agent.own_words import Heard, take_words

ASK_S: Final = 60.0
WORD_WITHIN_MS: Final = 180_000
"""A page is closed within 20 s, and asked for each minute; a result without a word by then gets none."""

SENT_MAX: Final = 10_000
_WAY_MS: Final = 500
"""What assignment and result may have been under way together."""

_JITTER: Final = 0.2
"""So that a whole fleet that started together does not ask together."""

_log = structlog.get_logger()
_random = SystemRandom()


class Promises:
    """What was sent, and what the network said of it."""

    def __init__(self, api: GatewayApi, node: SigningKey, files: WordFiles) -> None:
        self._api = api
        self._node = node
        self._files = files
        self._sent: dict[AssignmentId, int] = {}
        self._due_ms: dict[AssignmentId, int] = {}
        """Of what is in hand: by when a result is in time, as this node sees it."""
        self._owed = 1
        """Until it was asked once there may be some from before."""

    def took(self, assignment: Assignment) -> None:
        """The node has an assignment in hand."""
        self._due_ms[assignment.assignment_id] = monotonic_ms() + assignment.deadline_ms - _WAY_MS
        if len(self._due_ms) > SENT_MAX:  # of some nothing was ever said: their connection broke
            del self._due_ms[next(iter(self._due_ms))]

    def said(self, reply: NodeReply) -> None:
        """What the node said last of an assignment went out; a result in time is owed a word."""
        due_ms = self._due_ms.pop(reply.assignment_id, 0)
        if isinstance(reply, ResultSubmitted) and monotonic_ms() < due_ms and len(self._sent) < SENT_MAX:
            self._sent[reply.assignment_id] = monotonic_ms()

    async def keep(self) -> None:
        """Never returns. A node that has nothing to be told of asks nobody."""
        while True:
            await asyncio.sleep(ASK_S * _random.uniform(1 - _JITTER, 1 + _JITTER))
            if self._sent or self._owed:
                await apart(self.ask)

    def ask(self) -> None:
        """Once. Blocking; what cannot be had now is asked for again."""
        asked_ms = monotonic_ms()
        try:
            heard = take_words(self._api, self._node, self._files, now_ms=wall_s() * 1_000)
        except (GatewayUnreachable, GatewayRefused, OSError) as error:
            _log.info("the network's words were not to be had", error=str(error))
            return
        except ReceiptInvalid as error:
            _log.warning("what the network says of its own words is not genuine", error=str(error))
            return
        self._compare(heard, asked_ms)

    def _compare(self, heard: Heard, asked_ms: int) -> None:
        self._owed = heard.owed
        for attempt in heard.attempts:
            self._sent.pop(AssignmentId(attempt), None)
        if not heard.gives_words:
            self._sent.clear()  # a network without prices, or without a key
            return
        unheard = [one for one, sent_ms in list(self._sent.items()) if asked_ms - sent_ms >= WORD_WITHIN_MS]
        for attempt in unheard:
            del self._sent[attempt]
        if unheard:
            with self._files.held() as standing:
                standing.unheard += len(unheard)
                standing.unheard_ms = wall_s() * 1_000
            _log.warning("the network gave no word on results that this node sent in time", attempts=unheard[:10])
        if heard.overdue:
            hint = "gridlight node omitted proves it"
            _log.warning("the network owes receipts that are overdue", runs=heard.overdue, hint=hint)
