"""What simulated nodes answer: the right result of a task, and the ways in which a result can be wrong.

A task's number is all that its picture is; it stands in the input's digest, from which each node computes the rest.
"""

from enum import IntEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from gridlight.messages.ids import Blake3Digest
from gridlight.messages.limits import DITHER_BITS
from gridlight.messages.results import Detection, encode_detections
from gridlight.messages.trust import Comparison

COMPARISON: Final = Comparison(
    name="boxes",
    parameters={
        "iou_min": 9_500,
        "score_delta_max": 100,
        "border_band": 100,
        "probe_delta_max": 1_000,
        "dither_delta_max": 100_000,
    },
)
"""The tight profile, for what all nodes run here."""

PICTURES: Final = 1_024
"""Different right answers; further numbers come round to them again."""

CLASSES: Final = 80
_OWN_CLASS_FIRST: Final = 1_000
_OWN_CLASSES: Final = 60_000
_PROBE_STEPS: Final = 999_983
_DITHER_STEPS: Final = 4_200
"""How far a dither moves a probe, at most. Two of them are within the tolerance 42 times in a hundred: as often as all
sixteen probes of coco-ssd are (docs/decisions/0032-copies-do-not-pay.md)."""

_PROBE_WRONG: Final = 5_000_000


class Effort(IntEnum):
    """What went into an answer."""

    RUN = 0
    """The model was run."""
    CHEAPER_RUN = 1
    """A cheaper model was run."""
    COPY = 2
    """Another one of the group had the same task, and its answer was taken over."""
    GUESS = 3
    """Nothing was looked at."""


COST_PPM: Final = {Effort.RUN: 1_000_000, Effort.CHEAPER_RUN: 300_000, Effort.COPY: 20_000, Effort.GUESS: 20_000}
"""What an answer costs of a run's CPU time. Assumed: int8 weights or a smaller network take about a third of fp32's
time; who runs nothing still receives 270 kB, signs, and answers."""


class Answer(Struct, frozen=True, gc=False):
    """A result as a node would submit it."""

    output: bytes
    digest: Blake3Digest
    probes: tuple[int, ...]
    effort: Effort = Effort.RUN


def input_digest(number: int) -> Blake3Digest:
    """The digest of a task's input."""
    return Blake3Digest(f"{number:064x}")


def number_of_input(digest: Blake3Digest) -> int:
    """The task's number, as every node can see it."""
    return int(digest, 16)


def output_digest(output: bytes) -> Blake3Digest:
    """Stands for BLAKE3: as different as the outputs, which are short."""
    assert len(output) <= 32
    return Blake3Digest(output.hex().ljust(64, "0"))


def _detection(picture: int, class_id: int) -> bytes:
    left, top = 16 * (picture % 97), 16 * (picture % 89)
    box = (left, top, left + 1_600, top + 1_600)
    return encode_detections([Detection(class_id=class_id, score=5_000 + picture, box=box)])


_RIGHT: Final = [_detection(picture, picture % CLASSES) for picture in range(PICTURES)]
_COLLUDED: Final = [_detection(picture, (picture + 1) % CLASSES) for picture in range(PICTURES)]
_RIGHT_DIGESTS: Final = [output_digest(output) for output in _RIGHT]
_COLLUDED_DIGESTS: Final = [output_digest(output) for output in _COLLUDED]


def right_digest(number: int) -> Blake3Digest:
    """Of what a task's result should be."""
    return _RIGHT_DIGESTS[number % PICTURES]


def right_output(number: int) -> bytes:
    """What a task's result should be."""
    return _RIGHT[number % PICTURES]


def right(number: int, probe_seed: int) -> Answer:
    """What honest nodes say."""
    picture = number % PICTURES
    return Answer(_RIGHT[picture], _RIGHT_DIGESTS[picture], _probes(number, probe_seed))


def colluded(number: int, probe_seed: int) -> Answer:
    """The one wrong answer that a group agreed on. They did run the model, so their probes are sound."""
    picture = number % PICTURES
    return Answer(_COLLUDED[picture], _COLLUDED_DIGESTS[picture], _probes(number, probe_seed))


def faulty(number: int, probe_seed: int, node: int) -> Answer:
    """What one node gets wrong as no other does, after it ran the model."""
    output = _detection(number % PICTURES, _OWN_CLASS_FIRST + node % _OWN_CLASSES)
    return Answer(output, output_digest(output), _probes(number, probe_seed))


def cheapened(number: int, probe_seed: int, node: int) -> Answer:
    """What one node's cheaper model says."""
    return Answer(*_of(faulty(number, probe_seed, node)), _wrong_probes(node), Effort.CHEAPER_RUN)


def empty(node: int) -> Answer:
    """Nothing is there, says who has not looked."""
    return Answer(b"", output_digest(b""), _wrong_probes(node), Effort.GUESS)


def copied(answer: Answer) -> Answer:
    """The same, by who did not run the model for it: a fellow kept all that its own run came to."""
    return replace(answer, effort=Effort.COPY)


def _of(answer: Answer) -> tuple[bytes, Blake3Digest]:
    return answer.output, answer.digest


def _wrong_probes(node: int) -> tuple[int, ...]:
    return (_PROBE_WRONG + node * _PROBE_STEPS,)


def _probes(number: int, probe_seed: int) -> tuple[int, ...]:
    """The upper bits of the seed choose the place, and the whole of it the dither."""
    value = (number * 7_919 + (probe_seed >> DITHER_BITS) * 104_729) % _PROBE_STEPS
    return (value + (number + probe_seed) * 2_654_435_761 % 2**32 * _DITHER_STEPS // 2**32,)
