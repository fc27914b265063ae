"""The world: owns the core's host, the timeline and all that lives on it, and runs them from the start to rest."""

import gc
from collections.abc import Callable
from typing import Any, Final

from msgspec import UNSET

from gridlight.core.attempts import LEASE_GRACE_MS
from gridlight.core.counts import Count
from gridlight.core.draw import draw, draw_many
from gridlight.messages.codec import Event
from gridlight.messages.host import CoordinatorStarted, TimePassed
from gridlight.messages.jobs import EndJob
from gridlight.messages.nodes import NodeEnrolled
from gridlight.messages.trust import EpochBegan, KeepInput, ReleaseInput, Tier
from gridlight.simulation.adversary import Adversaries, Answers, Knowledge
from gridlight.simulation.answers import COMPARISON
from gridlight.simulation.attendance import Attendance
from gridlight.simulation.behaviour import Behaviour
from gridlight.simulation.breaker import Breaker
from gridlight.simulation.checkers import check_at_rest, check_settled
from gridlight.simulation.demands import demand
from gridlight.simulation.effects import Performer
from gridlight.simulation.entries import (
    Announced,
    Asked,
    Asking,
    Cancelled,
    Closed,
    Delivered,
    EpochEnds,
    Offered,
    Ran,
    Said,
    Vanished,
)
from gridlight.simulation.faults import Fault, Mended
from gridlight.simulation.gateways import Gateways
from gridlight.simulation.host import BATCH_EVENTS_MAX, Host
from gridlight.simulation.measures import Measures, Span
from gridlight.simulation.minds import WORKLOAD, FullMinds, Minds, ModelMinds
from gridlight.simulation.network import Network
from gridlight.simulation.nodes import Nodes
from gridlight.simulation.population import HERE, Population
from gridlight.simulation.scenario import Scenario
from gridlight.simulation.seeding import is_reference, seed_fleet
from gridlight.simulation.takings import ACCOUNT_ID, Takings, money_events
from gridlight.simulation.timeline import Timeline
from gridlight.simulation.truth import Truth
from gridlight.simulation.wire import effect_off_the_wire, event_off_the_wire

START_MS: Final = 1_000_000
SETTLING_MS: Final = 5_000
"""Nodes come during this time, before the first requester does."""

REST_MS: Final = 1_000
"""So long after the last deadline, and the leases' grace, everything must be at rest."""

ROUNDS_MAX: Final = 200
"""Calls for nothing but passed time within one millisecond; each attends to a thousand tasks."""
SETTLING_PARTS: Final = 8
SETTLED_LATE_MS: Final = 60_000
"""So long after the last moment nothing is provisional any more, with the host's batches and the input's keeping."""

RETURN_MS: Final = 1_000
"""A node that was banned is back after that, as somebody else."""

RETRY_MS: Final = 1_000

Listener = Callable[[str, int, int], None]
"""Hears the stage, how many of its seconds have passed, and how many it has."""


class World:
    """One run of a scenario with a seed."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self.scenario = scenario
        self.seed = seed
        self.trust = scenario.trust_parameters
        self.timeline = Timeline(START_MS)
        self.population = Population(
            seed, scenario.nodes, scenario.fleet, crowd=scenario.adversaries, crowd_of=scenario.adversary.operators
        )
        self.host = Host(scenario.checks, keeps_journal=scenario.needs_journal)
        self.network = Network(seed, scenario.links)
        self.asked_from_ms = START_MS + SETTLING_MS
        self.measured_from_ms = self.asked_from_ms + scenario.warm_seconds * 1_000
        self.calm_ms = self.measured_from_ms + scenario.seconds * 1_000
        self.rested_ms = 0
        self._open_ms_max = self.trust.settle_ms_max + self.trust.settle_grace_ms + SETTLED_LATE_MS
        self.counts_before: dict[Count, int] = {}
        self.events_before = 0
        span = Span(start_ms=self.measured_from_ms, length_ms=(scenario.seconds + scenario.quiet_seconds) * 1_000)
        self.measures = Measures(span, deadline_ms=scenario.demand.deadline_ms)
        self.truth = Truth(population=self.population, adversaries=scenario.adversaries, span=span, on_ban=self._banned)
        self.takings = None if scenario.money is None else Takings(self.population)
        self.minds: Minds = (FullMinds if scenario.nodes.are_full else ModelMinds)(self.population)
        self._inbox: list[Event] = []
        self._epoch = -1
        self._renewing: dict[int, None] = {}
        """Nodes that come back as somebody else."""
        self.gateways = Gateways(
            seed=seed,
            demand=scenario.demand,
            network=self.network,
            timeline=self.timeline,
            measures=self.measures,
            account_id=UNSET if scenario.money is None else ACCOUNT_ID,
        )
        self.answers = self._make_answers()
        self.attendance = self._make_attendance()
        self.nodes = self._make_nodes()
        self.breaker = Breaker(self)
        self._performer = Performer(
            gateways=self.gateways,
            network=self.network,
            population=self.population,
            timeline=self.timeline,
            hears=self.truth.hears | ({} if self.takings is None else self.takings.hears),
        )
        self._reactions = self._make_reactions()

    def run(self, listen: Listener) -> None:
        """From the first moment to rest: nodes come, faults, then none, then nobody asks any more and all must end."""
        self.warm(listen)
        self.run_measured(listen)

    def warm(self, listen: Listener) -> None:
        """Nodes come, and the core learns how fast they are; nothing of this is counted."""
        self._begin()
        gc.collect()
        gc.freeze()
        self.run_until(self.measured_from_ms, "nodes come", listen)
        self.truth.count_from_now()
        self.counts_before = dict(self.host.core.scheduling.placement.counts)
        self.events_before = self.host.events

    def run_measured(self, listen: Listener) -> None:
        """With faults, then without, then to rest, where all must have ended."""
        gc.disable()
        try:
            self.run_until(self.calm_ms, "with faults", listen)
            self.calm()
            end_ms = self.calm_ms + self.scenario.quiet_seconds * 1_000
            self.run_until(end_ms, "without faults", listen)
            self.gateways.is_asked = False
            self.rested_ms = end_ms + self.scenario.demand.deadline_ms + LEASE_GRACE_MS + REST_MS
            self.run_until(self.rested_ms, "to rest", listen)
            check_at_rest(self.host.core, open_at_gateways=len(self.gateways.open))
            self._settle(listen)
            self._close_books()
            self.host.finish()
        finally:
            gc.enable()
            gc.unfreeze()

    def _settle(self, listen: Listener) -> None:
        """Nobody asks any more, and what was answered is told for good."""
        for part in range(1, SETTLING_PARTS + 1):
            if not self.truth.commits.open_count() and not self.host.core.verification.docket.cases:
                break
            self.run_until(self.rested_ms + self._open_ms_max * part // SETTLING_PARTS, "until all is settled", listen)
        self.truth.end()
        check_settled(self.host.core, open_commits=self.truth.commits.open_count())

    def _close_books(self) -> None:
        """One more epoch begins, which pays what is owed for checks and closes the last sheet."""
        if self.takings is not None:
            self._begin_epoch(EpochEnds())
            self._feed()
            self.takings.close(self.host.core)

    def run_until(self, end_ms: int, stage: str, listen: Listener) -> None:
        """The main loop. Each millisecond: what happens, then the coordinator's batches, then what follows."""
        timeline, core_due_ms = self.timeline, self._core_due_ms()
        begun_ms, told_s = timeline.now_ms, -1
        while timeline.now_ms < end_ms:
            limit_ms = min(end_ms, core_due_ms or end_ms, self.gateways.next_due_ms() or end_ms)
            now_ms = timeline.next_ms(max(limit_ms, timeline.now_ms))
            for entry in timeline.take(now_ms):
                self._reactions[type(entry)](entry)
            self.gateways.give_up()
            self.gateways.forget_inputs()
            core_due_ms = self._feed()
            second = (now_ms - begun_ms) // 1_000
            if second > told_s:
                told_s = second
                listen(stage, second, -(-(end_ms - begun_ms) // 1_000))

    def tell(self, event: Event) -> None:
        """An event arrives at the coordinator; while that is down, nobody hears it."""
        if not self.host.is_down:
            self._inbox.append(event)

    def vanish(self, node: int, is_silent: bool) -> None:
        """A node is lost."""
        self.attendance.vanished += 1
        self.attendance.go(node, is_silent=is_silent, away_ms=0)
        self.nodes.forget(node)

    def start_coordinator(self, number: int) -> None:
        """A new process of the coordinator says that it is there; `number` tells it from those before."""
        seed = draw(self.seed, "coordinator", number) >> 11
        comparisons = {WORKLOAD: COMPARISON}
        self.tell(CoordinatorStarted(seed=seed, workloads=(WORKLOAD,), comparisons=comparisons, trust=self.trust))
        for event in money_events(self.scenario.money, is_first=not number):
            self.tell(event)

    def calm(self) -> None:
        """Faults stop."""
        self.nodes.is_faulty = self.attendance.is_faulty = False
        self.answers.is_faulty = False
        self.network.is_calm = True
        self.nodes.labour.last = self.gateways.asked
        if self.takings is not None:
            self.takings.last = self.gateways.asked

    def _begin(self) -> None:
        """The coordinator starts, all nodes are enrolled with what they earned before, and begin to come."""
        self.start_coordinator(0)
        self._begin_epoch(EpochEnds())
        for node in range(self.population.count):
            self.tell(self._enrolment(node))
            self.attendance.begin(node)
        self._feed()
        tiers = seed_fleet(self.host.core, self.scenario, self.seed, self.population)
        self.truth.begin(tiers)
        self.host.begin_here(dict(zip(self.population.ids, tiers, strict=True)))
        self.breaker.plan()
        self.gateways.begin(self.asked_from_ms)

    def _enrolment(self, node: int) -> NodeEnrolled:
        is_endorsed = is_reference(self.scenario, node)
        return NodeEnrolled(
            gateway_id=self.gateways.ids[0],
            node_id=self.population.ids[node],
            operator=self.population.operator_of(node),
            agent_version="simulated",
            cpus=self.population.slots[node],
            memory_mib=4_096,
            endorsed=Tier.REFERENCE if is_endorsed else None,
            prefix=self.population.prefix_of(node),
        )

    def _begin_epoch(self, ended: EpochEnds) -> None:
        """The host draws a secret; while the coordinator is down, the epoch goes on."""
        if self.host.is_down:
            self.timeline.put(self.timeline.now_ms + RETRY_MS, ended)
            return
        self._epoch += 1
        secret, next_secret = secret_of(self.seed, self._epoch), secret_of(self.seed, self._epoch + 1)
        self.tell(EpochBegan(epoch=self._epoch, secret=secret, next_secret=next_secret))
        self.timeline.put(self.timeline.now_ms + self.scenario.epoch_seconds * 1_000, ended)

    def _banned(self, node: int) -> None:
        """Whoever is of ill will and was found out comes back as somebody else."""
        if not self.scenario.adversary.returns or not self.truth.is_adversary(node):
            return
        self._renewing[node] = None
        if self.population.presence[node] == HERE:
            self.attendance.go(node, is_silent=False, away_ms=RETURN_MS)
            self.nodes.forget(node)

    def _renew(self, node: int) -> None:
        """It enrols with a new key before it connects; both are tried again while the coordinator is down."""
        del self._renewing[node]
        self.population.renew(node)
        self.truth.renewed(node)
        self.tell(self._enrolment(node))

    def _feed(self) -> int | None:
        """As the coordinator's loop: bounded batches of what has arrived, and passing time where it is due.

        When it next is due, afterwards.
        """
        now_ms = self.timeline.now_ms
        interval = self.measures.interval(now_ms)
        self.truth.at(now_ms)
        rounds = 0
        while True:
            due_ms = self._core_due_ms()
            is_due = due_ms is not None and due_ms <= now_ms
            if not is_due and not self._inbox:
                break
            rounds = 0 if self._inbox else rounds + 1
            demand(rounds < ROUNDS_MAX, "time that has passed is attended to", "at", now_ms, "it still is due")
            batch, self._inbox = self._inbox[:BATCH_EVENTS_MAX], self._inbox[BATCH_EVENTS_MAX:]
            if is_due:
                batch.append(TimePassed())
            if self.scenario.nodes.are_full:
                batch = [event_off_the_wire(event) for event in batch]
            effects = self.host.process(now_ms, batch)
            if self.scenario.nodes.are_full:
                effects = [effect_off_the_wire(effect) for effect in effects]
            self._performer.perform(effects)
            interval.events += len(batch)
            interval.nodes_here = self.attendance.here
        if self.scenario.checks.account:
            overdue = self.truth.commits.overdue(now_ms, self._open_ms_max)
            demand(overdue is None, "L2: every provisional answer is settled in time", "place", overdue)
        return due_ms

    def _core_due_ms(self) -> int | None:
        return None if self.host.is_down else self.host.core.next_deadline_ms()

    def _node_changes(self, node: int) -> None:
        now_ms, population = self.timeline.now_ms, self.population
        was_here = population.presence[node] == HERE
        if node in self._renewing and not was_here and population.change_ms[node] == now_ms:
            if self.host.is_down:
                population.change_ms[node] = now_ms + RETRY_MS
                self.timeline.put(now_ms + RETRY_MS, node)
                return
            self._renew(node)
        if self.attendance.change(node):
            self.nodes.say_offer(node, 1)
        elif was_here and population.presence[node] != HERE:
            self.nodes.forget(node)

    def _vanished(self, entry: Vanished) -> None:
        is_there = self.population.presence[entry.node] == HERE
        if is_there and self.population.life[entry.node] == entry.life:
            self.vanish(entry.node, entry.is_silent)

    def _make_answers(self) -> Answers:
        plan, truth, gateways, timeline = self.scenario.adversary, self.truth, self.gateways, self.timeline
        knowledge = Knowledge(
            is_trusted=truth.is_trusted,
            age=self.population.age.__getitem__,
            is_canary=gateways.canaries.__contains__,
            now_ms=lambda: timeline.now_ms,
        )
        turns_ms = self.measured_from_ms + plan.turns_after_seconds * 1_000
        group = Adversaries(plan, knowledge, turns_ms=turns_ms)
        return Answers(adversaries=group, count=self.scenario.adversaries, fault_ppm=self.scenario.nodes.fault_ppm)

    def _make_attendance(self) -> Attendance:
        return Attendance(
            seed=self.seed,
            churn=self.scenario.churn,
            attempts=self.scenario.attempts,
            population=self.population,
            minds=self.minds,
            timeline=self.timeline,
            tell=self.tell,
        )

    def _make_nodes(self) -> Nodes:
        return Nodes(
            population=self.population,
            minds=self.minds,
            behaviour=Behaviour(self.seed, self.scenario.attempts),
            answers=self.answers,
            network=self.network,
            timeline=self.timeline,
            tell=self.tell,
            vanish=self.vanish,
        )

    def _make_reactions(self) -> dict[type, Callable[[Any], None]]:
        """Who hears of what happens; whatever stands in no row is an event that arrives at the coordinator."""
        return _Reactions(
            self.tell,
            {
                int: self._node_changes,
                Asking: self.gateways.asking,
                Delivered: self.nodes.delivered,
                Said: self.nodes.said,
                Ran: self.nodes.ran,
                Vanished: self._vanished,
                Closed: self.attendance.closed,
                Asked: self.nodes.asked,
                Offered: self.nodes.offered,
                Cancelled: self.nodes.cancelled,
                Announced: lambda entry: self.gateways.announce(entry.gateway_id),
                EndJob: self.gateways.ended,
                KeepInput: self.gateways.keep,
                ReleaseInput: self.gateways.release,
                EpochEnds: self._begin_epoch,
                Fault: self.breaker.begin,
                Mended: self.breaker.mend,
            },
        )


class _Reactions(dict[type, Callable[[Any], None]]):
    def __init__(self, tell: Callable[[Any], None], reactions: dict[type, Callable[[Any], None]]) -> None:
        super().__init__(reactions)
        self._tell = tell

    def __missing__(self, kind: type) -> Callable[[Any], None]:
        self[kind] = self._tell
        return self._tell


def secret_of(seed: int, epoch: int) -> str:
    """What the host drew for an epoch."""
    return "".join(f"{part:016x}" for part in draw_many(seed, "epoch", epoch)[:4])
