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
        self._place = array("i")

    def __contains__(self, node: int) -> bool:
        return node < len(self._place) and self._place[node] != _NOWHERE

    def add(self, node: int, bucket: int) -> None:
        """Put a node at the end of its bucket."""
        assert node not in self
        missing = node + 1 - len(self._place)
        if missing > 0:
            self._place.extend([_NOWHERE] * missing)
        nodes = self._buckets[bucket]
        self._place[node] = len(nodes)
        nodes.append(node)
        self.total += 1

    def remove(self, node: int, bucket: int) -> None:
        """Take a node out; the last of its bucket takes its place."""
        assert node in self
        nodes = self._buckets[bucket]
        place = self._place[node]
        last = nodes.pop()
        if last != node:
            nodes[place] = last
            self._place[last] = place
        self._place[node] = _NOWHERE
        self.total -= 1

    def pick(self, random: int, limit: int, screen: Screening) -> Pick:
        """A node of the buckets up to `limit`, uniformly among those that the screen finds fit.

        Each try draws among those that are left, so that whoever stands behind many unfit ones is no likelier than
        others; where no more than TRIES_MAX stand there, none is missed.
        """
        ends = list(accumulate(map(len, self._buckets[: limit + 1])))
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
            if fitness is Fitness.FIT:
                return Pick(node, within)
            if fitness is Fitness.THINNED:
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
        self._place = array("i", [_NOWHERE] * nodes)
        self.total = sum(map(len, buckets))
        for listed in buckets:
            for place, node in enumerate(listed):
                self._place[node] = place
