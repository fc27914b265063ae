"""Logs of services: one JSON object a line. Never a secret, never a picture's content."""

import sys
from collections import deque
from pathlib import Path
from typing import Any, Final, TextIO, cast

import structlog

from gridlight.messages.codec import Decoder, ProtocolViolation

COPY_BYTES_MAX: Final = 2 * 1024 * 1024

_lines: Final[Decoder[dict[str, Any]]] = Decoder(dict[str, Any])


def write_json_logs(path: Path | None, *, service: str, copy: Path | None = None) -> None:
    """Send this process's log to a file, or to standard error where there is none.

    A copy is kept in a file that never grows beyond `COPY_BYTES_MAX`; the one before it stays beside it.
    """
    if path is None:
        stream: TextIO = sys.stderr
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = path.open("a", encoding="utf-8", buffering=1)
    if copy is not None:
        stream = cast("TextIO", _Copied(stream, copy))
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)


def older(copy: Path) -> Path:
    """Where a copy's lines are that came before it was full."""
    return copy.with_suffix(f".1{copy.suffix}")


def newest(copy: Path, count: int) -> list[str]:
    """The last lines of a copy, oldest first, and of the one before it where it is short."""
    lines: deque[str] = deque(maxlen=count)
    for path in (older(copy), copy):
        if path.exists():
            with path.open(encoding="utf-8", errors="replace") as file:
                lines.extend(line.rstrip("\n") for line in file)
    return list(lines)


def readable(line: str) -> str:
    """A line for a person: when, how grave, what, and the rest as key=value."""
    try:
        fields = _lines.decode(line.encode())
    except ProtocolViolation:
        return line
    head = f"{fields.pop('timestamp', '')[:19].replace('T', ' ')} {fields.pop('level', ''):<8}{fields.pop('event', '')}"
    fields.pop("service", None)
    return "  ".join([head, *(f"{key}={value}" for key, value in fields.items())])


class _Copied:
    """A stream whose lines also go to a file, which is moved aside when it is full."""

    def __init__(self, stream: TextIO, path: Path) -> None:
        self._stream = stream
        self._path = path
        self._file = path.open("a", encoding="utf-8", buffering=1)

    def write(self, line: str) -> int:
        """A whole line. A disk that is full costs the copy alone."""
        try:
            if self._file.tell() + len(line) > COPY_BYTES_MAX:
                self._file.close()
                self._path.replace(older(self._path))
                self._file = self._path.open("a", encoding="utf-8", buffering=1)
            self._file.write(line)
        except (OSError, ValueError):
            pass
        return self._stream.write(line)

    def flush(self) -> None:
        """What structlog calls after each line."""
        self._stream.flush()

    def close(self) -> None:
        """Both, but for standard error, which is everybody's."""
        self._file.close()
        if self._stream is not sys.stderr:
            self._stream.close()
