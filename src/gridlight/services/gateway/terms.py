"""The terms of trust that answers are served under: the coordinator's parameters, read once for each of its starts."""

import asyncio

from gridlight.adapters.store import Store
from gridlight.messages.trust import TrustParameters
from gridlight.services.gateway.answers import read


class TrustTerms:
    """Costs a look into the read models after each start of the coordinator, and nothing for each request."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._reading = asyncio.Lock()
        self._parameters: TrustParameters | None = None

    async def current(self) -> TrustParameters | None:
        """None where no coordinator has ever started."""
        async with self._reading:
            if self._parameters is None:
                self._parameters = await read(self._store.trust)
            return self._parameters

    def forget(self) -> None:
        """A coordinator started, perhaps with others."""
        self._parameters = None
