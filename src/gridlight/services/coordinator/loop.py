"""The host's loop: a bounded batch of events -> handle -> one commit -> perform the effects.

Nothing is performed before its record is on the disk. While one batch commits the next one gathers in the socket: so
the disk's delay makes batches larger, and is paid once for all that came meanwhile. The commit blocks this process,
which has nothing else to do meanwhile; in a thread of its own it cost a quarter more CPU (decision 0004). A batch that
changes nothing outside waits for the next commit (decision 0020): most of what comes is of that kind.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from gridlight.adapters.books import Sign, unsigned
from gridlight.adapters.changes import Changes
from gridlight.adapters.clock import SteadyClock
from gridlight.adapters.journal import Journal, Record
from gridlight.core.coordinator import CORE_VERSION, Coordinator
from gridlight.messages.codec import Effect, Event
from gridlight.messages.host import TimePassed
from gridlight.messages.jobs import JobSubmitted
from gridlight.messages.tasks import AssignmentAcknowledged

BATCH_EVENTS_MAX: Final = 1_000
INBOX_EVENTS_MAX: Final = 100_000
SNAPSHOT_EACH_EVENTS: Final = 100_000
RECORD_WAITS_MS_MAX: Final = 1_000
_RECORDS_WAITING_MAX: Final = 100
_MAY_WAIT: Final = (TimePassed, AssignmentAcknowledged, JobSubmitted)
"""What a dead coordinator's successor does as well without: of a job that waits for a node nobody was told, and its
gateway tells of it again."""

_log = structlog.get_logger()


class Loop:
    """One shard's core, fed and obeyed."""

    def __init__(
        self,
        *,
        core: Coordinator,
        journal: Journal,
        sequence: int,
        clock: SteadyClock,
        perform: Callable[[list[Effect]], Awaitable[None]],
        sign: Sign = unsigned,
        snapshot_each_events: int = SNAPSHOT_EACH_EVENTS,
    ) -> None:
        self.core = core
        self.refused = 0
        """Events dropped because the inbox was full; gateways announce their jobs again, so none is lost for good."""
        self._journal = journal
        self._sequence = sequence
        self._clock = clock
        self._perform = perform
        self._sign = sign
        self._snapshot_each_events = snapshot_each_events
        self._inbox: deque[Event] = deque()
        self._wake = asyncio.Event()
        self._is_stopping = False
        self._since_snapshot = 0
        self._refused_told = 0
        self._waiting: list[Record] = []
        """Handled, without effects, and not yet on the disk."""

    def put(self, event: Event) -> bool:
        """Queue an event for the next batch; whether there was room."""
        if len(self._inbox) >= INBOX_EVENTS_MAX:
            self.refused += 1
            return False
        self._inbox.append(event)
        self._wake.set()
        return True

    def stop(self) -> None:
        """End after the batch under way; a snapshot is kept."""
        self._is_stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Until stopped. JournalFenced and the disk's errors end it: a failed commit ends the process."""
        while not self._is_stopping:
            await self._wait()
            batch = self._next_batch()
            if batch:
                await self._process(batch)
            elif self._waiting:
                self._commit_waiting()
        self._save_snapshot()

    async def _wait(self) -> None:
        """Until something arrived, a machine's deadline has come, or a record has waited long enough."""
        if self._inbox:
            await asyncio.sleep(0)  # so that what was performed leaves, and a signal is heard, before the next batch
            return
        self._wake.clear()
        due_ms = self._next_due_ms()
        timeout_s = None if due_ms is None else max(0, due_ms - self._clock.now_ms()) / 1_000
        try:
            async with asyncio.timeout(timeout_s):
                await self._wake.wait()
        except TimeoutError:
            pass

    def _next_due_ms(self) -> int | None:
        due_ms = self.core.next_deadline_ms()
        if not self._waiting:
            return due_ms
        written_by_ms = self._waiting[0].now_ms + RECORD_WAITS_MS_MAX
        return written_by_ms if due_ms is None else min(due_ms, written_by_ms)

    def _next_batch(self) -> list[Event]:
        inbox = self._inbox
        batch = [inbox.popleft() for _ in range(min(len(inbox), BATCH_EVENTS_MAX))]
        due_ms = self.core.next_deadline_ms()
        if due_ms is not None and due_ms <= self._clock.now_ms():
            batch.append(TimePassed())
        if self.refused > self._refused_told:
            _log.error("events refused: more arrive than can be handled", count=self.refused - self._refused_told)
            self._refused_told = self.refused
        return batch

    async def _process(self, events: list[Event]) -> None:
        now_ms = self._clock.now_ms()
        effects = [effect for event in events for effect in self.core.handle(now_ms, event)]
        self._sequence += 1
        record = Record(self._sequence, now_ms, CORE_VERSION, events)
        self._since_snapshot += len(events)
        if not effects and self._may_wait(record):
            self._waiting.append(record)
            return
        self._commit(record, effects)
        await self._perform(effects)
        if self._since_snapshot >= self._snapshot_each_events:
            self._save_snapshot()

    def _may_wait(self, record: Record) -> bool:
        """Whether nothing outside tells if this record is on the disk now or within a second."""
        oldest_ms = self._waiting[0].now_ms if self._waiting else record.now_ms
        is_early = record.now_ms - oldest_ms < RECORD_WAITS_MS_MAX and len(self._waiting) < _RECORDS_WAITING_MAX
        return is_early and all(type(event) in _MAY_WAIT for event in record.events)

    def _commit_waiting(self) -> None:
        self._commit(self._waiting.pop(), [])

    def _commit(self, record: Record, effects: list[Effect]) -> None:
        """With all that waited for it."""
        waited = [(one.now_ms, one.events) for one in self._waiting]
        changes = Changes(record.now_ms, record.events, effects, self._sign, waited=waited)
        self._journal.commit(record, changes, self._waiting)
        self._waiting = []

    def _save_snapshot(self) -> None:
        if self._waiting:
            self._commit_waiting()
        state = self.core.snapshot()
        self._journal.save_snapshot(self._sequence, CORE_VERSION, state)
        self._since_snapshot = 0
        _log.info("snapshot kept", sequence=self._sequence, bytes=len(state))


def fold(journal: Journal) -> tuple[Coordinator, int]:
    """The state that the journal tells, from the newest snapshot on, and the last record's sequence."""
    snapshot = journal.newest_snapshot(CORE_VERSION)
    core, sequence = (Coordinator(), 0) if snapshot is None else (Coordinator.restored(snapshot[1]), snapshot[0])
    for record in journal.records_after(sequence):
        if record.core_version != CORE_VERSION:
            raise ValueError(
                f"record {record.sequence} was written by core version {record.core_version}, this is {CORE_VERSION}: "
                "start the old version once and stop it cleanly, so that it keeps a snapshot"
            )
        for event in record.events:
            core.handle(record.now_ms, event)
        sequence = record.sequence
    return core, sequence
