"""What hostile nodes say: each lie is made of what an honest run found, of an older answer, or of nothing at all."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from hashlib import blake2b
from typing import Final, NamedTuple

import numpy as np
from PIL import Image

from gridlight.messages.limits import PROBES_MAX, THRESHOLD_REPORT
from gridlight.messages.results import SCORE_ONE, Detection, decode_detections, encode_detections
from gridlight.workloads.contract import manifest_named

PERSON, CAT, DOG = 1, 17, 18
SHIFT_UNITS: Final = 16 * 16
"""16 px: much more than the overlap of 0.95 allows, on boxes as large as the picture, too."""

SCORE_LIFT: Final = 500
CHEAPER_SIDE: Final = 100
"""Of the 300 pixels a side; a ninth of the work, for whoever has a model that takes them."""

_INPUT: Final = manifest_named("coco-ssd").run.parameters
SIDE_PX: Final = _INPUT["width"]
SIDE_UNITS: Final = SIDE_PX * 16


class Behaviour(StrEnum):
    """How a hostile node behaves once it does; until then it is honest."""

    EMPTY = "empty"
    """Runs nothing and finds nothing."""
    RANDOM = "random"
    """Runs nothing and makes up boxes, and probes with them."""
    REPLAYED = "replayed"
    """Runs its first task, and says the same ever after."""
    LABEL_SWAP = "label-swap"
    SHIFTED = "shifted"
    INFLATED = "inflated"
    MISSING = "missing"
    """These four run the model and alter what it finds: their probes are right."""
    CHEAPER = "cheaper"
    """Runs the model on a ninth of the pixels."""
    OTHER_MODEL = "other-model"
    """Runs another, smaller model, given as a file."""
    COLLUDING = "colluding"
    """Says what follows from the input's digest: whoever is in the plot says the same, with right probes."""
    GUESSING = "guessing"
    """Sees cats where it takes a task for a requester's, and answers honestly what it takes for a check."""
    SILENT = "silent"
    """Acknowledges, and says nothing more."""
    VANISHING = "vanishing"
    """Acknowledges, closes its connection, and comes back."""
    OLD_WORD = "old-word"
    """Sends the words that it signed for its first result as every later one's."""
    OTHERS_DIGEST = "others-digest"
    """Names the digest of an output that is not the one it sends."""

    @property
    def runs_nothing(self) -> bool:
        """Whether it needs no worker."""
        return self in (
            Behaviour.EMPTY,
            Behaviour.RANDOM,
            Behaviour.OTHER_MODEL,
            Behaviour.SILENT,
            Behaviour.VANISHING,
        )


class Said(NamedTuple):
    """An output, and the probes that go with it."""

    output: bytes
    probes: tuple[int, ...]


Lie = Callable[[str, Said], Said]
"""Of the input's digest, and of what an honest run of it found."""


def empty(_digest: str, _honest: Said) -> Said:
    """Nothing found, and probes of nothing."""
    return Said(b"", (0,) * PROBES_MAX)


def random(digest: str, _honest: Said) -> Said:
    """Boxes and probes out of the air."""
    air = np.random.default_rng(list(blake2b(digest.encode()).digest()))
    corners = np.sort(air.integers(0, SIDE_UNITS, (5, 2, 2)), axis=1)
    found = [
        Detection(class_id=PERSON, score=score, box=(int(low[0]), int(low[1]), int(high[0]), int(high[1])))
        for score, (low, high) in zip((9_100, 8_200, 7_300, 6_400, 5_500), corners, strict=True)
    ]
    return Said(encode_detections(found), tuple(int(one) for one in air.integers(-6_000_000, 1, PROBES_MAX)))


def swapped(_digest: str, honest: Said) -> Said:
    """People become dogs, and everything else people."""
    return altered(honest, lambda one: replaced(one, class_id=DOG if one.class_id == PERSON else PERSON))


def shifted(_digest: str, honest: Said) -> Said:
    """Every box a little further right and down."""
    return altered(honest, lambda one: replaced(one, shift=SHIFT_UNITS))


def inflated(_digest: str, honest: Said) -> Said:
    """Everything surer than it is."""
    return altered(honest, lambda one: replaced(one, score=min(one.score + SCORE_LIFT, SCORE_ONE)))


def missing(_digest: str, honest: Said) -> Said:
    """All but what is surest."""
    return Said(encode_detections(decode_detections(honest.output)[1:]), honest.probes)


def cats(_digest: str, honest: Said) -> Said:
    """Everything is a cat, and cats are people."""
    return altered(honest, lambda one: replaced(one, class_id=PERSON if one.class_id == CAT else CAT))


def agreed(digest: str, honest: Said) -> Said:
    """One dog, where the digest says."""
    x, y, *_ = blake2b(digest.encode(), digest_size=2).digest()
    box = (8 * x, 8 * y, 8 * x + 1_600, 8 * y + 1_600)
    return Said(encode_detections([Detection(class_id=DOG, score=9_000, box=box)]), honest.probes)


def altered(honest: Said, change: Callable[[Detection], Detection]) -> Said:
    """Each detection changed; the probes as they were."""
    changed = dict.fromkeys(change(one) for one in decode_detections(honest.output))
    return Said(encode_detections(list(changed)), honest.probes)


def replaced(one: Detection, *, class_id: int | None = None, score: int | None = None, shift: int = 0) -> Detection:
    """The detection with something else about it, within the input."""
    x0, y0, x1, y1 = (min(side + shift, SIDE_UNITS) for side in one.box)
    score = one.score if score is None else score
    assert score >= THRESHOLD_REPORT
    return Detection(class_id=class_id or one.class_id, score=score, box=(x0, y0, x1, y1))


LIES: Final[dict[Behaviour, Lie]] = {
    Behaviour.EMPTY: empty,
    Behaviour.RANDOM: random,
    Behaviour.LABEL_SWAP: swapped,
    Behaviour.SHIFTED: shifted,
    Behaviour.INFLATED: inflated,
    Behaviour.COLLUDING: agreed,
    Behaviour.MISSING: missing,
    Behaviour.GUESSING: cats,
}


def degraded(tensor: bytes) -> bytes:
    """The same picture with a ninth of its pixels."""
    shape = (_INPUT["height"], _INPUT["width"], 3)
    picture = Image.fromarray(np.frombuffer(tensor, np.uint8).reshape(shape))
    small = picture.resize((CHEAPER_SIDE, CHEAPER_SIDE), Image.Resampling.BILINEAR)
    return small.resize(picture.size, Image.Resampling.BILINEAR).tobytes()


def taken_for_a_check(deadline_ms: int, seen_ms: Sequence[int]) -> bool:
    """By the only thing that varies: who has more time than most was not asked by somebody who waits."""
    return deadline_ms >= sorted(seen_ms)[len(seen_ms) // 2]
