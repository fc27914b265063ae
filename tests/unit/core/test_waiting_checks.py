"""Checks that wait for the pool: each is told of once, and whose it is."""

import msgspec
from tests.unit.core.world import WORKLOAD

from gridlight.core.earnings import Claim, Earnings, EarningsSnapshot
from gridlight.core.ledger import Ledger
from gridlight.messages.ids import AssignmentId, JobId, NodeId
from gridlight.messages.ledger import MoneyParameters


def claimed(task: str, node: str, amount: int) -> Claim:
    owner = "carl" if node == "node-2" else "ben"
    return Claim(JobId(task), NodeId(node), AssignmentId(f"a{task}"), amount, WORKLOAD, 1, "final", owner)


def begun() -> Earnings:
    """Two nodes, of two operators."""
    earnings = Earnings(Ledger(), MoneyParameters())
    earnings.know("node-1", "ben")
    earnings.know("node-2", "carl")
    return earnings


def test_a_waiting_check_of_a_snapshot_of_before_is_who_has_its_node_now() -> None:
    earnings = begun()
    earnings.claim(msgspec.structs.replace(claimed("t1", "node-1", 1), operator=""))
    other = Earnings(Ledger(), earnings.money)
    other.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(earnings.snapshot()), type=EarningsSnapshot))
    assert [(one.operator, one.is_told) for one in other.untold()] == [("ben", False)]
    assert other.untold() == []


def test_what_waits_is_told_of_one_node_or_of_all_once_each() -> None:
    earnings = begun()
    for task, node in (("t3", "node-1"), ("t1", "node-1"), ("t2", "node-2")):
        earnings.claim(claimed(task, node, 1))
    assert [one.task for one in earnings.untold("node-1")] == ["t1", "t3"]
    assert [one.task for one in earnings.untold()] == ["t2"]
