"""The core's only door: hands an event to the machines it concerns, and what they tell each other from one to the next.

It decides nothing: `_routes` says who hears what, and whatever is in nobody's row leaves the core as an effect.
"""

from collections.abc import Callable
from typing import Any, Final, cast

import msgspec
from msgspec import Struct

from gridlight.core.fleet import Fleet, FleetSnapshot
from gridlight.core.notices import CapacityChanged, CapacityLost, NodeMissed, Notice, Output
from gridlight.core.scheduling import Scheduling, SchedulingSnapshot
from gridlight.messages.codec import Effect, Event
from gridlight.messages.host import BusReconnected, CoordinatorStarted, TimePassed
from gridlight.messages.jobs import JobSubmitted, JobWithdrawn
from gridlight.messages.nodes import NodeDisconnected, NodeEnrolled, OfferChanged
from gridlight.messages.results import ResultSubmitted
from gridlight.messages.tasks import (
    AssignmentAcknowledged,
    AssignmentDeclined,
    AssignmentFailed,
    AssignmentUndeliverable,
)

CORE_VERSION: Final = 1
"""Written with each journal record: a fold by another version of the core is refused, a snapshot is not."""

HOPS_MAX: Final = 8
"""How far one event may travel from machine to machine."""


class CoreSnapshot(Struct):
    """All machines' states."""

    now_ms: int
    fleet: FleetSnapshot
    scheduling: SchedulingSnapshot


class Coordinator:
    """All machines of one shard behind one `handle`."""

    def __init__(self) -> None:
        self.fleet = Fleet()
        self.scheduling = Scheduling()
        self.now_ms = 0
        fleet: Handler = cast("Handler", self.fleet.handle)
        scheduling: Handler = cast("Handler", self.scheduling.handle)
        self._routes: dict[type, tuple[Handler, ...]] = {
            JobSubmitted: (scheduling,),
            JobWithdrawn: (scheduling,),
            AssignmentAcknowledged: (scheduling,),
            AssignmentDeclined: (scheduling,),
            AssignmentFailed: (scheduling,),
            AssignmentUndeliverable: (scheduling,),
            ResultSubmitted: (scheduling,),
            TimePassed: (scheduling,),
            NodeEnrolled: (fleet,),
            OfferChanged: (fleet,),
            NodeDisconnected: (fleet,),
            CoordinatorStarted: (scheduling, fleet),
            BusReconnected: (scheduling, fleet),
            NodeMissed: (fleet,),
            CapacityChanged: (scheduling,),
            CapacityLost: (scheduling,),
        }

    def handle(self, now_ms: int, event: Event) -> list[Effect]:
        """Let every machine concerned hear the event, and what follows, until nothing is left to pass on."""
        assert now_ms >= self.now_ms, "the coordinator's clock went backwards"
        self.now_ms = now_ms
        effects: list[Effect] = []
        heard: list[tuple[int, Event | Notice]] = [(0, event)]
        for hops, message in heard:  # which grows meanwhile
            assert hops < HOPS_MAX, f"{type(message).__name__} travelled {hops} hops"
            for handler in self._routes[type(message)]:
                for output in handler(now_ms, message):
                    if type(output) in self._routes:
                        heard.append((hops + 1, cast("Notice", output)))
                    else:
                        effects.append(cast("Effect", output))
        return effects

    def next_deadline_ms(self) -> int | None:
        """When the host must call again with TimePassed."""
        return self.scheduling.next_deadline_ms()

    def check(self) -> None:
        """Assert every machine's invariants."""
        self.fleet.check()
        self.scheduling.check()

    def snapshot(self) -> bytes:
        """The whole state as MessagePack."""
        state = CoreSnapshot(self.now_ms, self.fleet.snapshot(), self.scheduling.snapshot())
        return msgspec.msgpack.encode(state)

    @classmethod
    def restored(cls, snapshot: bytes) -> "Coordinator":
        """A coordinator that goes on where `snapshot` was taken."""
        state = msgspec.msgpack.decode(snapshot, type=CoreSnapshot)
        coordinator = cls()
        coordinator.now_ms = state.now_ms
        coordinator.fleet.restore(state.fleet)
        coordinator.scheduling.restore(state.scheduling)
        return coordinator


Handler = Callable[[int, Any], list[Output]]
