"""Honest nodes compared: how often their results differ beyond the shipped tolerances, and whether forgeries pass.

`python -m benchmarks.honest_comparisons [--comparisons 300] [--first 0]`; `make honest` makes 10,000. Each comparison
has a picture of its own, a real photo cropped, mirrored, lit and noised by its number, and two runs of the model on it
that differ in threads, in how far the runtime rewrote the graph, or in both; and a third one with another dither, as a
checker has it. Ends with an error where honest nodes were told apart or a forgery was not; `--first` makes a single
comparison again.
"""

import argparse
import io
import json
import math
import os
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

import msgspec
import numpy as np
from PIL import Image, ImageEnhance, ImageOps
from rich.console import Console
from rich.table import Table

from gridlight.adapters.blobs import Blobs, cache_folder
from gridlight.client.progress import ProgressListener, StageProgress
from gridlight.core.comparing import DITHER, Box, compare, is_overlapping
from gridlight.messages.limits import DITHER_BITS, PROBES_MAX, THRESHOLD_FLOOR
from gridlight.messages.results import BOX_UNITS_PER_PX, SCORE_ONE, Detection, decode_detections, encode_detections
from gridlight.messages.trust import Comparison
from gridlight.services.setup import ensure_photos, ensure_weights
from gridlight.workloads.contract import Manifest, manifest_named
from gridlight.workloads.detection.run import PROBE_UNITS, Detector, Floats, Optimisation, Output, dithered
from gridlight.workloads.prepare import prepare

THREADS: Final = (1, 2)
PHOTO_PX_MAX: Final = 640
SHIFT_UNITS: Final = 4 * BOX_UNITS_PER_PX
SCORE_SHIFT: Final = 500
FAINT_PLACES: Final = range(0, 4_800, 480)
FAINT_BELOW: Final = 3_000
CONFIDENCE: Final = 0.95
SAME_THING_IOU: Final = 5_000
"""Looser than any tolerance, so that the differences between honest results are measured and not presupposed."""


class Variant(NamedTuple):
    """An honest node's way to run the model."""

    threads: int
    optimisation: Optimisation

    def __str__(self) -> str:
        return f"{self.threads} {self.optimisation.name.lower()}"


VARIANTS: Final = tuple(Variant(threads, optimisation) for threads, optimisation in product(THREADS, Optimisation))


@dataclass
class Tally:
    """What came of the comparisons of two variants."""

    comparisons: int = 0
    informative: int = 0
    equal: int = 0
    """Results of the same bytes."""
    mismatches: int = 0
    score_delta: int = 0
    box_delta: int = 0
    raw_delta: int = 0
    """In 1e-6, of all raw values that a probe could have asked for."""
    probe_risk: float = 0.0
    """Summed chances that the probes, wherever they fall, tell two honest nodes apart."""
    dither_mismatches: int = 0
    """Runs of two dithers that were told apart, by whatever; both are repeated then, and nobody is faulted."""
    dither_risk: float = 0.0
    """Summed chances that the probes, wherever they fall, tell two dithers apart."""
    copies_passing: float = 0.0
    """Summed chances that the raw values of one dither pass, wherever probes fall, for those of another."""
    alone: int = 0
    """Detections that the other result does not have at all."""
    alone_score: int = 0
    """The best score of one."""

    def add(self, other: "Tally") -> None:
        """Counts are added up, differences are the largest of both."""
        for name in (
            *("comparisons", "informative", "equal", "mismatches", "alone", "probe_risk"),
            *("dither_mismatches", "dither_risk", "copies_passing"),
        ):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("score_delta", "box_delta", "raw_delta", "alone_score"):
            setattr(self, name, max(getattr(self, name), getattr(other, name)))


@dataclass
class Findings:
    """What a run of comparisons found."""

    pairs: dict[tuple[Variant, Variant], Tally] = field(default_factory=dict)
    forged: dict[str, list[int]] = field(default_factory=dict)
    """Accepted and tried, by the name of the forgery."""
    mismatched: list[int] = field(default_factory=list)
    """Numbers of the comparisons that told honest nodes apart, for which one of them would be blamed."""
    disputed: list[int] = field(default_factory=list)
    """Numbers of those whose two dithers were told apart: both runs are repeated then, and nobody is blamed."""

    @property
    def total(self) -> Tally:
        """Of all pairs of variants."""
        total = Tally()
        for tally in self.pairs.values():
            total.add(tally)
        return total


class Sitting:
    """The model in each variant, and the photos."""

    def __init__(self) -> None:
        ensure_weights(lambda _: None)
        self._manifest = manifest_named("coco-ssd")
        self._rule = comparison_of(self._manifest)
        [digest] = self._manifest.artifacts.values()
        model = Blobs(cache_folder() / "blobs").path(digest)
        assert model is not None
        self._detectors = {
            (threads, optimisation): Detector(
                model, self._manifest.run.parameters, threads=threads, optimisation=optimisation
            )
            for threads, optimisation in VARIANTS
        }
        self._photos = [_small(path) for path in ensure_photos(lambda _: None)]
        self._last: dict[int, bytes] = {}
        """A telling output of each photo, for who would replay it for another."""

    def compare_many(self, numbers: range, progress: ProgressListener) -> Findings:
        """One comparison for each number, which alone decides what is compared."""
        findings = Findings()
        for done, number in enumerate(numbers, start=1):
            self._compare(number, findings)
            progress("comparing honest results", done, len(numbers))
        return findings

    def _compare(self, number: int, findings: Findings) -> None:
        draws = Random(number)
        photo = draws.randrange(len(self._photos))
        step = self._manifest.prepare
        tensor = prepare(step.name, step.parameters, varied(self._photos[photo], draws)).tensor
        pair = draws.sample(VARIANTS, 2)
        places, *dithers = draws.getrandbits(53 - DITHER_BITS), *(draws.getrandbits(DITHER_BITS) for _ in range(2))
        inputs = [dithered(tensor, places << DITHER_BITS | dither) for dither in dithers]
        heads = [self._detectors[variant].heads(inputs[0]) for variant in pair]
        one, other = (self._detectors[variant].report(*raw, places) for variant, raw in zip(pair, heads, strict=True))
        compared = compare(self._rule, one.canonical, other.canonical, tuple(one.probes), tuple(other.probes))
        tally = differences(one, other)
        tally.mismatches = int(not compared.is_match)
        tally.informative = int(compared.is_informative)
        raw_deltas = np.abs(heads[0][1] - heads[1][1])
        tally.raw_delta = round(float(raw_deltas.max()) * PROBE_UNITS)
        tally.probe_risk = 1 - self._passing(raw_deltas, "probe_delta_max")
        checker = self._detectors[pair[1]].heads(inputs[1])
        third, deltas = self._detectors[pair[1]].report(*checker, places), np.abs(heads[0][1] - checker[1])
        probes = tuple(one.probes), tuple(third.probes)
        loosely = compare(self._rule, one.canonical, third.canonical, *probes, is_one_dither=False)
        tally.dither_mismatches = int(not loosely.is_match)
        tally.dither_risk = 1 - self._passing(deltas, DITHER)
        tally.copies_passing = self._passing(deltas, "probe_delta_max")
        first, second = sorted(pair, key=VARIANTS.index)
        findings.pairs.setdefault((first, second), Tally()).add(tally)
        if not compared.is_match:
            findings.mismatched.append(number)
        if not loosely.is_match:
            findings.disputed.append(number)
        if compared.is_informative:
            self._forge(photo, one, other, findings)
            self._last[photo] = one.canonical

    def _passing(self, deltas: Floats, tolerance: str) -> float:
        """The chance that all probes, wherever they fall, are within a tolerance of the manifest."""
        share = float((deltas > self._rule.parameters[tolerance] / PROBE_UNITS).mean())
        return (1 - share) ** PROBES_MAX

    def _forge(self, photo: int, truth: Output, checker: Output, findings: Findings) -> None:
        """Try each forgery against an honest checker; the forger is even given the right probes."""
        replays = [output for owner, output in sorted(self._last.items()) if owner != photo]
        probes = tuple(checker.probes)
        for name, output in forgeries(decode_detections(truth.canonical), replays):
            counts = findings.forged.setdefault(name, [0, 0])
            counts[0] += compare(self._rule, output, checker.canonical, probes, probes).is_match
            counts[1] += 1


def comparison_of(manifest: Manifest) -> Comparison:
    """The manifest's step as the rule that the core knows."""
    return msgspec.convert(manifest.compare, Comparison, from_attributes=True)


def varied(photo: Image.Image, draws: Random) -> bytes:
    """The photo as if another camera had seen a part of it, as a JPEG."""
    width, height = (round(side * draws.uniform(0.4, 1.0)) for side in photo.size)
    left, top = draws.randint(0, photo.width - width), draws.randint(0, photo.height - height)
    picture = photo.crop((left, top, left + width, top + height))
    if draws.random() < 0.5:
        picture = ImageOps.mirror(picture)
    picture = ImageEnhance.Brightness(picture).enhance(draws.uniform(0.5, 1.5))
    noise = np.random.default_rng(draws.getrandbits(64)).normal(0, draws.uniform(0, 12), (height, width, 3))
    noisy = np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8)
    written = io.BytesIO()
    Image.fromarray(noisy).save(written, "JPEG", quality=draws.randint(60, 95))
    return written.getvalue()


def differences(one: Output, other: Output) -> Tally:
    """How far two results of one picture are apart, whatever the tolerances."""
    tally = Tally(comparisons=1, equal=int(one.canonical == other.canonical))
    if tally.equal:
        return tally
    ones, others = decode_detections(one.canonical), decode_detections(other.canonical)
    for mine, theirs in ((ones, others), (others, ones)):
        for detection in mine:
            twin = _twin(detection, theirs)
            if twin is None:
                tally.alone += 1
                tally.alone_score = max(tally.alone_score, detection.score)
                continue
            tally.score_delta = max(tally.score_delta, abs(detection.score - twin.score))
            sides = (abs(a - b) for a, b in zip(detection.box, twin.box, strict=True))
            tally.box_delta = max(tally.box_delta, *sides)
    return tally


def forgeries(truth: list[Detection], replays: Sequence[bytes]) -> Iterator[tuple[str, bytes]]:
    """What one may say who did not run the model on this picture, or did and says something else."""
    yield "empty", b""
    yield from (("another picture's", output) for output in replays)
    # To labels that nothing in the picture has: where one box has two labels at nearly one score, as cat and dog, to
    # swap them changes nothing within the tolerances.
    labels = [one.class_id for one in truth]
    span = max(labels) - min(labels) + 1
    yield "labels changed", _changed(truth, lambda one: (one.class_id + span, one.score, one.box))
    yield "best dropped", encode_detections(truth[1:])
    yield "boxes off by 4 px", _changed(truth, lambda one: (one.class_id, one.score, _shifted(one.box)))
    yield "scores off by 0.05", _changed(truth, lambda one: (one.class_id, _shifted_score(one.score), one.box))
    faint = [Detection(class_id=labels[0], score=THRESHOLD_FLOOR, box=(x, 0, x + 16, 16)) for x in FAINT_PLACES]
    yield "faint things added", encode_detections([*truth, *faint])
    if any(THRESHOLD_FLOOR <= one.score < FAINT_BELOW for one in truth):
        yield "faint things dropped", encode_detections([one for one in truth if one.score >= FAINT_BELOW])


def at_most(found: int, tried: int) -> float:
    """The exact upper bound of a rate, 95 % sure and one-sided, by Clopper and Pearson."""
    low, high = found / tried, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if _at_most_found(found, tried, middle) > 1 - CONFIDENCE:
            low = middle
        else:
            high = middle
    return high


def _at_most_found(found: int, tried: int, rate: float) -> float:
    """Chance of no more than so many among so many tried."""
    if rate == 1.0:
        return float(found == tried)
    ways = (math.lgamma(tried + 1) - math.lgamma(n + 1) - math.lgamma(tried - n + 1) for n in range(found + 1))
    hits = ((n * math.log(rate), (tried - n) * math.log1p(-rate)) for n in range(found + 1))
    return math.fsum(math.exp(way + hit + miss) for way, (hit, miss) in zip(ways, hits, strict=True))


def tables(findings: Findings) -> list[Table]:
    """What was found, to be read."""
    honest = Table(title="honest results: threads and optimisation of both; differences are the largest seen")
    for heading in (
        "pair",
        "comparisons",
        "mismatches",
        "at most",
        "equal bytes",
        "score",
        "box",
        "raw value",
        "probe risk",
        "alone",
    ):
        honest.add_column(heading, justify="left" if heading == "pair" else "right")
    ordered = sorted(findings.pairs.items(), key=lambda item: [VARIANTS.index(variant) for variant in item[0]])
    for (one, other), tally in ordered:
        honest.add_row(f"{one}, {other}", *_cells(tally))
    honest.add_section()
    honest.add_row("all", *_cells(findings.total))
    forged = Table(title="forged answers to telling pictures, against an honest checker")
    for heading in ("forgery", "tried", "accepted"):
        forged.add_column(heading, justify="left" if heading == "forgery" else "right")
    for name, (accepted, tried) in findings.forged.items():
        forged.add_row(name, f"{tried:,}", f"{accepted:,}")
    return [honest, forged]


def _cells(tally: Tally) -> list[str]:
    alone = f"{tally.alone} to {tally.alone_score / SCORE_ONE:.4f}" if tally.alone else "0"
    return [
        f"{tally.comparisons:,}",
        f"{tally.mismatches:,}",
        f"{at_most(tally.mismatches, tally.comparisons):.1e}",
        f"{tally.equal / tally.comparisons:.1%}",
        f"{tally.score_delta / SCORE_ONE:.4f}",
        f"{tally.box_delta / BOX_UNITS_PER_PX:.4f} px",
        f"{tally.raw_delta / PROBE_UNITS:.6f}",
        f"{tally.probe_risk / tally.comparisons:.1e}" if tally.probe_risk else "0",
        alone,
    ]


def main() -> None:
    """Print both tables, a line to read and one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--comparisons", type=int, default=300)
    parser.add_argument("--first", type=int, default=0, help="number of the first one")
    options = parser.parse_args()
    sitting = Sitting()
    with StageProgress(Console(stderr=True)) as progress:
        findings = sitting.compare_many(range(options.first, options.first + options.comparisons), progress)
    console = Console(width=140)
    for table in tables(findings):
        console.print(table)
    total, accepted = findings.total, sum(counts[0] for counts in findings.forged.values())
    print(
        f"honest comparisons: {total.mismatches} of {total.comparisons:,} told honest nodes apart, at most "
        f"{at_most(total.mismatches, total.comparisons):.1e} of all (95 % sure); {total.informative:,} were telling; "
        f"forgeries accepted: {accepted}; "
        f"by all places that probes may fall on, probes tell apart {total.probe_risk / total.comparisons:.1e} of all; "
        f"of two dithers {total.dither_mismatches} told apart, probes {total.dither_risk / total.comparisons:.1e}; "
        f"copies of another dither that a repetition lets pass: {total.copies_passing / total.comparisons:.2f}"
    )
    print(
        json.dumps(
            {
                "figures": asdict(total),
                "forged": findings.forged,
                "mismatched": findings.mismatched,
                "disputed": findings.disputed,
                "options": vars(options),
                "load": os.getloadavg(),
                "machine": platform.processor() or platform.machine(),
                "python": sys.version,
            }
        )
    )
    if findings.mismatched:
        sys.exit(f"honest nodes were told apart; to see it again: --comparisons 1 --first N for {findings.mismatched}")
    if accepted:
        sys.exit("forgeries were accepted")


def _small(path: Path) -> Image.Image:
    with Image.open(path) as photo:
        photo.thumbnail((PHOTO_PX_MAX, PHOTO_PX_MAX))
        return photo.convert("RGB")


def _changed(truth: list[Detection], change: Callable[[Detection], tuple[int, int, Box]]) -> bytes:
    changed = (change(detection) for detection in truth)
    return encode_detections([Detection(class_id=one[0], score=one[1], box=one[2]) for one in changed])


def _shifted(box: Box) -> Box:
    return box[0] + SHIFT_UNITS, box[1] + SHIFT_UNITS, box[2] + SHIFT_UNITS, box[3] + SHIFT_UNITS


def _shifted_score(score: int) -> int:
    return score + SCORE_SHIFT if score + SCORE_SHIFT <= SCORE_ONE else score - SCORE_SHIFT


def _twin(detection: Detection, others: list[Detection]) -> Detection | None:
    """The same thing in another result, the nearest in score where there are several."""
    same = [
        other
        for other in others
        if other.class_id == detection.class_id and is_overlapping(detection.box, other.box, SAME_THING_IOU)
    ]
    return min(same, key=lambda other: abs(other.score - detection.score), default=None)


if __name__ == "__main__":
    main()
