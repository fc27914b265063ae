"""What a session with windows says of its idle time: over a real D-Bus, and from a real X server."""

import ctypes
import ctypes.util
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from jeepney import HeaderFields, MessageType, new_error, new_method_return
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import open_dbus_connection
from tests.integration.machine_stand import MachineFiles

from gridlight.adapters.sensors.desktop import Desktop
from gridlight.adapters.sensors.input import LinuxInput

WAIT_S = 5.0
SEEN_S = 1.0
NOWHERE = {"DISPLAY": "", "WAYLAND_DISPLAY": ""}


def until(what: str, is_so: Callable[[], object], within_s: float = WAIT_S) -> None:
    ends_s = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < ends_s, f"{what}: not within {within_s} s"
        time.sleep(0.01)


def is_listening(path: Path) -> bool:
    """A socket's file is there before it can be connected to."""
    with socket.socket(socket.AF_UNIX) as connected:
        return connected.connect_ex(str(path)) == 0


class Speaker:
    """A program on the bus that answers as a desktop's does; a method's name, or a property's, to its value."""

    def __init__(self, address: str, name: str, answers: dict[str, tuple[str, Any]]) -> None:
        self.answers = answers
        self._connection = open_dbus_connection(bus=address)
        self._connection.send_and_get_reply(message_bus.RequestName(name), timeout=WAIT_S)
        self._is_over = False
        self._thread = threading.Thread(target=self._speak)
        self._thread.start()

    def stop(self) -> None:
        self._is_over = True
        self._thread.join()
        self._connection.close()

    def _speak(self) -> None:
        while not self._is_over:
            with suppress(TimeoutError):
                message = self._connection.receive(timeout=0.05)
                if message.header.message_type is MessageType.method_call:
                    self._connection.send(self._answer(message))

    def _answer(self, message: Any) -> Any:
        member = message.header.fields[HeaderFields.member]
        if member == "Get":
            signature, value = self.answers[message.body[1]]
            return new_method_return(message, "v", ((signature, value),))
        if member not in self.answers:
            return new_error(message, "org.freedesktop.DBus.Error.UnknownMethod")
        signature, value = self.answers[member]
        return new_method_return(message, signature, (value,))


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[str]:
    """A real one, with nobody on it yet."""
    daemon = shutil.which("dbus-daemon")
    if daemon is None:
        pytest.skip("NO D-BUS: no desktop was asked. `apt-get install dbus-daemon`, then run again")
    address = f"unix:path={tmp_path}/bus"
    process = subprocess.Popen(
        [daemon, "--session", "--nofork", "--nopidfile", f"--address={address}"], stderr=subprocess.DEVNULL
    )
    until("the bus is there", lambda: is_listening(tmp_path / "bus"))
    yield address
    process.kill()
    process.wait()


@pytest.fixture
def speak(bus: str) -> Iterator[Callable[..., Speaker]]:
    speakers: list[Speaker] = []

    def start(name: str, **answers: tuple[str, Any]) -> Speaker:
        speakers.append(Speaker(bus, name, answers))
        return speakers[-1]

    yield start
    for speaker in speakers:
        speaker.stop()


def environment(bus: str) -> dict[str, str]:
    return {**NOWHERE, "DBUS_SESSION_BUS_ADDRESS": bus, "DBUS_SYSTEM_BUS_ADDRESS": bus}


def hint(*, is_idle: bool, since_s: float) -> dict[str, tuple[str, Any]]:
    """As logind gives it."""
    return {"IdleHint": ("b", is_idle), "IdleSinceHint": ("t", int((time.time() - since_s) * 1_000_000))}


def test_gnome_is_asked_first_and_followed_as_somebody_comes_back(
    bus: str, speak: Callable[..., Speaker], tmp_path: Path
) -> None:
    speak("org.freedesktop.login1", **hint(is_idle=True, since_s=9_000))
    gnome = speak("org.gnome.Mutter.IdleMonitor", GetIdletime=("t", 95_400))
    desktop = Desktop(tmp_path, environment(bus))
    until("it answers", lambda: desktop.idle_s() == 95)

    gnome.answers["GetIdletime"] = ("t", 30)

    until("somebody is seen", lambda: desktop.idle_s() == 0, SEEN_S)


def test_kde_is_asked_where_there_is_no_gnome(bus: str, speak: Callable[..., Speaker], tmp_path: Path) -> None:
    speak("org.freedesktop.ScreenSaver", GetSessionIdleTime=("u", 61_000))
    desktop = Desktop(tmp_path, environment(bus))

    until("it answers", lambda: desktop.idle_s() == 61)


@pytest.mark.parametrize(("is_idle", "seconds"), [(True, 125), (False, 0)])
def test_logind_is_asked_where_no_desktop_answers(
    bus: str, speak: Callable[..., Speaker], tmp_path: Path, is_idle: bool, seconds: int
) -> None:
    speak("org.freedesktop.ScreenSaver", Lock=("b", True))  # which knows no idle time
    speak("org.freedesktop.login1", **hint(is_idle=is_idle, since_s=125))
    desktop = Desktop(tmp_path, environment(bus))

    until("it answers", lambda: desktop.idle_s() in (seconds, seconds + 1))


def test_a_desktop_that_goes_away_is_followed_by_the_next_who_answers(
    bus: str, speak: Callable[..., Speaker], tmp_path: Path
) -> None:
    speak("org.freedesktop.login1", **hint(is_idle=True, since_s=125))
    gnome = Speaker(bus, "org.gnome.Mutter.IdleMonitor", {"GetIdletime": ("t", 4_000)})
    desktop = Desktop(tmp_path, environment(bus))
    until("it answers", lambda: desktop.idle_s() == 4)

    gnome.stop()

    until("the next one answers", lambda: (desktop.idle_s() or 0) >= 125)


def test_where_nobody_answers_it_is_unknown(tmp_path: Path) -> None:
    desktop = Desktop(tmp_path, environment(f"unix:path={tmp_path}/none"))

    assert desktop.idle_s() is None


def test_whoever_is_at_the_screen_or_at_a_terminal_counts(
    bus: str, speak: Callable[..., Speaker], tmp_path: Path
) -> None:
    machine = MachineFiles(tmp_path / "machine")
    machine.write("run/systemd/sessions/4", "CLASS=user\nTYPE=wayland\n")
    speak("org.gnome.Mutter.IdleMonitor", GetIdletime=("t", 200_000))
    sensor = LinuxInput(machine.root, environment(bus))

    until("it answers", lambda: sensor.idle_s() == 200)
    machine.type_something()
    assert sensor.idle_s() in (0, 1)


# A real X server


@pytest.fixture
def display(tmp_path: Path) -> Iterator[str]:
    """One that nobody sees, with a cookie that it wants to be shown."""
    xvfb = shutil.which("Xvfb")
    if xvfb is None or ctypes.util.find_library("Xtst") is None:
        pytest.skip("NO X SERVER: no screen was asked. `apt-get install xvfb libxtst6`, then run again")
    cookie = bytes(range(16))
    name, number = b"MIT-MAGIC-COOKIE-1", str(os.getpid() % 50_000 + 100)
    fields = (b"", number.encode(), name, cookie)
    authority = tmp_path / "authority"
    authority.write_bytes(b"\xff\xff" + b"".join(len(field).to_bytes(2, "big") + field for field in fields))
    command = [xvfb, f":{number}", "-screen", "0", "64x64x8", "-nolisten", "tcp", "-auth", str(authority)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    until("the server is there", lambda: is_listening(Path(f"/tmp/.X11-unix/X{number}")))
    yield f":{number}"
    process.terminate()
    process.wait()


def press_a_key(display: str) -> None:
    """By the extension that test programs use, as a keyboard's driver would."""
    x11, xtst = ctypes.CDLL("libX11.so.6"), ctypes.CDLL(ctypes.util.find_library("Xtst"))
    x11.XOpenDisplay.restype = ctypes.c_void_p
    opened = ctypes.c_void_p(x11.XOpenDisplay(display.encode()))
    assert opened.value, "the server let us in"
    for is_down in (1, 0):
        xtst.XTestFakeKeyEvent(opened, 38, is_down, 0)
    x11.XFlush(opened)
    x11.XCloseDisplay(opened)


def test_an_x_server_tells_of_a_key_within_a_second(
    display: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XAUTHORITY", str(tmp_path / "authority"))
    nobody = environment(f"unix:path={tmp_path}/none")
    desktop = Desktop(Path("/"), {**nobody, "DISPLAY": display, "XAUTHORITY": str(tmp_path / "authority")})
    until("it has been idle for a second", lambda: (desktop.idle_s() or 0) >= 1)

    press_a_key(display)

    until("somebody is seen", lambda: desktop.idle_s() == 0, SEEN_S)


def test_an_x_server_that_does_not_let_us_in_tells_nothing(display: str, tmp_path: Path) -> None:
    desktop = Desktop(Path("/"), {**environment(f"unix:path={tmp_path}/none"), "DISPLAY": display})
    time.sleep(0.3)

    assert desktop.idle_s() is None


def test_an_x_server_that_is_a_window_of_waylands_is_not_asked(display: str, tmp_path: Path) -> None:
    told = {"DISPLAY": display, "WAYLAND_DISPLAY": "wayland-0", "XAUTHORITY": str(tmp_path / "authority")}
    desktop = Desktop(Path("/"), {**environment(f"unix:path={tmp_path}/none"), **told})
    time.sleep(0.3)

    assert desktop.idle_s() is None
