"""Payouts through Pi's platform over HTTP, with the payer ended at each of its steps in turn."""

import asyncio
from pathlib import Path

from tests.outside.horizon import Horizon, Plan, served
from tests.outside.paying import MovedClock, Purse
from tests.outside.pi_platform import Platform


class Killed(BaseException):
    """The process ends here."""


def pay(purse: Purse, url: str, pi_url: str, dies_at: int) -> bool:
    """One incarnation; whether it came to its end."""
    steps = 0

    def reached(_point: str) -> None:
        nonlocal steps
        steps += 1
        if steps == dies_at:
            raise Killed

    async def run() -> None:
        payer, close = purse.make_payer(url, MovedClock(), pi_url=pi_url, reached=reached)
        try:
            await payer.run(is_once=True)
        finally:
            await close()

    try:
        asyncio.run(run())
    except (Killed, BaseExceptionGroup):
        return False
    return True


def test_each_user_is_paid_once_and_the_platform_told_wherever_the_payer_ends(tmp_path: Path) -> None:
    purse = Purse(tmp_path / "payer.db", 2, channels=0, pi=True)
    users = {f"uid-{operator}": address for operator, address in purse.operators.items()}
    platform = Platform(users)
    with served(Horizon(purse.chain, Plan())) as url, served(platform) as pi_url:
        for life in range(1, 41, 3):
            if pay(purse, url, pi_url, life if life < 30 else 10**6):
                break
    completed = {name: digest for name, digest in platform.ended.items() if digest}
    assert sorted(completed.values()) == sorted(purse.chain.order)
    assert sorted(str(platform.payments[name]["user_uid"]) for name in completed) == sorted(users)
    assert len(platform.ended) == len(platform.payments), "nothing is left open"
    purse.check()
