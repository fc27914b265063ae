"""Operators' nodes in rings."""

import pytest

from gridlight.core.kin import Kin


def kin_of(*operators: int) -> Kin:
    """Nodes 0, 1, ... of these operators."""
    kin = Kin()
    for node, operator in enumerate(operators):
        kin.add(node, operator)
        kin.check()
    return kin


def test_a_node_alone_is_its_operators_only_one() -> None:
    assert list(kin_of(0, 1, 2).of(1)) == [1]


def test_all_nodes_of_an_operator_are_found_from_each_of_them() -> None:
    kin = kin_of(5, 1, 5, 1, 5)

    assert {node: sorted(kin.of(node)) for node in range(5)} == {
        0: [0, 2, 4],
        1: [1, 3],
        2: [0, 2, 4],
        3: [1, 3],
        4: [0, 2, 4],
    }


@pytest.mark.parametrize("moved", [0, 1, 2])
def test_a_node_that_moves_leaves_one_ring_and_joins_the_other(moved: int) -> None:
    kin = kin_of(0, 0, 0, 1)

    kin.move(moved, 1)
    kin.check()

    assert sorted(kin.of(3)) == sorted([moved, 3])
    assert moved not in kin.of(next(node for node in range(3) if node != moved))


def test_the_last_node_of_an_operator_may_leave_and_come_back() -> None:
    kin = kin_of(0, 1)

    kin.move(0, 1)
    kin.check()
    kin.move(0, 0)
    kin.check()

    assert list(kin.of(0)) == [0]
    assert list(kin.of(1)) == [1]


def test_an_operators_nodes_are_found_in_order_however_they_came() -> None:
    kin = kin_of(2, 0, 0)
    kin.move(2, 2)
    kin.move(0, 0)
    kin.move(1, 2)

    assert [kin.of_operator(operator) for operator in range(4)] == [[0], [], [1, 2], []]


def test_a_move_to_where_it_is_changes_nothing() -> None:
    kin = kin_of(0, 0)
    before = kin.snapshot()

    kin.move(1, 0)

    assert kin.snapshot() == before


def test_a_restored_ring_goes_on_as_the_first_one_would() -> None:
    kin = kin_of(3, 3, 1, 3)
    kin.move(0, 1)
    restored = Kin()
    restored.restore(kin.snapshot())

    for one in (kin, restored):
        one.add(4, 3)
        one.move(1, 1)
        one.check()

    assert [list(kin.of(node)) for node in range(5)] == [list(restored.of(node)) for node in range(5)]
