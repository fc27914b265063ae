"""What sensors make of what the kernel says, in files of a folder that stands for `/`."""

import os
import socket
import time
from pathlib import Path

import pytest
from tests.integration.machine_stand import LONG_AGO_S, MachineFiles

from gridlight.adapters.sensors.input import LinuxInput
from gridlight.adapters.sensors.load import Load
from gridlight.adapters.sensors.macos import parse_idle_s
from gridlight.adapters.sensors.power import power
from gridlight.adapters.sensors.room import WORKER_BYTES_EXPECTED, Resident, disk_bytes, memory_bytes
from gridlight.messages.control import Power

NO_SCREEN: dict[str, str] = {}


@pytest.fixture
def machine(tmp_path: Path) -> MachineFiles:
    return MachineFiles(tmp_path)


def supply(root: Path, name: str, **words: str) -> None:
    folder = root / "sys/class/power_supply" / name
    folder.mkdir(parents=True, exist_ok=True)
    for word, text in words.items():
        (folder / word).write_text(f"{text}\n")


# Power


def test_a_machine_is_on_mains_while_a_cord_of_any_kind_is_in(machine: MachineFiles) -> None:
    machine.plug(is_in=False)
    assert power(machine.root) is Power.BATTERY
    supply(machine.root, "ucsi", type="USB", online="1")

    assert power(machine.root) is Power.MAINS


def test_a_cord_that_is_out_counts_before_the_battery_has_noticed(machine: MachineFiles) -> None:
    supply(machine.root, "AC", online="0")

    assert power(machine.root) is Power.BATTERY


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("Discharging", Power.BATTERY),
        ("Charging", Power.MAINS),
        ("Full", Power.MAINS),
        ("Not charging", Power.MAINS),
        ("Unknown", Power.UNKNOWN),
    ],
)
def test_without_a_cord_to_be_seen_the_battery_tells(tmp_path: Path, status: str, said: Power) -> None:
    supply(tmp_path, "BAT0", type="Battery", status=status)

    assert power(tmp_path) is said


def test_a_mouse_that_runs_low_is_not_the_machine(tmp_path: Path) -> None:
    supply(tmp_path, "hidpp_battery_0", type="Battery", scope="Device", status="Discharging")

    assert power(tmp_path) is Power.MAINS


def test_a_machine_without_a_battery_is_on_mains_whatever_its_supplies_say(tmp_path: Path) -> None:
    (tmp_path / "sys/class/power_supply").mkdir(parents=True)

    assert power(tmp_path) is Power.MAINS


def test_the_real_machine_runs_on_something(tmp_path: Path) -> None:
    assert power(Path("/")) in Power


# Input


def test_nobody_has_touched_a_machine_since_its_terminals_were_read_last(machine: MachineFiles) -> None:
    sensor = LinuxInput(machine.root, NO_SCREEN)
    idle_s = sensor.idle_s()
    assert idle_s is not None
    assert abs(idle_s - LONG_AGO_S) < 5
    machine.type_something(ago_s=7)

    assert sensor.idle_s() in (7, 8)


def test_a_key_that_is_pressed_is_seen_in_its_interrupts(machine: MachineFiles) -> None:
    sensor = LinuxInput(machine.root, NO_SCREEN)
    machine.press_a_key()

    assert sensor.idle_s() == 0


def test_interrupts_of_other_devices_tell_nothing(machine: MachineFiles) -> None:
    sensor = LinuxInput(machine.root, NO_SCREEN)
    machine.write("proc/interrupts", "  1:  0  41  IO-APIC  i8042\n  9:  0  99  IO-APIC  nvme0q1\n")

    idle_s = sensor.idle_s()
    assert idle_s is not None
    assert idle_s > 1_000


@pytest.mark.parametrize("mark", [".dockerenv", "run/.containerenv", "run/systemd/container"])
def test_from_inside_a_container_nobody_can_be_seen(machine: MachineFiles, mark: str) -> None:
    machine.write(mark, "")
    assert LinuxInput(machine.root, NO_SCREEN).idle_s() is None
    machine.write("dev/tty1", "")

    assert LinuxInput(machine.root, NO_SCREEN).idle_s() is not None, "a machine made from a container's image"


@pytest.mark.parametrize("release", ["5.15.90.1-microsoft-standard-WSL2", None])
def test_from_inside_another_system_nobody_can_be_seen(machine: MachineFiles, release: str | None) -> None:
    machine.write("proc/sys/kernel/osrelease", release or "")
    if release is None:
        (machine.root / "proc/sys/kernel/osrelease").unlink()

    assert LinuxInput(machine.root, NO_SCREEN).idle_s() is None


@pytest.mark.parametrize(
    ("file", "environment"),
    [
        (None, {"WAYLAND_DISPLAY": "wayland-0"}),
        (None, {"DISPLAY": ":7"}),
        ("run/systemd/sessions/4", {}),
    ],
)
def test_a_screen_whose_session_cannot_be_asked_leaves_it_unknown(
    machine: MachineFiles, file: str | None, environment: dict[str, str]
) -> None:
    if file is not None:
        machine.write(file, "UID=1000\nCLASS=user\nTYPE=wayland\n")
    nobody = {"DBUS_SESSION_BUS_ADDRESS": f"unix:path={machine.root}/none", **environment}
    nobody["DBUS_SYSTEM_BUS_ADDRESS"] = nobody["DBUS_SESSION_BUS_ADDRESS"]

    assert LinuxInput(machine.root, nobody).idle_s() is None


@pytest.mark.parametrize("name", ["tmp/.X11-unix/X0", "run/user/1000/wayland-1"])
def test_a_server_of_windows_is_a_screen_until_it_ends_and_leaves_its_socket_behind(
    machine: MachineFiles, name: str
) -> None:
    path = machine.root / name
    path.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        assert LinuxInput(machine.root, {"DBUS_SESSION_BUS_ADDRESS": f"unix:path={path}.none"}).idle_s() is None

    assert LinuxInput(machine.root, NO_SCREEN).idle_s() is not None


def test_a_session_without_windows_is_no_screen(machine: MachineFiles) -> None:
    machine.write("run/systemd/sessions/4", "UID=1000\nCLASS=user\nTYPE=tty\n")
    machine.write("run/systemd/sessions/c1", "UID=120\nCLASS=greeter\nTYPE=wayland\n")
    os.mkfifo(machine.root / "run/systemd/sessions/4.ref")

    assert LinuxInput(machine.root, NO_SCREEN).idle_s() is not None


def test_a_macs_registry_says_how_long_its_last_device_has_been_idle() -> None:
    registry = b'| |   "HIDIdleTime" = 4213456789\n | |   "HIDIdleTime" = 93213456789\n'

    assert parse_idle_s(registry) == 4
    assert parse_idle_s(b"+-o Root  <class IORegistryEntry>") is None


# Load


def test_only_work_of_others_counts_and_none_of_who_is_nice(machine: MachineFiles) -> None:
    load = Load(machine.root)
    machine.write("proc/stat", "cpu  100 0 50 850 0 0 0 0 0 0\ncpu0 1\ncpu1 1\n")
    assert load.look().others_cpu_percent is None, "there is nothing to compare with yet"
    machine.write("proc/stat", "cpu  120 500 60 1200 20 0 0 30 0 0\ncpu0 1\ncpu1 1\n")

    seen = load.look()

    assert seen.others_cpu_percent == round(100 * 30 / 900)
    assert seen.cpus == 2


def test_counters_that_stand_still_are_not_taken_for_an_idle_machine(machine: MachineFiles) -> None:
    load = Load(machine.root)
    load.look()
    machine.run_others(percent=70)

    assert [load.look().others_cpu_percent for _ in range(2)] == [70, 70]


def test_a_short_burst_is_averaged_over_the_last_looks_and_forgotten(machine: MachineFiles) -> None:
    load = Load(machine.root)
    others, idle, seen = 0, 0, []
    for busy in (0, 0, 0, 30, 0, 0, 0):
        others, idle = others + busy, idle + 100 - busy
        machine.write("proc/stat", f"cpu  {others} 0 0 {idle} 0 0 0 0 0 0\ncpu0 1\n")
        seen.append(load.look().others_cpu_percent)

    assert seen == [None, 0, 0, 10, 10, 10, 0]


def test_memory_is_short_for_the_part_of_the_time_that_somebody_waits_for_it(machine: MachineFiles) -> None:
    now_s = 100.0
    load = Load(machine.root, lambda: now_s)
    seen = []
    for now_s, total_us in ((100.0, 1_000), (100.25, 126_000), (100.3, 176_000), (100.5, 126_000)):  # noqa: B007  (the clock)
        machine.write(
            "proc/pressure/memory", f"some avg10=0.00 avg60=0.00 avg300=0.00 total={total_us}\nfull total=0\n"
        )
        seen.append(load.look().memory_pressure_percent)

    assert seen == [None, 50, 50, 0]


def test_a_kernel_that_does_not_tell_of_pressure_leaves_it_unknown(machine: MachineFiles) -> None:
    load = Load(machine.root)

    assert [load.look().memory_pressure_percent for _ in range(2)] == [None, None]


def test_the_real_machine_is_busy_to_some_degree() -> None:
    load = Load(Path("/"))
    load.look()
    began_s = time.monotonic()
    while time.monotonic() - began_s < 0.3:
        pass
    seen = load.look()

    assert seen.others_cpu_percent is not None
    assert 0 <= seen.others_cpu_percent <= 100
    assert seen.cpus >= 1


# Room


def test_memory_is_the_machines(machine: MachineFiles) -> None:
    assert memory_bytes(machine.root) == 8 * 1024**3
    assert memory_bytes(machine.root / "none") > 0


def test_a_worker_counts_with_the_most_that_one_was_seen_to_have() -> None:
    resident = Resident()
    assert resident.look([])[1] == WORKER_BYTES_EXPECTED
    agent_bytes, worker_bytes = resident.look([1, 2**22 + 1])

    assert agent_bytes > 1024 * 1024
    assert worker_bytes == resident.worker_bytes > 0


def test_disk_is_what_the_folders_hold(tmp_path: Path) -> None:
    for folder in ("one", "two/deep"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "file").write_bytes(b"x" * 100_000)

    used, free = disk_bytes((tmp_path / "one", tmp_path / "two", tmp_path / "none"))

    assert 200_000 <= used < 300_000
    assert free > 0
