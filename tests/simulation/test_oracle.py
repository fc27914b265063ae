"""The core agrees with the recurrence that its design was derived with; benchmarks/oracle.py has the whole table."""

import pytest
from benchmarks.oracle import TOLERANCE, WRONG_MIN, Cell, expected, simulated


@pytest.mark.parametrize(("cell", "seed"), [(Cell(300_000, 1_000_000, 400), 1), (Cell(300_000, 100_000, 400), 1)])
def test_as_many_wrong_answers_pass_as_were_derived(cell: Cell, seed: int) -> None:
    derived = expected(cell, rounds=2_000)

    found, truth = simulated(cell, answers=100_000, seed=seed)

    assert found.wrong_count >= WRONG_MIN
    assert found.wrong == pytest.approx(derived.wrong, rel=TOLERANCE)
    assert found.replication - 1 == pytest.approx(derived.replication - 1, rel=TOLERANCE)
    assert truth.honest_banned == 0


def test_the_recurrence_gives_what_the_closed_form_bounds() -> None:
    derived = expected(Cell(100_000, 1_000_000, 1_600), nodes=20_000)

    at_the_floor = 0.48 * 0.1 / (0.9 * 80)
    assert derived.wrong == pytest.approx(at_the_floor, rel=0.15)
