"""Turns: so many at once, so many that wait, and a refusal for the next."""

import asyncio

import pytest

from gridlight.services.gateway.errors import Refusal
from gridlight.services.gateway.turns import Turns


async def test_one_has_its_turn_another_waits_and_a_third_is_refused() -> None:
    turns = Turns(1, 2, "Too many.")
    done: list[int] = []
    may_end = asyncio.Event()

    async def take(number: int) -> None:
        async with turns.turn():
            await may_end.wait()
            done.append(number)

    async with asyncio.TaskGroup() as group:
        for number in (1, 2):
            group.create_task(take(number))
            await asyncio.sleep(0)
        with pytest.raises(Refusal, match="Too many") as refused:
            async with turns.turn():
                pass
        assert (refused.value.code, done) == ("BUSY", [])
        may_end.set()
    assert done == [1, 2]
    async with turns.turn():
        pass
