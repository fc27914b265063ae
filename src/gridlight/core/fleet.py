"""Which nodes exist, which are online, and what they lend.

A node is a dense index inside the core; ids stay at its door. Presence is what the bus saw and what nodes offered:
there are no heartbeats. A node that broke its word lends nothing until it offers again.
"""

from enum import IntEnum

import msgspec
from msgspec import Struct

from gridlight.core.notices import (
    NOBODY,
    CapacityChanged,
    CapacityLost,
    Hears,
    NodeKnown,
    NodeMissed,
    Output,
    WorkloadClosed,
    WorkloadOpened,
)
from gridlight.messages.host import BusReconnected, CoordinatorStarted, RecordNode, RequestAllOffers
from gridlight.messages.ids import NodeId, WorkloadId
from gridlight.messages.nodes import (
    AdmitNode,
    NodeDisconnected,
    NodeEnrolled,
    OfferChanged,
    OwnerState,
    RequestOffer,
    SlotOffer,
)
from gridlight.messages.workloads import StopWorkload

FleetEvent = (
    OfferChanged
    | NodeDisconnected
    | NodeEnrolled
    | NodeMissed
    | BusReconnected
    | CoordinatorStarted
    | WorkloadOpened
    | WorkloadClosed
)


class Presence(IntEnum):
    """What the coordinator believes of a node's connection."""

    OFFLINE = 0
    ONLINE = 1
    UNRESPONSIVE = 2


class Node(Struct, gc=False):
    """What fleet remembers of one enrolled node."""

    enrolled: NodeEnrolled
    presence: Presence = Presence.OFFLINE
    session: str = ""
    offers: tuple[SlotOffer, ...] = ()
    owner_state: OwnerState = OwnerState.AVAILABLE


class FleetSnapshot(Struct):
    """The machine's state as plain values."""

    nodes: list[Node]
    operators: list[str]
    prefixes: list[str]
    offers_refused: int
    closed: dict[WorkloadId, int] = {}


class Fleet:
    """The machine that knows nodes."""

    def __init__(self) -> None:
        self.offers_refused = 0
        self._nodes: list[Node] = []
        self._index: dict[NodeId, int] = {}
        self._operators: dict[str, int] = {}
        self._prefixes: dict[str, int] = {}
        self._closed: dict[WorkloadId, int] = {}
        """Workloads that were stopped, by the serial of the word that did: whoever offers one is told."""
        self.hears: Hears = {
            OfferChanged: self._offer_changed,
            NodeDisconnected: self._disconnected,
            NodeEnrolled: self._enrolled,
            NodeMissed: self._missed,
            BusReconnected: self._nobody_is_known,
            CoordinatorStarted: self._nobody_is_known,
            WorkloadOpened: self._opened,
            WorkloadClosed: self._shut,
        }

    def index_of(self, node_id: NodeId) -> int | None:
        """The dense index of an enrolled node."""
        return self._index.get(node_id)

    def id_of(self, node: int) -> NodeId:
        """The id of a dense index."""
        return self._nodes[node].enrolled.node_id

    def presences(self) -> list[Presence]:
        """Every enrolled node's presence; for figures, since it is O(nodes)."""
        return [node.presence for node in self._nodes]

    def changes_nothing(self, offer: OfferChanged) -> bool:
        """Whether an offer only repeats what stands: a refresh, which need not be journalled."""
        index = self._index.get(offer.node_id)
        if index is None:
            return False
        node = self._nodes[index]
        is_same = node.offers == offer.offers and node.owner_state is offer.owner_state
        return node.presence is Presence.ONLINE and node.session == offer.session and is_same

    def handle(self, now_ms: int, event: FleetEvent) -> list[Output]:
        """O(workloads of one node), but for a start, a lost bus, or a workload that opens or closes: O(nodes)."""
        return self.hears[type(event)](now_ms, event)

    def _disconnected(self, _now_ms: int, event: NodeDisconnected) -> list[Output]:
        index = self._index.get(event.node_id)
        return [] if index is None else self._leave(index, Presence.OFFLINE)

    def _missed(self, _now_ms: int, event: NodeMissed) -> list[Output]:
        return self._leave(event.node, Presence.UNRESPONSIVE)

    def _nobody_is_known(self, _now_ms: int, _event: BusReconnected | CoordinatorStarted) -> list[Output]:
        for node in self._nodes:
            node.presence = Presence.OFFLINE
        return [RequestAllOffers()]

    def _opened(self, _now_ms: int, event: WorkloadOpened) -> list[Output]:
        self._closed.pop(event.workload, None)
        return [self._capacity(node, offer) for node, offer in self._offers_of(event.workload)]

    def _shut(self, _now_ms: int, event: WorkloadClosed) -> list[Output]:
        if not event.serial:
            return []  # this program does not come with it any more; nobody said that nodes must not run it
        self._closed[event.workload] = event.serial
        return [self._stop(node, event.workload) for node, _ in self._offers_of(event.workload)]

    def _enrolled(self, _now_ms: int, event: NodeEnrolled) -> list[Output]:
        index = self._index.get(event.node_id)
        if index is None:
            self._index[event.node_id] = len(self._nodes)
            self._nodes.append(Node(event))
            index = len(self._nodes) - 1
        else:
            self._nodes[index].enrolled = event
        known = NodeKnown(
            node=index,
            node_id=event.node_id,
            operator=_number(self._operators, event.operator),
            prefix=_number(self._prefixes, event.prefix) if event.prefix else NOBODY,
            endorsed=event.endorsed,
        )
        return [known, AdmitNode(gateway_id=event.gateway_id, node_id=event.node_id), self._record(index)]

    def _offer_changed(self, _now_ms: int, event: OfferChanged) -> list[Output]:
        index = self._index.get(event.node_id)
        if index is None:
            self.offers_refused += 1
            return []
        node = self._nodes[index]
        # A new session is a new connection: what the old one was doing is lost, even where the bus did not say so.
        lost: list[Output] = []
        if node.presence is Presence.ONLINE and node.session != event.session:
            lost = [CapacityLost(index)]
        withdrawn = {offer.workload for offer in node.offers} - {offer.workload for offer in event.offers}
        offers = [*event.offers, *(SlotOffer(workload=name, slots=0) for name in sorted(withdrawn))]
        node.presence, node.session, node.offers = Presence.ONLINE, event.session, event.offers
        node.owner_state = event.owner_state
        changes = [self._capacity(index, offer) for offer in offers]
        stops = [self._stop(index, offer.workload) for offer in event.offers if offer.workload in self._closed]
        return [*lost, *changes, self._record(index), *stops]

    def _offers_of(self, workload: WorkloadId) -> list[tuple[int, SlotOffer]]:
        """Who is online and speaks of it."""
        online = [index for index, node in enumerate(self._nodes) if node.presence is Presence.ONLINE]
        return [(index, one) for index in online for one in self._nodes[index].offers if one.workload == workload]

    def _capacity(self, index: int, offer: SlotOffer) -> CapacityChanged:
        return CapacityChanged(
            index,
            self.id_of(index),
            offer.workload,
            offer.slots,
            offer.benchmark_ms,
            offer.lookahead,
            self._nodes[index].owner_state,
        )

    def _stop(self, index: int, workload: WorkloadId) -> StopWorkload:
        return StopWorkload(node_id=self.id_of(index), workload=workload, serial=self._closed[workload])

    def _leave(self, index: int, presence: Presence) -> list[Output]:
        """The node is out, and asked to offer again: the bus may have closed an old connection long after a new one."""
        node = self._nodes[index]
        before, node.presence = node.presence, presence
        lost = CapacityLost(index, is_missed=presence is Presence.UNRESPONSIVE)
        if before is Presence.ONLINE:
            return [lost, self._record(index), RequestOffer(node_id=self.id_of(index))]
        return [lost] if before is Presence.UNRESPONSIVE and before is not presence else []

    def _record(self, index: int) -> RecordNode:
        node = self._nodes[index]
        is_online = node.presence is Presence.ONLINE
        return RecordNode(
            enrolled=node.enrolled,
            is_online=is_online,
            slots=sum(offer.slots for offer in node.offers) if is_online else 0,
            workloads=tuple(offer.workload for offer in node.offers),
        )

    def check(self) -> None:
        """Assert that ids and indexes say the same."""
        assert len(self._index) == len(self._nodes)
        assert all(self._nodes[index].enrolled.node_id == node_id for node_id, index in self._index.items())

    def snapshot(self) -> FleetSnapshot:
        """The state, to be encoded at once: it shares the machine's own objects."""
        return FleetSnapshot(
            self._nodes, list(self._operators), list(self._prefixes), self.offers_refused, self._closed
        )

    def restore(self, snapshot: FleetSnapshot) -> None:
        """Take what `snapshot` gave, after a trip through bytes."""
        self._nodes = [msgspec.structs.replace(node) for node in snapshot.nodes]
        self._index = {node.enrolled.node_id: index for index, node in enumerate(self._nodes)}
        self._operators = {operator: number for number, operator in enumerate(snapshot.operators)}
        self._prefixes = {prefix: number for number, prefix in enumerate(snapshot.prefixes)}
        self.offers_refused = snapshot.offers_refused
        self._closed = dict(snapshot.closed)


def _number(numbers: dict[str, int], name: str) -> int:
    """The dense number of a name, which gets the next one where it is new."""
    return numbers.setdefault(name, len(numbers))
