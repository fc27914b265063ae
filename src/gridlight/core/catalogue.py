"""Which workloads a network offers: what comes with this program, and what its founder approved and has not stopped.

Whatever is not in it is never given to a node. Signatures were checked at the gateway; digests, serials and ends are
checked here.
"""

from hashlib import sha256
from typing import Final

from msgspec import Struct

from gridlight.core.notices import Hears, Output, WorkloadClosed, WorkloadOpened
from gridlight.messages.host import CoordinatorStarted, TimePassed
from gridlight.messages.ids import WorkloadId
from gridlight.messages.trust import Comparison
from gridlight.messages.workloads import (
    AnnounceWorkloads,
    RecordWorkload,
    WorkloadApproved,
    WorkloadState,
    WorkloadStopped,
)

CatalogueEvent = CoordinatorStarted | WorkloadApproved | WorkloadStopped | TimePassed

WORKLOADS_MAX: Final = 1_024
"""That a network remembers, the stopped ones included: an old word must not bring one back."""


class Entry(Struct):
    """What the network said last of one workload."""

    state: WorkloadState
    serial: int = 0
    rollout_percent: int = 100
    expires_ms: int | None = None
    is_first_party: bool = False


class CatalogueSnapshot(Struct):
    """The machine's state as plain values."""

    entries: dict[WorkloadId, Entry]
    refused: int


class Catalogue:
    """The machine that knows workloads."""

    def __init__(self) -> None:
        self.refused = 0
        """Words of the network that came too late, or did not fit their manifest."""
        self._entries: dict[WorkloadId, Entry] = {}
        self._next_end_ms: int | None = None
        self.hears: Hears = {
            CoordinatorStarted: self._started,
            WorkloadApproved: self._approved,
            WorkloadStopped: self._stopped,
            TimePassed: self._expired,
        }

    @property
    def offered(self) -> list[WorkloadId]:
        """What tasks may be given for."""
        return [workload for workload, entry in self._entries.items() if entry.state is WorkloadState.APPROVED]

    def next_deadline_ms(self) -> int | None:
        """When the next approval ends."""
        return self._next_end_ms

    def handle(self, now_ms: int, event: CatalogueEvent) -> list[Output]:
        """O(workloads), but for time that passes without an end: O(1)."""
        return self.hears[type(event)](now_ms, event)

    def _started(self, _now_ms: int, event: CoordinatorStarted) -> list[Output]:
        """This program comes with these; what an earlier one came with and this one does not is gone."""
        first_party = event.workloads
        outputs: list[Output] = []
        for workload in [one for one, entry in self._entries.items() if entry.is_first_party]:
            if workload not in first_party:
                entry = self._entries[workload]
                outputs += self._close(workload, entry, WorkloadState.STOPPED)
                entry.is_first_party = False
                if not entry.serial:  # what the network said of it outlives the program
                    del self._entries[workload]
        for workload in first_party:
            if workload not in self._entries:
                self._entries[workload] = Entry(WorkloadState.APPROVED, is_first_party=True)
                outputs += self._open(workload, self._entries[workload])
        return outputs

    def _approved(self, now_ms: int, event: WorkloadApproved) -> list[Output]:
        entry = self._entries.get(event.workload)
        is_new = entry is None
        serial = 0 if entry is None else entry.serial
        is_known = sha256(event.manifest).hexdigest() == event.workload.rpartition(":")[2]
        is_full = is_new and len(self._entries) >= WORKLOADS_MAX
        if event.serial <= serial or event.expires_ms <= now_ms or not is_known or is_full:
            self.refused += 1
            return [AnnounceWorkloads()]  # whoever waits for it looks, and sees that it does not stand there
        entry = Entry(
            WorkloadState.APPROVED,
            serial=event.serial,
            rollout_percent=event.rollout_percent,
            expires_ms=event.expires_ms,
            is_first_party=entry is not None and entry.is_first_party,
        )
        self._entries[event.workload] = entry
        return [*self._open(event.workload, entry, event), AnnounceWorkloads()]

    def _stopped(self, _now_ms: int, event: WorkloadStopped) -> list[Output]:
        entry = self._entries.get(event.workload)
        if entry is None and len(self._entries) >= WORKLOADS_MAX:
            self.refused += 1
            return [AnnounceWorkloads()]
        if entry is None:
            entry = self._entries[event.workload] = Entry(WorkloadState.STOPPED)
        if event.serial <= entry.serial:
            self.refused += 1
            return [AnnounceWorkloads()]
        entry.serial = event.serial
        return [*self._close(event.workload, entry, WorkloadState.STOPPED), AnnounceWorkloads()]

    def _expired(self, now_ms: int, _event: TimePassed) -> list[Output]:
        if self._next_end_ms is None or self._next_end_ms > now_ms:
            return []
        outputs: list[Output] = []
        for workload, entry in self._entries.items():
            end_ms = _end_ms(entry)
            if end_ms is not None and end_ms <= now_ms:
                outputs += [*self._close(workload, entry, WorkloadState.EXPIRED), AnnounceWorkloads()]
        return outputs

    def _open(self, workload: WorkloadId, entry: Entry, said: WorkloadApproved | None = None) -> list[Output]:
        self._note_next_end()
        comparison: Comparison | None = None if said is None else said.comparison
        return [WorkloadOpened(workload, entry.rollout_percent, comparison), _record(workload, entry, said)]

    def _close(self, workload: WorkloadId, entry: Entry, state: WorkloadState) -> list[Output]:
        entry.state = state
        self._note_next_end()
        return [WorkloadClosed(workload, state, entry.serial), _record(workload, entry)]

    def _note_next_end(self) -> None:
        self._next_end_ms = min(
            (end for entry in self._entries.values() if (end := _end_ms(entry)) is not None), default=None
        )

    def adopt(self, workloads: list[WorkloadId]) -> None:
        """A snapshot from before there was a catalogue: what had a lane had come with the program."""
        self._entries = {one: Entry(WorkloadState.APPROVED, is_first_party=True) for one in workloads}

    def check(self) -> None:
        """Assert that nobody is offered for longer than was said."""
        assert len(self._entries) <= WORKLOADS_MAX
        assert all(entry.is_first_party or entry.serial for entry in self._entries.values())

    def snapshot(self) -> CatalogueSnapshot:
        """The state, to be encoded at once: it shares the machine's own objects."""
        return CatalogueSnapshot(self._entries, self.refused)

    def restore(self, snapshot: CatalogueSnapshot) -> None:
        """Take what `snapshot` gave, after a trip through bytes."""
        self._entries, self.refused = dict(snapshot.entries), snapshot.refused
        self._note_next_end()


def _end_ms(entry: Entry) -> int | None:
    return entry.expires_ms if entry.state is WorkloadState.APPROVED else None


def _record(workload: WorkloadId, entry: Entry, said: WorkloadApproved | None = None) -> RecordWorkload:
    return RecordWorkload(
        workload=workload,
        state=entry.state,
        serial=entry.serial,
        rollout_percent=entry.rollout_percent,
        expires_ms=entry.expires_ms,
        approved=said,
    )
