"""The only place that reads the time.

Deadlines and latencies use the monotonic clock; what is journalled uses a steady wall clock that never steps back.
"""

import time


def monotonic_ms() -> int:
    """Milliseconds since some point in the past; only differences mean anything."""
    return time.monotonic_ns() // 1_000_000


def wall_s() -> int:
    """Seconds since 1970, for what other machines compare with their own clocks: the dates in credentials."""
    return int(time.time())


def wall_ms() -> int:
    """Milliseconds since 1970, for what is ordered by when it was said, also within a second."""
    return time.time_ns() // 1_000_000


class SteadyClock:
    """Wall-clock milliseconds read once, then carried on by the monotonic clock.

    So a step of the machine's clock (NTP, a person, a woken laptop) never moves a deadline. The floor is the last
    time in the journal: a process restarted after a step backwards goes on from there.
    """

    def __init__(self, floor_ms: int) -> None:
        assert floor_ms >= 0
        started_ms = max(wall_ms(), floor_ms)
        self._offset_ms = started_ms - monotonic_ms()

    def now_ms(self) -> int:
        """Never less than the floor, and never less than it said before."""
        return self._offset_ms + monotonic_ms()
