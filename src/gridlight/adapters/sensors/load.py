"""How busy the machine is with others' work, as shares of the time of the last few looks.

Who is nice is no other: the agent is, and so are its workers however they are confined, and backups and the like.
"""

import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

import psutil
from msgspec import Struct

_NICE: Final = 1
_IDLE: Final = (3, 4)
"""Places in a line of /proc/stat: idle, and waiting for the disk."""

_STOLEN: Final = 7
"""What other machines took of a virtual one, and after it what is counted as user time already."""

_TICKS_MIN: Final = 10
"""A tenth of a second of one CPU: a share of less says nothing."""


_LOOKS: Final = 3
"""Over which the CPUs' use is averaged: with a look each quarter of a second, what is shorter is nobody's need."""

_WINDOW_US_MIN: Final = 100_000
"""Memory's pressure of a shorter time says nothing."""


class LoadNow(Struct, frozen=True, kw_only=True):
    """None where it cannot be seen."""

    cpus: int
    others_cpu_percent: int | None
    memory_pressure_percent: int | None


class Load:
    """Looks at the kernel's counters; the first look has nothing to compare with."""

    def __init__(self, root: Path, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._stat = root / "proc" / "stat"
        self._pressure = root / "proc" / "pressure" / "memory"
        self._clock_s = clock_s
        self._ticks: deque[tuple[int, int]] = deque(maxlen=_LOOKS + 1)
        """Of the last looks: others' and altogether."""
        self._stalled_us: tuple[float, int] | None = None
        self._pressed_percent: int | None = None

    def look(self) -> LoadNow:
        """Since the last looks."""
        cpus, ticks = self._count()
        if ticks is not None and (not self._ticks or ticks[1] - self._ticks[-1][1] >= _TICKS_MIN):
            self._ticks.append(ticks)
        percent = None
        if len(self._ticks) > 1:
            (others, whole), (others_now, whole_now) = self._ticks[0], self._ticks[-1]
            percent = _share(others_now - others, whole_now - whole)
        return LoadNow(cpus=cpus, others_cpu_percent=percent, memory_pressure_percent=self._pressed())

    def _count(self) -> tuple[int, tuple[int, int] | None]:
        """CPUs, and ticks of all of them: others' and altogether."""
        try:
            lines = [line.split() for line in self._stat.read_text(encoding="ascii").splitlines()]
            numbers = [int(number) for number in lines[0][1 : 1 + _STOLEN]]
        except (OSError, ValueError, IndexError):
            return psutil.cpu_count() or 1, _ticks_elsewhere()
        cpus = sum(line[0].startswith("cpu") for line in lines if line) - 1
        others = sum(number for place, number in enumerate(numbers) if place not in (_NICE, *_IDLE))
        return max(cpus, 1), (others, sum(numbers))

    def _pressed(self) -> int | None:
        """Of the time since the last look, in which some process waited for memory."""
        try:
            total_us = int(self._pressure.read_text(encoding="ascii").split("\n")[0].rpartition("total=")[2])
        except (OSError, ValueError):
            return None
        now_us = self._clock_s() * 1_000_000
        before = self._stalled_us
        if before is None or now_us - before[0] >= _WINDOW_US_MIN:
            self._stalled_us = now_us, total_us
            self._pressed_percent = None if before is None else _share(total_us - before[1], now_us - before[0])
        return self._pressed_percent


def _share(part: float, whole: float) -> int:
    return min(max(round(100 * part / whole), 0), 100) if whole > 0 else 0


def _ticks_elsewhere() -> tuple[int, int] | None:
    """In hundredths of a second, from psutil, where there is no /proc."""
    times = psutil.cpu_times()
    others = times.user + times.system
    return round(100 * others), round(100 * (others + times.idle + getattr(times, "nice", 0.0)))
