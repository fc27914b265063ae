"""What befalls the network: when, drawn from the seed, and what it does to the world."""

from enum import StrEnum
from typing import Final

from msgspec import Struct

from gridlight.core.draw import draw_many
from gridlight.simulation.scenario import Faults

FIRST_PERCENT: Final = 10
LAST_PERCENT: Final = 85
"""Faults begin within this part of the run, so that what they do is seen."""


class FaultKind(StrEnum):
    """The faults there are."""

    CRASH = "coordinator crash"
    BUS = "bus restart"
    OUTAGE = "outage of regions"
    PARTITION = "partition of a gateway"


class Fault(Struct, frozen=True, gc=False):
    """One fault begins; `number` tells it from others of its kind."""

    at_ms: int
    kind: FaultKind
    number: int


class Mended(Struct, frozen=True, gc=False):
    """One fault is over."""

    fault: Fault


def plan_faults(seed: int, faults: Faults, *, start_ms: int, length_ms: int) -> list[Fault]:
    """All faults of a run, in order of time."""
    counts = {
        FaultKind.CRASH: faults.coordinator_crashes,
        FaultKind.BUS: faults.bus_restarts,
        FaultKind.OUTAGE: faults.outages,
        FaultKind.PARTITION: faults.partitions,
    }
    first_ms = length_ms * FIRST_PERCENT // 100
    span_ms = length_ms * (LAST_PERCENT - FIRST_PERCENT) // 100 + 1
    planned = [
        Fault(start_ms + 1 + first_ms + draw_many(seed, kind.value, number)[0] % span_ms, kind, number)
        for kind, count in counts.items()
        for number in range(count)
    ]
    return sorted(planned, key=lambda fault: fault.at_ms)
