"""What the machine runs on: the kernel's list of power supplies, or what psutil finds where there is no such list."""

from pathlib import Path
from typing import Final

import psutil

from gridlight.messages.control import Power

_ADAPTERS: Final = ("Mains", "USB", "Wireless")
_STORES: Final = ("Battery", "UPS")
_DRAINING: Final = "Discharging"
_FED: Final = ("Charging", "Full", "Not charging")


def power(root: Path) -> Power:
    """Now. A machine without a battery of its own runs on mains."""
    folder = root / "sys" / "class" / "power_supply"
    if not folder.is_dir():
        return _power_elsewhere()
    supplies = sorted(folder.iterdir())
    adapters = [_word(supply / "online") == "1" for supply in supplies if _word(supply / "type") in _ADAPTERS]
    if any(adapters):
        return Power.MAINS
    states = [_word(supply / "status") for supply in supplies if _is_of_the_machine(supply)]
    if not states:
        return Power.MAINS
    if adapters or _DRAINING in states:
        return Power.BATTERY
    return Power.MAINS if all(state in _FED for state in states) else Power.UNKNOWN


def _is_of_the_machine(supply: Path) -> bool:
    """And not of a mouse or a headset."""
    return _word(supply / "type") in _STORES and _word(supply / "scope") != "Device"


def _word(path: Path) -> str:
    """What stands in the file; nothing where it is not there, or vanished with its device."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""


def _power_elsewhere() -> Power:
    battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    if battery is None or battery.power_plugged is None:
        return Power.UNKNOWN
    return Power.MAINS if battery.power_plugged else Power.BATTERY
