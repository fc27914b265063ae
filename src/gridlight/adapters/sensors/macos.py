"""How long nobody has touched a Mac: what the kernel's registry says of keyboard, mouse and touchpad."""

import re
import subprocess
import time
from typing import Final

_COMMAND: Final = ("/usr/sbin/ioreg", "-c", "IOHIDSystem", "-d", "4", "-k", "HIDIdleTime")
_IDLE_NS: Final = re.compile(rb'"HIDIdleTime"\s*=\s*(\d+)')
_ASK_S: Final = 0.5
_ANSWER_S: Final = 2.0


class MacInput:
    """Asks `ioreg`, not more often than twice a second."""

    def __init__(self) -> None:
        self._asked_s = float("-inf")
        self._idle_s: int | None = None

    def idle_s(self) -> int | None:
        """Since the last input; None where the registry does not say."""
        if time.monotonic() - self._asked_s >= _ASK_S:
            self._asked_s = time.monotonic()
            self._idle_s = _ask()
        return self._idle_s


def parse_idle_s(registry: bytes) -> int | None:
    """The smallest of what `ioreg` printed, which may speak of several devices."""
    return min((int(text) // 1_000_000_000 for text in _IDLE_NS.findall(registry)), default=None)


def _ask() -> int | None:
    try:
        ran = subprocess.run(_COMMAND, capture_output=True, timeout=_ANSWER_S, check=True)  # noqa: S603 (a fixed program)
    except (OSError, subprocess.SubprocessError):
        return None
    return parse_idle_s(ran.stdout)
