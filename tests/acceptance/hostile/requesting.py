"""Requesters of a network under attack: pictures whose right answers are known, and whatever was answered to each."""

import io
import itertools
import random
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from msgspec import Struct
from PIL import Image, ImageEnhance
from tests.acceptance.callers import JOIN_S, Ended
from tests.acceptance.stand import until

from gridlight.adapters.signatures import blake3_digest
from gridlight.client.casestudy.findings import are_alike
from gridlight.client.errors import GridlightError
from gridlight.client.requester import Gridlight
from gridlight.messages.api import DetectionView, DetectResponse
from gridlight.messages.ids import NodeId
from gridlight.messages.trust import Assurance
from gridlight.workloads.contract import manifest_named
from gridlight.workloads.prepare import prepare

_PREPARE: Final = manifest_named("coco-ssd").prepare
SIDE_PX: Final = 300
TRUTH_DEADLINE_MS: Final = 30_000
SURE, UNSURE = 0.30, 0.94
"""Something is found beyond doubt, and not so surely that its score cannot be inflated."""


class Picture(Struct, frozen=True, kw_only=True):
    """A picture, and what an honest node finds in it."""

    content: bytes
    input_digest: str
    """Of its tensor, as nodes see it."""
    truth: list[DetectionView]


class Asked(Struct, frozen=True, kw_only=True):
    """One request as it ended."""

    number: int
    picture: Picture
    verify: Assurance
    ended: Ended

    @property
    def answer(self) -> DetectResponse | None:
        """None where it was refused."""
        return self.ended.response

    @property
    def is_wrong(self) -> bool:
        """Whether what was served is not what an honest node finds."""
        return self.answer is not None and not are_alike(self.answer.detections, self.picture.truth)


def variants(photos: Sequence[Path], count: int, seed: int) -> list[bytes]:
    """So many pictures, no two of which give the same tensor."""
    chance = random.Random(seed)
    opened = [Image.open(path).convert("RGB") for path in photos]
    return [_variant(photo, chance) for photo in itertools.islice(itertools.cycle(opened), count)]


def _variant(photo: Image.Image, chance: random.Random) -> bytes:
    width, height = photo.size
    left, top = chance.uniform(0, 0.08) * width, chance.uniform(0, 0.08) * height
    right, bottom = width - chance.uniform(0, 0.08) * width, height - chance.uniform(0, 0.08) * height
    part = photo.resize((SIDE_PX, SIDE_PX), Image.Resampling.BILINEAR, (left, top, right, bottom))
    file = io.BytesIO()
    ImageEnhance.Brightness(part).enhance(chance.uniform(0.8, 1.2)).save(file, "JPEG", quality=92)
    return file.getvalue()


def pictures(administrator: Gridlight, honest: Sequence[NodeId], contents: Sequence[bytes]) -> list[Picture]:
    """Those of the pictures that are fit to tell a lie, with what an honest node says of each."""

    def answered(number: int) -> Picture:
        content = contents[number]
        node = honest[number % len(honest)]
        found = administrator.detect(content, node=node, deadline_ms=TRUTH_DEADLINE_MS).detections
        tensor = prepare(_PREPARE.name, _PREPARE.parameters, content).tensor
        return Picture(content=content, input_digest=blake3_digest(tensor), truth=found)

    with ThreadPoolExecutor(2) as pool:
        known = list(pool.map(answered, range(len(contents))))
    return [one for one in known if any(SURE <= thing.score <= UNSURE for thing in one.truth)]


def ask(requester: Gridlight, number: int, picture: Picture, verify: Assurance) -> Asked:
    """One request at a level of assurance, however it ends."""
    started_s = time.monotonic()
    response, error = None, None
    try:
        response = requester.detect(picture.content, verify=verify)
    except GridlightError as raised:
        error = raised
    ended = Ended(started_s=started_s, ended_s=time.monotonic(), response=response, error=error)
    return Asked(number=number, picture=picture, verify=verify, ended=ended)


class Requesters:
    """So many requesters for as long as a `with` lasts, each asking one request after another."""

    def __init__(self, url: str, known: Sequence[Picture], count: int, levels: Sequence[Assurance]) -> None:
        self.asked: list[Asked] = []
        self._url = url
        self._known = known
        self._levels = levels
        self._next_number = 0
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="requester")
        self._count = self._asking = count
        self._running: list[Future[None]] = []

    def __enter__(self) -> Self:
        self._running = [self._pool.submit(self._ask_on, place) for place in range(self._count)]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        for one in self._running:
            one.result(JOIN_S)
        self._pool.shutdown()

    def change_levels(self, levels: Sequence[Assurance], count: int) -> None:
        """Let so many ask on, at these levels in turn; returns when whatever was asked before has ended."""
        with self._lock:
            self._levels, self._asking, number = levels, count, self._next_number
        until(lambda: sum(one.number < number for one in list(self.asked)) == number, JOIN_S, "older requests to end")

    def _ask_on(self, place: int) -> None:
        with Gridlight(self._url) as requester:
            while not self._stopping.is_set() and place < self._asking:
                with self._lock:
                    number, self._next_number = self._next_number, self._next_number + 1
                    level = self._levels[number % len(self._levels)]
                self.asked.append(ask(requester, number, self._known[number % len(self._known)], level))
