"""The doctor before set-ups that are really broken: each is found, alone is blamed, and gets a line to copy."""

import fcntl
import json
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import pytest
from tests.integration.conftest import Server
from tests.integration.doctor_stand import Gateway, problems, put_behind_tls, the_problem
from tests.outside.connect_proxy import connect_proxy
from tests.outside.reverse_proxy import NAME, OPENSSL

from gridlight.adapters.bus_server import free_port
from gridlight.adapters.clock import wall_s
from gridlight.adapters.signatures import SigningKey
from gridlight.adapters.survey.machine import see_engine, see_machine
from gridlight.adapters.word_files import WordFiles
from gridlight.core.checkup import MEMORY_BYTES_MIN, Finding, Level, check_engine, check_limits, check_memory
from gridlight.messages.ids import NodeId
from gridlight.services.agent.doctor import examine
from gridlight.services.agent.memory import remember
from gridlight.workloads.contract import catalogue

GIB = 1024**3
MOUNT, UMOUNT = (shutil.which(name) or name for name in ("mount", "umount"))
needs_openssl = pytest.mark.skipif(OPENSSL is None, reason="!!! certificates are NOT tested: there is no openssl")


@pytest.fixture
def gateway(server: Server) -> Iterator[Gateway]:
    gateway = Gateway(server)
    gateway.serve()
    yield gateway
    gateway.http.shutdown()
    gateway.http.server_close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A healthy node's, on a machine without proxies and container engines."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ssl_cert_file", "ssl_cert_dir"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("GRIDLIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))  # a container engine takes its time to say how it is
    folder = tmp_path / "node"
    SigningKey.load_or_create(folder / "node.nk")
    return folder


def test_a_sound_set_up_has_no_problem(gateway: Gateway, folder: Path) -> None:
    findings = examine(gateway.url, folder)

    assert problems(findings) == {}
    assert {one.check for one in findings} == {
        "folder", "disk", "key", "memory", "limits", "engine", "models", "endorsement", "words",
        "network", "proxy", "name", "gateway", "clock", "version", "bus", "identity",
    }  # fmt: skip


def test_it_leaves_no_trace(gateway: Gateway, tmp_path: Path, folder: Path) -> None:
    examine(gateway.url, tmp_path / "another" / "node")

    assert not (tmp_path / "another").exists()
    assert [path.name for path in folder.iterdir()] == ["node.nk"]


# The machine


def test_a_folder_that_cannot_be_written(gateway: Gateway, folder: Path) -> None:
    (folder / "file").touch()

    said = problems(examine(gateway.url, folder / "file" / "node"))

    assert "Not a directory" in said["folder"].said


def test_an_agent_that_runs_from_the_folder(gateway: Gateway, folder: Path) -> None:
    with (folder / "lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        said = [one.said for one in examine(gateway.url, folder) if one.check == "folder"]

    assert "an agent runs" in said[0]


def test_a_disk_that_is_full(gateway: Gateway, folder: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run([MOUNT, "-t", "tmpfs", "-o", "size=1m", "tmpfs", small], capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip("!!! a full disk is NOT tested: only root may mount one")
    try:
        said = the_problem(examine(gateway.url, small / "node"), "disk")
    finally:
        subprocess.run([UMOUNT, small], check=True)

    assert f"free at {small}" in said


def test_a_key_that_others_can_read(gateway: Gateway, folder: Path) -> None:
    (folder / "node.nk").chmod(0o644)

    assert f"chmod 600 {folder}/node.nk" in the_problem(examine(gateway.url, folder), "key")


def test_a_key_that_is_none(gateway: Gateway, folder: Path) -> None:
    (folder / "node.nk").write_text("SUAMISTYPED")

    assert f"mv {folder}/node.nk" in the_problem(examine(gateway.url, folder), "key")


def test_an_endorsement_that_is_none(gateway: Gateway, folder: Path) -> None:
    (folder / "endorsement").write_text("trust me")

    assert f"rm {folder}/endorsement" in the_problem(examine(gateway.url, folder), "endorsement")


def test_a_receipt_that_the_network_owes(gateway: Gateway, folder: Path) -> None:
    with WordFiles(folder).held() as standing:
        standing.owed["a run"] = (7, wall_s() * 1_000 - 1)

    [found] = [one for one in examine(gateway.url, folder) if one.check == "words"]
    assert (found.level, found.line) == (Level.WARNING, "gridlight node omitted --out proofs")


def test_a_model_that_is_damaged(gateway: Gateway, folder: Path, tmp_path: Path) -> None:
    digest = next(iter(next(iter(catalogue().values())).artifacts.values()))
    models = tmp_path / "cache" / "blobs"
    models.mkdir(parents=True)
    (models / digest).write_bytes(b"half a model")

    [found] = [one for one in examine(gateway.url, folder) if one.check == "models"]

    assert (found.level, found.line) == (Level.WARNING, f"rm {models}/{digest}")


def limited(kind: int, limit: int, url: str, folder: Path) -> list[Finding]:
    """The doctor as a process that was given so much and no more."""
    ran = subprocess.run(
        [sys.executable, "-m", "gridlight", "node", "doctor", "--network", url, "--data", str(folder), "--json"],
        capture_output=True, text=True, timeout=60, check=False,
        preexec_fn=lambda: resource.setrlimit(kind, (limit, limit)),
    )  # fmt: skip
    told = json.loads(ran.stdout)
    assert ran.returncode == (0 if told["healthy"] else 1)
    return [Finding(one["check"], Level(one["level"]), one["said"], one["line"]) for one in told["findings"]]


def test_limits_that_leave_no_room_for_a_worker(gateway: Gateway, folder: Path) -> None:
    said = the_problem(limited(resource.RLIMIT_AS, GIB // 2 - 1, gateway.url, folder), "limits")

    assert "511 MiB" in said


def test_limits_that_leave_too_few_files(gateway: Gateway, folder: Path) -> None:
    assert "ulimit -n" in the_problem(limited(resource.RLIMIT_NOFILE, 32, gateway.url, folder), "limits")


def test_a_machine_without_cgroups(tmp_path: Path) -> None:
    found = check_limits(see_machine(cgroups=tmp_path), address_space_wanted=1)

    assert (found.level, "no cgroups" in found.said) == (Level.WARNING, True)


@pytest.mark.parametrize(
    ("own", "folder", "most", "used", "unlimited"),
    [
        ("0::/user.slice/node.service", ".", "memory.max", "memory.current", "max"),
        ("4:cpu,memory:/user.slice/node.service\n0::/", "memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
         str(2**63 - 4_096)),
    ],
    ids=["cgroups v2", "cgroups v1"],
)  # fmt: skip
def test_a_group_of_processes_that_is_left_too_little_memory(
    own: str, folder: str, most: str, used: str, unlimited: str, tmp_path: Path
) -> None:
    around = tmp_path / folder / "user.slice"
    own_group = around / "node.service"
    own_group.mkdir(parents=True)
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids\n")
    for group, limit in ((own_group, unlimited), (around, str(MEMORY_BYTES_MIN))):
        (group / most).write_text(f"{limit}\n")
        (group / used).write_text("200000000\n")
        (group / "memory.stat").write_text("anon 1\ninactive_file 100000000\n")

    seen = see_machine(cgroups=tmp_path, own_cgroups=own)

    assert seen.memory_bytes == MEMORY_BYTES_MIN - 100_000_000
    assert check_memory(seen).level is Level.PROBLEM
    assert check_limits(seen, address_space_wanted=1).level is Level.OK


def test_a_container_engine_that_is_missing_or_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert check_engine(see_engine()).level is Level.NOTE

    said = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"
    (tmp_path / "docker").write_text(f"#!/bin/sh\necho '{said}' >&2\nexit 1\n")
    (tmp_path / "docker").chmod(0o755)
    found = check_engine(see_engine())

    assert (found.level, found.line) == (Level.WARNING, "sudo systemctl start docker")
    assert said in found.said


# The way to the network


def test_a_name_without_an_address(folder: Path) -> None:
    assert "getent ahosts nowhere.example" in the_problem(examine("https://nowhere.example", folder), "name")


def test_nobody_at_the_network_s_address(folder: Path) -> None:
    url = f"http://127.0.0.1:{free_port('127.0.0.1')}"

    assert "Connection refused" in the_problem(examine(url, folder), "gateway")


def test_somebody_else_at_the_network_s_address(gateway: Gateway, folder: Path) -> None:
    gateway.page = b"<html>Please log in to the hotel's network</html>"

    assert "is no gateway" in the_problem(examine(gateway.url, folder), "gateway")


@pytest.mark.parametrize(("ahead_s", "words"), [(3_600, "behind"), (-3_600, "ahead of")])
def test_a_clock_that_is_an_hour_off(gateway: Gateway, folder: Path, ahead_s: int, words: str) -> None:
    gateway.ahead_s = ahead_s

    said = the_problem(examine(gateway.url, folder), "clock")

    assert words in said
    assert "timedatectl" in said


def test_an_agent_that_is_too_old(gateway: Gateway, folder: Path) -> None:
    gateway.told.agent_version_min = "99.1"

    assert "pip install --upgrade gridlight" in the_problem(examine(gateway.url, folder), "version")


def test_a_key_that_is_in_use_on_another_machine(gateway: Gateway, folder: Path) -> None:
    gateway.online = {NodeId(SigningKey.load_or_create(folder / "node.nk").public)}
    alone = the_problem(examine(gateway.url, folder), "identity")
    with (folder / "lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        running_here = examine(gateway.url, folder)

    assert "in use on another machine" in alone
    assert problems(running_here) == {}


def test_a_websocket_that_is_held_back(gateway: Gateway, folder: Path) -> None:
    gateway.told.nats_url = ""
    gateway.told.websocket_url = f"{gateway.url.replace('http', 'ws')}/bus"  # which answers as a filter does: 404

    said = the_problem(examine(gateway.url, folder), "bus")

    assert "404" in said
    assert "'Upgrade: websocket'" in said
    assert f"{gateway.url}/bus" in said


def test_a_port_that_another_program_has(gateway: Gateway, folder: Path) -> None:
    def greet(taken: socket.socket) -> None:
        with taken.accept()[0] as line:
            line.sendall(b"220 mail.example ESMTP\r\n")

    with socket.create_server(("127.0.0.1", 0)) as taken:
        Thread(target=greet, args=(taken,), daemon=True).start()
        gateway.told.nats_url = f"nats://127.0.0.1:{taken.getsockname()[1]}"
        gateway.told.websocket_url = None
        said = the_problem(examine(gateway.url, folder), "bus")

    assert "another program has the port" in said


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda: f"http://127.0.0.1:{free_port('127.0.0.1')}", "Connection refused"),
        (lambda: "proxy.example:3128", "write it as"),
    ],
)
def test_a_proxy_that_is_not_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch, break_it: Callable[[], str], words: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", break_it())

    said = the_problem(examine(f"https://{NAME}", folder), "proxy")

    assert words in said
    assert "unset HTTPS_PROXY" in said


def test_a_proxy_that_refuses(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with connect_proxy({}) as forbids, connect_proxy({}, user="ada:secret") as asks:
        monkeypatch.setenv("HTTPS_PROXY", forbids.url)
        forbidden = the_problem(examine(f"https://{NAME}", folder), "proxy")
        monkeypatch.setenv("HTTPS_PROXY", asks.url.replace("//", "//ada:wrong@"))
        asked = the_problem(examine(f"https://{NAME}", folder), "proxy")

    assert "HTTP 403" in forbidden
    assert "wants to know who asks" in asked
    assert "wrong" not in asked, "a password is shown to nobody"


@needs_openssl
def test_somebody_between_who_reads_along(
    gateway: Gateway, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = put_behind_tls(gateway, tmp_path / "tls", "Nosy Proxy Inc")
    with connect_proxy({f"{NAME}:443": gateway.port}) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        untrusted = the_problem(examine(f"https://{NAME}", folder), "certificate")
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        trusted = examine(f"https://{NAME}", folder)
        remember(folder, f"https://{NAME}")
        remembered = examine(f"https://{NAME}", folder)
        (folder / "issuer").write_text("Gridlight's own authority\n")
        changed = [one for one in examine(f"https://{NAME}", folder) if one.check == "certificate"]

    assert f"issued by Nosy Proxy Inc, {NAME}, is not trusted here" in untrusted
    assert "SSL_CERT_FILE" in untrusted
    assert (problems(trusted), problems(remembered)) == ({}, {})
    assert [one.level for one in changed] == [Level.WARNING]
    assert "issued by Gridlight's own authority when the node joined, and now by Nosy Proxy Inc" in changed[0].said


def test_it_is_told_as_lines_for_a_person(tmp_path: Path) -> None:
    words = ["--network", "https://nowhere.example", "--data", str(tmp_path)]
    own = {"PATH": "", "HOME": str(tmp_path)}

    ran = subprocess.run(
        [sys.executable, "-m", "gridlight", "node", "doctor", *words],
        capture_output=True, text=True, timeout=60, check=False, env=own,
    )  # fmt: skip

    assert (ran.returncode, ran.stderr) == (1, "")
    lines = ran.stdout.splitlines()
    [problem] = [number for number, line in enumerate(lines) if line.startswith("problem")]
    assert "nowhere.example has no address" in lines[problem]
    assert lines[problem + 1].strip().startswith("getent ahosts nowhere.example")
