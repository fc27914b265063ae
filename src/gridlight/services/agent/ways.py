"""By which way a node reaches the bus: TCP first, WebSocket where that fails; and first of all by what worked last."""

from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple

from gridlight.messages.api import EnrolmentResponse

_WORD_BYTES_MAX: Final = 16


class WayKind(StrEnum):
    """What carries the bus' messages."""

    TCP = "tcp"
    WEBSOCKET = "websocket"


class Way(NamedTuple):
    """One address of the bus."""

    kind: WayKind
    url: str


def ways_to(enrolment: EnrolmentResponse, *, last: WayKind | None, own_url: str | None = None) -> list[Way]:
    """The ways to try, in order. `own_url` is the bus of this very machine, which needs no asking."""
    if own_url is not None:
        return [Way(WayKind.TCP, own_url)]
    ways = [Way(WayKind.TCP, enrolment.nats_url)] if enrolment.nats_url else []
    if enrolment.websocket_url is not None:
        ways.append(Way(WayKind.WEBSOCKET, enrolment.websocket_url))
    return sorted(ways, key=lambda way: way.kind is not last)


class LastWay:
    """What worked last, kept in the node's folder, so that a start behind a proxy waits for no TCP in vain."""

    def __init__(self, path: Path) -> None:
        self._path: Final = path
        self.kind: WayKind | None = None
        with suppress(OSError, ValueError):
            self.kind = WayKind(path.read_bytes()[:_WORD_BYTES_MAX].decode("ascii").strip())

    def keep(self, kind: WayKind) -> None:
        """This one worked. A folder that takes no more files costs a while at the next start, and no more."""
        if kind is not self.kind:
            self.kind = kind
            with suppress(OSError):
                self._path.write_text(f"{kind}\n", encoding="ascii")
