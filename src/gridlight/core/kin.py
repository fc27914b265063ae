"""Which nodes have one operator: a ring of nodes each, in two columns, since most operators have one node."""

from array import array
from collections.abc import Iterator
from typing import Final

_NONE: Final = -1


class Kin:
    """Operators' nodes. All dense numbers; walking an operator's nodes is O(their number)."""

    def __init__(self) -> None:
        self._operators = array("i")
        self._next = array("i")
        self._first_of = array("i")

    def add(self, node: int, operator: int) -> None:
        """A new node, the next one."""
        assert node == len(self._operators)
        self._operators.append(operator)
        self._next.append(node)
        self._join(node, operator)

    def move(self, node: int, operator: int) -> None:
        """The node has another operator from now on."""
        before = self._operators[node]
        if before == operator:
            return
        others = [one for one in self.of(node) if one != node]
        if others:
            self._next[others[-1]] = others[0]
        self._first_of[before] = min(others, default=_NONE)
        self._operators[node], self._next[node] = operator, node
        self._join(node, operator)

    def of(self, node: int) -> Iterator[int]:
        """All nodes of this node's operator, itself first."""
        yield node
        one = self._next[node]
        while one != node:
            yield one
            one = self._next[one]

    def of_operator(self, operator: int) -> list[int]:
        """All nodes of an operator, in order of their numbers: the same after a restart, however rings were made."""
        first = self._first_of[operator] if operator < len(self._first_of) else _NONE
        return [] if first == _NONE else sorted(self.of(first))

    def _join(self, node: int, operator: int) -> None:
        missing = operator + 1 - len(self._first_of)
        if missing > 0:
            self._first_of.extend([_NONE] * missing)
        other = self._first_of[operator]
        if other == _NONE:
            self._first_of[operator] = node
        else:
            self._next[node], self._next[other] = self._next[other], node
            self._first_of[operator] = min(node, other)

    def check(self) -> None:
        """Assert that every node is in the ring of its operator."""
        for operator, first in enumerate(self._first_of):
            ring = [] if first == _NONE else list(self.of(first))
            assert first == min(ring, default=_NONE)
            assert all(self._operators[one] == operator for one in ring)

    def snapshot(self) -> bytes:
        """Each node's operator and who follows it: the order in a ring decides the order of effects."""
        return self._operators.tobytes() + self._next.tobytes()

    def restore(self, snapshot: bytes) -> None:
        """Take what `snapshot` gave."""
        half = len(snapshot) // 2
        self._operators, self._next = array("i", snapshot[:half]), array("i", snapshot[half:])
        self._first_of = array("i", [_NONE]) * (max(self._operators, default=-1) + 1)
        for node, operator in enumerate(self._operators):
            if self._first_of[operator] == _NONE:
                self._first_of[operator] = node


def number_of(numbers: dict[str, int], name: str) -> int:
    """The dense number of a name, which gets the next one where it is new."""
    return numbers.setdefault(name, len(numbers))
