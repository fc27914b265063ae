"""`gridlight up` as a process, with a real nats-server and stand-ins for our own services."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from stellar_sdk import Keypair

from gridlight.adapters.bus_server import free_port
from gridlight.adapters.configuration import load_config
from gridlight.adapters.credentials import NetworkKeys
from gridlight.adapters.endorsements import endorsed_tier
from gridlight.messages.trust import PROFILES, Tier
from gridlight.services.addresses import CannotStart
from gridlight.services.coordinator.config import CoordinatorConfig
from gridlight.services.gateway.config import DepositsConfig, GatewayConfig
from gridlight.services.network import run
from gridlight.services.payer.config import PayerConfig

WAIT_S = 60.0
FAKE = Path(__file__).with_name("fake_gridlight.py")
UP = """
import sys
from pathlib import Path
from gridlight.services.network import run

nodes, references, trust, data, http, fake = sys.argv[1:]
command = [sys.executable, fake]
run(int(nodes), Path(data), http, references=int(references), trust=trust, command=command, set_up=lambda: None)
"""


class Up:
    """One run of `gridlight up`."""

    def __init__(
        self, folder: Path, *, nodes: int = 2, references: int = 0, trust: str = "laptop", port: int | None = None
    ) -> None:
        self.folder = folder
        self.port = port or free_port("127.0.0.1")
        arguments = [str(nodes), str(references), trust, str(folder), f"127.0.0.1:{self.port}", str(FAKE)]
        self.process = subprocess.Popen(
            [sys.executable, "-c", UP, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Under nohup we would hand down a SIGHUP that is ignored, and `up` rightly goes on ignoring it.
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # noqa: PLW1509 (no threads here)
        )

    def ready(self) -> str:
        """The line that says so."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            _, errors = self.process.communicate(timeout=WAIT_S)
            pytest.fail(f"not ready: {errors}")
        return line

    def end(self) -> tuple[int, str, str]:
        """Exit status and what it printed."""
        output, errors = self.process.communicate(timeout=WAIT_S)
        return self.process.returncode, output, errors

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str, str]:
        self.process.send_signal(number)
        return self.end()

    def network(self) -> dict[str, Any]:
        network: dict[str, Any] = json.loads((self.folder / "network.json").read_text())
        return network

    def pids(self) -> dict[str, int]:
        return {one.get("data", one["role"]): one["pid"] for one in self.network()["processes"]}


StartUp = Callable[..., Up]


@pytest.fixture
def start() -> Iterator[StartUp]:
    started: list[Up] = []

    def start(folder: Path, **options: Any) -> Up:
        started.append(Up(folder, **options))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate()


def until(is_true: Callable[[], bool]) -> None:
    ends_s = time.monotonic() + WAIT_S
    while not is_true():
        assert time.monotonic() < ends_s
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_network_comes_up_and_stops_in_order(tmp_path: Path, start: StartUp, number: int) -> None:
    up = start(tmp_path / "net")

    line = up.ready()
    network = up.network()
    processes = [psutil.Process(pid) for pid in up.pids().values()]
    status, output, errors = up.stop(number)

    assert f"ready at http://127.0.0.1:{up.port} with 2 nodes" in line
    assert network["url"] == f"http://127.0.0.1:{up.port}"
    assert network["nats_url"].startswith("nats://127.0.0.1:")
    assert [one["role"] for one in network["processes"]] == ["nats", "coordinator", "gateway", "agent", "agent"]
    assert [one.get("data") for one in network["processes"][3:]] == [
        str(tmp_path / "net" / "agents" / number) for number in ("1", "2")
    ]
    assert len({one["node_id"] for one in network["processes"][3:]}) == 2
    assert all(set(one) == {"role", "pid"} for one in network["processes"][:3])
    assert all(set(one) == {"role", "pid", "node_id", "data"} for one in network["processes"][3:])
    assert (status, output, errors) == (0, "", "")
    assert (tmp_path / "net" / "stopped").read_text().split() == ["node", "node", "gateway", "coordinator"]
    assert not any(one.is_running() for one in processes)
    assert not (tmp_path / "net" / "network.json").exists()


def test_the_services_are_given_configurations_that_they_take(tmp_path: Path, start: StartUp) -> None:
    up = start(tmp_path / "net", nodes=0)
    up.ready()
    network = up.network()
    up.stop()

    coordinator = load_config(tmp_path / "net" / "coordinator" / "config.toml", CoordinatorConfig)
    gateway = load_config(tmp_path / "net" / "gateway" / "config.toml", GatewayConfig)

    assert coordinator.nats_url == gateway.nats_url == gateway.public_nats_url == network["nats_url"]
    assert coordinator.database_url == gateway.database_url
    assert gateway.http_port == up.port
    assert gateway.network_key == NetworkKeys.load(tmp_path / "net" / "keys").network_public
    for path in (
        coordinator.credentials,
        coordinator.system_credentials,
        gateway.credentials,
        gateway.node_signer_key,
        gateway.admin_token_file,
    ):
        assert Path(path).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("trust", ["laptop", "production"])
def test_the_coordinator_is_told_how_much_trust_there_is(tmp_path: Path, start: StartUp, trust: str) -> None:
    up = start(tmp_path / "net", nodes=0, trust=trust)
    up.ready()
    up.stop()

    coordinator = load_config(tmp_path / "net" / "coordinator" / "config.toml", CoordinatorConfig)

    assert coordinator.trust_parameters() == PROFILES[trust]


def test_reference_nodes_are_nodes_of_another_tier(tmp_path: Path, start: StartUp) -> None:
    up = start(tmp_path / "net", nodes=1, references=2)

    line = up.ready()
    [node, *references] = up.network()["processes"][3:]
    status, _, errors = up.stop()

    assert "with 1 nodes and 2 for reference" in line
    assert {one["role"] for one in (node, *references)} == {"agent"}
    assert [one["data"] for one in references] == [
        str(tmp_path / "net" / "agents" / name) for name in ("reference-1", "reference-2")
    ]
    assert all(one["is_reference"] is True for one in references)
    assert "is_reference" not in node
    network_key = NetworkKeys.load(tmp_path / "net" / "keys").network_public
    tiers = [
        endorsed_tier((Path(one["data"]) / "endorsement").read_text().strip(), one["node_id"], network_key)
        for one in (node, *references)
    ]
    assert tiers == [Tier.TRUSTED, Tier.REFERENCE, Tier.REFERENCE]
    assert (status, errors) == (0, "")


@pytest.mark.parametrize("role", ["agent", "coordinator", "gateway", "nats"])
def test_a_killed_process_is_replaced_and_the_file_says_so(tmp_path: Path, start: StartUp, role: str) -> None:
    up = start(tmp_path / "net", nodes=1)
    up.ready()
    before = {one["role"]: one for one in up.network()["processes"]}

    os.kill(before[role]["pid"], signal.SIGKILL)
    until(lambda: {one["role"]: one for one in up.network()["processes"]}[role]["pid"] != before[role]["pid"])

    after = {one["role"]: one for one in up.network()["processes"]}
    assert psutil.pid_exists(after[role]["pid"])
    assert {**after, role: None} == {**before, role: None}
    assert after[role].get("node_id") == before[role].get("node_id")
    assert up.stop()[0] == 0


def test_a_folder_keeps_its_keys_nodes_and_bus_over_runs(tmp_path: Path, start: StartUp) -> None:
    first = start(tmp_path / "net")
    first.ready()
    before = first.network()
    token = (tmp_path / "net" / "keys" / "admin.token").read_text()
    first.stop()

    second = start(tmp_path / "net")
    second.ready()
    after = second.network()

    assert after["nats_url"] == before["nats_url"]
    ids = [[one.get("node_id") for one in network["processes"]] for network in (before, after)]
    assert ids[0] == ids[1]
    assert (tmp_path / "net" / "keys" / "admin.token").read_text() == token
    second.stop()


def test_a_second_run_on_the_same_folder_is_refused_and_harms_nothing(tmp_path: Path, start: StartUp) -> None:
    first = start(tmp_path / "net", nodes=1)
    first.ready()
    before = first.network()

    status, _, errors = start(tmp_path / "net").end()

    assert status != 0
    assert f"is in use by a running network (process {first.process.pid})" in errors
    assert first.network() == before
    assert first.stop()[0] == 0


def test_a_taken_port_is_said_before_anything_is_started(tmp_path: Path, start: StartUp) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        status, output, errors = start(tmp_path / "net", port=port).end()

    assert status != 0
    assert output == ""
    assert f"127.0.0.1:{port} is taken" in errors
    assert not (tmp_path / "net" / "nats").exists()


def test_an_address_of_another_machine_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match=r"cannot listen at --http 192\.0\.2\.1:8080"):
        run(1, tmp_path / "net", "192.0.2.1:8080", set_up=lambda: None)


def test_a_taken_bus_port_is_replaced_by_another(tmp_path: Path, start: StartUp) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (tmp_path / "net" / "nats").mkdir(parents=True)
        (tmp_path / "net" / "nats" / "port").write_text(f"{port}\n")
        up = start(tmp_path / "net", nodes=0)
        up.ready()

        assert up.network()["nats_url"] != f"nats://127.0.0.1:{port}"
        up.stop()


def test_nothing_outlives_a_killed_run_and_the_next_one_starts(tmp_path: Path, start: StartUp) -> None:
    first = start(tmp_path / "net")
    first.ready()
    processes = [psutil.Process(pid) for pid in first.pids().values()]

    first.process.kill()

    _, alive = psutil.wait_procs(processes, timeout=WAIT_S)
    assert alive == []
    second = start(tmp_path / "net")
    assert "ready" in second.ready()
    second.stop()


def test_a_service_that_never_comes_up_ends_the_run_with_its_last_words(tmp_path: Path, start: StartUp) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "break").write_text("gateway")
    of_others = set(psutil.Process().children(recursive=True))

    up = start(tmp_path / "net")
    status, output, errors = up.end()

    assert status != 0
    assert output == ""
    assert "gateway ends again and again" in errors
    assert "this service was made to fail" in errors
    assert set(psutil.Process().children(recursive=True)) <= of_others
    assert not (tmp_path / "net" / "network.json").exists()


def test_a_run_that_is_stopped_before_it_is_ready_ends_cleanly(tmp_path: Path, start: StartUp) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "idle").touch()
    up = start(tmp_path / "net", nodes=1)
    until((tmp_path / "net" / "agents" / "1" / "log.jsonl").exists)

    status, output, _ = up.stop()

    assert (status, output) == (0, "")


@pytest.mark.parametrize("http", ["8080", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:99999", "127.0.0.1:-1", ""])
def test_an_address_that_is_none_is_refused(tmp_path: Path, http: str) -> None:
    with pytest.raises(CannotStart, match="should be HOST:PORT"):
        run(1, tmp_path / "net", http)


PAYER = Keypair.from_raw_ed25519_seed(b"p" * 32).public_key


def test_a_payer_runs_where_the_founder_wrote_how_to_pay(tmp_path: Path, start: StartUp) -> None:
    folder = tmp_path / "net"
    folder.mkdir()
    said = f'horizon_url = "http://127.0.0.1:1"\npayer = "{PAYER}"\nseeds = "/nowhere"\n'
    said += "[parameters]\nthreshold_units = 70_000\n"
    (folder / "payouts.toml").write_text(said)
    up = start(folder, nodes=0)
    up.ready()
    network = up.network()
    up.stop()

    payer = load_config(folder / "payer" / "config.toml", PayerConfig)
    gateway = load_config(folder / "gateway" / "config.toml", GatewayConfig)
    assert [one["role"] for one in network["processes"]] == ["nats", "coordinator", "gateway"]
    log = (folder / "up.jsonl").read_text()
    assert all(f'"name": "{name}"' in log for name in ("payer", "deposits"))
    assert gateway.deposits == DepositsConfig(account=PAYER, passphrase=payer.passphrase)
    assert (payer.nats_url, payer.statements_url) == (network["nats_url"], gateway.database_url)
    assert payer.credentials == folder / "keys" / "payer.creds"
    assert (payer.database_url, payer.seeds) == (f"sqlite:///{folder / 'payer' / 'payouts.db'}", Path("/nowhere"))
    assert (payer.parameters.threshold_units, gateway.payout_least_units) == (70_000, 70_000)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ('payer = "GOOD"', "horizon_url"),
        ('horizon_url = "http://127.0.0.1:1"\npayer = "GWRONG"', "56 characters, and this has 6"),
        ('horizon_url = "http://127.0.0.1:1"\npayer = "GOOD"\npayees = 3', "payees"),
    ],
)
def test_a_network_does_not_start_with_a_payer_that_could_not(
    tmp_path: Path, start: StartUp, said: str, why: str
) -> None:
    folder = tmp_path / "net"
    folder.mkdir()
    (folder / "payouts.toml").write_text(said.replace("GOOD", PAYER))

    status, _, errors = start(folder, nodes=0).end()

    assert status != 0
    assert "CannotStart" in errors
    assert why in errors
