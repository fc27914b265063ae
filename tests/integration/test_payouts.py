"""Payouts through a real HTTP server that misbehaves, with the payer killed on the way."""

import asyncio
from pathlib import Path

import pytest
from tests.outside.horizon import Horizon, Plan, served
from tests.outside.paying import MovedClock, Purse

from gridlight.adapters.payout_store import PayoutStore
from gridlight.adapters.schema import open_engine


class Killed(BaseException):
    """The process ends here."""


def pay(purse: Purse, url: str, dies_at: int) -> bool:
    """One incarnation; whether it came to its end."""
    left = [dies_at]

    def reached(_point: str) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise Killed

    async def run() -> None:
        payer, close = purse.make_payer(url, MovedClock(), reached=reached)
        try:
            await payer.run(is_once=True)
        finally:
            await close()

    try:
        asyncio.run(run())
    except BaseExceptionGroup as group:
        if group.subgroup(Killed) is None:
            raise
        return False
    except Killed:
        return False
    return True


def is_open(purse: Purse) -> bool:
    store = PayoutStore(open_engine(purse.url))
    batches = store.load().batches
    store.close()
    return bool(batches)


@pytest.mark.parametrize("is_hostile", [False, True])
def test_each_line_is_paid_once_whatever_horizon_does(tmp_path: Path, *, is_hostile: bool) -> None:
    purse = Purse(tmp_path / "payer.db", 150, channels=2)
    plan = Plan(seed=1, lost=30, late=20, silent=30, lies=30, broken=10) if is_hostile else Plan()
    with served(Horizon(purse.chain, plan)) as url:
        for life in range(60):
            if pay(purse, url, 3 + life % 17 if is_hostile and life < 12 else 10**6) and not is_open(purse):
                break
    purse.check()
    purse.check_fence()
