"""Joining with two commands: from the wheel alone, on this machine and from behind a proxy that passes HTTPS only."""

import json
import os
import shutil
import sqlite3
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType

import httpx
import pytest
from tests.acceptance.stand import Network, running, until
from tests.outside.connect_proxy import connect_proxy
from tests.outside.cut_off import CutOff, cut_off
from tests.outside.reverse_proxy import MISSING, NAME, Certificate, reverse_proxy, self_signed
from tests.outside.wheel import build_wheel, install

from gridlight.adapters.bus_server import free_port
from gridlight.client.errors import GridlightError
from gridlight.client.requester import Gridlight
from gridlight.messages.trust import Assurance

FIRST_TASK_S_MAX = 180.0
NOTHING: Mapping[str, str] = MappingProxyType({})
PROXY_ADDRESS = "127.0.7.7"
"""Where the proxy comes from: of another prefix than everything else here."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command `gridlight` of an environment with nothing but the wheel and what it asks for."""
    return install(wheel, tmp_path_factory.mktemp("installed") / "environment")


@contextmanager
def volunteering(command: list[str], home: Path, environment: Mapping[str, str] = NOTHING) -> Iterator[Path]:
    """A stranger's machine at work: nothing of ours in its environment, and its own home. Its log."""
    home.mkdir()
    log = home / "log"
    own = {"PATH": os.environ["PATH"], "HOME": str(home), **environment}
    with log.open("wb") as file:
        node = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=own, cwd=home)
    try:
        yield log
    finally:
        node.terminate()
        node.wait(20)


def first_answer(network: Network, photo: Path, log: Path) -> str:
    """Ask until the newcomer answers, as whoever does not ask for trust; which node it was."""

    def answered() -> str | None:
        with suppress(GridlightError), Gridlight(network.url) as requester:
            return requester.detect(photo, verify=Assurance.NONE).node_id
        return None

    try:
        return until(answered, FIRST_TASK_S_MAX, "the node's first accepted task")
    except AssertionError:
        pytest.fail(log.read_text(encoding="utf-8"))


def test_the_wheel_alone_joins_a_network_and_serves(wheel: Path, bus: Path, tmp_path: Path) -> None:
    with running(tmp_path / "network", nodes=0) as network:
        began = time.monotonic()
        gridlight = install(wheel, tmp_path / "environment")
        command = [str(gridlight), "node", "start", "--always", "--network", network.url]
        with volunteering(command, tmp_path / "home") as log:
            node_id = first_answer(network, bus, log)
            lasted_s = time.monotonic() - began
            [listed] = [one for one in network_nodes(network) if one == node_id]
            here = doctor([str(gridlight)], tmp_path / "home")
            copied_key(tmp_path / "home", tmp_path / "elsewhere")
            elsewhere = doctor([str(gridlight)], tmp_path / "elsewhere")
    folder = tmp_path / "home" / ".local" / "share" / "gridlight" / "node"
    blobs = list((tmp_path / "home" / ".cache" / "gridlight" / "blobs").iterdir())
    print(f"first accepted task {lasted_s:.1f} s after the install began, packages at hand")

    assert listed == node_id
    assert (folder / "node.nk").is_file()
    assert (folder / "network").read_text().strip() == network.url
    assert [blob.stat().st_size > 1_000_000 for blob in blobs] == [True], "the model came from the gateway"
    assert lasted_s < FIRST_TASK_S_MAX
    assert here == {}, "the doctor finds nothing wrong with a node that serves"
    assert list(elsewhere) == ["identity"], "and one key on two machines"


def test_a_word_that_needs_more_than_the_wheel_says_what_to_install(installed: Path, tmp_path: Path) -> None:
    words = [str(installed), "up", "--data", str(tmp_path)]

    ran = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)

    assert (ran.returncode, ran.stdout) == (1, "")
    assert "pip install 'gridlight[demo]'" in ran.stderr
    assert len(ran.stderr.splitlines()) == 1


@pytest.mark.skipif(bool(MISSING), reason=f"!!! the way through a proxy is NOT tested: no {', '.join(MISSING)}")
def test_through_a_proxy_that_passes_https_alone_a_node_joins_and_serves(
    installed: Path, bus: Path, tmp_path: Path
) -> None:
    certificate = self_signed(tmp_path, NAME)
    websocket, https = free_port("127.0.0.1"), free_port("127.0.0.1")
    outside = ["--public-url", f"https://{NAME}", "--trusted-proxy", "127.0.0.1"]
    with (
        running(tmp_path / "network", 0, *outside, "--websocket", f"127.0.0.1:{websocket}") as network,
        cut_off() as far,
    ):
        http = int(network.url.rpartition(":")[2])
        door = reverse_proxy(tmp_path / "nginx", certificate, port=https, http=http, websocket=websocket)
        ways = {f"{NAME}:443": https}
        with door, connect_proxy(ways, host=far.neighbour, source=PROXY_ADDRESS) as proxy:
            began = time.monotonic()
            command = far.command(installed, "node", "start", "--always", "--network", f"https://{NAME}")
            told = {"HTTPS_PROXY": proxy.url, "SSL_CERT_FILE": str(certificate.file)}
            assert not (far.is_apart and reaches(far, network.read().nats_url))
            with volunteering(command, tmp_path / "home", told) as log:
                node_id = first_answer(network, bus, log)
                print(f"first accepted task through the proxy {time.monotonic() - began:.1f} s after the start")
                said = log.read_text(encoding="utf-8")
                served, refused, hidden = requests_through(https, certificate, bus, network.api_key)
                problems = doctor(far.command(installed), tmp_path / "home", told)

    assert problems == {}
    assert (served.status_code, served.json()["node_id"]) == (200, node_id)
    assert (refused.status_code, refused.json()["error"]["code"]) == (413, "BODY_TOO_LARGE"), "in the API's own shape"
    assert hidden.status_code == 404
    assert node_id in said
    assert f'"nats_url":"wss://{NAME}/bus"' in said.replace(" ", "")
    assert set(proxy.asked) == {f"CONNECT {NAME}:443"}
    assert b"127.0.7.0/24" in journal(network), "the gateway saw where the node came from, not its own reverse proxy"
    assert (tmp_path / "nginx" / "access.log").read_text().count('GET /bus HTTP/1.1" 101') == 2


def requests_through(
    port: int, certificate: Certificate, photo: Path, api_key: str
) -> tuple[httpx.Response, httpx.Response, httpx.Response]:
    """What the front door makes of a picture, of one that is too large, and of whoever asks for figures."""
    context = ssl.create_default_context(cafile=str(certificate.file))
    with httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=context, headers={"Host": NAME}, timeout=20,
                      trust_env=False) as http:  # fmt: skip

        def post(content: bytes) -> httpx.Response:
            path = "/v1/detect?verify=none&deadline_ms=10000"
            kind = {"Content-Type": "image/jpeg", "Authorization": f"Bearer {api_key}"}
            return http.post(path, content=content, headers=kind, extensions={"sni_hostname": NAME})

        return (
            post(photo.read_bytes()),
            post(bytes(9 * 1024 * 1024)),
            http.get("/metrics", extensions={"sni_hostname": NAME}),
        )


def doctor(command: list[str], home: Path, environment: Mapping[str, str] = NOTHING) -> dict[str, str]:
    """The problems that `gridlight node doctor` finds, by check."""
    words = [*command, "node", "doctor", "--json"]
    own = {"PATH": os.environ["PATH"], "HOME": str(home), **environment}
    ran = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, env=own)
    told = json.loads(ran.stdout)
    problems = {one["check"]: one["said"] for one in told["findings"] if one["level"] == "problem"}
    assert (ran.returncode == 0) == told["healthy"] == (not problems)
    return problems


def copied_key(home: Path, other: Path) -> None:
    """Another home with the node's key, as after moving to a new machine with the old one still on."""
    folder = Path(".local") / "share" / "gridlight" / "node"
    (other / folder).mkdir(parents=True)
    for name in ("node.nk", "network"):
        shutil.copy(home / folder / name, other / folder / name)


def network_nodes(network: Network) -> list[str]:
    """Who is online."""
    with Gridlight(network.url) as requester:
        return [node.node_id for node in requester.nodes().nodes if node.online]


def reaches(far: CutOff, url: str) -> bool:
    """Whether a machine there gets a connection to this address."""
    host, _, port = url.removeprefix("nats://").rpartition(":")
    script = f"import socket; socket.create_connection(({host!r}, {port}), 2)"
    return subprocess.run(far.command("python3", "-c", script), capture_output=True, check=False).returncode == 0


def journal(network: Network) -> bytes:
    """All that the coordinator was told, as it is kept."""
    with sqlite3.connect(network.folder / "coordinator" / "gridlight.db") as database:
        rows = database.execute("SELECT * FROM journal").fetchall()
    database.close()
    return b"".join(cell for row in rows for cell in row if isinstance(cell, bytes))
