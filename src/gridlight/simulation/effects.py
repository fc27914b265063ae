"""Performs effects in the simulated network: what the core decided goes on its way to gateways and nodes."""

from collections.abc import Callable
from typing import Any, Final

from gridlight.messages.codec import Effect
from gridlight.messages.host import AnnounceCoordinator, RequestAllOffers
from gridlight.messages.jobs import CancelAssignment, EndJob, SendAssignment
from gridlight.messages.nodes import RequestOffer
from gridlight.messages.tasks import AssignmentUndeliverable, UndeliverableReason
from gridlight.messages.trust import KeepInput, ReleaseInput
from gridlight.simulation.entries import Announced, Asked, Cancelled, Delivered
from gridlight.simulation.gateways import Gateways, number_of_job
from gridlight.simulation.network import Network
from gridlight.simulation.population import HERE, Population
from gridlight.simulation.timeline import Timeline

ASKING_ALL_MS: Final = 2_000
"""The host asks all nodes for their offers over this time."""


class Performer:
    """Carries out effects, in order."""

    def __init__(
        self,
        *,
        gateways: Gateways,
        network: Network,
        population: Population,
        timeline: Timeline,
        hears: dict[type, Callable[[Any], None]],
    ) -> None:
        self._gateways = gateways
        self._network = network
        self._population = population
        self._timeline = timeline
        self._performs: dict[type, Callable[[Any], None]] = {
            SendAssignment: self._send,
            CancelAssignment: self._cancel,
            EndJob: self._tell_gateway,
            KeepInput: self._tell_gateway,
            ReleaseInput: self._tell_gateway,
            RequestOffer: self._ask,
            RequestAllOffers: self._ask_all,
            AnnounceCoordinator: self._announce,
            **hears,
        }

    def perform(self, effects: list[Effect]) -> None:
        """What is to be recorded goes to who asked for it; RecordNode and AdmitNode are for what we do not have."""
        for effect in effects:
            perform = self._performs.get(type(effect))
            if perform is not None:
                perform(effect)

    def _send(self, effect: SendAssignment) -> None:
        """By the gateway, which holds the input, to the node."""
        if not self._network.reaches(effect.gateway_id):
            return
        now_ms, assignment = self._timeline.now_ms, effect.assignment
        number = int(assignment.assignment_id, 16)
        to_gateway_ms = max(self._network.ways_ms("to gateway", number), default=0)
        if not to_gateway_ms:
            return
        if not self._gateways.has_input(effect.job_id):
            gone = AssignmentUndeliverable(
                assignment_id=assignment.assignment_id, node_id=effect.node_id, reason=UndeliverableReason.INPUT_GONE
            )
            self._timeline.put(now_ms + 2 * to_gateway_ms, gone)
            return
        sent_ms = now_ms + to_gateway_ms
        node_id = effect.node_id
        delivered = Delivered(self._population.node_of(node_id), node_id, effect.gateway_id, sent_ms, assignment)
        for delay_ms in self._network.ways_ms("to node", number):
            self._timeline.put(sent_ms + delay_ms, delivered)

    def _cancel(self, effect: CancelAssignment) -> None:
        if self._network.reaches(effect.gateway_id):
            entry = Cancelled(self._population.node_of(effect.node_id), effect.assignment_id)
            for delay_ms in self._network.ways_ms("cancel", int(effect.assignment_id, 16)):
                self._timeline.put(self._timeline.now_ms + delay_ms, entry)

    def _tell_gateway(self, effect: EndJob | KeepInput | ReleaseInput) -> None:
        """What is said of one job at one moment is one message, and shares its fate."""
        for delay_ms in self._network.ways_ms("end", number_of_job(effect.job_id), self._timeline.now_ms):
            self._timeline.put(self._timeline.now_ms + delay_ms, effect)

    def _ask(self, effect: RequestOffer) -> None:
        node = self._population.node_of(effect.node_id)
        for delay_ms in self._network.ways_ms("ask", node, self._timeline.now_ms):
            self._timeline.put(self._timeline.now_ms + delay_ms, Asked(node))

    def _ask_all(self, _effect: RequestAllOffers) -> None:
        """One after the other, at a pace that the bus bears."""
        count, presence = self._population.count, self._population.presence
        for node in range(count):
            if presence[node] == HERE:
                self._timeline.put(self._timeline.now_ms + 1 + node * ASKING_ALL_MS // count, Asked(node))

    def _announce(self, _effect: AnnounceCoordinator) -> None:
        for gateway_id in self._gateways.ids:
            self._timeline.put(self._timeline.now_ms + 1, Announced(gateway_id))
