"""A third party's own program in a real network: built with the kit, unpacked by nodes, verified and stopped."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from difflib import SequenceMatcher
from hashlib import sha256
from pathlib import Path
from time import monotonic

import psutil
import pytest
from tests.acceptance.stand import Network, gridlight, running, until

from gridlight.adapters.blobs import cache_folder
from gridlight.adapters.clock import wall_s
from gridlight.adapters.signatures import SigningKey
from gridlight.client.kit.folder import sign
from gridlight.client.kit.uploading import publish
from gridlight.client.requester import Gridlight
from gridlight.messages.api import DetectResponse, LineView
from gridlight.messages.ids import WorkloadId
from gridlight.messages.trust import Verification
from gridlight.services.agent.consents import revoke

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "ocr"
SIGN = EXAMPLE / "vectors" / "sign.jpg"
SAYS = {
    "HARBOUR MARKET": (248, 224, 922, 332),
    "Open daily 08:30 - 17:45": (252, 343, 825, 443),
    "Fresh bread and coffee": (258, 441, 806, 532),
    "Telephone 555 0142": (263, 534, 646, 607),
}
"""What was painted on the sign, and where."""

PROGRAM = "/app/serve.py"
BUILD_S, WARM_S, SETTLED_S, ENDED_S = 600, 180.0, 120.0, 2.0
_NEEDS = ("podman", "runc", "bwrap", "apt-get", "dpkg-deb")


@pytest.fixture(scope="session")
def example() -> Path:
    """The example's build, made once for its sources and kept in the user's cache."""
    missing = [program for program in _NEEDS if shutil.which(program) is None]
    if missing or os.geteuid() != 0:
        pytest.skip(f"!!! NOT TESTED: third parties' containers need root and {', '.join(missing or _NEEDS)}")
    if sys.version_info[:2] != (3, 11):
        pytest.skip("!!! NOT TESTED: the example's image is built with Python 3.11")
    sources = [path for path in sorted(EXAMPLE.iterdir()) if path.is_file()]
    digest = sha256(b"\0".join(path.name.encode() + path.read_bytes() for path in sources)).hexdigest()
    kept = cache_folder() / "examples" / f"ocr-{digest[:16]}"
    if not (kept / "build" / "manifest.json").is_file():
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(EXAMPLE, kept, ignore=shutil.ignore_patterns("root", "build"))
        built = subprocess.run(
            [sys._base_executable, "build.py"],  # type: ignore[attr-defined]  # a virtual environment may lack pip
            cwd=kept,
            capture_output=True,
            text=True,
            timeout=BUILD_S,
            check=False,
        )
        if built.returncode != 0:
            pytest.skip(f"!!! NOT TESTED: the example's image cannot be built here: {built.stderr[-300:]}")
        done = gridlight("workload", "build", kept, timeout_s=BUILD_S)
        assert done.returncode == 0, done.stderr
        shutil.rmtree(kept / "root")
    return kept


@pytest.fixture(params=["podman", "bubblewrap"])
def network(request: pytest.FixtureRequest, photos: dict[str, Path], tmp_path: Path) -> Iterator[Network]:
    """Two nodes and a reference, which keep their workers in as operators' own do."""
    with running(tmp_path / "net", 2, "--references", "1", "--engine", request.param) as one:
        yield one


def offered(network: Network, folder: Path, example: Path) -> WorkloadId:
    """Signed, published, approved, and accepted by every operator, each by the command."""
    (folder / "build").mkdir(parents=True)
    shutil.copy(example / "workload.toml", folder)
    shutil.copy(example / "build" / "manifest.json", folder / "build")
    (folder / "build" / "blobs").symlink_to(example / "build" / "blobs")
    key = SigningKey.load_or_create(folder / "publisher.nk")
    workload = sign(folder, key, expires_ms=(wall_s() + 3_600) * 1_000)
    assert not publish(folder, network.url, key).missing
    done = gridlight("network", "workloads", "approve", workload, "--data", network.folder, "--rollout", 100)
    assert done.returncode == 0, done.stderr
    for agent in agents(network):
        done = gridlight("node", "accept", workload, "--data", agent, "--network", network.url, "--yes")
        assert done.returncode == 0, done.stderr
    until(lambda: len(lenders(network, workload)) == 3, WARM_S, "three nodes to lend it")
    return workload


def agents(network: Network) -> list[Path]:
    return [Path(one.data or "") for one in network.read().processes if one.role == "agent"]


def lenders(network: Network, workload: WorkloadId) -> list[str]:
    with Gridlight(network.url) as requester:
        return [one.node_id for one in requester.nodes().nodes if workload in one.workloads and one.online]


def programs(network: Network, workload: WorkloadId) -> list[psutil.Process]:
    """The third party's own processes on this machine; their parents' command lines name it, too."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter(["cmdline", "name", "status"]):
        words = process.info["cmdline"] or [""]
        if words[0].startswith("/usr/bin/python") and PROGRAM in words and process.info["status"] != "zombie":
            found.append(process)
    return found


def line_like(answer: DetectResponse, text: str) -> LineView:
    assert isinstance(answer.lines, list)
    likeness = {likeness_of(one.text, text): one for one in answer.lines}
    assert likeness, "nothing was read"
    assert max(likeness) >= 0.9, (text, answer.lines)
    return likeness[max(likeness)]


def likeness_of(one: str, other: str) -> float:
    """Without spaces, which the model's own words often lack."""
    return SequenceMatcher(None, one.replace(" ", ""), other.replace(" ", "")).ratio()


def test_a_strangers_program_reads_a_sign_is_verified_and_ends_when_it_is_told(
    network: Network, example: Path, tmp_path: Path
) -> None:
    workload = offered(network, tmp_path / "ocr", example)
    assert all(
        "running" in gridlight("node", "workloads", "--data", one, "--network", network.url).stdout
        for one in agents(network)
    )
    with Gridlight(network.url) as requester:
        answer = requester.run("ocr", SIGN, deadline_ms=60_000, verify=None)
        assert answer.model == workload
        for text, box in SAYS.items():
            seen = line_like(answer, text)
            assert all(abs(one - other) <= 12 for one, other in zip(seen.bbox, box, strict=True)), (text, seen)
        audited = requester.run(workload, SIGN, deadline_ms=60_000, verify="audited")  # type: ignore[arg-type]
        settled = requester.wait_verified(audited.id, SETTLED_S)
    assert settled.verification is Verification.FINAL
    assert settled.result is not None
    assert settled.result.lines == audited.lines

    root = cache_folder() / "roots" / workload.rpartition(":")[2]
    assert root.is_dir()
    here = len(programs(network, workload))
    revoked_s = monotonic()
    revoke(agents(network)[0], "ocr")
    until(lambda: len(programs(network, workload)) < here, ENDED_S, "the revoked program's end")
    assert monotonic() - revoked_s < ENDED_S
    until(lambda: len(lenders(network, workload)) == 2, WARM_S, "two nodes to be left")
    assert root.is_dir(), "the others still run from it"

    stopped = gridlight("network", "workloads", "stop", workload, "--data", network.folder)
    assert stopped.returncode == 0, stopped.stderr
    until(lambda: not programs(network, workload), ENDED_S, "the stopped program's end")
    until(lambda: not root.exists(), WARM_S, "the image's root to be removed")
