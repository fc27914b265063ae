"""The operator's preferences as they stand in `preferences.toml`: BOINC's names and units, turned into the core's.

What the file does not name is as in the set that it is laid over. A key that nobody knows is refused, with the nearest.
"""

from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct
from msgspec.structs import asdict, replace

from gridlight.adapters.configuration import BadConfiguration, load_config
from gridlight.core.preferences import DAY_MINUTES, DAYS, GIB, PPM, Hours, Preferences

PREFERENCES_FILE: Final = "preferences.toml"
"""In a node's folder."""

_MEGABYTE: Final = 1_000_000
_MICROS: Final = 1_000_000
_HOUR_MINUTES: Final = 60

Share = Annotated[float, Meta(gt=0, le=1)]
Percent = Annotated[float, Meta(ge=0, le=100)]
PercentOfSome = Annotated[float, Meta(ge=1, le=100)]
Hour = Annotated[float, Meta(ge=0, le=24)]
Minutes = Annotated[float, Meta(ge=0, le=DAY_MINUTES)]
Gigabytes = Annotated[float, Meta(ge=0, le=1_000_000)]
Megabytes = Annotated[float, Meta(ge=0, le=1_000_000_000)]
Day = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
DAY_NAMES: Final[tuple[Day, ...]] = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class DayPreferences(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Hours of one day of the week, where they differ from the others'."""

    start_hour: Hour | None = None
    end_hour: Hour | None = None
    net_start_hour: Hour | None = None
    net_end_hour: Hour | None = None


class HostPreferences(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The file. None: as in the set below."""

    run_if_user_active: bool | None = None
    run_on_batteries: bool | None = None
    idle_time_to_run: Minutes | None = None
    suspend_cpu_usage: Percent | None = None
    cpu_usage_limit: PercentOfSome | None = None
    max_ncpus_pct: PercentOfSome | None = None
    ram_max_used_busy_frac: Share | None = None
    ram_max_used_idle_frac: Share | None = None
    suspend_memory_pressure: Percent | None = None
    disk_max_used_gb: Gigabytes | None = None
    disk_min_free_gb: Gigabytes | None = None
    daily_xfer_limit_mb: Megabytes | None = None
    start_hour: Hour | None = None
    end_hour: Hour | None = None
    net_start_hour: Hour | None = None
    net_end_hour: Hour | None = None
    day_prefs: dict[Day, DayPreferences] = {}
    energy_price_file: str | None = None
    energy_price_max: Annotated[float, Meta(ge=-1_000_000, le=1_000_000)] | None = None


def read_preferences(folder: Path) -> HostPreferences:
    """The file of a node's folder; nothing said where there is none. BadConfiguration says what is wrong with it."""
    path = folder / PREFERENCES_FILE
    if not path.exists():
        return HostPreferences()
    table = load_config(path, dict[str, Any])
    _refuse_unknown(path, table, HostPreferences.__struct_fields__)
    for day, hours in table.get("day_prefs", {}).items() if isinstance(table.get("day_prefs"), dict) else ():
        _refuse_unknown(path, {day: None}, DAY_NAMES)
        _refuse_unknown(path, hours if isinstance(hours, dict) else {}, DayPreferences.__struct_fields__)
    preferences = load_config(path, HostPreferences)
    _refuse_halves(path, preferences)
    return preferences


def laid_over(below: Preferences, host: HostPreferences) -> Preferences:
    """The effect of both: what the file says, and below it what it is silent on."""
    said = {
        "run_if_user_active": host.run_if_user_active,
        "run_on_batteries": host.run_on_batteries,
        "idle_time_to_run_s": _scaled(host.idle_time_to_run, 60),
        "suspend_cpu_usage_percent": _scaled(host.suspend_cpu_usage, 1),
        "cpu_usage_limit_percent": _scaled(host.cpu_usage_limit, 1),
        "max_ncpus_percent": _scaled(host.max_ncpus_pct, 1),
        "ram_max_used_busy_ppm": _scaled(host.ram_max_used_busy_frac, PPM),
        "ram_max_used_idle_ppm": _scaled(host.ram_max_used_idle_frac, PPM),
        "suspend_memory_pressure_percent": _scaled(host.suspend_memory_pressure, 1),
        "disk_max_used_bytes": _scaled(host.disk_max_used_gb, GIB),
        "disk_min_free_bytes": _scaled(host.disk_min_free_gb, GIB),
        "daily_xfer_limit_bytes": _scaled(host.daily_xfer_limit_mb, _MEGABYTE),
        "price_max_micros": _scaled(host.energy_price_max, _MICROS),
    }
    days = [host.day_prefs.get(day, DayPreferences()) for day in DAY_NAMES]
    hours = [_hours(day.start_hour, day.end_hour) or _hours(host.start_hour, host.end_hour) for day in days]
    network = [
        _hours(day.net_start_hour, day.net_end_hour) or _hours(host.net_start_hour, host.net_end_hour) for day in days
    ]
    return replace(
        below,
        **{name: value for name, value in said.items() if value is not None},
        hours=tuple(one or other for one, other in zip(hours, below.hours, strict=True)),
        network_hours=tuple(one or other for one, other in zip(network, below.network_hours, strict=True)),
    )


def as_host(preferences: Preferences) -> dict[str, Any]:
    """A set in the file's names and units, without hours of single days; to show it."""
    assert len(preferences.hours) == DAYS
    host = HostPreferences(
        run_if_user_active=preferences.run_if_user_active,
        run_on_batteries=preferences.run_on_batteries,
        idle_time_to_run=preferences.idle_time_to_run_s / 60,
        suspend_cpu_usage=preferences.suspend_cpu_usage_percent,
        cpu_usage_limit=preferences.cpu_usage_limit_percent,
        max_ncpus_pct=preferences.max_ncpus_percent,
        ram_max_used_busy_frac=preferences.ram_max_used_busy_ppm / PPM,
        ram_max_used_idle_frac=preferences.ram_max_used_idle_ppm / PPM,
        suspend_memory_pressure=preferences.suspend_memory_pressure_percent,
        disk_max_used_gb=preferences.disk_max_used_bytes / GIB,
        disk_min_free_gb=preferences.disk_min_free_bytes / GIB,
        daily_xfer_limit_mb=preferences.daily_xfer_limit_bytes / _MEGABYTE,
        start_hour=preferences.hours[0].start_minute / _HOUR_MINUTES,
        end_hour=preferences.hours[0].end_minute / _HOUR_MINUTES,
        net_start_hour=preferences.network_hours[0].start_minute / _HOUR_MINUTES,
        net_end_hour=preferences.network_hours[0].end_minute / _HOUR_MINUTES,
    )
    return asdict(host)


def _scaled(value: float | None, factor: int) -> int | None:
    return None if value is None else round(value * factor)


def _hours(start: float | None, end: float | None) -> Hours | None:
    if start is None or end is None:
        return None
    return Hours(round(start * _HOUR_MINUTES) % DAY_MINUTES, round(end * _HOUR_MINUTES) % DAY_MINUTES)


def _refuse_unknown(path: Path, table: dict[str, Any], known: tuple[str, ...]) -> None:
    for key in table:
        if key not in known:
            nearest = get_close_matches(key, known, n=1)
            hint = f"did you mean `{nearest[0]}`?" if nearest else f"known are: {', '.join(known)}"
            raise BadConfiguration(f"{path}: there is no preference `{key}`; {hint}")


def _refuse_halves(path: Path, host: HostPreferences) -> None:
    """Hours begin and end; a price needs its file, and a file its price."""
    hours = [asdict(host), *(asdict(day) for day in host.day_prefs.values())]
    pairs = [("start_hour", "end_hour"), ("net_start_hour", "net_end_hour"), ("energy_price_file", "energy_price_max")]
    for table in hours:
        for one, other in pairs:
            if (table.get(one) is None) is not (table.get(other) is None):
                raise BadConfiguration(f"{path}: `{one}` and `{other}` belong together; name both or none")
