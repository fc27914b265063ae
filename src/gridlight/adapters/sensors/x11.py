"""How long an X server has seen no input: its screen saver extension, asked over its socket.

Spoken here rather than by Xlib, which ends the whole process when the server goes away; three requests are all.
"""

import socket
import struct
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from gridlight.adapters.sensors.x11_cookie import cookie_of

_ANSWER_S: Final = 1.0
_EXTENSION: Final = b"MIT-SCREEN-SAVER"
_COOKIE_NAME: Final = b"MIT-MAGIC-COOKIE-1"
_SETUP_BYTES_MAX: Final = 1024 * 1024
_REPLY_BYTES: Final = 32
_QUERY_EXTENSION: Final = 98
_QUERY_INFO: Final = 1
_REPLY: Final = 1
_ERROR: Final = 0
_TYPE_MASK: Final = 0x7F


class NoAnswer(OSError):
    """The server is not there, does not let us in, or cannot tell."""


class X11:
    """One connection to the server of a display such as `:0`. NoAnswer."""

    def __init__(self, root: Path, display: str, authority: Path | None) -> None:
        number = display.rpartition(":")[2].partition(".")[0]
        if not number.isdigit():
            raise NoAnswer(f"{display!r} is no display")
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.settimeout(_ANSWER_S)
            self._socket.connect(str(root / "tmp" / ".X11-unix" / f"X{number}"))
            self._window = self._set_up(cookie_of(authority, number))
            self._opcode = self._extension()
        except (OSError, struct.error) as error:
            self._socket.close()
            raise NoAnswer(f"display {display}: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def idle_ms(self) -> int:
        """Since the last input to this server."""
        self._socket.sendall(struct.pack("<BBHI", self._opcode, _QUERY_INFO, 2, self._window))
        reply = self._reply()
        _, _, idle_ms = struct.unpack_from("<III", reply, 8)
        return int(idle_ms)

    def _set_up(self, cookie: bytes) -> int:
        """The first screen's root window."""
        name = _COOKIE_NAME if cookie else b""
        head = struct.pack("<BxHHHHxx", ord("l"), 11, 0, len(name), len(cookie))
        self._socket.sendall(head + _padded(name) + _padded(cookie))
        answer, length = struct.unpack("<B5xH", self._read(8))
        data = self._read(min(4 * length, _SETUP_BYTES_MAX))
        if answer != 1:
            raise NoAnswer("it does not let us in")
        vendor_bytes, formats = struct.unpack_from("<H3xB", data, 16)[0], data[21]
        (window,) = struct.unpack_from("<I", data, 32 + (vendor_bytes + 3) // 4 * 4 + 8 * formats)
        return int(window)

    def _extension(self) -> int:
        length = len(_EXTENSION)
        self._socket.sendall(
            struct.pack("<BxHHxx", _QUERY_EXTENSION, 2 + (length + 3) // 4, length) + _padded(_EXTENSION)
        )
        _, is_present, opcode = struct.unpack_from("<8s?B", self._reply())
        if not is_present:
            raise NoAnswer("it has no screen saver extension")
        return int(opcode)

    def _reply(self) -> bytes:
        """The next reply; events that come before it are of no interest."""
        while True:
            data = self._read(_REPLY_BYTES)
            if data[0] & _TYPE_MASK == _ERROR:
                raise NoAnswer(f"it answered with error {data[1]}")
            if data[0] & _TYPE_MASK == _REPLY:
                self._read(4 * int.from_bytes(data[4:8], "little"))
                return data

    def _read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = self._socket.recv(count - len(data))
            if not part:
                raise NoAnswer("it closed the connection")
            data += part
        return data


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
