"""How long nobody has touched a session with windows, by whoever answers first: its desktop, its X server, or logind.

Asked in a thread, since any of them may hang; an answer that is older than a few seconds is none.
"""

import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from jeepney import DBusAddress, MessageType, Properties, new_method_call
from jeepney.io.blocking import DBusConnection, open_dbus_connection

from gridlight.adapters.sensors.x11 import X11

_ASK_S: Final = 0.4
_REST_S: Final = 10.0
"""Before all are asked again where none has answered."""

_FRESH_S: Final = 3.0
_ANSWER_S: Final = 1.0

_MUTTER: Final = DBusAddress(
    "/org/gnome/Mutter/IdleMonitor/Core", "org.gnome.Mutter.IdleMonitor", "org.gnome.Mutter.IdleMonitor"
)
_SCREEN_SAVER: Final = DBusAddress("/ScreenSaver", "org.freedesktop.ScreenSaver", "org.freedesktop.ScreenSaver")
_LOGIND: Final = DBusAddress("/org/freedesktop/login1", "org.freedesktop.login1", "org.freedesktop.login1.Manager")

Ask = Callable[[], int]
"""Milliseconds since the last input. Raises whatever goes wrong with a stranger's program."""


class Desktop:
    """Asks in the background from now on."""

    def __init__(self, root: Path, environment: Mapping[str, str]) -> None:
        self._root = root
        self._environment = environment
        self._answer: tuple[float, int] | None = None
        """When it was given, and how many seconds it said."""
        threading.Thread(target=self._ask_for_ever, daemon=True).start()

    def idle_s(self) -> int | None:
        """Since the last input; None where nobody could say just now."""
        answer = self._answer
        if answer is None or time.monotonic() - answer[0] > _FRESH_S:
            return None
        return answer[1]

    def _ask_for_ever(self) -> None:
        while True:
            for way in (self._mutter, self._screen_saver, self._x11, self._logind):
                try:
                    self._repeat(way)
                except Exception:  # noqa: BLE001, S112  (whatever a stranger's program does: the next one is asked)
                    continue
            time.sleep(_REST_S)

    def _repeat(self, way: Callable[[Callable[[Ask], None]], None]) -> None:
        """As long as this one answers."""

        def follow(ask: Ask) -> None:
            while True:
                self._answer = time.monotonic(), ask() // 1_000
                time.sleep(_ASK_S)

        way(follow)

    def _mutter(self, follow: Callable[[Ask], None]) -> None:
        """GNOME, on Wayland and on X11."""
        with self._session_bus() as bus:
            follow(lambda: _number(_call(bus, new_method_call(_MUTTER, "GetIdletime"))))

    def _screen_saver(self, follow: Callable[[Ask], None]) -> None:
        """KDE, which answers in milliseconds; another that means seconds is taken to be busier than it is."""
        with self._session_bus() as bus:
            follow(lambda: _number(_call(bus, new_method_call(_SCREEN_SAVER, "GetSessionIdleTime"))))

    def _x11(self, follow: Callable[[Ask], None]) -> None:
        """An X server knows of all input, but for one that is a window of Wayland's."""
        display = self._environment.get("DISPLAY", "")
        if self._environment.get("WAYLAND_DISPLAY") or self._environment.get("XDG_SESSION_TYPE") == "wayland":
            return
        home = self._environment.get("HOME")
        authority = self._environment.get("XAUTHORITY") or (f"{home}/.Xauthority" if home else None)
        with X11(self._root, display, Path(authority) if authority else None) as server:
            follow(server.idle_ms)

    def _logind(self, follow: Callable[[Ask], None]) -> None:
        """All sessions of the machine, if their desktops tell it; where they do not, it never calls anybody idle."""
        address = self._environment.get("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={self._root}/run/dbus/system_bus_socket")
        with open_dbus_connection(bus=address, auth_timeout=_ANSWER_S) as bus:
            follow(lambda: _hinted_idle_ms(bus))

    def _session_bus(self) -> DBusConnection:
        fallback = f"unix:path={self._root}/run/user/{os.getuid()}/bus"
        address = self._environment.get("DBUS_SESSION_BUS_ADDRESS", fallback)
        return open_dbus_connection(bus=address, auth_timeout=_ANSWER_S)


def _hinted_idle_ms(bus: DBusConnection) -> int:
    properties = Properties(_LOGIND)
    [(_, is_idle)] = _call(bus, properties.get("IdleHint"))
    [(_, since_us)] = _call(bus, properties.get("IdleSinceHint"))
    return max(int(time.time() * 1_000) - int(since_us) // 1_000, 0) if is_idle else 0


def _call(bus: DBusConnection, message: Any) -> tuple[Any, ...]:
    reply = bus.send_and_get_reply(message, timeout=_ANSWER_S)
    if reply.header.message_type is not MessageType.method_return:
        raise OSError(f"refused: {reply.body}")
    return tuple(reply.body)


def _number(body: tuple[Any, ...]) -> int:
    [number] = body
    return int(number)
