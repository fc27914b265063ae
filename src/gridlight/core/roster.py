"""The roster: whose each node is and what it may do, in columns, with the question of who may have a task.

Choosing is uniform over operators, not over nodes: an operator with many nodes is passed over in proportion.
"""

from array import array
from collections.abc import Collection, Container
from typing import Final

from msgspec import Struct

from gridlight.core.notices import NOBODY, NodeKnown
from gridlight.core.pools import SkipReason
from gridlight.core.shelf import FIT, THINNED, UNFIT, Fitness
from gridlight.messages.ids import NodeId
from gridlight.messages.operators import Hold
from gridlight.messages.trust import Tier

HOUR_MS: Final = 3_600_000
MILLION: Final = 1_000_000

TIERS: Final = tuple(Tier)
_NUMBERS: Final = {tier: number for number, tier in enumerate(TIERS)}
_ODD: Final = 0x9E3779B97F4A7C15
_WORD: Final = 2**64 - 1


class RosterSnapshot(Struct):
    """The roster as plain values."""

    node_ids: dict[int, NodeId]
    tiers: bytes
    operators: bytes
    prefixes: bytes
    lending: bytes
    hour: int
    given: dict[int, int]
    given_total: int
    holds: dict[int, Hold] = {}


class Roster:
    """What scheduling knows of nodes beside their capacity."""

    def __init__(self) -> None:
        self.node_ids: dict[int, NodeId] = {}
        self.node_index: dict[NodeId, int] = {}
        self.share_ppm = 0
        """Of an hour's tasks that one operator may have; 0 sets no cap."""
        self.are_prefixes_distinct = False
        self.tiers = bytearray()
        self.operators = array("i")
        self.prefixes = array("i")
        self.holds: dict[int, Hold] = {}
        """Of the nodes that are held, why."""
        self._is_lending = bytearray()
        self.lending_of = array("i")
        """How many nodes of each operator lend."""
        self._operators_lending = 0
        self._hour = 0
        self._given: dict[int, int] = {}
        self._given_total = 0

    def know(self, event: NodeKnown) -> None:
        """A node enrolled, or did so again, perhaps for another operator or from another place."""
        node = event.node
        missing = event.operator + 1 - len(self.lending_of)
        if missing > 0:
            self.lending_of.extend([0] * missing)
        if node == len(self.tiers):
            self.tiers.append(_NUMBERS[Tier.SHADOW])
            self.operators.append(event.operator)
            self.prefixes.append(event.prefix)
            self._is_lending.append(False)
        is_lending = bool(self._is_lending[node])
        self.set_lending(node, is_lending=False)
        self.operators[node], self.prefixes[node] = event.operator, event.prefix
        self.set_lending(node, is_lending=is_lending)
        self.node_ids[node] = event.node_id
        self.node_index[event.node_id] = node
        if event.hold is None:
            self.holds.pop(node, None)
        else:
            self.holds[node] = event.hold

    def tier_of(self, node: int) -> Tier:
        """What the node may do."""
        return TIERS[self.tiers[node]]

    def set_tier(self, node: int, tier: Tier) -> None:
        """As reputation has it."""
        self.tiers[node] = _NUMBERS[tier]

    def set_lending(self, node: int, *, is_lending: bool) -> None:
        """Whether the node lends anything: what its operator's share is counted from."""
        change = is_lending - self._is_lending[node]
        if not change:
            return
        self._is_lending[node] = is_lending
        operator = self.operators[node]
        before = self.lending_of[operator]
        self.lending_of[operator] = before + change
        self._operators_lending += (before + change > 0) - (before > 0)

    def nobody_lends(self) -> None:
        """Who is connected is unknown."""
        self._is_lending = bytearray(len(self._is_lending))
        self.lending_of = array("i", [0]) * len(self.lending_of)
        self._operators_lending = 0

    def give(self, now_ms: int, node: int) -> None:
        """The node got a task, which counts for its operator's share of this hour."""
        if not self.share_ppm:
            return
        hour = now_ms // HOUR_MS
        if hour != self._hour:
            self._hour, self._given, self._given_total = hour, {}, 0
        operator = self.operators[node]
        self._given[operator] = self._given.get(operator, 0) + 1
        self._given_total += 1

    def is_over_share(self, operator: int) -> bool:
        """Whether the operator has had its share of the hour.

        Where fewer operators lend than twice as many as would fill an hour, there is nobody else to give it to.
        """
        if not self.share_ppm or self._operators_lending * self.share_ppm < 2 * MILLION:
            return False
        return self._given.get(operator, 0) * MILLION > self._given_total * self.share_ppm

    def screen(self, random: int, tried: Collection[int], resting: Container[int] = ()) -> "Screen":
        """Who may have a task that these nodes had already; who rests may not, either."""
        return Screen(self, random, tried, resting)

    def screen_for_check(self, random: int, others: Collection[int]) -> "Screen":
        """Who may check what these nodes said: nobody of their operators, nor of their prefixes where it counts."""
        known = [node for node in others if node != NOBODY]
        operators = [self.operators[node] for node in known]
        is_distinct = self.are_prefixes_distinct
        prefixes = [self.prefixes[node] for node in known if is_distinct and self.prefixes[node] != NOBODY]
        return Screen(self, random, others, operators=operators, prefixes=prefixes)

    def snapshot(self) -> RosterSnapshot:
        """The roster, to be encoded at once."""
        return RosterSnapshot(
            node_ids=self.node_ids,
            tiers=bytes(self.tiers),
            operators=self.operators.tobytes(),
            prefixes=self.prefixes.tobytes(),
            lending=bytes(self._is_lending),
            hour=self._hour,
            given=self._given,
            given_total=self._given_total,
            holds=self.holds,
        )

    def restore(self, snapshot: RosterSnapshot) -> None:
        """Take what `snapshot` gave, after a trip through bytes."""
        self.node_ids = dict(snapshot.node_ids)
        self.node_index = {node_id: node for node, node_id in self.node_ids.items()}
        self.tiers = bytearray(snapshot.tiers)
        self.operators = array("i", snapshot.operators)
        self.prefixes = array("i", snapshot.prefixes)
        self.holds = dict(snapshot.holds)
        self.lending_of = array("i", [0]) * (max(self.operators, default=-1) + 1)
        self._operators_lending = 0
        self._is_lending = bytearray(len(snapshot.lending))
        for node, is_lending in enumerate(snapshot.lending):
            self.set_lending(node, is_lending=bool(is_lending))
        self._hour, self._given, self._given_total = snapshot.hour, dict(snapshot.given), snapshot.given_total


class Screen(Struct, gc=False):
    """Who may have one task; asked of nodes as they are drawn. Counts why one was passed over."""

    roster: Roster
    random: int
    barred: Collection[int]
    resting: Container[int] = ()
    operators: Collection[int] = ()
    """Whose nodes may not have it, whichever they are."""
    prefixes: Collection[int] = ()
    reasons: dict[SkipReason, int] = {}
    over_share: tuple[int, ...] = ()
    """Those who were drawn, and whose operator has had its share."""

    def fitness(self, node: int) -> Fitness:
        """Whether the node may have it, and whether the draw among its operator's nodes fell on it."""
        roster = self.roster
        if node in self.barred or node in self.resting:
            return self._refuse(SkipReason.TRIED_BEFORE)
        operator = roster.operators[node]
        if operator in self.operators:
            return self._refuse(SkipReason.SAME_OPERATOR)
        if self.prefixes and roster.prefixes[node] in self.prefixes:
            return self._refuse(SkipReason.SAME_PREFIX)
        if roster.share_ppm and roster.is_over_share(operator):
            self.over_share = (*self.over_share, node)
            return self._refuse(SkipReason.OVER_SHARE)
        lending = roster.lending_of[operator]
        if lending > 1 and ((self.random ^ node * _ODD) * _ODD & _WORD) >> 32 & 0xFFFF_FFFF >= 2**32 // lending:
            return THINNED
        return FIT

    def _refuse(self, reason: SkipReason) -> Fitness:
        self.reasons[reason] = self.reasons.get(reason, 0) + 1
        return UNFIT
