import time

from gridlight.adapters.clock import SteadyClock, monotonic_ms, wall_ms, wall_s


def test_monotonic_time_is_never_less_than_before() -> None:
    readings = [monotonic_ms() for _ in range(1_000)]

    assert readings == sorted(readings)


def test_a_steady_clock_starts_at_the_wall_clock() -> None:
    clock = SteadyClock(floor_ms=0)

    assert abs(clock.now_ms() - wall_s() * 1_000) < 5_000


def test_a_steady_clock_goes_on_from_a_floor_in_the_future() -> None:
    floor_ms = (wall_s() + 3_600) * 1_000

    clock = SteadyClock(floor_ms=floor_ms)

    assert floor_ms <= clock.now_ms() < floor_ms + 5_000


def test_a_steady_clock_never_runs_backwards() -> None:
    clock = SteadyClock(floor_ms=0)

    readings = [clock.now_ms() for _ in range(1_000)]

    assert readings == sorted(readings)


def test_two_words_of_one_second_are_told_apart() -> None:
    before_ms = time.time_ns() // 1_000_000
    said_ms = wall_ms()

    assert before_ms <= said_ms <= time.time_ns() // 1_000_000
