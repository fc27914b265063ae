"""A machine as its sensors see it: real files in a folder that stands for `/`, changed as things happen."""

import os
import time
from pathlib import Path
from typing import Final

from gridlight.services.agent.ownership import SENSORS_ROOT

GIB_KB: Final = 1024 * 1024
LONG_AGO_S: Final = 24 * 3_600


class MachineFiles:
    """On mains, with nobody at it and nothing to do."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._others_ticks = 0
        self._idle_ticks = 0
        self._lasting = 1
        self.write("proc/sys/kernel/osrelease", "6.1.0-generic\n")
        self.write("proc/meminfo", f"MemTotal: {8 * GIB_KB} kB\n")
        self._interrupts = 41
        self._write_interrupts()
        self.write("sys/class/power_supply/AC/type", "Mains\n")
        self.write("sys/class/power_supply/BAT0/type", "Battery\n")
        self.write("dev/pts/3", "")
        self.plug(is_in=True)
        self.run_others(percent=0)
        os.utime(root / "dev/pts/3", (time.time() - LONG_AGO_S,) * 2)

    @property
    def environment(self) -> dict[str, str]:
        """For an agent that shall see this machine and no screen."""
        return {SENSORS_ROOT: str(self.root), "DISPLAY": "", "WAYLAND_DISPLAY": ""}

    def plug(self, *, is_in: bool) -> None:
        """Pull the cord, or put it in."""
        self.write("sys/class/power_supply/AC/online", f"{int(is_in)}\n")
        self.write("sys/class/power_supply/BAT0/status", "Charging\n" if is_in else "Discharging\n")

    def type_something(self, ago_s: float = 0) -> None:
        """On a terminal."""
        os.utime(self.root / "dev/pts/3", (time.time() - ago_s,) * 2)

    def press_a_key(self) -> None:
        """On a keyboard of the machine's own."""
        self._interrupts += 2
        self._write_interrupts()

    def _write_interrupts(self) -> None:
        count = f"  1:          0         {self._interrupts}   IO-APIC   i8042\n"
        self.write("proc/interrupts", f"           CPU0       CPU1\n{count}")

    def run_others(self, *, percent: int) -> None:
        """Others had so much of the two CPUs, for far longer than all that was before."""
        self._lasting *= 20
        self._others_ticks += percent * self._lasting
        self._idle_ticks += (100 - percent) * self._lasting
        line = f"{self._others_ticks} 0 0 {self._idle_ticks} 0 0 0 0 0 0"
        self.write("proc/stat", f"cpu  {line}\ncpu0 {line}\ncpu1 {line}\nintr 1\n")

    def write(self, name: str, text: str) -> None:
        """Whole or not at all: the agent may read at any moment."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.partial")
        partial.write_text(text)
        partial.replace(path)
