"""What an operator may ask of a running agent, and what is done and answered."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import assert_never

import structlog

from gridlight.adapters.clock import wall_s
from gridlight.core.agent import Agent
from gridlight.core.owner import Belief, Word, WordKind
from gridlight.messages.control import (
    AskFinish,
    AskPause,
    AskResume,
    AskStatus,
    ControlAnswer,
    ControlRequest,
    NodeStatus,
    Stance,
)
from gridlight.messages.ids import WorkloadId
from gridlight.services.agent.link import Link
from gridlight.services.agent.ownership import Ownership
from gridlight.services.agent.telling import line, seen_now
from gridlight.services.agent.workers import Workers

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

    def answer(self, request: ControlRequest) -> ControlAnswer:
        """Done when it is answered: the tasks of a node that is paused are handed back by then."""
        match request:
            case AskStatus():
                return self._status()
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
            line=line(ownership.preferences, belief, seen, datetime.now().astimezone()),
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
            preferences_error=ownership.preferences_error,
        )
