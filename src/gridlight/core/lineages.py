"""Which keys are one operator's: a lineage begins with the key that the network knows it by, and grows by successions.

What was heard first counts: a key has one successor, so whoever stole a key that was succeeded gains nothing by it. The
old key's certificates hold for a day beside the new one's. The 14 days between two successions are counted from when
they were heard, since what stands in them is whatever their signer says.
"""

from collections import deque
from collections.abc import Container
from itertools import pairwise
from typing import Final

from msgspec import Struct

from gridlight.core.door import Bar
from gridlight.messages.operators import SUCCESSIONS_MAX, BarCode

DAY_MS: Final = 86_400_000
OVERLAP_MS: Final = DAY_MS
"""For so long old and new key hold beside each other."""
PAUSE_MS: Final = 14 * DAY_MS
"""So far apart are two successions of one lineage."""


class Heir(Struct, frozen=True, gc=False):
    """The key that took the place of another, and when the network heard of it."""

    key: str
    heard_ms: int


class LineagesSnapshot(Struct):
    """The state as plain values, in the order in which it was heard."""

    heirs: dict[str, Heir]
    overlaps: list[tuple[int, str]]


class Lineages:
    """All successions that the network took. It grows with nodes that were admitted, by SUCCESSIONS_MAX keys each."""

    def __init__(self, snapshot: LineagesSnapshot | None = None) -> None:
        self._heirs: dict[str, Heir] = {}
        """Of each key that was succeeded."""
        self._first: dict[str, str] = {}
        """The first key of its lineage, for each key that succeeded another."""
        self._overlaps: deque[tuple[int, str]] = deque()
        """When an overlap ends, and the lineage's first key; the earliest first."""
        if snapshot is not None:
            for old, heir in snapshot.heirs.items():
                self._add(old, heir)
            self._overlaps.extend(snapshot.overlaps)

    def first_of(self, key: str) -> str:
        """What the network knows this key's operator by."""
        return self._first.get(key, key)

    def keys_of(self, key: str) -> tuple[str, ...]:
        """All keys of this key's operator, the first one first."""
        keys = [self.first_of(key)]
        while (heir := self._heirs.get(keys[-1])) is not None:
            keys.append(heir.key)
        return tuple(keys)

    def refusal(self, now_ms: int, keys: tuple[str, ...], operators: Container[str]) -> Bar | None:
        """Why a node is not taken whose operator's keys followed on each other like this, or None.

        `operators` are the first keys of all that are known. O(keys).
        """
        fresh = self._fresh(keys)
        if not fresh:
            return self.bar(now_ms, keys[-1])
        known = self.keys_of(keys[0])
        if keys[-len(fresh) - 1] in self._heirs:
            return Bar(BarCode.SUCCESSION_REFUSED, "The old key has another successor, which was heard first.")
        is_known = any(key in known for key in fresh for known in (operators, self._first, self._heirs))
        if is_known or len({*keys}) < len(keys):
            return Bar(
                BarCode.SUCCESSION_REFUSED, "The new key is known already: it has to be one that was never used."
            )
        if len(known) + len(fresh) > SUCCESSIONS_MAX + 1:
            return Bar(BarCode.SUCCESSION_REFUSED, f"An operator has {SUCCESSIONS_MAX} successions at most.")
        if len(known) > 1:
            left_ms = self._heirs[known[-2]].heard_ms + PAUSE_MS - now_ms
            if left_ms > 0:
                return Bar(BarCode.SUCCESSION_TOO_SOON, f"Days until it can be taken: {-(-left_ms // DAY_MS)}.")
        return None

    def take(self, now_ms: int, keys: tuple[str, ...]) -> bool:
        """A node was admitted whose operator's keys are these; whether there was a succession in it that is new."""
        fresh = self._fresh(keys)
        for old, new in pairwise(keys[-len(fresh) - 1 :]) if fresh else ():
            self._add(old, Heir(new, now_ms))
        if fresh:
            self._overlaps.append((now_ms + OVERLAP_MS, self.first_of(keys[0])))
        return bool(fresh)

    def bar(self, now_ms: int, key: str) -> Bar | None:
        """Why certificates that are signed with this key do not hold any more, or None."""
        heir = self._heirs.get(key)
        if heir is None or now_ms < heir.heard_ms + OVERLAP_MS:
            return None
        return Bar(BarCode.KEY_SUCCEEDED)

    def next_deadline_ms(self) -> int | None:
        """When the next overlap ends."""
        return self._overlaps[0][0] if self._overlaps else None

    def ended(self, now_ms: int) -> list[str]:
        """The lineages whose old keys do not hold from now on, each by its first key, and told once."""
        firsts = []
        while self._overlaps and self._overlaps[0][0] <= now_ms:
            firsts.append(self._overlaps.popleft()[1])
        return firsts

    def _fresh(self, keys: tuple[str, ...]) -> tuple[str, ...]:
        """Of keys that followed on each other, those whose succession was not heard before."""
        for place, (old, new) in enumerate(pairwise(keys), 1):
            heir = self._heirs.get(old)
            if heir is None or heir.key != new:
                return keys[place:]
        return ()

    def _add(self, old: str, heir: Heir) -> None:
        self._heirs[old] = heir
        self._first[heir.key] = self.first_of(old)

    def check(self) -> None:
        """Assert that no key is of two lineages, and that each is found from its first key."""
        successors = [heir.key for heir in self._heirs.values()]
        assert len({*successors}) == len(successors), "a key succeeded two others"
        firsts = dict.fromkeys(self._first.values())
        assert not any(first in self._first for first in firsts), "a first key succeeded another"
        found = [key for first in firsts for key in self.keys_of(first)[1:]]
        assert sorted(found) == sorted(successors), "a successor that its lineage does not lead to"
        assert list(self._overlaps) == sorted(self._overlaps, key=lambda one: one[0]), "overlaps out of order"

    def snapshot(self) -> LineagesSnapshot:
        """The state, to be encoded at once."""
        return LineagesSnapshot(self._heirs, list(self._overlaps))
