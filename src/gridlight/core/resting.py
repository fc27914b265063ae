"""Which nodes rest: one that broke its word may still be at what it was given up on, so others go first for a while.

A node that stalled offers again as soon as it is asked, and what it is sent then waits behind the old task, or is
declined, and the next one after it. It is only a preference: where nobody else is found, a resting node is taken.
"""

from typing import Final

REST_MS: Final = 10_000
"""How long others go first: most stalls are over by then."""


class Resting:
    """Nodes as dense indexes, each with the time at which it has rested."""

    def __init__(self) -> None:
        self._until_ms: dict[int, int] = {}
        """In order of time, since all rest equally long."""

    def begin(self, now_ms: int, node: int) -> None:
        """The node broke its word."""
        self._until_ms.pop(node, None)
        self._until_ms[node] = now_ms + REST_MS

    def at(self, now_ms: int) -> dict[int, int]:
        """Who rests now; those who have rested are dropped, O(1) amortised."""
        while self._until_ms:
            node = next(iter(self._until_ms))
            if self._until_ms[node] > now_ms:
                break
            del self._until_ms[node]
        return self._until_ms

    def snapshot(self) -> list[tuple[int, int]]:
        """The state as plain values, in order."""
        return list(self._until_ms.items())

    def restore(self, snapshot: list[tuple[int, int]]) -> None:
        """Take what `snapshot` gave."""
        self._until_ms = dict(snapshot)
