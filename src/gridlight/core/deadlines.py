"""A heap of (when, number) that machines share as a type, not as state.

Entries are plain integers, `when << 40 | number`, and are never searched for: the owner re-checks what falls due and
arms it again where its time has moved.
"""

from collections.abc import Container
from heapq import heappop, heappush

_NUMBER_BITS = 40
_NUMBER_MASK = (1 << _NUMBER_BITS) - 1


class Deadlines:
    """Times at which numbered things want attention. All operations are O(log n)."""

    def __init__(self) -> None:
        self._heap: list[int] = []

    def __len__(self) -> int:
        return len(self._heap)

    def arm(self, when_ms: int, number: int) -> None:
        """Ask for attention to `number` at `when_ms`; an earlier entry of it stays."""
        assert when_ms >= 0
        assert 0 <= number <= _NUMBER_MASK
        heappush(self._heap, when_ms << _NUMBER_BITS | number)

    def pop_due(self, now_ms: int) -> int | None:
        """The number whose time came first, or None where nothing is due."""
        if not self._heap or self._heap[0] >> _NUMBER_BITS > now_ms:
            return None
        return heappop(self._heap) & _NUMBER_MASK

    def next_ms(self, living: Container[int]) -> int | None:
        """When to look again. Entries of numbers that are gone are dropped: they are not worth a look."""
        while self._heap and self._heap[0] & _NUMBER_MASK not in living:
            heappop(self._heap)
        return self._heap[0] >> _NUMBER_BITS if self._heap else None

    def entries(self, living: Container[int]) -> list[tuple[int, int]]:
        """For a snapshot: what stands, in order, as (when, number): together they are longer than 64 bits."""
        standing = sorted(entry for entry in self._heap if entry & _NUMBER_MASK in living)
        return [(entry >> _NUMBER_BITS, entry & _NUMBER_MASK) for entry in standing]

    def restore(self, entries: list[tuple[int, int]]) -> None:
        """Take the entries of a snapshot; a sorted list is a heap."""
        self._heap = [when_ms << _NUMBER_BITS | number for when_ms, number in entries]
