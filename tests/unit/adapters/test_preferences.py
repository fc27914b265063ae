"""The operator's file: BOINC's names, turned into the core's; and lists of prices."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from gridlight.adapters.configuration import BadConfiguration
from gridlight.adapters.preferences import DAY_NAMES, as_host, laid_over, read_preferences
from gridlight.adapters.sensors.prices import PRICES_MAX, BadPrices, read_prices
from gridlight.core.preferences import ALWAYS, GENTLE, GIB, Hours, Preferences
from gridlight.core.tariff import Price


def held(folder: Path, text: str, below: Preferences = GENTLE) -> Preferences:
    """What holds, with this file."""
    (folder / "preferences.toml").write_text(text)
    return laid_over(below, read_preferences(folder))


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    assert laid_over(GENTLE, read_preferences(tmp_path)) == GENTLE
    assert held(tmp_path, "") == GENTLE


def test_every_preference_has_its_effect_in_the_cores_units(tmp_path: Path) -> None:
    text = """
        run_if_user_active = true
        run_on_batteries = true
        idle_time_to_run = 1.5
        suspend_cpu_usage = 40
        cpu_usage_limit = 80
        max_ncpus_pct = 75
        ram_max_used_busy_frac = 0.1
        ram_max_used_idle_frac = 0.9
        suspend_memory_pressure = 5
        disk_max_used_gb = 2
        disk_min_free_gb = 0.5
        daily_xfer_limit_mb = 100
        start_hour = 8.5
        end_hour = 17
        net_start_hour = 22
        net_end_hour = 24
        energy_price_file = "prices.csv"
        energy_price_max = 0.25
    """
    assert held(tmp_path, text) == Preferences(
        run_if_user_active=True,
        run_on_batteries=True,
        idle_time_to_run_s=90,
        suspend_cpu_usage_percent=40,
        cpu_usage_limit_percent=80,
        max_ncpus_percent=75,
        ram_max_used_busy_ppm=100_000,
        ram_max_used_idle_ppm=900_000,
        suspend_memory_pressure_percent=5,
        disk_max_used_bytes=2 * GIB,
        disk_min_free_bytes=GIB // 2,
        daily_xfer_limit_bytes=100_000_000,
        hours=(Hours(510, 1_020),) * 7,
        network_hours=(Hours(1_320, 0),) * 7,
        price_max_micros=250_000,
    )


def test_a_day_differs_in_what_it_names(tmp_path: Path) -> None:
    text = "start_hour = 8\nend_hour = 9\n[day_prefs.sunday]\nstart_hour = 0\nend_hour = 0\n"

    preferences = held(tmp_path, text)

    assert preferences.hours == (*(Hours(480, 540),) * 6, Hours())
    assert preferences.network_hours == GENTLE.network_hours


def test_this_hosts_word_goes_before_that_of_a_machine_that_is_always_lent(tmp_path: Path) -> None:
    preferences = held(tmp_path, "run_on_batteries = false\n", ALWAYS)

    assert not preferences.run_on_batteries
    assert preferences.run_if_user_active


@pytest.mark.parametrize("below", [GENTLE, ALWAYS])
def test_a_set_that_is_shown_and_written_down_holds_again(tmp_path: Path, below: Preferences) -> None:
    shown = {name: value for name, value in as_host(below).items() if value is not None and name != "day_prefs"}
    text = "\n".join(f"{name} = {str(value).lower()}" for name, value in shown.items())

    assert held(tmp_path, text) == below


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("run_on_battery = true", "no preference `run_on_battery`; did you mean `run_on_batteries`?"),
        ("[day_prefs.sonday]\nstart_hour = 1", "no preference `sonday`; did you mean"),
        ("[day_prefs.sunday]\nstart_our = 1", "no preference `start_our`; did you mean `start_hour`?"),
        ("zzz = 1", "known are: run_if_user_active, "),
        ("max_ncpus_pct = 0", "max_ncpus_pct"),
        ("start_hour = 25\nend_hour = 1", "start_hour"),
        ("start_hour = 8", "`start_hour` and `end_hour` belong together"),
        ("[day_prefs.monday]\nnet_end_hour = 1", "`net_start_hour` and `net_end_hour` belong together"),
        ("energy_price_max = 0.2", "`energy_price_file` and `energy_price_max` belong together"),
        ("day_prefs = 3", "day_prefs"),
        ("run_on_batteries = 'no'", "run_on_batteries"),
        ("not toml", "preferences.toml"),
    ],
)
def test_what_nobody_can_mean_is_refused_by_name(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BadConfiguration) as raised:
        held(tmp_path, text)

    assert said in str(raised.value)
    assert str(tmp_path) in str(raised.value)


def test_the_week_begins_on_monday() -> None:
    assert datetime(2026, 1, 5, tzinfo=UTC).weekday() == DAY_NAMES.index("monday")


# Prices


def prices(folder: Path, name: str, text: str) -> tuple[Price, ...]:
    (folder / name).write_text(text, encoding="utf-8")
    return read_prices(folder / name)


EXPECTED = (Price(1_767_265_200, 230_000), Price(1_767_268_800, -10_000))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "start,price\n2026-01-01T13:00+01:00,-0.01\n2026-01-01T12:00+01:00,0.23\n"),
        ("a.csv", "\ufeffstart,price\r\n2026-01-01T11:00Z,0.23\r\n2026-01-01T12:00Z,-0.01\r\n"),
        ("a.csv", "price,zone,start\n0.23,DE,2026-01-01T11:00Z\n-0.01,DE,2026-01-01T12:00Z\n"),
        (
            "a.json",
            '[{"start":"2026-01-01T11:00Z","price":0.23},{"start":"2026-01-01T12:00Z","price":"-0.01","zone":1}]',
        ),
    ],
)
def test_a_list_of_prices_is_read_in_order_of_time(tmp_path: Path, name: str, text: str) -> None:
    assert prices(tmp_path, name, text) == EXPECTED


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "when,price\n1,2\n", "start,price"),
        ("a.csv", "start,price\nyesterday,0.2\n", "price 1: 'yesterday'"),
        ("a.csv", "start,price\n2026-01-01T11:00Z,\n", "price 1"),
        ("a.csv", "start,price\n2026-01-01T11:00Z,NaN\n", "price 1"),
        ("a.json", "{}", "no list"),
        ("a.csv", "start,price\n" + "2026-01-01T11:00Z,1\n" * (PRICES_MAX + 1), "leave out what is past"),
        ("a.csv", "x" * (1024 * 1024 + 1), "at most"),
    ],
)
def test_a_list_that_cannot_be_read_is_refused_with_the_place(tmp_path: Path, name: str, text: str, said: str) -> None:
    with pytest.raises(BadPrices) as raised:
        prices(tmp_path, name, text)

    assert said in str(raised.value)


def test_a_list_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadPrices, match=r"none\.csv"):
        read_prices(tmp_path / "none.csv")
