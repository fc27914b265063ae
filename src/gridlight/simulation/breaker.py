"""Breaks the network as the faults' plan says, and mends it again."""

from typing import Final, Protocol, assert_never

from gridlight.core.draw import draw
from gridlight.messages.codec import Event
from gridlight.messages.host import BusReconnected
from gridlight.messages.ids import GatewayId
from gridlight.messages.jobs import EndJob, JobSubmitted
from gridlight.messages.tasks import AssignmentUndeliverable
from gridlight.messages.trust import KeepInput, ReleaseInput
from gridlight.simulation.attendance import JITTER_MS, Attendance
from gridlight.simulation.entries import MESSAGES
from gridlight.simulation.faults import Fault, FaultKind, Mended, plan_faults
from gridlight.simulation.gateways import Gateways
from gridlight.simulation.host import Host
from gridlight.simulation.network import Network
from gridlight.simulation.nodes import Nodes
from gridlight.simulation.population import HERE, Population
from gridlight.simulation.scenario import Scenario
from gridlight.simulation.timeline import Timeline

BUS_AWAY_MS: Final = 500

_UNDER_WAY: Final = (*MESSAGES, EndJob, KeepInput, ReleaseInput, JobSubmitted, AssignmentUndeliverable)


class Breakable(Protocol):
    """What there is to break."""

    seed: int
    scenario: Scenario
    timeline: Timeline
    population: Population
    host: Host
    network: Network
    gateways: Gateways
    attendance: Attendance
    nodes: Nodes
    measured_from_ms: int
    calm_ms: int

    def tell(self, event: Event) -> None:
        """An event arrives at the coordinator."""

    def start_coordinator(self, number: int) -> None:
        """A new process of the coordinator."""


class Breaker:
    """Does to a world what befalls it."""

    def __init__(self, world: Breakable) -> None:
        self.begun: list[Fault] = []
        self._world = world

    def plan(self) -> None:
        """Put the run's faults on the timeline."""
        world = self._world
        length_ms = world.calm_ms - world.measured_from_ms
        for fault in plan_faults(
            world.seed, world.scenario.faults, start_ms=world.measured_from_ms, length_ms=length_ms
        ):
            world.timeline.put(fault.at_ms, fault)

    def begin(self, fault: Fault) -> None:
        """A fault begins; it is mended before faults stop."""
        self.begun.append(fault)
        faults, world = self._world.scenario.faults, self._world
        match fault.kind:
            case FaultKind.CRASH:
                if world.host.is_down:
                    return
                world.host.crash()
                lasts_ms = faults.crash_ms
            case FaultKind.BUS:
                world.timeline.discard(lambda entry: isinstance(entry, _UNDER_WAY))
                lasts_ms = BUS_AWAY_MS
            case FaultKind.OUTAGE:
                self._lose_regions(fault)
                return
            case FaultKind.PARTITION:
                world.network.cut_off[self._gateway(fault)] = None
                lasts_ms = faults.partition_ms
            case _:
                assert_never(fault.kind)
        world.timeline.put(max(min(fault.at_ms + lasts_ms, world.calm_ms), fault.at_ms + 1), Mended(fault))

    def mend(self, mended: Mended) -> None:
        """A fault is over: whoever was cut off comes back, and tells what is open."""
        world, fault = self._world, mended.fault
        match fault.kind:
            case FaultKind.CRASH:
                world.host.restart()
                world.start_coordinator(1 + fault.number)
            case FaultKind.BUS:
                self._reconnect_all(fault)
            case FaultKind.PARTITION:
                world.network.cut_off.pop(self._gateway(fault), None)
                world.gateways.announce(self._gateway(fault))
            case _:
                raise AssertionError("nodes of a region come back by themselves")

    def _reconnect_all(self, fault: Fault) -> None:
        """All connections are new; their nodes offer within a moment."""
        world, population = self._world, self._world.population
        world.tell(BusReconnected())
        for node in range(population.count):
            world.attendance.reconnect(node)
            if population.presence[node] == HERE:
                world.nodes.say_offer(node, 1 + draw(world.seed, "reconnect", fault.number, node) % JITTER_MS)

    def _lose_regions(self, fault: Fault) -> None:
        """Every node there goes silent at the same moment."""
        world, population = self._world, self._world.population
        faults, regions = world.scenario.faults, world.scenario.nodes.regions
        first = draw(world.seed, "region", fault.number) % regions
        for node in range(population.count):
            distance = (population.region[node] - first) % regions
            if distance < faults.outage_regions and population.presence[node] == HERE:
                back_ms = faults.outage_ms + draw(world.seed, "back", fault.number, node) % JITTER_MS
                world.attendance.go(node, is_silent=True, away_ms=back_ms)
                world.nodes.forget(node)

    def _gateway(self, fault: Fault) -> GatewayId:
        ids = self._world.gateways.ids
        return ids[fault.number % len(ids)]
