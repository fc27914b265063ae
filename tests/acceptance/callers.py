"""Requesters that ask one request after another, at the side of whatever else a test does."""

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from msgspec import Struct

from gridlight.client.errors import GridlightError, RequestRefused
from gridlight.client.requester import Gridlight
from gridlight.messages.api import DetectResponse
from gridlight.messages.ids import NodeId
from gridlight.messages.trust import Assurance

REFUSED_PAUSE_S: Final = 0.05
JOIN_S: Final = 30.0


class Ended(Struct, frozen=True, kw_only=True):
    """One request as its requester saw it end. Times are monotonic seconds."""

    started_s: float
    ended_s: float
    response: DetectResponse | None = None
    error: GridlightError | None = None

    @property
    def lasted_ms(self) -> int:
        """From sending to the whole answer."""
        return round((self.ended_s - self.started_s) * 1_000)

    @property
    def is_explicit(self) -> bool:
        """Whether it has a result, or a refusal that says what and what to do."""
        if self.response is not None:
            return True
        error = self.error
        return isinstance(error, RequestRefused) and all((error.code, error.message, error.hint, error.request_id))

    def __str__(self) -> str:
        """For whoever reads a failure."""
        return f"{self.lasted_ms} ms: {'answered' if self.error is None else repr(self.error)}"


class Callers:
    """So many requesters for as long as a `with` lasts."""

    def __init__(self, url: str, photo: Path, count: int) -> None:
        self.ends: list[Ended] = []
        self._url = url
        self._photo = photo.read_bytes()
        self._count = count
        self._stopping = threading.Event()
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="caller")
        self._running: list[Future[None]] = []

    def __enter__(self) -> Self:
        self._running = [self._pool.submit(self._ask_on) for _ in range(self._count)]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Ask no more, and wait for what is in flight."""
        self._stopping.set()
        for one in self._running:
            one.result(JOIN_S)
        self._pool.shutdown()

    @property
    def answered(self) -> list[Ended]:
        """Those with a result, so far."""
        return [one for one in list(self.ends) if one.response is not None]

    @property
    def refused(self) -> list[Ended]:
        """Those without, so far."""
        return [one for one in list(self.ends) if one.response is None]

    def answered_since(self, instant_s: float) -> list[Ended]:
        """Those that were asked after an instant and have a result."""
        return [one for one in self.answered if one.started_s > instant_s]

    def in_flight_at(self, instant_s: float) -> list[Ended]:
        """Those that were asked before an instant and ended after it."""
        return [one for one in list(self.ends) if one.started_s < instant_s < one.ended_s]

    def _ask_on(self) -> None:
        with Gridlight(self._url) as requester:
            while not self._stopping.is_set():
                ended = ask(requester, self._photo)
                self.ends.append(ended)
                if ended.error is not None:
                    self._stopping.wait(REFUSED_PAUSE_S)


def ask(
    requester: Gridlight, photo: bytes | Path, *, node: NodeId | None = None, verify: Assurance | None = None
) -> Ended:
    """One request, however it ends."""
    started_s = time.monotonic()
    response, error = None, None
    try:
        response = requester.detect(photo, node=node, verify=verify)
    except GridlightError as raised:
        error = raised
    return Ended(started_s=started_s, ended_s=time.monotonic(), response=response, error=error)
