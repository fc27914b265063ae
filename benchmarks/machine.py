"""What a machine's memory is like at this moment: figures of code that touches much memory say little without it."""

from array import array
from random import Random
from time import perf_counter_ns

ENTRIES = 1_500_000
"""Twelve megabytes: about what the core's columns take at full size, and more than a cache of one core holds."""

READS = 400_000
ROUNDS = 3


def random_read_ns() -> float:
    """Nanoseconds to read one entry of an array at random, the loop around it included; the best of three rounds.

    Some 40 ns of it are the loop. A machine whose neighbours leave it its caches is near 60, a crowded one above 200.
    """
    column = array("q", range(ENTRIES))
    draws = Random(7)
    places = [draws.randrange(ENTRIES) for _ in range(READS)]
    best_ns = 0
    for _ in range(ROUNDS):
        begun_ns = perf_counter_ns()
        for place in places:
            column[place]
        taken_ns = perf_counter_ns() - begun_ns
        best_ns = min(best_ns or taken_ns, taken_ns)
    return best_ns / READS
