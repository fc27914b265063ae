"""One bound of processors for all workloads of a node."""

import asyncio

import pytest

from gridlight.services.agent.turns import Turns

SOON_S = 0.02
LATE_S = 10.0


async def is_refused(turns: Turns, cpus: int = 1) -> bool:
    return not await turns.take(cpus, timeout_s=SOON_S)


async def test_no_more_compute_at_once_than_there_are_processors() -> None:
    turns = Turns(2)
    assert await turns.take(1, timeout_s=LATE_S)
    assert await turns.take(1, timeout_s=LATE_S)
    assert await is_refused(turns)

    turns.give_back(1)

    assert await turns.take(1, timeout_s=LATE_S)
    assert await is_refused(turns)


async def test_who_came_first_goes_first_however_much_it_wants() -> None:
    turns = Turns(2)
    assert await turns.take(1, timeout_s=LATE_S)
    large = asyncio.create_task(turns.take(2, timeout_s=LATE_S))
    await asyncio.sleep(0)
    small = asyncio.create_task(turns.take(1, timeout_s=LATE_S))
    await asyncio.sleep(0)
    assert not large.done()
    assert not small.done()

    turns.give_back(1)
    assert await large
    assert not small.done()
    turns.give_back(2)
    assert await small


async def test_who_wants_more_than_there_are_has_all_alone() -> None:
    turns = Turns(2)
    assert await turns.take(8, timeout_s=LATE_S)
    assert await is_refused(turns)
    turns.give_back(8)
    assert await turns.take(1, timeout_s=LATE_S)
    assert await is_refused(turns, 8)


async def test_nobody_computes_while_the_operator_lends_nothing() -> None:
    turns = Turns()
    waiting = asyncio.create_task(turns.take(1, timeout_s=LATE_S))
    assert await is_refused(turns)
    assert not waiting.done()
    turns.allow(1)
    assert await waiting
    assert not await turns.take(1, timeout_s=0)


async def test_who_leaves_while_it_waits_holds_up_nobody_and_keeps_nothing() -> None:
    turns = Turns(1)
    assert await turns.take(1, timeout_s=LATE_S)
    leaving = asyncio.create_task(turns.take(1, timeout_s=LATE_S))
    staying = asyncio.create_task(turns.take(1, timeout_s=LATE_S))
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    turns.give_back(1)
    assert await staying

    late = asyncio.create_task(turns.take(1, timeout_s=LATE_S))
    await asyncio.sleep(0)
    turns.give_back(1)  # its turn comes, and it leaves before it hears of that
    late.cancel()
    with pytest.raises(asyncio.CancelledError):
        await late
    assert await turns.take(1, timeout_s=LATE_S)
