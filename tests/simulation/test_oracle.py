"""The core agrees with the recurrence that its design was derived with: a short form of `make oracle`."""

import pytest
from benchmarks.oracle import TOLERANCE, WRONG_MIN, Cell, expected, simulated

CELL = Cell(300_000, 100_000, 400)
"""The one that needs the fewest answers for its wrong ones to say something."""


NODES = 200
"""Fewer than the table's: each must have done 200 tasks before anything is counted."""


def test_as_many_wrong_answers_pass_as_were_derived() -> None:
    found, truth = simulated(CELL, answers=80_000, seed=1, nodes=NODES)

    derived = expected(CELL, rounds=2_000)
    assert found.wrong_count >= WRONG_MIN
    assert found.wrong == pytest.approx(derived.wrong, rel=TOLERANCE)
    assert found.replication - 1 == pytest.approx(derived.replication - 1, rel=TOLERANCE)
    assert truth.honest_banned == 0


def test_the_recurrence_gives_what_the_closed_form_bounds() -> None:
    derived = expected(Cell(100_000, 1_000_000, 1_600), rounds=2_000)

    at_the_floor = 0.48 * 0.1 / (0.9 * 80)
    assert derived.wrong == pytest.approx(at_the_floor, rel=0.15)
