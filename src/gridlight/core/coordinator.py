"""The core's only door: hands an event to the machines it concerns, and what they tell each other from one to the next.

It decides nothing: `_routes` says who hears what, and whatever is in nobody's row leaves the core as an effect. The
books stand beside the machines: they are asked first whether a job can be paid for, and hear each event with all that
came of it.
"""

from typing import Any, Final

import msgspec
from msgspec import Struct

from gridlight.core.bookkeeping import Bookkeeping, BookkeepingSnapshot
from gridlight.core.catalogue import Catalogue, CatalogueSnapshot
from gridlight.core.docket import INPUT_KEPT_MS
from gridlight.core.fleet import Fleet, FleetSnapshot
from gridlight.core.notices import (
    AnswerCommitted,
    AnswersVoided,
    CapacityChanged,
    CapacityLost,
    CheckDecided,
    CheckEnded,
    CheckWanted,
    CommitsSettled,
    FaultFound,
    Hears,
    KeySucceeded,
    NodeKnown,
    NodeMissed,
    Output,
    RunSeen,
    SlotFreed,
    TaskAnswered,
    TierChanged,
    TrustLost,
    WorkloadClosed,
    WorkloadOpened,
)
from gridlight.core.reputation import Reputation, ReputationSnapshot
from gridlight.core.scheduling import Scheduling, SchedulingSnapshot
from gridlight.core.verification import Verifier, VerifierSnapshot
from gridlight.messages.codec import Effect, Event
from gridlight.messages.host import BusReconnected, CoordinatorStarted, TimePassed
from gridlight.messages.jobs import EndJob, JobSubmitted, JobWithdrawn, Outcome
from gridlight.messages.ledger import AccountCredited, PayoutsEnded, PayoutsWanted, PricesSet
from gridlight.messages.limits import DEADLINE_MS_MAX
from gridlight.messages.nodes import NodeDisconnected, NodeEnrolled, OfferChanged
from gridlight.messages.operators import AttestationsHeld, AttestationsRevoked, KeyRuled
from gridlight.messages.results import ResultSubmitted
from gridlight.messages.tasks import (
    AssignmentAcknowledged,
    AssignmentDeclined,
    AssignmentFailed,
    AssignmentUndeliverable,
)
from gridlight.messages.trust import EpochBegan
from gridlight.messages.workloads import WorkloadApproved, WorkloadStopped

CORE_VERSION: Final = 3
"""Written with each journal record: a fold by another version of the core is refused, a snapshot is not."""

MONEY_EVENTS: Final = frozenset({PricesSet, AccountCredited, PayoutsWanted, PayoutsEnded})
"""Heard where nothing has a price yet."""

HOPS_MAX: Final = 12
"""How far one event may travel from machine to machine."""


class CoreSnapshot(Struct):
    """All machines' states."""

    now_ms: int
    fleet: FleetSnapshot
    scheduling: SchedulingSnapshot
    reputation: ReputationSnapshot
    verification: VerifierSnapshot
    catalogue: CatalogueSnapshot | None = None
    bookkeeping: BookkeepingSnapshot | None = None


class Coordinator:
    """All machines of one shard behind one `handle`."""

    def __init__(self) -> None:
        self.fleet = Fleet()
        self.scheduling = Scheduling()
        self.reputation = Reputation()
        self.verification = Verifier()
        self.catalogue = Catalogue()
        self.bookkeeping = Bookkeeping()
        self.now_ms = 0
        fleet, catalogue = self.fleet.hears, self.catalogue.hears
        scheduling, reputation, verification = self.scheduling.hears, self.reputation.hears, self.verification.hears
        rows: dict[type, tuple[Hears, ...]] = {
            JobSubmitted: (scheduling,),
            JobWithdrawn: (scheduling,),
            AssignmentAcknowledged: (scheduling,),
            AssignmentDeclined: (scheduling,),
            AssignmentFailed: (scheduling,),
            AssignmentUndeliverable: (scheduling,),
            ResultSubmitted: (scheduling,),
            TimePassed: (scheduling, verification, catalogue, fleet),
            **dict.fromkeys((NodeEnrolled, OfferChanged, NodeDisconnected), (fleet,)),
            **dict.fromkeys((KeyRuled, AttestationsRevoked, AttestationsHeld), (fleet,)),
            CoordinatorStarted: (reputation, verification, catalogue, scheduling, fleet),
            WorkloadApproved: (catalogue,),
            WorkloadStopped: (catalogue,),
            WorkloadOpened: (scheduling, verification, fleet),
            WorkloadClosed: (scheduling, fleet),
            EpochBegan: (verification,),
            BusReconnected: (scheduling, fleet),
            NodeMissed: (fleet,),
            CapacityChanged: (scheduling,),
            CapacityLost: (scheduling,),
            NodeKnown: (scheduling, reputation),
            KeySucceeded: (reputation,),
            SlotFreed: (scheduling,),
            TaskAnswered: (reputation,),
            AnswerCommitted: (verification,),
            CheckWanted: (scheduling,),
            CheckEnded: ({CheckEnded: self._note_check}, verification),
            RunSeen: ({RunSeen: self._note_run},),
            CheckDecided: (reputation,),
            CommitsSettled: (reputation,),
            FaultFound: (reputation, scheduling),
            AnswersVoided: (scheduling,),
            TierChanged: (scheduling,),
            TrustLost: (verification,),
            **dict.fromkeys((PricesSet, AccountCredited, PayoutsWanted, PayoutsEnded), ()),
        }
        self._routes = {kind: tuple(hears[kind] for hears in row) for kind, row in rows.items()}

    def handle(self, now_ms: int, event: Event) -> list[Effect]:
        """Let every machine concerned hear the event, and what follows, until nothing is left to pass on.

        What follows from a notice comes before whatever its sender said after it.
        """
        assert now_ms >= self.now_ms, "the coordinator's clock went backwards"
        self.now_ms = now_ms
        effects: list[Any] = []
        if type(event) is JobSubmitted and event.account_id and (refused := self._unpayable(event)) is not None:
            return [EndJob(job_id=event.job_id, gateway_id=event.gateway_id, outcome=refused)]
        self._pass_on(now_ms, event, 0, effects)
        if not self.bookkeeping.is_priced and type(event) not in MONEY_EVENTS:
            return effects
        # Money is held, and on the books, before anything leaves that it is held for.
        return [*self.bookkeeping.hear(now_ms, event, effects), *effects]

    def _unpayable(self, job: JobSubmitted) -> Outcome | None:
        """Why nobody is asked to do a job: it is not paid for. One that is open, or has ended, is told of as ever."""
        return None if self.scheduling.knows(job.job_id) else self.bookkeeping.refusal(job)

    def _note_check(self, _now_ms: int, ended: CheckEnded) -> list[Output]:
        self.bookkeeping.check_ended(ended.check, ended.assignment_id)
        return []

    def _note_run(self, now_ms: int, seen: RunSeen) -> list[Output]:
        """It must be known what became of it once an answer may be open no longer, and no check of it may be out."""
        trust = self.verification.docket.trust
        open_ms_max = max(trust.settle_ms_max + trust.settle_grace_ms, INPUT_KEPT_MS)
        self.bookkeeping.run_seen(now_ms, seen, open_ms_max + DEADLINE_MS_MAX)
        return []

    def _pass_on(self, now_ms: int, message: Any, hops: int, effects: list[Any]) -> None:
        assert hops < HOPS_MAX, f"{type(message).__name__} travelled {hops} hops"
        routes = self._routes
        for handler in routes[type(message)]:
            for output in handler(now_ms, message):
                if type(output) in routes:
                    self._pass_on(now_ms, output, hops + 1, effects)
                else:
                    effects.append(output)

    def next_deadline_ms(self) -> int | None:
        """When the host must call again with TimePassed."""
        due_ms = self.scheduling.next_deadline_ms()
        others = (
            self.verification.next_deadline_ms(),
            self.catalogue.next_deadline_ms(),
            self.fleet.next_deadline_ms(),
            self.bookkeeping.register.words.closes_ms(),
        )
        for other_ms in others:
            if other_ms is not None and (due_ms is None or other_ms < due_ms):
                due_ms = other_ms
        return due_ms

    def check(self) -> None:
        """Assert every machine's invariants."""
        self.fleet.check()
        self.scheduling.check()
        self.reputation.check()
        self.verification.check()
        self.catalogue.check()
        self.bookkeeping.check()
        assert self.scheduling.placement.lanes.keys() == set(self.catalogue.offered), "a lane that nobody approved"

    def snapshot(self) -> bytes:
        """The whole state as MessagePack."""
        state = CoreSnapshot(
            now_ms=self.now_ms,
            fleet=self.fleet.snapshot(),
            scheduling=self.scheduling.snapshot(),
            reputation=self.reputation.snapshot(),
            verification=self.verification.snapshot(),
            catalogue=self.catalogue.snapshot(),
            bookkeeping=self.bookkeeping.snapshot() if self.bookkeeping.is_concerned else None,
        )
        return msgspec.msgpack.encode(state)

    @classmethod
    def restored(cls, snapshot: bytes) -> "Coordinator":
        """A coordinator that goes on where `snapshot` was taken."""
        state = msgspec.msgpack.decode(snapshot, type=CoreSnapshot)
        coordinator = cls()
        coordinator.now_ms = state.now_ms
        coordinator.fleet.restore(state.fleet)
        coordinator.scheduling.restore(state.scheduling)
        coordinator.reputation.restore(state.reputation)
        coordinator.verification.restore(state.verification)
        if state.catalogue is None:
            coordinator.catalogue.adopt(list(state.scheduling.placement.lanes))
        else:
            coordinator.catalogue.restore(state.catalogue)
        if state.bookkeeping is not None:
            coordinator.bookkeeping.restore(state.bookkeeping)
        return coordinator
