"""Which inputs outlive their jobs, and until when: those that somebody else will be asked about. Never on disk.

An input that was drawn for a check is let go within a minute. One whose owner allowed that it is used again may stay
for three days; there is room for so many, and the oldest make way.
"""

import asyncio
from collections import OrderedDict
from typing import Final

from msgspec import Struct

from gridlight.adapters.clock import monotonic_ms
from gridlight.messages.ids import Blake3Digest, JobId
from gridlight.services.gateway.metrics import Metrics
from gridlight.workloads.contract import Manifest

SWEEP_S: Final = 1.0
CHECK_MS_MAX: Final = 59_000
"""With a sweep's delay on top, no input that was not given for reuse is held for more than a minute."""
CANARY_MS_MAX: Final = 72 * 3_600_000

CHECKS_KEPT_MAX: Final = 4_096
CHECK_BYTES_MAX: Final = 256 * 1024 * 1024
CANARIES_KEPT_MAX: Final = 2_048
CANARY_BYTES_MAX: Final = 128 * 1024 * 1024


class Input(Struct, frozen=True, eq=False):
    """What a node is sent for a task, and what its answer is read with."""

    digest: Blake3Digest
    manifest: Manifest
    tensor: bytes
    is_public: bool
    """Its owner allowed that it is used again."""


class KeptInput(Struct, frozen=True, eq=False):
    """An input whose job is over, or soon will be."""

    input: Input
    kept_ms: int
    """Monotonic: when it was first asked for."""
    ends_ms: int


class Pool:
    """Bounded in number and in bytes; the oldest are let go first."""

    def __init__(self, inputs_max: int, bytes_max: int) -> None:
        self._kept: OrderedDict[JobId, KeptInput] = OrderedDict()
        self._inputs_max = inputs_max
        self._bytes_max = bytes_max
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, job_id: JobId) -> KeptInput | None:
        """The job's input, if it is here."""
        return self._kept.get(job_id)

    def put(self, job_id: JobId, kept: KeptInput) -> None:
        """Hold an input, or hold it for longer; whatever there is no more room for goes."""
        before = self._kept.get(job_id)
        self._kept[job_id] = kept
        self.bytes += len(kept.input.tensor) - (0 if before is None else len(before.input.tensor))
        while len(self._kept) > self._inputs_max or self.bytes > self._bytes_max:
            self.drop(next(iter(self._kept)))

    def drop(self, job_id: JobId) -> None:
        """Let an input go, if it is here."""
        kept = self._kept.pop(job_id, None)
        if kept is not None:
            self.bytes -= len(kept.input.tensor)

    def expire(self, now_ms: int) -> None:
        """Let go whatever has had its time; looks at all, of which there are few."""
        for job_id in [job_id for job_id, kept in self._kept.items() if kept.ends_ms <= now_ms]:
            self.drop(job_id)


class KeptInputs:
    """Inputs of jobs that may have ended. An input is in one pool at most: for a check, or as a canary."""

    def __init__(
        self,
        metrics: Metrics,
        *,
        checks_max: int = CHECKS_KEPT_MAX,
        check_bytes_max: int = CHECK_BYTES_MAX,
        canaries_max: int = CANARIES_KEPT_MAX,
        canary_bytes_max: int = CANARY_BYTES_MAX,
    ) -> None:
        self.checks = Pool(checks_max, check_bytes_max)
        self.canaries = Pool(canaries_max, canary_bytes_max)
        metrics.inputs_kept.labels("check").set_function(self.checks.__len__)
        metrics.inputs_kept.labels("canary").set_function(self.canaries.__len__)

    def keep(self, now_ms: int, job_id: JobId, given: Input | None, *, keep_ms: int, is_canary: bool) -> None:
        """Hold a job's input from now on. It is `given` while the job is open; afterwards only what is kept counts.

        A second word may keep it for longer, up to the maximum since the first, or make a canary of it. Whether it may
        be one at all is its owner's word, whatever the coordinator says.
        """
        before = self._kept(now_ms, job_id)
        held = given if before is None else before.input
        if held is None:
            return
        since_ms, ends_ms = (now_ms, 0) if before is None else (before.kept_ms, before.ends_ms)
        is_canary = held.is_public and (is_canary or self.canaries.find(job_id) is not None)
        ends_ms_max = since_ms + (CANARY_MS_MAX if is_canary else CHECK_MS_MAX)
        kept = KeptInput(held, since_ms, max(ends_ms, min(now_ms + keep_ms, ends_ms_max)))
        if is_canary:
            self.checks.drop(job_id)
        (self.canaries if is_canary else self.checks).put(job_id, kept)

    def find(self, now_ms: int, job_id: JobId) -> Input | None:
        """The job's input, while it is kept."""
        kept = self._kept(now_ms, job_id)
        return None if kept is None else kept.input

    def release(self, job_id: JobId) -> None:
        """Nobody will be asked about it again."""
        self.checks.drop(job_id)
        self.canaries.drop(job_id)

    def expire(self, now_ms: int) -> None:
        """Let go whatever has had its time."""
        self.checks.expire(now_ms)
        self.canaries.expire(now_ms)

    async def sweep(self) -> None:
        """Expire them while nobody asks for them, until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_S)
            self.expire(monotonic_ms())

    def _kept(self, now_ms: int, job_id: JobId) -> KeptInput | None:
        kept = self.checks.find(job_id) or self.canaries.find(job_id)
        return None if kept is None or kept.ends_ms <= now_ms else kept
