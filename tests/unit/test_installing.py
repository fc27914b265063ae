"""`gridlight node install` and `uninstall`, the units of `deploy/`, and what systemd itself says of them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gridlight.adapters.user_unit import unit_text

ROOT = Path(__file__).resolve().parents[2]
ANALYZE = shutil.which("systemd-analyze")
URL = "https://network.example"
PROXY = "http://" + "ada:se%20cret@proxy.example:3128"

needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="!!! units are NOT checked: there is no systemd-analyze")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """With all that makes quoting hard."""
    home = tmp_path / 'José\'s "100 %" $HOME \\ folder'
    home.mkdir()
    return home


def gridlight(home: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    own = {"PATH": os.environ["PATH"], "HOME": str(home), **environment}
    return subprocess.run(
        [sys.executable, "-m", "gridlight", "node", *words],
        capture_output=True, text=True, timeout=60, check=False, env=own,
    )  # fmt: skip


def unit_of(home: Path) -> Path:
    return home / ".config" / "systemd" / "user" / "gridlight-node.service"


def verify(unit: Path, runtime: Path) -> "subprocess.CompletedProcess[str]":
    assert ANALYZE is not None
    return subprocess.run(
        [ANALYZE, "--user", "verify", str(unit)],
        capture_output=True, text=True, timeout=60, check=False, env={**os.environ, "XDG_RUNTIME_DIR": str(runtime)},
    )  # fmt: skip


def test_install_says_the_two_lines_that_switch_the_node_on(home: Path) -> None:
    ran = gridlight(home, "install", "--network", URL)

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == [
        "systemctl --user daemon-reload && systemctl --user enable --now gridlight-node",
        "loginctl enable-linger",
    ]
    assert str(unit_of(home)) in ran.stderr
    assert unit_of(home).stat().st_mode & 0o777 == 0o600


@needs_systemd
@pytest.mark.parametrize("options", [[], ["--containers"]], ids=" ".join)
def test_systemd_takes_the_unit_whatever_the_folders_are_called(home: Path, tmp_path: Path, options: list[str]) -> None:
    assert gridlight(home, "install", "--network", URL, *options).returncode == 0

    ran = verify(unit_of(home), tmp_path)

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


@needs_systemd
def test_systemd_s_word_is_heard_where_a_unit_is_wrong(tmp_path: Path) -> None:
    unit = tmp_path / "gridlight-node.service"
    unit.write_text(unit_text([f"{tmp_path}/nothing"], {}, writes=[tmp_path], has_containers=False))

    assert verify(unit, tmp_path).returncode != 0


def test_the_unit_carries_the_way_through_the_proxy_and_shows_it_to_nobody(home: Path) -> None:
    ran = gridlight(home, "install", "--network", URL, HTTPS_PROXY=PROXY, SHELL="x")

    text = unit_of(home).read_text(encoding="utf-8")
    assert f'Environment="HTTPS_PROXY={PROXY.replace("%", "%%")}"' in text
    assert "SHELL" not in text
    assert "cret" not in ran.stdout + ran.stderr


def test_only_with_containers_the_unit_leaves_podman_its_privileges(home: Path) -> None:
    gridlight(home, "install", "--network", URL)
    confined = unit_of(home).read_text(encoding="utf-8")
    gridlight(home, "install", "--network", URL, "--containers")
    open_to_podman = unit_of(home).read_text(encoding="utf-8")

    for line in ("NoNewPrivileges=yes", "ProtectSystem=strict", "PrivateUsers=yes", "ReadWritePaths="):
        assert line in confined
        assert line not in open_to_podman
    assert "Restart=on-failure" in confined


def test_the_unit_leaves_bubblewrap_what_it_needs_for_its_walls(home: Path) -> None:
    gridlight(home, "install", "--network", URL)
    text = unit_of(home).read_text(encoding="utf-8")

    # Under the first two a new namespace may not mount its /proc; the others forbid what bubblewrap asks of the kernel.
    for word in (
        "ProtectKernelTunables",
        "ProtectKernelLogs",
        "ProtectHostname",
        "RestrictNamespaces",
        "SystemCallFilter",
    ):
        assert word not in text


def test_the_network_that_was_joined_last_need_not_be_named(home: Path) -> None:
    folder = home / ".local" / "share" / "gridlight" / "node"
    unknown = gridlight(home, "install")
    folder.mkdir(parents=True)
    (folder / "network").write_text(f"{URL}\n")

    known = gridlight(home, "install")

    assert unknown.returncode == 2
    assert "--network URL" in unknown.stderr
    assert known.returncode == 0
    assert f'"--network" "{URL}"' in unit_of(home).read_text(encoding="utf-8")


def test_uninstall_takes_away_what_install_and_systemctl_made_and_no_more(home: Path) -> None:
    gridlight(home, "install", "--network", URL)
    unit = unit_of(home)
    wanted = unit.parent / "default.target.wants"
    wanted.mkdir()
    (wanted / unit.name).symlink_to(unit)
    (unit.parent / "other.service").touch()

    ran = gridlight(home, "uninstall")

    assert ran.stdout.splitlines() == ["systemctl --user stop gridlight-node && systemctl --user daemon-reload"]
    assert not os.path.lexists(wanted / unit.name)
    assert [path.name for path in unit.parent.iterdir() if path.is_file()] == ["other.service"]
    again = gridlight(home, "uninstall")
    assert (again.returncode, len(again.stderr.splitlines())) == (1, 1)


@needs_systemd
def test_systemd_takes_the_unit_of_a_whole_network(tmp_path: Path) -> None:
    text = (ROOT / "deploy" / "systemd" / "gridlight.service").read_text(encoding="utf-8")
    command = "/usr/local/lib/gridlight/bin/gridlight"
    assert text.count(command) == 1
    unit = tmp_path / "gridlight.service"
    unit.write_text(text.replace(command, sys.executable), encoding="utf-8")

    ran = verify(unit, tmp_path)

    assert (ran.returncode, ran.stderr) == (0, "")
