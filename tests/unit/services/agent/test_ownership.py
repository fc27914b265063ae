"""How often a machine is looked at for its operator."""

import asyncio
from pathlib import Path

import pytest

from gridlight.adapters.preferences import PREFERENCES_FILE
from gridlight.core.preferences import ALWAYS, GENTLE, Preferences
from gridlight.services.agent import ownership
from gridlight.services.agent.ownership import LOOK_S, LOOK_S_UNASKED, Ownership


async def pauses(folder: Path, defaults: Preferences, monkeypatch: pytest.MonkeyPatch, count: int) -> list[float]:
    """How long it waits before each of the first looks; no time passes."""
    waited: list[float] = []
    enough = asyncio.Event()

    async def sleep(seconds: float) -> None:
        if seconds >= ownership.ROOM_EVERY_S or len(waited) == count:
            enough.set()
            await asyncio.Event().wait()
        waited.append(seconds)

    owned = Ownership(folder, defaults, 1, list)
    monkeypatch.setattr("gridlight.services.agent.ownership.asyncio.sleep", sleep)
    watching = asyncio.ensure_future(owned.watch(lambda _belief: None))
    while len(waited) < count:
        async with asyncio.timeout(5):
            await enough.wait()
            enough.clear()
    watching.cancel()
    return waited


async def test_a_machine_that_somebody_uses_is_looked_at_several_times_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await pauses(tmp_path, GENTLE, monkeypatch, 3) == [LOOK_S, LOOK_S, LOOK_S]


async def test_a_machine_that_is_there_to_be_a_node_is_looked_at_once_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await pauses(tmp_path, ALWAYS, monkeypatch, 3) == [LOOK_S, LOOK_S_UNASKED, LOOK_S_UNASKED]


async def test_unless_its_operator_asks_for_something(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / PREFERENCES_FILE).write_text("suspend_cpu_usage = 50\n", encoding="ascii")
    assert await pauses(tmp_path, ALWAYS, monkeypatch, 3) == [LOOK_S, LOOK_S, LOOK_S]
