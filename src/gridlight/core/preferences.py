"""What an operator allows: BOINC's preferences in whole numbers, two sets of them to begin with, and opening hours."""

from typing import Final

from msgspec import Struct

from gridlight.messages.limits import SLOTS_PER_OFFER_MAX

DAY_MINUTES: Final = 24 * 60
DAYS: Final = 7
PPM: Final = 1_000_000
GIB: Final = 1024**3


class Hours(Struct, frozen=True):
    """From one minute of a day to another, around midnight where the end is earlier; all day where they are equal."""

    start_minute: int = 0
    end_minute: int = 0

    def has(self, minute: int) -> bool:
        """Whether a minute of the day is within them."""
        lasting = (self.end_minute - self.start_minute) % DAY_MINUTES or DAY_MINUTES
        return (minute - self.start_minute) % DAY_MINUTES < lasting


class Preferences(Struct, frozen=True, kw_only=True):
    """Our defaults are gentler than BOINC's: whoever lends a machine for the first time knows nothing of us yet."""

    run_if_user_active: bool = False
    run_on_batteries: bool = False
    idle_time_to_run_s: int = 180
    suspend_cpu_usage_percent: int = 25
    """Of the whole machine, by others; 0 for any."""
    cpu_usage_limit_percent: int = 50
    """Of each lent CPU's time."""
    max_ncpus_percent: int = 50
    ram_max_used_busy_ppm: int = 250_000
    ram_max_used_idle_ppm: int = 500_000
    suspend_memory_pressure_percent: int = 20
    """Of the time in which some process waits for memory; 0 for any."""
    disk_max_used_bytes: int = 10 * GIB
    disk_min_free_bytes: int = GIB
    daily_xfer_limit_bytes: int = 0
    """0 for any."""
    hours: tuple[Hours, ...] = (Hours(),) * DAYS
    """Of each day, from Monday on."""
    network_hours: tuple[Hours, ...] = (Hours(),) * DAYS
    slots_max: int = SLOTS_PER_OFFER_MAX
    """As the node was started with, whatever the CPUs."""
    price_max_micros: int | None = None
    """No more than this for electricity, by a price file; None for any."""


GENTLE: Final = Preferences()
"""For a machine that somebody uses."""

ALWAYS: Final = Preferences(
    run_if_user_active=True,
    run_on_batteries=True,
    idle_time_to_run_s=0,
    suspend_cpu_usage_percent=0,
    cpu_usage_limit_percent=100,
    max_ncpus_percent=100,
    ram_max_used_busy_ppm=PPM,
    ram_max_used_idle_ppm=PPM,
    suspend_memory_pressure_percent=0,
    disk_max_used_bytes=1024 * GIB,
    disk_min_free_bytes=0,
)
"""For a machine that is there to be a node."""


def hours_change_in(week: tuple[Hours, ...], weekday: int, minute: int) -> int | None:
    """Minutes until a week's hours open or close next; None where they never do."""
    assert len(week) == DAYS
    is_open = week[weekday].has(minute)
    for ahead in range(DAYS + 1):
        hours = week[(weekday + ahead) % DAYS]
        for bound in sorted((0, hours.start_minute, hours.end_minute)):
            after = ahead * DAY_MINUTES + bound - minute
            if after > 0 and hours.has(bound) is not is_open:
                return after
    return None
