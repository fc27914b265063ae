"""Counts, for each node, why it did not get, finish or get paid for tasks of one workload, without visiting nodes.

A node stands at one reason at any moment. How often tasks were given out while it stood there is a difference of two
readings of one counter: so only a node whose reason changes, or that is given a task, is touched.
"""

from array import array
from typing import Final, assert_never

from msgspec import Struct

from gridlight.core.latency import BUCKET_LAST, BUCKETS
from gridlight.messages.nodes import OwnerState
from gridlight.messages.reasons import NOT_GIVEN, Reason
from gridlight.messages.tasks import (
    AssignmentDeclined,
    AssignmentFailed,
    AssignmentUndeliverable,
    DeclineReason,
    FailureCode,
    UndeliverableReason,
)

Returned = AssignmentDeclined | AssignmentFailed | AssignmentUndeliverable

FREE: Final = Reason.NOT_DRAWN
"""Where a node stands that could have had the task; who was too slow for it is told apart when it is counted."""

DONE: Final = Reason.DONE

OF_OWNER: Final[dict[OwnerState, Reason]] = {
    state: Reason(f"owner_{state}") for state in OwnerState if state is not OwnerState.AVAILABLE
}
"""Why a node lends nothing where its operator keeps it back."""

ABSENT: Final = (
    Reason.OFFLINE,
    Reason.UNRESPONSIVE,
    Reason.LENDS_NOTHING,
    *OF_OWNER.values(),
    Reason.NOT_ROLLED_OUT,
)
"""Reasons at which a node stands that lends no slot."""

WAITING: Final = (
    *ABSENT,
    Reason.BANNED,
    Reason.NEWCOMER,
    Reason.HELD_LEVEL_0,
    Reason.HELD_STATUS_LOST,
    Reason.REFERENCE,
    Reason.BUSY,
    Reason.RESTING,
    FREE,
)
"""Reasons at which a node can stand."""

ENDS: Final[tuple[Reason, ...]] = tuple(
    reason for reason in Reason if reason not in NOT_GIVEN and reason is not Reason.IN_HAND
)
"""What can become of a task that was given."""

_REASONS: Final = tuple(Reason)
_NUMBERS: Final = {reason: number for number, reason in enumerate(_REASONS)}
_FREE: Final = _NUMBERS[FREE]
_UNKNOWN: Final = 255

_WIDE: Final = "I"
_NARROW: Final = "H"
_WIDE_REASONS: Final = frozenset((*WAITING, Reason.TOO_SLOW))
"""Those that pass by the million; the others are a node's own doing, and a narrow column carries when it is full."""

_OF_DECLINE: Final = {
    DeclineReason.NO_FREE_SLOT: Reason.DECLINED_NO_FREE_SLOT,
    DeclineReason.UNKNOWN_WORKLOAD: Reason.DECLINED_UNKNOWN_WORKLOAD,
    DeclineReason.DEADLINE_TOO_SHORT: Reason.DECLINED_DEADLINE_TOO_SHORT,
    DeclineReason.DRAINING: Reason.DECLINED_DRAINING,
}
_OF_FAILURE: Final = {
    FailureCode.CANCELLED: Reason.HANDED_BACK,
    FailureCode.WORKER_CRASHED: Reason.WORKER_CRASHED,
    FailureCode.WORKER_TIMEOUT: Reason.WORKER_TIMEOUT,
    FailureCode.WORKER_ERROR: Reason.WORKER_ERROR,
    FailureCode.INPUT_SPOILED: Reason.INPUT_SPOILED,
    FailureCode.HANDED_BACK: Reason.HANDED_BACK,
}
_OF_UNDELIVERABLE: Final = {
    UndeliverableReason.NO_RESPONDERS: Reason.UNREACHABLE,
    UndeliverableReason.INPUT_GONE: Reason.INPUT_GONE,
    UndeliverableReason.BAD_REPLY: Reason.BAD_REPLY,
}


def reason_of_result(*, is_open: bool, is_late: bool) -> Reason:
    """A result came: of use, or after another node's, or when its time was over."""
    if is_open:
        return DONE
    return Reason.LATE if is_late else Reason.OUTRUN


def reason_of_return(event: Returned, *, is_open: bool, is_late: bool) -> Reason:
    """An assignment came to nothing, by the node's own word or its gateway's."""
    match event:
        case AssignmentDeclined(reason=declined):
            return _OF_DECLINE[declined]
        case AssignmentUndeliverable(reason=undeliverable):
            return _OF_UNDELIVERABLE[undeliverable]
        case AssignmentFailed(code=FailureCode.CANCELLED) if not is_open:
            return reason_of_result(is_open=False, is_late=is_late)
        case AssignmentFailed(code=code):
            return _OF_FAILURE[code]
        case _:
            assert_never(event)


class ReasonsSnapshot(Struct):
    """The counts as plain values."""

    order: list[Reason]
    """By which reasons are numbered in `at`."""
    considered: int
    ended: dict[Reason, int]
    by_limit: list[int]
    at: bytes
    buckets: bytes
    marks: bytes
    slow_marks: bytes
    first: bytes
    since_s: bytes
    counts: dict[Reason, bytes]
    carried: dict[Reason, dict[int, int]]


class Reasons:
    """One workload's counts, in columns of one entry a node. All but `check`, `clear` and snapshots is O(1)."""

    def __init__(self) -> None:
        self.considered = 0
        """How many tasks were given out, or given up before they could be."""
        self.ended: dict[Reason, int] = dict.fromkeys(ENDS, 0)
        """What became of all tasks that were given to nodes, for figures."""
        self._by_limit = [0] * BUCKETS
        """The first, by the speed bucket up to which nodes were fast enough."""
        self._limit_min = BUCKET_LAST
        """The lowest of these: a node that is as fast was never too slow."""
        self._at = bytearray()
        self._buckets = bytearray()
        self._marks = array("Q")
        """`considered`, when each node was last counted."""
        self._slow_marks = array("Q")
        """How many of those it was too slow for."""
        self._first = array("q")
        """`considered`, when each node was first known, less how often it was given a task that others had before."""
        self._since_s = array("I")
        self._counts = {reason: array(_WIDE if reason in _WIDE_REASONS else _NARROW) for reason in Reason}
        self._carried: dict[Reason, dict[int, int]] = {}
        """What a column's entry cannot hold, in wholes of what it can."""
        self._in_hand = self._counts[Reason.IN_HAND]
        """The one column that has an entry for each node that is known, since all that is given passes through it."""

    def knows(self, node: int) -> bool:
        """Whether anything is counted for the node."""
        return node < len(self._at) and self._at[node] != _UNKNOWN

    def known(self) -> list[int]:
        """All nodes for which anything is counted. O(nodes)."""
        return [node for node in range(len(self._at)) if self._at[node] != _UNKNOWN]

    def at(self, node: int) -> Reason:
        """Where the node stands."""
        return _REASONS[self._at[node]]

    def know(self, now_ms: int, node: int) -> None:
        """The node offers the workload, perhaps for the first time: it is considered from now on."""
        missing = node + 1 - len(self._at)
        if missing > 0:
            self._at.extend([_UNKNOWN] * missing)
            self._buckets.extend(bytes(missing))
            for column in (self._marks, self._slow_marks, self._first, self._since_s, self._in_hand):
                column.extend([0] * missing)
        if self._at[node] == _UNKNOWN:
            self._at[node] = _NUMBERS[Reason.LENDS_NOTHING]
            self._marks[node] = self._first[node] = self.considered
            self._since_s[node] = now_ms // 1_000

    def stand(self, node: int, reason: Reason, bucket: int) -> None:
        """The node stands here from now on, with this speed; what it stood at before is counted."""
        number = _NUMBERS[reason]
        if self._at[node] == number and self._buckets[node] == bucket:
            return
        self._settle(node)
        self._at[node], self._buckets[node] = number, bucket
        self._slow_marks[node] = self._too_slow(bucket)

    def give(self, node: int, limit: int, over_share: tuple[int, ...] = ()) -> None:
        """A task is given to the node as its first; who was fast enough for it stood within the limit."""
        for other in over_share:
            self._skip(other, limit)
            self._add(Reason.OVER_SHARE, other, 1)
        self._skip(node, limit)
        self._in_hand[node] += 1
        self.pass_by(limit)

    def give_again(self, node: int) -> None:
        """The node is given a task that another one had before: it is considered once more, and nobody else is."""
        self._first[node] -= 1
        self._in_hand[node] += 1

    def pass_by(self, limit: int) -> None:
        """A task is counted for all nodes, where each of them stands."""
        self.considered += 1
        self._by_limit[limit] += 1
        if limit < self._limit_min:
            self._limit_min = limit

    def end(self, node: int, reason: Reason) -> None:
        """What the node had in hand is over."""
        self._in_hand[node] -= 1
        self.ended[reason] += 1
        self._add(reason, node, 1)

    def in_hand(self) -> dict[int, int]:
        """How many tasks each node has that has any. O(nodes)."""
        return {node: count for node, count in enumerate(self._in_hand) if count}

    def undo(self, node: int, reason: Reason, count: int) -> int:
        """So many tasks that were done stand for nothing; how many of them were done here."""
        undone = min(count, self.count(node, Reason.DONE)) if self.knows(node) else 0
        if undone:
            self._add(Reason.DONE, node, -undone)
            self._add(reason, node, undone)
            self.ended[reason] += undone
        return undone

    def clear(self) -> None:
        """Who is connected is unknown. O(nodes), at a start or a lost bus only."""
        for node in self.known():
            self.stand(node, Reason.OFFLINE, 0)

    def since_ms(self, node: int) -> int:
        """When the node was first known."""
        return self._since_s[node] * 1_000

    def considered_for(self, node: int) -> int:
        """How often a task was counted for the node."""
        return self.considered - self._first[node]

    def count(self, node: int, reason: Reason) -> int:
        """How often this reason was counted for the node."""
        return self.counts(node).get(reason, 0)

    def counts(self, node: int) -> dict[Reason, int]:
        """All that was counted for the node. It changes nothing, so that who asks is in no journal."""
        counts = {
            reason: column[node] for reason, column in self._counts.items() if node < len(column) and column[node]
        }
        for reason, carried in self._carried.items():
            if node in carried:
                counts[reason] = counts.get(reason, 0) + carried[node] * _whole(self._counts[reason])
        for reason, passed in self._since_mark(node).items():
            if passed:
                counts[reason] = counts.get(reason, 0) + passed
        return counts

    def _since_mark(self, node: int) -> dict[Reason, int]:
        """What has passed since the node was last counted."""
        passed = self.considered - self._marks[node]
        if self._at[node] != _FREE:
            return {_REASONS[self._at[node]]: passed}
        slow = self._too_slow(self._buckets[node]) - self._slow_marks[node]
        return {Reason.TOO_SLOW: slow, FREE: passed - slow}

    def _settle(self, node: int) -> None:
        """Count what has passed since the node was last counted."""
        passed = self.considered - self._marks[node]
        if not passed:
            return
        self._marks[node] = self.considered
        if self._at[node] == _FREE:
            slow = self._too_slow(self._buckets[node]) - self._slow_marks[node]
            if slow:
                self._add(Reason.TOO_SLOW, node, slow)
                self._slow_marks[node] += slow
                passed -= slow
        self._add(_REASONS[self._at[node]], node, passed)

    def _too_slow(self, bucket: int) -> int:
        """For how many tasks a node of this speed was too slow. O(buckets)."""
        return 0 if bucket <= self._limit_min else sum(self._by_limit[:bucket])

    def _skip(self, node: int, limit: int) -> None:
        """The task that is given out next is not counted for this node where it stands."""
        self._settle(node)
        self._marks[node] += 1
        if limit < self._buckets[node]:
            self._slow_marks[node] += 1

    def _add(self, reason: Reason, node: int, count: int) -> None:
        column = self._counts[reason]
        try:
            column[node] += count
        except IndexError:
            column.extend([0] * (node + 1 - len(column)))
            self._add(reason, node, count)
        except OverflowError:
            wholes, column[node] = divmod(column[node] + count, _whole(column))
            carried = self._carried.setdefault(reason, {})
            carried[node] = carried.get(node, 0) + wholes
            assert carried[node] >= 0, f"{reason} was counted less than never"

    def check(self) -> None:
        """Assert that every task that was considered for a node has its one reason. O(nodes)."""
        assert sum(self._by_limit) == self.considered
        totals = [self.considered - mark for mark in self._marks]
        for reason, column in self._counts.items():
            for node, count in enumerate(column):
                totals[node] += count
            for node, wholes in self._carried.get(reason, {}).items():
                totals[node] += wholes * _whole(column)
        for node in self.known():
            assert self.at(node) in WAITING
            assert all(passed >= 0 for passed in self._since_mark(node).values())
            assert totals[node] == self.considered_for(node), "a task has no reason, or two"

    def snapshot(self) -> ReasonsSnapshot:
        """The counts as plain values, to be encoded at once."""
        return ReasonsSnapshot(
            order=list(_REASONS),
            considered=self.considered,
            ended=self.ended,
            by_limit=self._by_limit,
            at=bytes(self._at),
            buckets=bytes(self._buckets),
            marks=self._marks.tobytes(),
            slow_marks=self._slow_marks.tobytes(),
            first=self._first.tobytes(),
            since_s=self._since_s.tobytes(),
            counts={reason: column.tobytes() for reason, column in self._counts.items() if column},
            carried=self._carried,
        )

    def restore(self, snapshot: ReasonsSnapshot) -> None:
        """Take what `snapshot` gave, after a trip through bytes; reasons may have been added since."""
        self.considered, self._by_limit = snapshot.considered, list(snapshot.by_limit)
        self.ended |= snapshot.ended
        self._limit_min = next((limit for limit, count in enumerate(self._by_limit) if count), BUCKET_LAST)
        numbers = bytes(_NUMBERS[reason] for reason in snapshot.order).ljust(256, bytes([_UNKNOWN]))
        self._at, self._buckets = bytearray(snapshot.at.translate(numbers)), bytearray(snapshot.buckets)
        self._marks, self._slow_marks = array("Q", snapshot.marks), array("Q", snapshot.slow_marks)
        self._first, self._since_s = array("q", snapshot.first), array("I", snapshot.since_s)
        for reason, column in snapshot.counts.items():
            self._counts[reason] = array(self._counts[reason].typecode, column)
        self._in_hand = self._counts[Reason.IN_HAND]
        self._carried = {reason: dict(carried) for reason, carried in snapshot.carried.items()}


def _whole(column: "array[int]") -> int:
    """One more than an entry of the column can hold."""
    return 1 << 8 * column.itemsize
