"""Random quantities as tables of 65,536 integers: sixteen bits of a draw choose an entry.

Only integers are computed with, so that every platform has the same tables: the floats of `exp` and `log` may differ
in their last bit, and one millisecond's difference is another run.
"""

from array import array
from functools import cache
from itertools import accumulate
from math import isqrt
from typing import Final

ENTRIES: Final = 1 << 16
MILLION: Final = 1_000_000

_PER_OCTAVE: Final = 8
_STEPS: Final = 256
_LOG2_E: Final = 94_548
_LN_2: Final = 45_426

# The standard normal's quantiles in 1/65536 where (8 + k) / 8 * 2**n of 2**17 parts lie above; k is 0 to 7 for each n.
# fmt: off
_NORMAL: Final = (
    283438, 281732, 280197, 278803, 277524, 276343, 275245, 274219, 273257, 271492, 269905, 268462, 267138, 265915,
    264779, 263716, 262719, 260890, 259244, 257747, 256374, 255104, 253924, 252821, 251785, 249884, 248173, 246616,
    245187, 243865, 242636, 241487, 240408, 238426, 236642, 235017, 233525, 232145, 230861, 229660, 228531, 226458,
    224590, 222888, 221325, 219878, 218531, 217270, 216085, 213907, 211943, 210153, 208507, 206982, 205563, 204233,
    202983, 200683, 198608, 196714, 194971, 193356, 191851, 190440, 189113, 186670, 184462, 182445, 180588, 178865,
    177257, 175750, 174330, 171714, 169346, 167181, 165184, 163329, 161597, 159970, 158437, 155608, 153042, 150691,
    148519, 146500, 144610, 142834, 141156, 138055, 135235, 132646, 130248, 128013, 125918, 123944, 122076, 118613,
    115453, 112540, 109834, 107304, 104924, 102675, 100540, 96565, 92917, 89536, 86377, 83408, 80600, 77933, 75389,
    70616, 66191, 62048, 58140, 54428, 50884, 47482, 44203, 37954, 32032, 26362, 20882, 15545, 10310, 5139, 0,
)
# fmt: on


def _powers_of_two() -> tuple[int, ...]:
    """2 ** (k / 256) for k from 0 to 256, in 1/65536, by square roots alone."""
    step = 2 << 60
    for _ in range(8):
        step = isqrt(step << 60)
    exact = accumulate(range(_STEPS), lambda power, _: power * step >> 60, initial=1 << 60)
    return tuple(power >> 44 for power in exact)


_POWERS: Final = _powers_of_two()


def normal(entry: int) -> int:
    """The standard normal's quantile in 1/65536 at the middle of one of the 65,536 parts."""
    is_upper = entry >= ENTRIES // 2
    above = 2 * (ENTRIES - 1 - entry if is_upper else entry) + 1
    octave = above.bit_length() - 1
    place = (above - (1 << octave)) * _PER_OCTAVE
    index, rest = octave * _PER_OCTAVE + (place >> octave), place & ((1 << octave) - 1)
    low, high = _NORMAL[index], _NORMAL[index + 1]
    quantile = low + ((high - low) * rest >> octave)
    return quantile if is_upper else -quantile


@cache
def log_normal(median: int, sigma_permille: int) -> "array[int]":
    """A log-normal quantity's quantiles by its median and the spread of its logarithm."""
    return array("I", [_times_exp(median, normal(entry) * sigma_permille // 1_000) for entry in range(ENTRIES)])


@cache
def exponential(mean: int) -> "array[int]":
    """An exponential quantity's quantiles by its mean."""
    return array("I", [mean * _LN_2 * _minus_log2(2 * entry + 1) >> 32 for entry in range(ENTRIES)])


def chance(bits: int, ppm: int) -> bool:
    """Whether something that happens so many times in a million happens, by sixteen bits."""
    return bits * MILLION < ppm << 16


def _times_exp(value: int, exponent: int) -> int:
    """`value * e ** exponent`, the exponent in 1/65536."""
    power = exponent * _LOG2_E >> 16
    octaves, part = power >> 16, _POWERS[(power & 0xFFFF) >> 8]
    scaled = value * part
    return scaled << octaves >> 16 if octaves >= 0 else scaled >> (16 - octaves)


def _minus_log2(part: int) -> int:
    """`-log2(part / 2**17)` in 1/65536, for 0 < part < 2**17."""
    octave = part.bit_length() - 1
    mantissa = part << 16 >> octave
    low, high = 0, _STEPS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _POWERS[middle] <= mantissa else (low, middle)
    return (17 - octave << 16) - (low << 8)
