"""The core agrees with the recurrence that its design was derived with; benchmarks/oracle.py has the whole table."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
from benchmarks.oracle import TOLERANCE, WRONG_MIN, Cell, expected, simulated

CELLS = (Cell(300_000, 1_000_000, 400), Cell(300_000, 100_000, 400))


def run_cell(cell: Cell) -> tuple[int, float, float, int]:
    """Wrong answers found, their share, the replication, and how many honest nodes were banned."""
    found, truth = simulated(cell, answers=60_000, seed=1)
    return found.wrong_count, found.wrong, found.replication, truth.honest_banned


def test_as_many_wrong_answers_pass_as_were_derived() -> None:
    """In processes of their own, two at once: counting branches would make them four times as long."""
    with ProcessPoolExecutor(max_workers=2, mp_context=get_context("spawn")) as pool:
        ran = list(pool.map(run_cell, CELLS, timeout=600))

    for cell, (wrong_count, wrong, replication, honest_banned) in zip(CELLS, ran, strict=True):
        derived = expected(cell, rounds=2_000)
        assert wrong_count >= WRONG_MIN
        assert wrong == pytest.approx(derived.wrong, rel=TOLERANCE)
        assert replication - 1 == pytest.approx(derived.replication - 1, rel=TOLERANCE)
        assert honest_banned == 0


def test_the_recurrence_gives_what_the_closed_form_bounds() -> None:
    derived = expected(Cell(100_000, 1_000_000, 1_600), nodes=20_000)

    at_the_floor = 0.48 * 0.1 / (0.9 * 80)
    assert derived.wrong == pytest.approx(at_the_floor, rel=0.15)
