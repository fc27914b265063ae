"""What a machine's memory is like at this moment: figures of code that touches much memory say little without it."""

from array import array
from random import Random
from time import perf_counter_ns

ENTRIES = 1_500_000
"""Twelve megabytes: more than a core has to itself."""

READS = 400_000
ROUNDS = 3


def random_read_ns() -> float:
    """Nanoseconds to read one entry of an array at random, the loop around it included; the best of three rounds.

    Two figures of one machine differ where its neighbours take its caches: compare it before comparing speeds.
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
