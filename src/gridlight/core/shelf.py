"""A shelf: nodes by speed bucket, held so that adding, removing and picking one at random are cheap.

Each bucket is a dense list with swap-removal, so add and remove are O(1); a pick is O(buckets).
"""

from array import array
from bisect import bisect_right
from enum import IntEnum
from itertools import accumulate
from typing import Final, Protocol

from msgspec import Struct

from gridlight.core.latency import BUCKETS

TRIES_MAX: Final = 32
_NOWHERE: Final = -1
_MULTIPLIER: Final = 0xD1342543DE82EF95
_WORD: Final = 2**64 - 1


class Fitness(IntEnum):
    """What a screen says of a node that was drawn."""

    UNFIT = 0
    THINNED = 1
    """Fit, but the draw among its operator's nodes fell on another: taken where nobody else is found."""
    FIT = 2


UNFIT: Final = Fitness.UNFIT
THINNED: Final = Fitness.THINNED
FIT: Final = Fitness.FIT


class Screening(Protocol):
    """Says which nodes may have a task."""

    def fitness(self, node: int) -> Fitness:
        """Asked once of each node that is drawn."""


class Pick(Struct, frozen=True, gc=False):
    """What came of a pick: the node, and how many stood within the limit."""

    node: int | None
    within: int


class Shelf:
    """Nodes as dense indexes, each in one bucket."""

    def __init__(self) -> None:
        self.total = 0
        self._buckets: list[list[int]] = [[] for _ in range(BUCKETS)]
        self._sizes = [0] * BUCKETS
        self._place = array("i")

    def __contains__(self, node: int) -> bool:
        return node < len(self._place) and self._place[node] != _NOWHERE

    def add(self, node: int, bucket: int) -> None:
        """Put a node at the end of its bucket."""
        places = self._place
        if node >= len(places):
            places.extend([_NOWHERE] * (node + 1 - len(places)))
        assert places[node] == _NOWHERE
        places[node] = self._sizes[bucket]
        self._buckets[bucket].append(node)
        self._sizes[bucket] += 1
        self.total += 1

    def remove(self, node: int, bucket: int) -> None:
        """Take a node out; the last of its bucket takes its place."""
        nodes, places = self._buckets[bucket], self._place
        place, last = places[node], nodes.pop()
        assert place != _NOWHERE
        if last != node:
            nodes[place] = last
            places[last] = place
        places[node] = _NOWHERE
        self._sizes[bucket] -= 1
        self.total -= 1

    def pick(self, random: int, limit: int, screen: Screening) -> Pick:
        """A node of the buckets up to `limit`, uniformly among those that the screen finds fit.

        Each try draws among those that are left, so that whoever stands behind many unfit ones is no likelier than
        others; where no more than TRIES_MAX stand there, none is missed.
        """
        ends = list(accumulate(self._sizes[: limit + 1]))
        within = ends[-1]
        moved: dict[int, int] = {}
        thinned: int | None = None
        for tries in range(min(within, TRIES_MAX)):
            drawn = tries + random % (within - tries)
            place = moved.get(drawn, drawn)
            moved[drawn] = moved.get(tries, tries)
            bucket = bisect_right(ends, place)
            node = self._buckets[bucket][place - (ends[bucket - 1] if bucket else 0)]
            fitness = screen.fitness(node)
            if fitness is FIT:
                return Pick(node, within)
            if fitness is THINNED:
                thinned = node
            random = random * _MULTIPLIER + 1 & _WORD
            random ^= random >> 32
        return Pick(thinned, within)

    def buckets(self) -> list[list[int]]:
        """For a snapshot; the order inside the lists decides picks, so it is kept."""
        return self._buckets

    def restore(self, buckets: list[list[int]], nodes: int) -> None:
        """Take what `buckets` gave, for so many nodes in all."""
        self._buckets = buckets
        self._sizes = [len(listed) for listed in buckets]
        self._place = array("i", [_NOWHERE] * nodes)
        self.total = sum(self._sizes)
        for listed in buckets:
            for place, node in enumerate(listed):
                self._place[node] = place
