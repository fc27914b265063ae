"""What a node does with an assignment, drawn from the assignment's own id, so that nothing else at work changes it."""

from enum import IntEnum
from typing import Final

from msgspec import Struct

from gridlight.core.draw import draw_many
from gridlight.messages.ids import AssignmentId
from gridlight.simulation.distributions import MILLION, chance, exponential, log_normal
from gridlight.simulation.population import Kind
from gridlight.simulation.scenario import Attempts

FLAKY_PPM: Final = MILLION // 3
FREEZE_PPM: Final = MILLION // 20
_LANE: Final = 0xFFFF


class Vanishing(IntEnum):
    """Whether and how the node is lost over this assignment."""

    NEVER = 0
    SEEN = 1
    SILENT = 2


_NEVER: Final = Vanishing.NEVER
_FREEZING: Final = Kind.FREEZING
_FLAKY: Final = Kind.FLAKY


class Plan(Struct, frozen=True, gc=False):
    """What becomes of one assignment, should nothing come between."""

    ack_ms: int
    """Until the acknowledgement is sent, and the run may begin."""
    run_ms: int
    infer_ms: int
    """The part of the run that the node speaks of; the rest it stalled."""
    vanishing: Vanishing
    vanish_ms: int
    """After the assignment came; 0 is before it acknowledges."""
    is_failing: bool
    freeze_ms: int
    """For how long the node stands still from now on."""
    links: tuple[int, int, int]
    """Bits for the ways of the acknowledgement, of the result, and of a refusal."""
    answer_bits: int
    """What chance has in the answer itself."""


class Behaviour:
    """Plans of assignments for one run."""

    def __init__(self, seed: int, attempts: Attempts) -> None:
        self._seed = seed
        self._attempts = attempts
        self._ack_ms = log_normal(attempts.ack_ms, attempts.ack_spread_permille)
        self._service_permyriad = log_normal(10_000, attempts.service_spread_permille)
        self._stall_ms = exponential(attempts.stall_ms)

    def plan(self, assignment_id: AssignmentId, service_ms: int, kind: int, *, is_faulty: bool) -> Plan:
        """The plan of an assignment at a node with this median; no fault of ours where `is_faulty` is not set."""
        attempts = self._attempts
        draws = draw_many(self._seed, "attempt", int(assignment_id, 16))
        times, chances = draws[0], draws[1]
        ack_ms = self._ack_ms[times & _LANE]
        infer_ms = max(1, service_ms * self._service_permyriad[times >> 16 & _LANE] // 10_000)
        run_ms = infer_ms
        if chance(chances & _LANE, attempts.stall_ppm):
            stall_ms = self._stall_ms[times >> 32 & _LANE]
            if chances >> 48 & 1:
                ack_ms += stall_ms
            else:
                run_ms += stall_ms
        vanishing, vanish_ms = _NEVER, 0
        if is_faulty and chance(chances >> 16 & _LANE, attempts.vanish_ppm):
            is_silent = chance(draws[2] & _LANE, attempts.silent_ppm)
            vanishing = Vanishing.SILENT if is_silent else Vanishing.SEEN
            if draws[2] >> 16 & 1:
                vanish_ms = ack_ms + 1 + infer_ms * (draws[2] >> 32 & _LANE) // (_LANE + 1)
        is_freezing = kind == _FREEZING and is_faulty and chance(chances >> 32 & _LANE, FREEZE_PPM)
        return Plan(
            ack_ms=ack_ms,
            run_ms=run_ms,
            infer_ms=infer_ms,
            vanishing=vanishing,
            vanish_ms=vanish_ms,
            is_failing=kind == _FLAKY and is_faulty and chance(chances >> 32 & _LANE, FLAKY_PPM),
            freeze_ms=attempts.freeze_ms if is_freezing else 0,
            links=(draws[3], draws[4], draws[5]),
            answer_bits=draws[6],
        )
