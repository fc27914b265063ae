"""What an agent makes of the network's word on whose session stands: its own, or that of another with the same key.

It answers nothing before the network took its session: so two agents with one key never answer one assignment both.
"""

from enum import Enum
from typing import Final

from gridlight.messages.nodes import SessionStands

TWIN_TOLD_MS: Final = 600_000
"""So long a node that goes on working remembers that another one tried: longer than the other's pauses."""

PAUSES_MS: Final = (3_000, 10_000, 30_000, 60_000)
"""Before whoever was refused tries again: the other may have been what was left of a connection that broke."""


class Twin(Enum):
    """Another agent has this node's key."""

    REFUSED = "refused"
    """And it is the one that works."""
    KEPT = "kept"
    """And this one goes on working."""


class Sessions:
    """The machine of one agent's sessions."""

    def __init__(self) -> None:
        self.is_taken = False
        """Whether the network counts what this agent offers and answers now."""
        self._session = ""
        self._refusals = 0
        self._twin: Twin | None = None
        self._told_ms = 0

    def opened(self, session: str) -> None:
        """A new connection, of which the network does not know yet."""
        self._session = session
        self.is_taken = False

    def hear(self, now_ms: int, said: SessionStands) -> Twin | None:
        """The network's word; what is new in it about another agent with this node's key."""
        if said.session == self._session:
            self.is_taken = True
            self._refusals = 0
            if said.refused is None:
                self._twin = None if self._twin is Twin.REFUSED else self._twin
                return None
            self._twin, self._told_ms = Twin.KEPT, now_ms
            return Twin.KEPT
        if said.refused != self._session:
            return None  # about somebody else with this key
        self._twin, self._told_ms = Twin.REFUSED, now_ms
        self._refusals += 1
        return Twin.REFUSED

    def pause_ms(self) -> int:
        """How long to wait before the next try, after so many refusals in a row."""
        return PAUSES_MS[min(self._refusals, len(PAUSES_MS)) - 1] if self._refusals else 0

    def twin(self, now_ms: int) -> Twin | None:
        """What the operator should know now."""
        if self._twin is Twin.KEPT and now_ms - self._told_ms >= TWIN_TOLD_MS:
            self._twin = None
        return self._twin
