"""Watches the machine for its operator: looks several times a second, and tells the agent what it may do now."""

import asyncio
import os
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import structlog
from msgspec.structs import replace

from gridlight.adapters.blobs import cache_folder
from gridlight.adapters.clock import monotonic_ms, wall_s
from gridlight.adapters.configuration import BadConfiguration
from gridlight.adapters.preferences import PREFERENCES_FILE, HostPreferences, laid_over, read_preferences
from gridlight.adapters.sensors.input import input_of
from gridlight.adapters.sensors.load import Load
from gridlight.adapters.sensors.power import power
from gridlight.adapters.sensors.prices import BadPrices, read_prices
from gridlight.adapters.sensors.room import Resident, disk_bytes, memory_bytes
from gridlight.core.owner import Belief, Observation, Owner
from gridlight.core.preferences import ALWAYS, Preferences
from gridlight.core.tariff import Price
from gridlight.messages.control import PauseReason, Stance
from gridlight.services.agent.gateway_api import apart
from gridlight.services.agent.keeping import Keeping

LOOK_S: Final = 0.25
"""A look costs about a millisecond, and a node yields within a second of what it sees."""

LOOK_S_UNASKED: Final = 1.0
"""On a machine that is there to be a node nothing that is seen changes anything, but what its operator writes."""

ROOM_EVERY_S: Final = 30.0
ROOM_SHARE: Final = 1_000
"""And no more than one part in so many of the time is spent on walking the folders."""

SENSORS_ROOT: Final = "GRIDLIGHT_SENSORS_ROOT"
"""Names a folder that is read in the place of `/`: for tests, and for a container that is shown its machine's."""

_Version = tuple[int, int] | None

_log = structlog.get_logger()


class Ownership:
    """What the operator of one node wants, and what follows from it now."""

    def __init__(self, folder: Path, defaults: Preferences, slots: int, workers: Callable[[], Sequence[int]]) -> None:
        self.keeping = Keeping(folder)
        self.belief: Belief | None = None
        """None before the first look."""
        self.seen: Observation | None = None
        self.preferences = replace(defaults, slots_max=slots)
        self.preferences_error = ""
        self.is_always = defaults is ALWAYS
        self._folder = folder
        self._defaults = defaults
        self._slots = slots
        self._workers = workers
        self._owner = Owner()
        self._root = Path(os.environ.get(SENSORS_ROOT, "/"))
        self._input = input_of(self._root, os.environ)
        self._load = Load(self._root)
        self._resident = Resident()
        self._memory_bytes = memory_bytes(self._root)
        self._disk_bytes = (0, 2**63)
        self._started_ms = monotonic_ms()
        self._preferences_file = folder / PREFERENCES_FILE
        self._price_file: Path | None = None
        self._read: tuple[_Version, _Version] | None = None
        """Of the preferences and the prices that were read last."""
        self._host = HostPreferences()
        self._tariff: tuple[Price, ...] | None = None
        self._believed = asyncio.Event()

    async def watch(self, tell: Callable[[Belief], None]) -> None:
        """Look, and tell of each belief that differs from the last. Never returns."""
        self._load.look()  # the first one has nothing to compare with
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._measure_room())
            await asyncio.sleep(LOOK_S)
            while True:
                self.look(tell)
                is_asked = self.preferences != replace(ALWAYS, slots_max=self._slots)
                await asyncio.sleep(LOOK_S if is_asked else LOOK_S_UNASKED)

    def look(self, tell: Callable[[Belief], None]) -> None:
        """Once, at once."""
        self._read_files()
        seen = self.seen = self._observe()
        before, belief = self.belief, self._owner.believe(monotonic_ms(), self.preferences, seen)
        self.belief = belief
        if before is None or _lent(before) != _lent(belief):
            _log.info("the operator's wish", stance=belief.stance, reason=belief.reason, cpus=belief.cpus)
            tell(belief)
        self._believed.set()

    async def transfer_allowed(self) -> None:
        """Wait until the node may fetch what is large."""
        await self._believed.wait()
        while self.belief is None or not self.belief.may_transfer:  # noqa: ASYNC110  (a look is what changes it)
            await asyncio.sleep(LOOK_S)

    def _observe(self) -> Observation:
        now = datetime.now().astimezone()
        load = self._load.look()
        agent_bytes, worker_bytes = self._resident.look(self._workers())
        return Observation(
            now_s=wall_s(),
            weekday=now.weekday(),
            minute=now.hour * 60 + now.minute,
            watched_s=(monotonic_ms() - self._started_ms) // 1_000,
            idle_s=self._input.idle_s(),
            power=power(self._root),
            cpus=load.cpus,
            others_cpu_percent=load.others_cpu_percent,
            memory_bytes=self._memory_bytes,
            memory_pressure_percent=load.memory_pressure_percent,
            agent_memory_bytes=agent_bytes,
            worker_memory_bytes=worker_bytes,
            disk_used_bytes=self._disk_bytes[0],
            disk_free_bytes=self._disk_bytes[1],
            transferred_bytes=self.keeping.transferred_bytes(now.date().isoformat()),
            tariff=self._tariff,
            word=self.keeping.word,
        )

    async def _measure_room(self) -> None:
        while True:
            began_ms = monotonic_ms()
            self._disk_bytes = await apart(lambda: disk_bytes((self._folder, cache_folder())))
            await asyncio.sleep(max(ROOM_EVERY_S, (monotonic_ms() - began_ms) * ROOM_SHARE / 1_000))

    def _read_files(self) -> None:
        """Both files are read again when they were written again. A bad one changes nothing but that it is told."""
        read = _version(self._preferences_file), _version(self._price_file)
        if read == self._read:
            return
        self._read = read
        self.preferences_error = ""
        try:
            self._host = read_preferences(self._folder)
            self.preferences = replace(laid_over(self._defaults, self._host), slots_max=self._slots)
            name = self._host.energy_price_file
            self._price_file = None if name is None else self._folder / name
            self._tariff = None if self._price_file is None else read_prices(self._price_file)
        except (BadConfiguration, BadPrices) as error:
            self.preferences_error = str(error)
            _log.error("preferences are not followed", error=str(error))
        self._read = read[0], _version(self._price_file)


def _lent(belief: Belief) -> tuple[Stance, int, PauseReason | None]:
    """What others need to hear of; not when it may change."""
    return belief.stance, belief.cpus, belief.reason


def _version(path: Path | None) -> _Version:
    """When a file was written and how long it is; nothing where there is none."""
    try:
        status = None if path is None else path.stat()
    except OSError:
        status = None
    return None if status is None else (status.st_mtime_ns, status.st_size)
