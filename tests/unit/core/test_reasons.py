"""Columns of counts: what passes while a node stands somewhere, what it is given, and what one entry cannot hold."""

import msgspec
import pytest

from gridlight.core.latency import BUCKET_LAST
from gridlight.core.reasons import (
    ABSENT,
    WAITING,
    Reasons,
    ReasonsSnapshot,
    reason_of_result,
    reason_of_return,
)
from gridlight.messages.ids import AssignmentId, NodeId
from gridlight.messages.reasons import NOT_GIVEN, Reason
from gridlight.messages.tasks import (
    AssignmentDeclined,
    AssignmentFailed,
    AssignmentUndeliverable,
    DeclineReason,
    FailureCode,
    UndeliverableReason,
)

NODE, OTHER = 3, 5
FAST, SLOW = 10, 40


def of_two() -> Reasons:
    """Two nodes that are free."""
    reasons = Reasons()
    for node in (NODE, OTHER):
        reasons.know(5_000, node)
        reasons.stand(node, Reason.NOT_DRAWN, FAST)
    return reasons


def restored(reasons: Reasons) -> Reasons:
    """The same after a trip through bytes."""
    other = Reasons()
    other.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(reasons.snapshot()), type=ReasonsSnapshot))
    other.check()
    assert other.snapshot() == reasons.snapshot()
    return other


def test_a_task_is_counted_for_each_node_where_it_stands() -> None:
    reasons = of_two()
    reasons.stand(OTHER, Reason.BUSY, FAST)

    reasons.pass_by(BUCKET_LAST)
    reasons.pass_by(BUCKET_LAST)

    assert reasons.counts(NODE) == {Reason.NOT_DRAWN: 2}
    assert reasons.counts(OTHER) == {Reason.BUSY: 2}
    reasons.check()


def test_what_passed_before_a_node_was_known_is_not_counted_for_it() -> None:
    reasons = of_two()
    reasons.pass_by(BUCKET_LAST)

    reasons.know(9_876, 4)
    reasons.pass_by(BUCKET_LAST)

    assert not reasons.knows(0)
    assert reasons.known() == [NODE, 4, OTHER]
    assert reasons.counts(4) == {Reason.LENDS_NOTHING: 1}
    assert (reasons.considered_for(4), reasons.considered_for(NODE)) == (1, 2)
    assert reasons.since_ms(4) == 9_000


def test_a_node_that_offers_again_keeps_its_counts() -> None:
    reasons = of_two()
    reasons.pass_by(BUCKET_LAST)

    reasons.know(60_000, NODE)

    assert reasons.counts(NODE) == {Reason.NOT_DRAWN: 1}
    assert reasons.since_ms(NODE) == 5_000


def test_who_is_given_a_task_is_counted_for_that_and_for_nothing_else() -> None:
    reasons = of_two()

    reasons.give(NODE, BUCKET_LAST)
    assert reasons.counts(NODE) == {Reason.IN_HAND: 1}
    reasons.end(NODE, Reason.DONE)

    assert reasons.counts(NODE) == {Reason.DONE: 1}
    assert reasons.counts(OTHER) == {Reason.NOT_DRAWN: 1}
    reasons.check()


def test_a_task_that_is_given_again_is_counted_for_who_gets_it_alone() -> None:
    reasons = of_two()
    reasons.give(NODE, BUCKET_LAST)
    reasons.end(NODE, Reason.LOST)

    reasons.give_again(OTHER)

    assert reasons.counts(OTHER) == {Reason.NOT_DRAWN: 1, Reason.IN_HAND: 1}
    assert reasons.counts(NODE) == {Reason.LOST: 1}
    assert (reasons.considered_for(NODE), reasons.considered_for(OTHER)) == (1, 2)
    restored(reasons)


def test_who_was_drawn_before_is_counted_as_over_its_share() -> None:
    reasons = of_two()

    reasons.give(NODE, BUCKET_LAST, (OTHER,))
    reasons.pass_by(BUCKET_LAST)

    assert reasons.counts(OTHER) == {Reason.OVER_SHARE: 1, Reason.NOT_DRAWN: 1}
    reasons.check()


def test_only_a_free_node_beyond_the_limit_is_too_slow() -> None:
    reasons = of_two()
    reasons.pass_by(FAST)
    reasons.stand(OTHER, Reason.NOT_DRAWN, SLOW)

    for limit in (FAST, FAST, SLOW):
        reasons.pass_by(limit)

    assert reasons.counts(OTHER) == {Reason.NOT_DRAWN: 2, Reason.TOO_SLOW: 2}
    reasons.stand(OTHER, Reason.BUSY, SLOW)
    reasons.pass_by(FAST)
    assert reasons.counts(OTHER) == {Reason.NOT_DRAWN: 2, Reason.TOO_SLOW: 2, Reason.BUSY: 1}
    assert reasons.counts(NODE) == {Reason.NOT_DRAWN: 5}
    reasons.check()


def test_a_free_node_that_always_was_too_slow_is_counted_for_nothing_else() -> None:
    reasons = of_two()
    reasons.stand(OTHER, Reason.NOT_DRAWN, SLOW)
    reasons.pass_by(FAST)

    reasons.stand(OTHER, Reason.BUSY, SLOW)

    assert reasons.counts(OTHER) == {Reason.TOO_SLOW: 1}
    reasons.check()


def test_a_slow_node_that_is_given_a_task_all_the_same_is_not_too_slow_for_it() -> None:
    reasons = of_two()
    reasons.stand(NODE, Reason.NOT_DRAWN, SLOW)

    reasons.give(NODE, FAST)
    reasons.pass_by(FAST)

    assert reasons.counts(NODE) == {Reason.IN_HAND: 1, Reason.TOO_SLOW: 1}
    reasons.check()


def test_after_a_lost_bus_everybody_is_offline() -> None:
    reasons = of_two()

    reasons.clear()
    reasons.pass_by(BUCKET_LAST)

    assert [reasons.at(node) for node in (NODE, OTHER)] == [Reason.OFFLINE, Reason.OFFLINE]
    assert reasons.counts(NODE) == {Reason.OFFLINE: 1}


def test_what_was_done_can_be_undone_once() -> None:
    reasons = of_two()
    for _ in range(3):
        reasons.give(NODE, BUCKET_LAST)
        reasons.end(NODE, Reason.DONE)

    assert reasons.undo(NODE, Reason.VOID, 2) == 2
    assert reasons.undo(NODE, Reason.CONTRADICTED, 5) == 1
    assert reasons.undo(NODE, Reason.VOID, 1) == 0

    assert reasons.counts(NODE) == {Reason.VOID: 2, Reason.CONTRADICTED: 1}
    assert [reasons.ended[reason] for reason in (Reason.DONE, Reason.VOID, Reason.CONTRADICTED)] == [3, 2, 1]
    assert restored(reasons).ended == reasons.ended


@pytest.mark.parametrize(("reason", "entry"), [(Reason.DONE, 2**16), (Reason.BUSY, 2**32)])
def test_a_count_may_be_larger_than_an_entry_of_its_column(reason: Reason, entry: int) -> None:
    reasons = of_two()
    for count in (entry - 1, 1, entry, 7):
        reasons._add(reason, NODE, count)

    assert reasons.count(NODE, reason) == 2 * entry + 7
    assert reasons.count(OTHER, reason) == 0
    reasons._add(reason, NODE, -10)
    assert reasons.count(NODE, reason) == 2 * entry - 3
    assert restored(reasons_that_add_up(reasons)).count(NODE, reason) == 2 * entry - 3


def reasons_that_add_up(reasons: Reasons) -> Reasons:
    """What was put in by hand was considered, too."""
    total = sum(reasons.counts(NODE).values())
    reasons.considered += total
    reasons._by_limit[BUCKET_LAST] += total
    reasons._marks[NODE] += total
    return reasons


def test_nothing_is_counted_less_than_never() -> None:
    with pytest.raises(AssertionError, match="less than never"):
        of_two()._add(Reason.DONE, NODE, -1)


def test_a_task_with_two_reasons_is_noticed() -> None:
    reasons = of_two()
    reasons._add(Reason.DONE, NODE, 1)

    with pytest.raises(AssertionError, match="no reason, or two"):
        reasons.check()


def test_asking_changes_nothing() -> None:
    reasons = of_two()
    reasons.stand(OTHER, Reason.NOT_DRAWN, SLOW)
    reasons.pass_by(FAST)
    before = msgspec.msgpack.encode(reasons.snapshot())

    for node in (NODE, OTHER):
        assert sum(reasons.counts(node).values()) == 1

    assert msgspec.msgpack.encode(reasons.snapshot()) == before


def test_what_was_restored_goes_on_as_the_first_would() -> None:
    reasons = of_two()
    reasons.give(NODE, FAST)
    reasons.stand(OTHER, Reason.NOT_DRAWN, SLOW)
    reasons.pass_by(FAST)

    other = restored(reasons)
    for one in (reasons, other):
        one.end(NODE, Reason.LATE)
        one.pass_by(SLOW)

    assert other.counts(OTHER) == reasons.counts(OTHER) == {Reason.NOT_DRAWN: 2, Reason.TOO_SLOW: 1}
    assert other.snapshot() == reasons.snapshot()


def test_a_snapshot_that_numbered_reasons_otherwise_is_understood() -> None:
    reasons = of_two()
    reasons.stand(OTHER, Reason.BUSY, FAST)
    snapshot = reasons.snapshot()
    snapshot.order = [reason for reason in Reason if reason is not Reason.OFFLINE]  # as if added since
    snapshot.at = bytes(number - 1 if number != 255 else number for number in snapshot.at)

    other = Reasons()
    other.restore(snapshot)

    assert (other.at(NODE), other.at(OTHER)) == (Reason.NOT_DRAWN, Reason.BUSY)
    assert other.known() == [NODE, OTHER]


def test_a_result_is_of_use_or_outrun_or_late() -> None:
    assert reason_of_result(is_open=True, is_late=False) is Reason.DONE
    assert reason_of_result(is_open=False, is_late=False) is Reason.OUTRUN
    assert reason_of_result(is_open=False, is_late=True) is Reason.LATE


@pytest.mark.parametrize("declined", DeclineReason)
def test_every_way_to_decline_has_its_reason(declined: DeclineReason) -> None:
    event = AssignmentDeclined(assignment_id=AssignmentId("a"), node_id=NodeId("U"), reason=declined)

    assert reason_of_return(event, is_open=True, is_late=False).value == f"declined_{declined.value}"


@pytest.mark.parametrize("code", set(FailureCode) - {FailureCode.CANCELLED})
def test_every_failure_has_its_reason(code: FailureCode) -> None:
    event = AssignmentFailed(assignment_id=AssignmentId("a"), node_id=NodeId("U"), code=code)

    assert reason_of_return(event, is_open=False, is_late=True).value == code.value


@pytest.mark.parametrize("reason", UndeliverableReason)
def test_everything_that_cannot_be_delivered_has_its_reason(reason: UndeliverableReason) -> None:
    event = AssignmentUndeliverable(assignment_id=AssignmentId("a"), node_id=NodeId("U"), reason=reason)

    assert reason_of_return(event, is_open=True, is_late=False) not in NOT_GIVEN


def test_a_node_that_was_told_to_stop_was_outrun_and_one_that_stops_by_itself_hands_back() -> None:
    event = AssignmentFailed(assignment_id=AssignmentId("a"), node_id=NodeId("U"), code=FailureCode.CANCELLED)

    assert reason_of_return(event, is_open=False, is_late=False) is Reason.OUTRUN
    assert reason_of_return(event, is_open=False, is_late=True) is Reason.LATE
    assert reason_of_return(event, is_open=True, is_late=False) is Reason.HANDED_BACK


def test_whoever_is_not_given_a_task_stands_somewhere_or_was_passed_over() -> None:
    assert {*WAITING, Reason.TOO_SLOW, Reason.OVER_SHARE} == NOT_GIVEN
    assert set(WAITING) > set(ABSENT)
