"""Which nodes exist, which are online, and what they lend.

A node is a dense index inside the core; ids stay at its door. Presence is what the bus saw and what nodes offered:
there are no heartbeats. A node that broke its word lends nothing until it offers again. One process is a node: while it
is online, another one with the same key is refused, and both are told.
"""

from enum import IntEnum

import msgspec
from msgspec import UNSET, Struct, UnsetType

from gridlight.core.door import Bar, Door, DoorSnapshot
from gridlight.core.kin import Kin, number_of
from gridlight.core.lineages import Lineages, LineagesSnapshot
from gridlight.core.notices import (
    NOBODY,
    CapacityChanged,
    CapacityLost,
    Hears,
    KeySucceeded,
    NodeKnown,
    NodeMissed,
    Output,
    WorkloadClosed,
    WorkloadOpened,
)
from gridlight.core.persons import Holds, Persons, is_vouched_for, personal_bar
from gridlight.messages.host import BusReconnected, CoordinatorStarted, RecordNode, RequestAllOffers, TimePassed
from gridlight.messages.ids import NodeId, WorkloadId
from gridlight.messages.nodes import (
    AdmitNode,
    NodeDisconnected,
    NodeEnrolled,
    OfferChanged,
    OwnerState,
    RequestOffer,
    SessionStands,
    SlotOffer,
)
from gridlight.messages.operators import (
    AttestationsHeld,
    AttestationsRevoked,
    BarCode,
    Hold,
    KeyRuled,
    NodeBarred,
    RecordRuling,
    RefuseNode,
    TellRuling,
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
    | KeyRuled
    | AttestationsRevoked
    | TimePassed
    | AttestationsHeld
)


class Presence(IntEnum):
    """What the coordinator believes of a node's connection."""

    OFFLINE = 0
    ONLINE = 1
    UNRESPONSIVE = 2


class Node(Struct, gc=False):
    """What fleet remembers of one enrolled node."""

    enrolled: NodeEnrolled
    """With the first key of its operator's lineage as operator."""
    presence: Presence = Presence.OFFLINE
    session: str = ""
    process: str | UnsetType = UNSET
    offers: tuple[SlotOffer, ...] = ()
    owner_state: OwnerState = OwnerState.AVAILABLE
    bar: Bar | None = None
    """Why nothing of it counts; None where it does."""
    key: str = ""
    """Of its certificate, where that is a later one of the operator's."""
    is_revoked: bool = False
    """What its issuer attested holds no longer, whatever else is ruled."""


class FleetSnapshot(Struct):
    """The machine's state as plain values."""

    nodes: list[Node]
    operators: list[str]
    prefixes: list[str]
    offers_refused: int
    closed: dict[WorkloadId, int] = {}
    door: DoorSnapshot | None = None
    lineages: LineagesSnapshot | None = None
    holds: dict[str, Hold] = {}


class Fleet:
    """The machine that knows nodes."""

    def __init__(self) -> None:
        self.offers_refused = 0
        self._nodes: list[Node] = []
        self._index: dict[NodeId, int] = {}
        self._operators: dict[str, int] = {}
        self._prefixes: dict[str, int] = {}
        self._door = Door()
        self._lineages = Lineages()
        self._kin = Kin()
        self._persons = Persons()
        self._holds = Holds()
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
            KeyRuled: self._ruled,
            AttestationsRevoked: self._attestations_revoked,
            TimePassed: self._overlaps_ended,
            AttestationsHeld: self._attestations_held,
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

    def next_deadline_ms(self) -> int | None:
        """When the host must call again with TimePassed."""
        return self._lineages.next_deadline_ms()

    def handle(self, now_ms: int, event: FleetEvent) -> list[Output]:
        """O(workloads of one node), but O(nodes) for a start, a lost bus, a ruling, a workload that opens."""
        return self.hears[type(event)](now_ms, event)

    def _disconnected(self, _now_ms: int, event: NodeDisconnected) -> list[Output]:
        index = self._index.get(event.node_id)
        if index is None or event.session not in (UNSET, self._nodes[index].session):
            return []
        return self._leave(index, Presence.OFFLINE)

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
        return [StopWorkload(workload=event.workload, serial=event.serial)]

    def _ruled(self, now_ms: int, event: KeyRuled) -> list[Output]:
        """O(nodes), as administrators rule seldom."""
        keys = self._lineages.keys_of(event.key)
        self._door.rule(event, keys)
        concerned = [
            index
            for index, node in enumerate(self._nodes)
            if event.key == node.enrolled.node_id or keys[0] == node.enrolled.operator
        ]
        told = TellRuling(gateway_id=event.gateway_id, key=event.key, verdict=event.verdict, nodes=len(concerned))
        barred = [output for index in concerned for output in self._judge(now_ms, index)]
        return [RecordRuling(ruled=event, nodes=len(concerned)), *barred, told]

    def _judge(self, now_ms: int, index: int) -> list[Output]:
        """What was ruled of the node holds at once, wherever it is."""
        node = self._nodes[index]
        ruled = self._door.bar(node.enrolled, self._lineages.keys_of(node.enrolled.operator))
        revoked = Bar(BarCode.ATTESTATION_REVOKED) if node.is_revoked else None
        node.bar = ruled or self._lineages.bar(now_ms, node.key or node.enrolled.operator) or revoked
        return [] if node.bar is None else self._shown_out(index, node.bar)

    def _overlaps_ended(self, now_ms: int, _event: TimePassed) -> list[Output]:
        """Who is still there under a key that was succeeded a day ago is shown out. O(nodes of the operator)."""
        outputs: list[Output] = []
        for first in self._lineages.ended(now_ms):
            for index in self._kin.of_operator(self._operators[first]):
                node = self._nodes[index]
                if node.bar is None and (bar := self._lineages.bar(now_ms, node.key or first)) is not None:
                    node.bar = bar
                    outputs += self._shown_out(index, bar)
        return outputs

    def _attestations_revoked(self, now_ms: int, event: AttestationsRevoked) -> list[Output]:
        """O(nodes): an issuer revokes seldom, and is heard of each index once."""
        gone = {(event.issuer, index) for index in event.indices}
        outputs: list[Output] = []
        for index, node in enumerate(self._nodes):
            if is_vouched_for(node.enrolled, gone):
                node.is_revoked = True
                outputs += self._judge(now_ms, index)
        return outputs

    def _attestations_held(self, _now_ms: int, event: AttestationsHeld) -> list[Output]:
        """O(nodes): a list grows old seldom, and gateways repeat themselves only to a coordinator that starts."""
        before = [self._holds.of(node.enrolled) for node in self._nodes]
        self._holds.hear(event)
        changed = [
            index for index, hold in enumerate(before) if hold is not self._holds.of(self._nodes[index].enrolled)
        ]
        return [output for index in changed for output in (self._known(index), self._record(index))]

    def _shown_out(self, index: int, bar: Bar) -> list[Output]:
        if self._nodes[index].presence is Presence.OFFLINE:
            return []
        return [*self._leave(index, Presence.OFFLINE), self._barred(self.id_of(index), bar)]

    def _personal_bar(self, enrolled: NodeEnrolled) -> Bar | None:
        """O(devices of the person)."""
        others = (self._nodes[one] for one in self._persons.others_of(enrolled))
        return personal_bar(enrolled, [one.enrolled for one in others if one.presence is Presence.ONLINE])

    def _barred(self, node_id: NodeId, bar: Bar) -> NodeBarred:
        return NodeBarred(node_id=node_id, code=bar.code, reason=bar.reason)

    def _enrolled(self, now_ms: int, event: NodeEnrolled) -> list[Output]:
        """An operator is known by the first key of the lineage, whichever of its keys signed for the node."""
        keys = (*(event.predecessors or ()), event.operator)
        enrolled, key = event, ""
        if (operator := self._lineages.first_of(keys[0])) != event.operator:
            enrolled, key = msgspec.structs.replace(event, operator=operator, predecessors=UNSET), event.operator
        bar = self._enrolment_bar(now_ms, enrolled, keys)
        if bar is not None:
            return [RefuseNode(gateway_id=event.gateway_id, node_id=event.node_id, code=bar.code, reason=bar.reason)]
        number = number_of(self._operators, operator)
        index = self._index.get(event.node_id)
        if index is None:
            index = self._index[event.node_id] = len(self._nodes)
            self._nodes.append(Node(enrolled, key=key))
            self._kin.add(index, number)
        else:
            node = self._nodes[index]
            node.enrolled, node.bar, node.key, node.is_revoked = enrolled, None, key, False
            self._kin.move(index, number)
        self._persons.add(self._nodes[index].enrolled, index)
        succeeded = [KeySucceeded(index)] if self._lineages.take(now_ms, keys) else []
        admitted = AdmitNode(gateway_id=event.gateway_id, node_id=event.node_id)
        return [self._known(index), *succeeded, admitted, self._record(index)]

    def _known(self, index: int) -> NodeKnown:
        enrolled = self._nodes[index].enrolled
        return NodeKnown(
            node=index,
            node_id=enrolled.node_id,
            operator=number_of(self._operators, enrolled.operator),
            prefix=number_of(self._prefixes, enrolled.prefix) if enrolled.prefix else NOBODY,
            endorsed=enrolled.endorsed,
            hold=self._holds.of(enrolled),
        )

    def _enrolment_bar(self, now_ms: int, enrolled: NodeEnrolled, keys: tuple[str, ...]) -> Bar | None:
        refused = self._lineages.refusal(now_ms, keys, self._operators)
        known = self._lineages.keys_of(enrolled.operator)
        return refused or self._door.bar(enrolled, (*known, *keys)) or self._personal_bar(enrolled)

    def _offer_changed(self, _now_ms: int, event: OfferChanged) -> list[Output]:
        index = self._index.get(event.node_id)
        if index is None:
            self.offers_refused += 1
            return []
        node = self._nodes[index]
        if node.bar is not None:
            return [self._barred(event.node_id, node.bar)]
        is_online = node.presence is Presence.ONLINE
        if not is_online and (bar := self._personal_bar(node.enrolled)) is not None:
            return [self._barred(event.node_id, bar)]
        is_new = not is_online or node.session != event.session
        lost: list[Output] = []
        if is_new and is_online:
            if UNSET not in (node.process, event.process) and node.process != event.process:
                # Taken turn by turn, two agents with one key would cost each other every task.
                return [SessionStands(node_id=event.node_id, session=node.session, refused=event.session)]
            # A new session is a new connection: what the old one was doing is lost, even where the bus did not say so.
            lost = [CapacityLost(index)]
        withdrawn = {offer.workload for offer in node.offers} - {offer.workload for offer in event.offers}
        offers = [*event.offers, *(SlotOffer(workload=name, slots=0) for name in sorted(withdrawn))]
        node.presence, node.session, node.offers = Presence.ONLINE, event.session, event.offers
        node.owner_state, node.process = event.owner_state, event.process
        changes = [self._capacity(index, offer) for offer in offers]
        stops = [self._stop(index, offer.workload) for offer in event.offers if offer.workload in self._closed]
        is_told = is_new and event.process is not UNSET  # an agent of before would not understand it
        stands = [SessionStands(node_id=event.node_id, session=event.session)] if is_told else []
        return [*lost, *stands, *changes, self._record(index), *stops]

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
            asked = [] if node.bar is not None else [RequestOffer(node_id=self.id_of(index))]
            return [lost, self._record(index), *asked]
        return [lost] if before is Presence.UNRESPONSIVE and before is not presence else []

    def _record(self, index: int) -> RecordNode:
        node = self._nodes[index]
        is_online, hold = node.presence is Presence.ONLINE, self._holds.of(node.enrolled)
        return RecordNode(
            enrolled=node.enrolled,
            is_online=is_online,
            slots=sum(offer.slots for offer in node.offers) if is_online else 0,
            workloads=tuple(offer.workload for offer in node.offers),
            hold=UNSET if hold is None else hold,
        )

    def check(self) -> None:
        """Assert that ids and indexes say the same."""
        self._kin.check()
        self._lineages.check()
        assert len(self._index) == len(self._nodes)
        assert all(self._nodes[index].enrolled.node_id == node_id for node_id, index in self._index.items())

    def snapshot(self) -> FleetSnapshot:
        """The state, to be encoded at once: it shares the machine's own objects."""
        return FleetSnapshot(
            self._nodes,
            list(self._operators),
            list(self._prefixes),
            self.offers_refused,
            self._closed,
            self._door.snapshot(),
            self._lineages.snapshot(),
            self._holds.snapshot(),
        )

    def restore(self, snapshot: FleetSnapshot) -> None:
        """Take what `snapshot` gave, after a trip through bytes."""
        self._nodes = [msgspec.structs.replace(node) for node in snapshot.nodes]
        self._index = {node.enrolled.node_id: index for index, node in enumerate(self._nodes)}
        self._operators = {operator: number for number, operator in enumerate(snapshot.operators)}
        self._prefixes = {prefix: number for number, prefix in enumerate(snapshot.prefixes)}
        self.offers_refused = snapshot.offers_refused
        self._closed = dict(snapshot.closed)
        self._door = Door(snapshot.door)
        self._lineages = Lineages(snapshot.lineages)
        self._holds = Holds(snapshot.holds)
        self._persons, self._kin = Persons(), Kin()
        for index, node in enumerate(self._nodes):
            self._kin.add(index, self._operators[node.enrolled.operator])
            self._persons.add(self._nodes[index].enrolled, index)
