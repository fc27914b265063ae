"""Where this node's workers run: chosen once, when the first is wanted, by what proves itself on this machine."""

import asyncio
from pathlib import Path

import structlog

from gridlight.adapters.sandbox.engines import Chosen, EngineChoice, choose
from gridlight.adapters.sandbox.port import Sandbox, ThirdParty
from gridlight.messages.ids import NodeId

_log = structlog.get_logger()


class Engine:
    """One node's."""

    def __init__(self, wanted: EngineChoice, node_id: NodeId, folder: Path) -> None:
        self._wanted: EngineChoice = wanted
        self._node_id = node_id
        self._folder = folder
        self._chosen: Chosen | None = None
        self._choosing = asyncio.Lock()

    async def sandbox(self) -> Sandbox:
        """What keeps workers in, once an escape probe ran inside; the log says what was proved. EngineUnavailable."""
        return (await self._choice()).sandbox

    async def third_party(self) -> ThirdParty:
        """Whether a stranger's code may run here, and what is missing where not. EngineUnavailable."""
        return (await self._choice()).third_party

    async def _choice(self) -> Chosen:
        async with self._choosing:
            if self._chosen is None:
                self._chosen = await choose(self._wanted, owner=self._node_id, folder=self._folder)
                third_party = self._chosen.third_party
                _log.info(
                    "the engine is ready",
                    engine=self._chosen.sandbox.name,
                    may_run_third_party=third_party.is_allowed,
                    missing=list(third_party.missing),
                    escapes=self._chosen.findings.escapes,
                    passed_over=self._chosen.passed_over,
                )
            return self._chosen

    async def close(self) -> None:
        """Leave nothing behind of the workers that were started."""
        if self._chosen is not None:
            await self._chosen.sandbox.close()
