"""Turns at the database: few at once, and a bound on those that wait, since keys cost nothing and anybody may ask."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from gridlight.services.gateway.errors import Refusal


class Turns:
    """`at_once` of them, and `asking_max` with those that wait; the next one is told that there are `too_many`."""

    def __init__(self, at_once: int, asking_max: int, too_many: str) -> None:
        self._free: Final = asyncio.Semaphore(at_once)
        self._asking_max: Final = asking_max
        self._too_many: Final = too_many
        self._asking = 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """One of them. Refusal where too many wait for theirs."""
        if self._asking >= self._asking_max:
            raise Refusal("BUSY", self._too_many)
        self._asking += 1
        try:
            async with self._free:
                yield
        finally:
            self._asking -= 1
