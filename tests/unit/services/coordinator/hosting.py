"""A coordinator's loop on a real journal, with what it performs, for tests that feed it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from tests.unit.core.world import BENCHMARK_MS, DIGEST, OUTPUT, WORKLOAD, enrolled, node_id, offer, slots

from gridlight.adapters.clock import SteadyClock
from gridlight.adapters.journal import Journal
from gridlight.core.coordinator import Coordinator
from gridlight.messages.codec import Effect, Event
from gridlight.messages.host import CoordinatorStarted
from gridlight.messages.jobs import SendAssignment
from gridlight.messages.results import ResultSubmitted, RunTiming
from gridlight.messages.tasks import AssignmentAcknowledged
from gridlight.services.coordinator.loop import Loop, fold

WAIT_S = 10.0
NODE = node_id(1)
STARTED = CoordinatorStarted(seed=7, workloads=(WORKLOAD,))
JOINED: list[Event] = [STARTED, enrolled(NODE), offer(NODE, slots(50))]


class Performed:
    """The effects of each batch, and a wait for those that tests look for."""

    def __init__(self) -> None:
        self.batches: list[list[Effect]] = []
        self.during: Callable[[], None] = lambda: None
        self._more = asyncio.Condition()

    async def __call__(self, effects: list[Effect]) -> None:
        self.during()
        self.batches.append(effects)
        async with self._more:
            self._more.notify_all()

    @property
    def effects(self) -> list[Effect]:
        return [effect for batch in self.batches for effect in batch]

    async def until(self, is_enough: Callable[[list[Effect]], object]) -> None:
        async with asyncio.timeout(WAIT_S), self._more:
            await self._more.wait_for(lambda: is_enough(self.effects))


def loop_of(journal: Journal, performed: Callable[[list[Effect]], Awaitable[None]], **options: Any) -> Loop:
    """A loop that goes on where the journal ends."""
    core, sequence = fold(journal)
    clock = SteadyClock(core.now_ms)
    return Loop(core=core, journal=journal, sequence=sequence, clock=clock, perform=performed, **options)


@asynccontextmanager
async def running(loop: Loop) -> AsyncIterator[None]:
    """Run it beside the test, and stop it at the end."""
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(loop.run())
        yield
        loop.stop()
        async with asyncio.timeout(WAIT_S):
            await task


async def until_handled(loop: Loop) -> None:
    """Until what was put is in the core."""
    handled_ms = loop.core.now_ms
    async with asyncio.timeout(WAIT_S):
        while loop.core.now_ms == handled_ms:  # noqa: ASYNC110  (nothing is performed that could tell)
            await asyncio.sleep(0.001)


def put(loop: Loop, *events: Event) -> None:
    for one in events:
        loop.put(one)


def acknowledged(send: SendAssignment) -> AssignmentAcknowledged:
    return AssignmentAcknowledged(
        assignment_id=send.assignment.assignment_id, node_id=send.node_id, eta_ms=BENCHMARK_MS
    )


def result(send: SendAssignment) -> ResultSubmitted:
    return ResultSubmitted(
        assignment_id=send.assignment.assignment_id,
        node_id=send.node_id,
        output_digest=DIGEST,
        output_bytes=len(OUTPUT),
        timing=RunTiming(queue=0, infer=80),
        output=OUTPUT,
    )


def whole_fold(journal: Journal) -> Coordinator:
    """What the records alone tell, from the first one on."""
    core = Coordinator()
    for record in journal.records_after(0):
        for one in record.events:
            core.handle(record.now_ms, one)
    core.check()
    return core
