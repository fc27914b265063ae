"""How long nodes take: a quantile sketch of each node's own service times, in whole milliseconds.

A sketch is a histogram of 64 logarithmic buckets, eight an octave from 16 ms, of one byte each. When a counter is full
all are halved, so old samples fade. Until it holds enough samples the node's prior stands, from its benchmark.
"""

from array import array
from bisect import bisect_left
from typing import Final

BUCKETS: Final = 64
BUCKET_LAST: Final = BUCKETS - 1
_PER_OCTAVE: Final = 8
_FIRST_MS: Final = 16
# 2 ** (k / 8) in 1/16384, as integers so that every platform agrees.
_STEPS: Final = (16384, 17867, 19484, 21247, 23170, 25268, 27554, 30048)

BOUNDS_MS: Final = tuple((_FIRST_MS << i // _PER_OCTAVE) * _STEPS[i % _PER_OCTAVE] >> 14 for i in range(BUCKETS))
"""Upper bound of each bucket; the last also holds all that is slower."""

SAMPLES_MIN: Final = 50
"""Below this many samples the prior stands."""

RECOMPUTE_EACH: Final = 8
PRIOR_P99_MS_DEFAULT: Final = 2_000
# A service time's p95 and p99 over its median, for a log-normal spread of .25 (trust.md section 3), in percent.
_P95_PERCENT: Final = 150
_P99_PERCENT: Final = 180
_COUNTER_MAX: Final = 255
_HALF: Final = bytes(count // 2 for count in range(256))


def bucket_of(ms: int) -> int:
    """The bucket that holds a time; O(log buckets)."""
    return bisect_left(BOUNDS_MS, ms, 0, BUCKET_LAST)


class Latency:
    """Service times of nodes by dense index; only nodes that worked have a sketch."""

    def __init__(self) -> None:
        self._sketches: dict[int, bytearray] = {}
        self._samples = array("I")
        self._p95_ms = array("I")
        self._p99_ms = array("I")

    def admit(self, node: int, benchmark_ms: int | None) -> None:
        """Give a node its prior, from its benchmark where it has one; what was learned of it stays."""
        missing = node + 1 - len(self._samples)
        if missing > 0:
            self._samples.extend([0] * missing)
            self._p95_ms.extend([PRIOR_P99_MS_DEFAULT] * missing)
            self._p99_ms.extend([PRIOR_P99_MS_DEFAULT] * missing)
        if self._samples[node] < SAMPLES_MIN and benchmark_ms is not None:
            self._p95_ms[node] = benchmark_ms * _P95_PERCENT // 100
            self._p99_ms[node] = benchmark_ms * _P99_PERCENT // 100

    def add(self, node: int, ms: int) -> bool:
        """Count one service time; True where the node's quantiles were computed anew."""
        sketch = self._sketches.get(node)
        if sketch is None:
            sketch = self._sketches[node] = bytearray(BUCKETS)
        bucket = bucket_of(ms)
        if sketch[bucket] == _COUNTER_MAX:
            sketch[:] = sketch.translate(_HALF)
        sketch[bucket] += 1
        samples = self._samples[node] = self._samples[node] + 1
        if samples < SAMPLES_MIN or samples % RECOMPUTE_EACH:
            return False
        self._p95_ms[node] = _quantile_ms(sketch, 950)
        self._p99_ms[node] = _quantile_ms(sketch, 990)
        return True

    def p95_ms(self, node: int) -> int:
        """The time within which 95 % of the node's tasks are back, sent to received."""
        return self._p95_ms[node]

    def p99_ms(self, node: int) -> int:
        """The time after which a task of this node looks late."""
        return self._p99_ms[node]

    def snapshot(self) -> tuple[dict[int, bytes], bytes, bytes, bytes]:
        """All that was learned, as plain values."""
        sketches = {node: bytes(sketch) for node, sketch in self._sketches.items()}
        return sketches, self._samples.tobytes(), self._p95_ms.tobytes(), self._p99_ms.tobytes()

    def restore(self, snapshot: tuple[dict[int, bytes], bytes, bytes, bytes]) -> None:
        """Take what `snapshot` gave."""
        sketches, samples, p95_ms, p99_ms = snapshot
        self._sketches = {node: bytearray(sketch) for node, sketch in sketches.items()}
        self._samples = array("I", samples)
        self._p95_ms = array("I", p95_ms)
        self._p99_ms = array("I", p99_ms)


def _quantile_ms(sketch: bytearray, permille: int) -> int:
    """Upper bound of the bucket in which the quantile lies; counted from the top, where the few are."""
    above = sum(sketch) * (1000 - permille) // 1000
    top = len(sketch.rstrip(b"\0")) - 1
    while sketch[top] <= above:
        above -= sketch[top]
        top -= 1
    return BOUNDS_MS[top]
