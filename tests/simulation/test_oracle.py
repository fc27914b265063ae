"""The core agrees with the recurrence that its design was derived with; benchmarks/oracle.py has the whole table."""

import pytest
from benchmarks.oracle import TOLERANCE, WRONG_MIN, Cell, expected, simulated

CELL = Cell(300_000, 100_000, 400)
"""The one that needs the fewest answers for its wrong ones to say something."""


def test_as_many_wrong_answers_pass_as_were_derived() -> None:
    found, truth = simulated(CELL, answers=60_000, seed=1)

    derived = expected(CELL, rounds=2_000)
    assert found.wrong_count >= WRONG_MIN
    assert found.wrong == pytest.approx(derived.wrong, rel=TOLERANCE)
    assert found.replication - 1 == pytest.approx(derived.replication - 1, rel=TOLERANCE)
    assert truth.honest_banned == 0


def test_the_recurrence_gives_what_the_closed_form_bounds() -> None:
    derived = expected(Cell(100_000, 1_000_000, 1_600), nodes=20_000)

    at_the_floor = 0.48 * 0.1 / (0.9 * 80)
    assert derived.wrong == pytest.approx(at_the_floor, rel=0.15)
