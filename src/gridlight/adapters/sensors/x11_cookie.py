"""The cookie that an X server wants to see, out of the file in which its session keeps it."""

from pathlib import Path
from typing import Final

_FILE_BYTES_MAX: Final = 256 * 1024
_COOKIE_NAME: Final = b"MIT-MAGIC-COOKIE-1"


def cookie_of(authority: Path | None, number: str) -> bytes:
    """Of this display, or of any; nothing where the file has none or cannot be read."""
    try:
        data = authority.read_bytes()[:_FILE_BYTES_MAX] if authority is not None else b""
    except OSError:
        return b""
    at = 0
    while at + 2 <= len(data):
        at += 2  # the family of its address
        fields: list[bytes] = []
        for _ in range(4):
            length = int.from_bytes(data[at : at + 2], "big")
            fields.append(data[at + 2 : at + 2 + length])
            at += 2 + length
        _, display, name, cookie = fields
        if name == _COOKIE_NAME and display in (b"", number.encode()):
            return cookie
    return b""
