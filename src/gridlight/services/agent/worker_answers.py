"""What a worker says, held to its form: a worker may run a stranger's program, and is believed nothing else."""

from typing import Annotated

from msgspec import Meta, Struct

from gridlight.messages.codec import ProtocolViolation, shaped
from gridlight.messages.frames import FrameHeader
from gridlight.messages.limits import DEADLINE_MS_MAX, INLINE_BYTES_MAX, PROBES_MAX
from gridlight.messages.results import DurationField, ProbeField


class JunkAnswer(Exception):
    """The worker answered something else than what was asked of it."""


class Readiness(Struct, frozen=True, kw_only=True):
    """The parameters of a worker's first frame."""

    benchmark_ms: Annotated[int, Meta(ge=1, le=10 * DEADLINE_MS_MAX)]


class RunAnswer(Struct, frozen=True, kw_only=True):
    """The parameters of a worker's answer to one task."""

    infer_ms: DurationField
    probes: Annotated[tuple[ProbeField, ...], Meta(max_length=PROBES_MAX)]


def readiness(ready: FrameHeader) -> Readiness:
    """Of its first frame. JunkAnswer."""
    try:
        return shaped(ready.parameters, Readiness)
    except ProtocolViolation as error:
        raise JunkAnswer(f"its first frame is junk: {error}") from error


def run_answer(answer: FrameHeader, output: bytes) -> RunAnswer:
    """Of its answer to a task. JunkAnswer."""
    if len(output) > INLINE_BYTES_MAX:
        raise JunkAnswer(f"its output has {len(output)} bytes; {INLINE_BYTES_MAX} are allowed")
    try:
        return shaped(answer.parameters, RunAnswer)
    except ProtocolViolation as error:
        raise JunkAnswer(f"its answer is junk: {error}") from error
