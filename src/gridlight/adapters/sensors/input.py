"""How long nobody has touched the machine: terminals, keyboards' interrupts, and where there is a screen, its session.

What cannot be asked is said to be unknown: nobody is taken to be away because they could not be seen.
"""

import errno
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

from gridlight.adapters.sensors.desktop import Desktop
from gridlight.adapters.sensors.macos import MacInput

_INPUT_DEVICES: Final = ("i8042", "i2c_hid", "i2c-hid", "elan_i2c", "rmi4", "hid_")
"""What drives keyboards and touchpads in /proc/interrupts. USB devices' interrupts are their whole bus's: no use."""

_CONTAINED: Final = (".dockerenv", "run/.containerenv", "run/systemd/container")
"""Marks of a container; an image of one that became a machine has consoles as well, which containers have not."""

_SOMEBODY_ELSES: Final = "microsoft"
"""In the kernel's release, where Linux runs inside of Windows."""


_SCREEN_EVERY_S: Final = 2.0


class Input(Protocol):
    """A way to know how long nobody has touched the machine."""

    def idle_s(self) -> int | None:
        """Seconds since the last input; None where that is unknown."""
        ...


def input_of(root: Path, environment: Mapping[str, str]) -> Input:
    """The way that works on this machine."""
    return MacInput() if sys.platform == "darwin" else LinuxInput(root, environment)


class LinuxInput:
    """Terminals and interrupts; of a machine with a screen also what its session says."""

    def __init__(self, root: Path, environment: Mapping[str, str]) -> None:
        self._root = root
        self._environment = environment
        self._started_s = time.monotonic()
        self._interrupts = 0
        self._touched_s = self._started_s
        self._desktop: Desktop | None = None
        self._has_screen = False
        self._screen_asked_s = float("-inf")
        self._is_blind = _is_blind(root)
        self._consoles = list((root / "dev").glob("tty[0-9]*"))
        self._count_interrupts()

    def idle_s(self) -> int | None:
        """Since the last input; where nobody ever came, since long ago."""
        if self._is_blind:
            return None
        known = [self._terminals_idle_s(), self._interrupts_idle_s()]
        if self._is_screen_there():
            self._desktop = self._desktop or Desktop(self._root, self._environment)
            shown = self._desktop.idle_s()
            if shown is None:
                return None
            known.append(shown)
        return min(idle_s for idle_s in known if idle_s is not None)

    def _terminals_idle_s(self) -> int:
        """The kernel notes when a terminal was last read from, at most 8 s late, for sessions of every kind."""
        sessions = (self._root / "dev" / "pts").glob("[0-9]*")
        read_s = 0.0
        for terminal in (*self._consoles, *sessions):
            try:
                read_s = max(read_s, terminal.stat().st_atime)
            except OSError:
                continue  # it was closed meanwhile
        return max(int(time.time() - read_s), 0)

    def _interrupts_idle_s(self) -> int | None:
        """Since their count last rose; None on a machine that has none of these devices."""
        now_s = time.monotonic()
        before, after = self._interrupts, self._count_interrupts()
        if after > before > 0:
            self._touched_s = now_s
        return int(now_s - self._touched_s) if after and self._touched_s > self._started_s else None

    def _count_interrupts(self) -> int:
        try:
            lines = (self._root / "proc" / "interrupts").read_text(encoding="ascii", errors="replace").splitlines()
        except OSError:
            lines = []
        self._interrupts = sum(
            int(word)
            for line in lines
            if any(device in line for device in _INPUT_DEVICES)
            for word in line.split()[1:]
            if word.isdigit()
        )
        return self._interrupts

    def _is_screen_there(self) -> bool:
        """Not asked anew each time: it opens sockets, and nobody logs in several times a second."""
        now_s = time.monotonic()
        if now_s >= self._screen_asked_s + _SCREEN_EVERY_S:
            self._screen_asked_s, self._has_screen = now_s, self._look_for_screen()
        return self._has_screen

    def _look_for_screen(self) -> bool:
        """Whether anybody on this machine has a session with windows."""
        if self._environment.get("WAYLAND_DISPLAY") or self._environment.get("DISPLAY"):
            return True
        sockets = [*(self._root / "tmp" / ".X11-unix").glob("X*"), *(self._root / "run" / "user").glob("*/wayland-?")]
        if any(_is_listening(path) for path in sockets):
            return True
        # logind's own files. They are not meant for others, but its bus may be out of reach, and to take somebody for
        # away who sits there is the one mistake not to make.
        return any(_is_graphical(session) for session in (self._root / "run" / "systemd" / "sessions").glob("[!.]*"))


def _is_blind(root: Path) -> bool:
    """Whether whoever uses the machine is on the other side of a wall: of a container's, or of Windows'."""
    has_consoles = (root / "dev" / "tty1").exists()
    if not has_consoles and any((root / path).exists() for path in _CONTAINED):
        return True
    try:
        release = (root / "proc" / "sys" / "kernel" / "osrelease").read_text(encoding="utf-8")
    except OSError:
        return True
    return _SOMEBODY_ELSES in release.lower()


def _is_listening(path: Path) -> bool:
    """Whether there is a server behind a socket, though it may let nobody in; a killed one leaves its socket behind."""
    with socket.socket(socket.AF_UNIX) as connected:
        connected.settimeout(0)
        return connected.connect_ex(str(path)) != errno.ECONNREFUSED


def _is_graphical(session: Path) -> bool:
    if not session.is_file():  # a session's fifo stands beside it, and whoever reads that waits for ever
        return False
    try:
        words = session.read_text(encoding="utf-8", errors="replace").split()
    except OSError:
        return False  # it is over by now
    return "CLASS=user" in words and ("TYPE=x11" in words or "TYPE=wayland" in words)
