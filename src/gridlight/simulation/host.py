"""The core's host in virtual time: as the coordinator's loop, it handles a batch, records it, and hands on the effects.

Journal and trace share their bytes: what is recorded is what the trace digest is made of.
"""

from hashlib import blake2b
from typing import Final

import msgspec

from gridlight.core.coordinator import Coordinator
from gridlight.messages.codec import Effect, Event, decode_record, encode_record
from gridlight.messages.ids import NodeId
from gridlight.messages.trust import Tier
from gridlight.simulation.checkers import Account, check_core, check_queues
from gridlight.simulation.demands import CheckFailed
from gridlight.simulation.scenario import Checks

BATCH_EVENTS_MAX: Final = 1_000
REASONS_HELD_EACH: Final = 5_000
"""After so many events, all that is counted for a sample of nodes is held against the account."""

_encode_effects: Final = msgspec.msgpack.Encoder().encode
"""They are in the trace alone, and never read back."""


class Host:
    """Owns the core; counts its events."""

    def __init__(self, checks: Checks, *, keeps_journal: bool) -> None:
        self.core = Coordinator()
        self.events = 0
        self.events_by_type: dict[type, int] = {}
        self.effects = 0
        self.is_down = False
        self.replays = 0
        self.account = Account() if checks.account else None
        self._checks = checks
        self._keeps_journal = keeps_journal
        self._base: bytes | None = None
        self._journal: list[tuple[int, bytes]] = []
        self._trace = blake2b(digest_size=32)
        self._core_checked = 0
        self._reasons_held = 0
        self._replayed = 0

    @property
    def trace_digest(self) -> str:
        """Of every event and effect so far, in order, with its time."""
        return self._trace.hexdigest()

    def begin_here(self, tiers: dict[NodeId, Tier]) -> None:
        """The state is no event's doing: the account takes it as it is, and replays begin with it, not before."""
        if self.account is not None:
            self.account.trust.begin(tiers, self.core.reputation.clean_run)
        if self._keeps_journal:
            self._base, self._journal = self.core.snapshot(), []

    def process(self, now_ms: int, events: list[Event]) -> list[Effect]:
        """One batch: what the coordinator's loop does between two waits, with the checks that are due."""
        handle, account = self.core.handle, self.account
        effects: list[Effect] = []
        counts = self.events_by_type
        for event in events:
            follow = handle(now_ms, event)
            if account is not None:
                account.follow(now_ms, event, follow)
            effects += follow
            counts[type(event)] = counts.get(type(event), 0) + 1
        record = encode_record(events)
        self._trace.update(b"%d " % now_ms)
        self._trace.update(record)
        self._trace.update(_encode_effects(effects))
        if self._keeps_journal:
            self._journal.append((now_ms, record))
        self.events += len(events)
        self.effects += len(effects)
        self._check(now_ms)
        return effects

    def crash(self) -> None:
        """The process is gone; what it had recorded is not."""
        self.is_down = True

    def restart(self) -> None:
        """A new process folds the journal, and must come to where the old one was."""
        self.core = self.replay()
        self.is_down = False

    def replay(self) -> Coordinator:
        """Fold the journal from the last snapshot on, and hold the state against the living core's."""
        assert self._keeps_journal
        folded = Coordinator() if self._base is None else Coordinator.restored(self._base)
        for recorded_ms, record in self._journal:
            for event in decode_record(record):
                folded.handle(recorded_ms, event)
        state = self.core.snapshot()
        if folded.snapshot() != state:
            raise CheckFailed("replay", f"the journal of {len(self._journal)} records folds to another state")
        self._base, self._journal = state, []
        self._replayed = self.events
        self.replays += 1
        return folded

    def finish(self) -> None:
        """All checks once more, at the end."""
        check_core(self.core)
        if self.account is not None:
            self.account.deadlines.check()
            self.account.considered.hold(self.core)
        if self._keeps_journal:
            self.replay()

    def _check(self, now_ms: int) -> None:
        if self.account is not None:
            self.account.nothing_is_overdue(now_ms)
            check_queues(self.core)
            if self.events - self._reasons_held >= REASONS_HELD_EACH:
                self._reasons_held = self.events
                self.account.considered.hold(self.core)
        checks = self._checks
        if checks.core_each and self.events - self._core_checked >= checks.core_each:
            self._core_checked = self.events
            check_core(self.core)
        if checks.replay_each and self.events - self._replayed >= checks.replay_each:
            self.replay()
