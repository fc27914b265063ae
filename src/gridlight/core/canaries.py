"""Canaries: answers that were found right, kept to be asked once more of somebody who has not seen them."""

from typing import Final

from msgspec import Struct

from gridlight.core.cases import Answer
from gridlight.messages.jobs import JobSubmitted

CANARIES_MAX: Final = 256


class Canary(Struct, frozen=True):
    """A task whose answer is known; its owner allowed that it is used again."""

    commit: int
    job: JobSubmitted
    probe_seed: int
    answer: Answer
    executors: tuple[int, ...]
    ready_ms: int


class Canaries:
    """Each is issued once at most, to nobody who had the task."""

    def __init__(self) -> None:
        self.kept: list[Canary] = []

    def add(self, canary: Canary) -> Canary | None:
        """Keep one more; the oldest goes where the pool is full, and is returned."""
        self.kept.append(canary)
        return self.kept.pop(0) if len(self.kept) > CANARIES_MAX else None

    def take(self, now_ms: int, node: int) -> Canary | None:
        """The oldest that may be issued to this node now. O(CANARIES_MAX)."""
        for place, canary in enumerate(self.kept):
            if canary.ready_ms <= now_ms and node not in canary.executors:
                return self.kept.pop(place)
        return None
