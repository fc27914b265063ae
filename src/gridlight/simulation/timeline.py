"""The timeline: what happens when, in whole milliseconds; what falls on one millisecond keeps the order it was put in.

A bucketed timer wheel: two bins of 4,096 slots of one millisecond are near, and further bins hold pairs until they
come near. No comparison of entries, and O(1) for each of them however many are pending.
"""

from collections.abc import Callable
from typing import Any, Final

_BIN_BITS: Final = 12
_BIN_MS: Final = 1 << _BIN_BITS
_NEAR_MASK: Final = 2 * _BIN_MS - 1


class Timeline:
    """Pending entries by time."""

    def __init__(self, start_ms: int) -> None:
        self.now_ms = start_ms
        self.pending = 0
        self._pending_near = 0
        self._slots: list[list[Any]] = [[] for _ in range(2 * _BIN_MS)]
        self._far: dict[int, list[tuple[int, Any]]] = {}
        self._near_bin = (start_ms >> _BIN_BITS) + 1
        """The last bin whose entries are in the slots."""

    def put(self, when_ms: int, entry: Any) -> None:
        """Let `entry` happen at a time that is still to come."""
        assert when_ms > self.now_ms, "what happens must lie in the future"
        self.pending += 1
        number = when_ms >> _BIN_BITS
        if number <= self._near_bin:
            self._slots[when_ms & _NEAR_MASK].append(entry)
            self._pending_near += 1
        else:
            self._far.setdefault(number, []).append((when_ms, entry))

    def next_ms(self, limit_ms: int) -> int:
        """When the next entry happens, or `limit_ms` where that is earlier. Time up to there is past."""
        slots, when_ms = self._slots, self.now_ms + 1
        while when_ms < limit_ms:
            if when_ms >> _BIN_BITS == self._near_bin:
                self._bring_near()
            end_ms = min(limit_ms, (when_ms >> _BIN_BITS) + 1 << _BIN_BITS)
            if not self._pending_near:
                when_ms = end_ms
            while when_ms < end_ms:
                if slots[when_ms & _NEAR_MASK]:
                    return when_ms
                when_ms += 1
        return limit_ms

    def take(self, now_ms: int) -> list[Any]:
        """What happens at this millisecond, and it is now. Nothing earlier may be pending."""
        assert now_ms >= self.now_ms
        while now_ms >> _BIN_BITS >= self._near_bin:
            self._bring_near()
        self.now_ms = now_ms
        place = now_ms & _NEAR_MASK
        entries = self._slots[place]
        if entries:
            self._slots[place] = []
            self.pending -= len(entries)
            self._pending_near -= len(entries)
        return entries

    def discard(self, is_lost: Callable[[Any], bool]) -> int:
        """Take out all entries of a kind; how many there were. O(pending)."""
        before = self.pending
        self._slots = [[one for one in slot if not is_lost(one)] for slot in self._slots]
        self._far = {number: [pair for pair in pairs if not is_lost(pair[1])] for number, pairs in self._far.items()}
        self._pending_near = sum(map(len, self._slots))
        self.pending = self._pending_near + sum(map(len, self._far.values()))
        return before - self.pending

    def _bring_near(self) -> None:
        """One bin more is near: the one whose slots have just become empty."""
        self._near_bin += 1
        come_near = self._far.pop(self._near_bin, ())
        self._pending_near += len(come_near)
        for when_ms, entry in come_near:
            self._slots[when_ms & _NEAR_MASK].append(entry)
