"""A payer that is killed at every step, against a Horizon that misbehaves: a short form of `make payouts`."""

from pathlib import Path

import pytest
from benchmarks.payouts import BY_CHANCE, STEPS, paid_out


@pytest.mark.parametrize("seed", [1])
def test_each_line_is_paid_once_or_is_back_however_often_the_payer_is_killed(tmp_path: Path, seed: int) -> None:
    ordeal = paid_out(tmp_path, payouts=8, channels=1, seed=seed)
    assert ordeal.ends.keys() >= STEPS - BY_CHANCE
