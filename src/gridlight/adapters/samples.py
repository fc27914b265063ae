"""A node's own memory of its reasons: what the network counted, one sample a line, a month at most."""

import os
import tempfile
from itertools import islice
from pathlib import Path
from typing import Final

from gridlight.messages.api import WorkloadWhy
from gridlight.messages.codec import ProtocolViolation, encode, reasons_samples
from gridlight.messages.limits import MESSAGE_BYTES_MAX
from gridlight.messages.reasons import ReasonsSample, SampledReasons

SAMPLES_FILE: Final = "reasons.jsonl"
"""Of a node's folder."""

KEPT_MS: Final = 30 * 24 * 3_600_000
SAMPLES_MAX: Final = 6 * 24 * 31
TIDIED_EACH: Final = 6 * 24
"""So many samples are added before old ones are dropped, so that a month is not read for each."""


class Samples:
    """One node's file; what cannot be read in it is passed over."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._until_tidied = 0

    def read(self) -> list[ReasonsSample]:
        """All samples, oldest first; the newest where there are more than may be kept."""
        try:
            with self._path.open("rb") as file:
                lines = list(islice(iter(lambda: file.readline(MESSAGE_BYTES_MAX), b""), SAMPLES_MAX + TIDIED_EACH))
        except FileNotFoundError:
            return []
        samples = [sample for line in lines if (sample := _sample(line)) is not None]
        return sorted(samples, key=lambda sample: sample.at_ms)[-SAMPLES_MAX:]

    def add(self, sample: ReasonsSample) -> None:
        """Keep one more; now and then those are dropped that are too old, or too many."""
        if self._until_tidied == 0:
            kept = [one for one in self.read() if sample.at_ms - one.at_ms < KEPT_MS]
            self._replace([*kept, sample][-SAMPLES_MAX:])
            self._until_tidied = TIDIED_EACH
        else:
            with self._path.open("ab") as file:
                file.write(encode(sample) + b"\n")
        self._until_tidied -= 1

    def _replace(self, samples: list[ReasonsSample]) -> None:
        """Whole or not at all: whoever asks meanwhile reads the old file."""
        descriptor, name = tempfile.mkstemp(prefix=f".{self._path.name}.", dir=self._path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.writelines(encode(sample) + b"\n" for sample in samples)
            Path(name).replace(self._path)
        finally:
            Path(name).unlink(missing_ok=True)


def sampled(why: WorkloadWhy) -> SampledReasons:
    """What is kept of an answer: its counts, without the sentences."""
    counts = {view.reason: view.tasks for view in why.reasons}
    return SampledReasons(workload=why.workload, since_ms=why.since_ms, considered=why.considered, reasons=counts)


def _sample(line: bytes) -> ReasonsSample | None:
    """A line that was cut short by a crash, or that somebody edited, is none."""
    try:
        return reasons_samples.decode(line)
    except ProtocolViolation:
        return None
