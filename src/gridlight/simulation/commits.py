"""Committed answers and what became of each, kept in four bytes an answer: an account of its own, beside the core's.

Answers of a node form a chain, newest first. A node's settled mark says up to where its ordinary answers are over;
those that stand for themselves (disputed, bound to an audit, or settled alone) are kept by number.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterator
from heapq import heappop, heappush
from typing import Final

from gridlight.messages.trust import Verification
from gridlight.simulation.demands import demand

TERMINAL: Final = frozenset({Verification.FINAL, Verification.CORRECTED, Verification.VOID})

_FINAL: Final = Verification.FINAL
_PROVISIONAL: Final = Verification.PROVISIONAL
_NODE_BITS: Final = 20
_FOR_GOOD: Final = "P6: what a requester is told for good stays so"


class Commits:
    """Commits by place: their numbers less the first one."""

    def __init__(self, nodes: int) -> None:
        assert nodes <= 1 << _NODE_BITS
        self._first: int | None = None
        self._previous = array("I")
        """By place, the place of the same node's answer before it, counted from 1."""
        self._last = array("I", bytes(4 * nodes))
        self._settled = array("I", bytes(4 * nodes))
        self._alone: dict[int, Verification] = {}
        self._node_of: dict[int, int] = {}
        """Of answers that may be told of alone, since they are audited."""
        self._begun_s: int | None = None
        self._places = array("I")
        """By second, how many answers there were before it."""
        self._watched: list[int] = []
        """Place and node of one answer of each node that has open ones, none of which is older."""
        self._is_watched = bytearray(nodes)
        self._watched_alone: list[int] = []

    def __len__(self) -> int:
        return len(self._previous)

    def add(
        self, now_ms: int, commit: int, node: int, *, verification: Verification, is_audited: bool, is_bound: bool
    ) -> int:
        """A node's answer is committed; its place."""
        if self._first is None:
            self._first, self._begun_s = commit, now_ms // 1_000
        place = len(self._previous)
        demand(commit - self._first == place, "commits are counted without gaps", commit)
        assert self._begun_s is not None
        while len(self._places) <= now_ms // 1_000 - self._begun_s:
            self._places.append(place)
        self._previous.append(self._last[node])
        self._last[node] = place + 1
        if is_audited:
            self._node_of[place] = node
        if is_bound or verification in TERMINAL:
            self._alone[place] = verification
        if is_bound:
            heappush(self._watched_alone, place)
        elif verification not in TERMINAL:
            self._watch(place, node)
        return place

    def place_of(self, commit: int) -> int:
        """Where a commit stands."""
        assert self._first is not None
        return commit - self._first

    def node_of(self, commit: int) -> int:
        """Whose answer it is, as long as it is open and audited."""
        node = self._node_of.get(self.place_of(commit))
        demand(node is not None, _FOR_GOOD, "commit", commit, "is not open, or was not audited")
        assert node is not None
        return node

    def committed_ms(self, place: int) -> int:
        """When an answer was committed, to the second."""
        assert self._begun_s is not None
        return (self._begun_s + bisect_right(self._places, place) - 1) * 1_000

    def state(self, place: int, node: int) -> Verification:
        """What is known of an answer; FINAL stands for whatever it was settled as, with its node's others."""
        alone = self._alone.get(place)
        if alone is not None:
            return alone
        return _FINAL if place < self._settled[node] else _PROVISIONAL

    def change(self, commit: int, verification: Verification) -> int:
        """One answer is told of alone; its place."""
        place, node = self.place_of(commit), self.node_of(commit)
        before = self.state(place, node)
        demand(before not in TERMINAL, _FOR_GOOD, "commit", commit, "was", before, "and is", verification)
        demand(before is not verification, "a change changes something", "commit", commit, "is", before)
        self._alone[place] = verification
        if verification not in TERMINAL:
            heappush(self._watched_alone, place)
        else:
            del self._node_of[place]
            if place < self._settled[node]:
                del self._alone[place]
        return place

    def settle(self, commit: int, node: int) -> list[int]:
        """A node's ordinary answers up to this one are over; their places. O(answers since)."""
        until, settled = self.place_of(commit) + 1, self._settled[node]
        found: list[int] = []
        for place in self._since_mark(node):
            if place >= until:
                continue
            alone = self._alone.get(place)
            if alone is None:
                found.append(place)
                self._node_of.pop(place, None)
            elif alone in TERMINAL:
                del self._alone[place]
        self._settled[node] = max(settled, until)
        return found

    def overdue(self, now_ms: int, limit_ms: int) -> int | None:
        """The place of an answer that has been open for longer than that."""
        while self._watched and self._is_older(self._watched[0] >> _NODE_BITS, now_ms - limit_ms):
            place, node = self._watched[0] >> _NODE_BITS, self._watched[0] & (1 << _NODE_BITS) - 1
            if self.state(place, node) is _PROVISIONAL:
                return place
            heappop(self._watched)
            self._is_watched[node] = False
            still_open = [one for one in self._since_mark(node) if one not in self._alone]
            if still_open:
                self._watch(still_open[-1], node)
        while self._watched_alone and self._is_older(self._watched_alone[0], now_ms - limit_ms):
            if self._alone.get(self._watched_alone[0], _FINAL) not in TERMINAL:
                return self._watched_alone[0]
            heappop(self._watched_alone)
        return None

    def open_count(self) -> int:
        """Answers that are not settled. O(answers since each node's mark)."""
        ordinary = sum(one not in self._alone for node in range(len(self._last)) for one in self._since_mark(node))
        return ordinary + sum(state not in TERMINAL for state in self._alone.values())

    def _since_mark(self, node: int) -> Iterator[int]:
        """Places of the node's answers beyond its settled mark, newest first."""
        place, settled = self._last[node], self._settled[node]
        while place > settled:
            yield place - 1
            place = self._previous[place - 1]

    def _watch(self, place: int, node: int) -> None:
        if not self._is_watched[node]:
            self._is_watched[node] = True
            heappush(self._watched, place << _NODE_BITS | node)

    def _is_older(self, place: int, than_ms: int) -> bool:
        return self.committed_ms(place) + 1_000 < than_ms
