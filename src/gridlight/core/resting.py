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
        self.until_ms: dict[int, int] = {}
        """In order of time, since all rest equally long; to be read only."""

    def __contains__(self, node: int) -> bool:
        return node in self.until_ms

    def begin(self, now_ms: int, node: int) -> None:
        """The node broke its word."""
        self.until_ms.pop(node, None)
        self.until_ms[node] = now_ms + REST_MS

    def wake(self, now_ms: int) -> list[int]:
        """Who has rested by now, and does so no more. O(1) amortised."""
        woken: list[int] = []
        while self.until_ms:
            node = next(iter(self.until_ms))
            if self.until_ms[node] > now_ms:
                break
            del self.until_ms[node]
            woken.append(node)
        return woken

    def snapshot(self) -> list[tuple[int, int]]:
        """The state as plain values, in order."""
        return list(self.until_ms.items())

    def restore(self, snapshot: list[tuple[int, int]]) -> None:
        """Take what `snapshot` gave."""
        self.until_ms = dict(snapshot)
