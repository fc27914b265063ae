"""What an operator may ask of a running agent, and what is done and answered."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, assert_never

import structlog

from gridlight.adapters.clock import wall_s
from gridlight.core.agent import Agent
from gridlight.core.owner import Belief, Word, WordKind
from gridlight.messages.control import (
    SAMPLES_MAX,
    AskFinish,
    AskHistory,
    AskPause,
    AskResume,
    AskStatus,
    ControlAnswer,
    ControlRequest,
    NodeHistory,
    NodeStatus,
    Sample,
    Stance,
)
from gridlight.messages.ids import WorkloadId
from gridlight.services.agent.link import Link
from gridlight.services.agent.ownership import Ownership
from gridlight.services.agent.telling import line, seen_now
from gridlight.services.agent.workers import Workers

_SAMPLE_S: Final = 20.0
_FIRST_S: Final = 0.5

_log = structlog.get_logger()


class Orders:
    """Knows the parts of one agent that an operator asks about."""

    def __init__(
        self,
        ownership: Ownership,
        agent: Agent,
        link: Link,
        workers: Mapping[WorkloadId, Workers],
        tell: Callable[[Belief], None],
        network_url: str,
    ) -> None:
        self._ownership = ownership
        self._agent = agent
        self._link = link
        self._workers = workers
        self._tell = tell
        self._network_url = network_url
        self._samples: deque[Sample] = deque(maxlen=SAMPLES_MAX)

    async def take_samples(self) -> None:
        """For those who ask what has become of the last hours. Never returns."""
        while True:
            belief, done = self._ownership.belief, self._agent.done
            if belief is not None:
                self._samples.append(Sample(wall_s(), done.finished, done.handed_back, belief.reason))
            await asyncio.sleep(_SAMPLE_S if self._samples else _FIRST_S)

    def answer(self, request: ControlRequest) -> ControlAnswer:
        """Done when it is answered: the tasks of a node that is paused are handed back by then."""
        match request:
            case AskStatus():
                return self._status()
            case AskHistory():
                return NodeHistory(samples=tuple(self._samples))
            case AskPause(for_s=for_s):
                return self._obey(Word(WordKind.PAUSE, None if for_s is None else wall_s() + for_s))
            case AskFinish():
                return self._obey(Word(WordKind.FINISH))
            case AskResume():
                return self._obey(Word(WordKind.RUN))
            case _:
                assert_never(request)

    def _obey(self, word: Word) -> NodeStatus:
        _log.info("the operator's word", word=word.kind, until_s=word.until_s)
        self._ownership.keeping.say(word)
        self._ownership.look(self._tell)
        return self._status()

    def _status(self) -> NodeStatus:
        ownership = self._ownership
        belief, seen = ownership.belief, ownership.seen
        return NodeStatus(
            line=line(ownership.preferences, belief, seen, datetime.now().astimezone(), running=self._agent.running),
            node_id=self._agent.node_id,
            network=self._network_url,
            is_connected=self._link.bus is not None,
            stance=Stance.YIELDING if belief is None else belief.stance,
            reason=None if belief is None else belief.reason,
            cpus=0 if belief is None else belief.cpus,
            workers=sum(workers.count for workers in self._workers.values()),
            running=self._agent.running,
            changes_in_s=None if belief is None else belief.changes_in_s,
            seen=None if seen is None else seen_now(seen),
            done=self._agent.done,
            is_always=ownership.is_always,
            preferences_error=ownership.preferences_error,
            twin=self._link.twin,
        )
