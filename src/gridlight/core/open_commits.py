"""Each node's provisional answers by commit number: they become final together, by one later passed audit."""

from array import array

_PAIR = 2


class OpenCommits:
    """Pairs of commit and time in one array a node, oldest first. A node stays listed until it is forgotten."""

    def __init__(self) -> None:
        self._pairs: dict[int, array[int]] = {}

    def __contains__(self, node: int) -> bool:
        return node in self._pairs

    def __len__(self) -> int:
        """Answers open. O(nodes)."""
        return sum(map(len, self._pairs.values())) // _PAIR

    def add(self, node: int, commit: int, now_ms: int) -> bool:
        """An answer is provisional; whether its node was not listed before."""
        pairs = self._pairs.get(node)
        is_new = pairs is None
        if pairs is None:
            pairs = self._pairs[node] = array("Q")
        assert not pairs or pairs[-_PAIR] < commit
        pairs.append(commit)
        pairs.append(now_ms)
        return is_new

    def take_until(self, node: int, commit: int) -> int:
        """The node's answers up to this one are settled; how many they were."""
        pairs = self._pairs.get(node, ())
        count = sum(pairs[place] <= commit for place in range(0, len(pairs), _PAIR))
        if count:
            del self._pairs[node][: count * _PAIR]
        return count

    def oldest_ms(self, node: int) -> int | None:
        """When the oldest answer that is open was committed."""
        pairs = self._pairs.get(node)
        return pairs[1] if pairs else None

    def last_before(self, node: int, before_ms: int) -> int | None:
        """The newest of the node's answers that was committed before."""
        pairs = self._pairs.get(node, ())
        commits = [pairs[place] for place in range(0, len(pairs), _PAIR) if pairs[place + 1] < before_ms]
        return commits[-1] if commits else None

    def forget(self, node: int) -> None:
        """A node that has nothing open."""
        assert not self._pairs[node]
        del self._pairs[node]

    def snapshot(self) -> dict[int, bytes]:
        """All pairs as bytes."""
        return {node: pairs.tobytes() for node, pairs in self._pairs.items()}

    def restore(self, snapshot: dict[int, bytes]) -> None:
        """Take what `snapshot` gave."""
        self._pairs = {node: array("Q", pairs) for node, pairs in snapshot.items()}
