"""A stranger's workload in a real network: published, approved, accepted, served, revoked and stopped."""

import base64
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from http.client import HTTPConnection
from itertools import count
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import psutil
import pytest
from tests.acceptance.publisher import publish, publish_by_command, write_folder
from tests.acceptance.stand import WORKER, Network, Process, frozen, gridlight, running, until

from gridlight.adapters.clock import wall_s
from gridlight.adapters.credentials import NetworkKeys
from gridlight.adapters.signatures import SigningKey
from gridlight.client.errors import RequestRefused
from gridlight.client.kit.folder import build, built, init, publication, sign
from gridlight.client.kit.uploading import publish as bring
from gridlight.client.requester import Gridlight
from gridlight.client.workload_calls import (
    WORKLOADS_CALL,
    publish_call,
    published_responses,
    rule_call,
    ruled_responses,
    workloads_responses,
)
from gridlight.core.rollout import Rollout
from gridlight.messages.api import DetectResponse
from gridlight.messages.envelope import SIGNATURE_HEADER, UPLOAD_DOMAIN
from gridlight.messages.ids import NodeId, WorkloadId
from gridlight.services.agent.consents import accept, read_state, revoke
from gridlight.workloads.contract import catalogue

WARM_S = 20.0
ENDED_S = 2.0
NODES = 3


@pytest.fixture(scope="module")
def network(photos: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """Three nodes."""
    with running(tmp_path_factory.mktemp("workloads"), NODES) as one:
        yield one


class Town:
    """The network with its administrator, its operators and one publisher at hand."""

    _names = count(1)

    def __init__(self, network: Network, folder: Path) -> None:
        self.network = network
        self.name = f"crowded-{next(self._names)}"
        """Of this test's workload."""
        self.folder = write_folder(folder / self.name, self.name)
        self.key = folder / "publisher.nk"
        self.keys = NetworkKeys.load(network.folder / "keys")
        self.data = {NodeId(one.node_id or ""): Path(one.data or "") for one in self._agents()}

    def _agents(self) -> list[Process]:
        return [one for one in self.network.read().processes if one.role == "agent"]

    def offer(self, percent: int = 100) -> WorkloadId:
        """Publish and approve it."""
        workload = publish(self.folder, self.key, self.network)
        self.approve(workload, percent)
        return workload

    def approve(self, workload: WorkloadId, percent: int, *, serial: int = 1) -> None:
        """As the command does."""
        ends_ms = (wall_s() + 3_600) * 1_000
        word = self.keys.countersign(workload, percent=percent, serial=serial, expires_ms=ends_ms)
        with self.network.administrator() as administrator:
            administrator.exchange(rule_call(workload, countersignature=word), ruled_responses)

    def accept(self, workload: WorkloadId, *nodes: NodeId) -> None:
        """As the command does; then wait until they lend it."""
        manifest = (self.folder / "build" / "manifest.json").read_bytes()
        for node in nodes:
            accept(self.data[node], workload, manifest)
        until(lambda: self.lenders(workload) >= set(nodes), WARM_S, f"{len(nodes)} nodes to lend it")

    def lenders(self, workload: WorkloadId) -> set[NodeId]:
        """Who lends it, by the network's word."""
        with Gridlight(self.network.url) as requester:
            return {one.node_id for one in requester.nodes().nodes if workload in one.workloads and one.online}

    def workers(self, node: NodeId) -> list[psutil.Process]:
        """Processes that run this test's workload on a node."""
        children = self.network.agents()[node].children()
        return [one for one in children if WORKER in one.cmdline() and self.name in one.cmdline()]


@pytest.fixture
def town(network: Network, tmp_path: Path) -> Town:
    return Town(network, tmp_path)


def asked(town: Town, photo: Path, *, deadline_ms: int = 4_000) -> DetectResponse:
    with Gridlight(town.network.url) as requester:
        return requester.detect(photo, model=town.name, deadline_ms=deadline_ms)


def refused_code(answer: "Future[DetectResponse]") -> str:
    error = answer.exception(timeout=10)
    assert isinstance(error, RequestRefused), error
    return error.code


def is_gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_it_runs_nowhere_before_it_is_approved_and_only_where_it_is_accepted(town: Town, bus: Path) -> None:
    workload = publish_by_command(town.folder, town.key, town.network)
    first, second, third = town.data
    early = gridlight("detect", bus, "--url", town.network.url, "--model", town.name)
    assert "UNKNOWN_MODEL" in early.stderr
    too_early = gridlight("node", "accept", workload, "--data", town.data[first], "--network", town.network.url)
    assert "the network has no workload" in too_early.stderr

    approved = gridlight("network", "workloads", "approve", workload, "--data", town.network.folder, "--rollout", 100)
    assert f"{workload} is approved for 100 % of the nodes (serial 1)" in approved.stdout, approved.stderr
    listed = gridlight("node", "workloads", "--data", town.data[third], "--network", town.network.url)
    assert f"{town.name}@{workload[-64:-52]}  not accepted" in listed.stdout
    assert "coco-ssd" in listed.stdout
    assert "first-party, running" in listed.stdout
    for node in (first, second):
        options = ("--data", town.data[node], "--network", town.network.url, "--yes")
        done = gridlight("node", "accept", workload, *options)
        assert "permissions  none" in done.stdout, done.stderr
    until(lambda: town.lenders(workload) == {first, second}, WARM_S, "two nodes to lend it")

    served = gridlight("detect", bus, "--url", town.network.url, "--model", town.name, "--json")
    assert served.returncode == 0, served.stderr
    assert f'"model":"{workload}"' in served.stdout
    assert '"label":"bus"' in served.stdout
    assert town.lenders(workload) == {first, second}
    assert not town.workers(third)


def test_what_is_revoked_is_killed_within_two_seconds_and_its_task_done_elsewhere(town: Town, bus: Path) -> None:
    workload = town.offer()
    first, second, _ = town.data
    town.accept(workload, first)
    [worker] = town.workers(first)

    with ThreadPoolExecutor(1) as pool, frozen(worker):
        answer = pool.submit(asked, town, bus, deadline_ms=20_000)
        until(lambda: not answer.done() and town.network.metric("gridlight_jobs_open") >= 1, 5, "it to be asked")
        time.sleep(0.5)
        town.accept(workload, second)
        started = time.monotonic()
        assert revoke(town.data[first], town.name) is not None
        until(lambda: is_gone(worker), ENDED_S, "its worker to be gone")
        gone_s = time.monotonic() - started
        assert answer.result(timeout=10).node_id == second
        done_s = time.monotonic() - started

    print(f"revoked: worker gone after {gone_s:.2f} s, its task done elsewhere after {done_s:.2f} s")
    assert done_s < ENDED_S
    until(lambda: town.lenders(workload) == {second}, 5, "the network to know")
    assert gridlight("node", "revoke", town.name, "--data", town.data[first]).returncode == 1, "it is revoked already"


def test_a_stop_ends_open_requests_and_every_worker_within_two_seconds(town: Town, bus: Path) -> None:
    workload = town.offer()
    first, second, _ = town.data
    town.accept(workload, first, second)
    workers = [*town.workers(first), *town.workers(second)]
    assert len(workers) == 2

    with ThreadPoolExecutor(4) as pool, frozen(*workers), town.network.administrator() as administrator:
        answers = [pool.submit(asked, town, bus, deadline_ms=20_000) for _ in range(4)]
        until(lambda: town.network.metric("gridlight_jobs_open") >= 4, 5, "four to be asked")
        started = time.monotonic()
        administrator.exchange(rule_call(workload, stop=town.keys.order_stop(workload, serial=2)), ruled_responses)
        assert {refused_code(one) for one in answers} == {"WORKLOAD_STOPPED"}
        told_s = time.monotonic() - started
        until(lambda: all(is_gone(one) for one in workers), ENDED_S, "every worker to be gone")
        gone_s = time.monotonic() - started

    print(f"stopped: four requests told after {told_s:.2f} s, both workers gone after {gone_s:.2f} s")
    assert max(told_s, gone_s) < ENDED_S
    late = gridlight("detect", bus, "--url", town.network.url, "--model", town.name)
    assert "WORKLOAD_STOPPED" in late.stderr
    assert gridlight("detect", bus, "--url", town.network.url).returncode == 0, "what is not stopped goes on"
    shown = gridlight("node", "workloads", "--data", town.data[first], "--network", town.network.url)
    assert f"{town.name}@{workload[-64:-52]}  accepted, stopped" in shown.stdout


def test_a_rollout_reaches_the_nodes_of_its_share_and_no_others(town: Town) -> None:
    workload = publish(town.folder, town.key, town.network)
    percent = next(
        share for share in range(1, 100) if 0 < sum(Rollout(workload, share).takes(one) for one in town.data) < NODES
    )
    inside = {one for one in town.data if Rollout(workload, percent).takes(one)}

    town.approve(workload, percent)
    for node in town.data:
        accept(town.data[node], workload, (town.folder / "build" / "manifest.json").read_bytes())

    until(lambda: town.lenders(workload) == inside, WARM_S, "the share to lend it")
    time.sleep(1.0)
    assert town.lenders(workload) == inside


def test_a_publishers_own_program_comes_in_pieces_and_waits_for_a_container(town: Town, tmp_path: Path) -> None:
    folder, name = tmp_path / "image", f"{town.name}-image"
    init(folder, name)
    (folder / "root" / "ballast").write_bytes(Random(7).randbytes(3_000_000))
    build(folder)
    key = SigningKey.load_or_create(town.key)
    workload = sign(folder, key, expires_ms=(wall_s() + 3_600) * 1_000)
    layer = built(folder).artifacts["image-layer-0"]
    with Gridlight(town.network.url) as publisher:
        call = publish_call((folder / "build" / "manifest.json").read_bytes(), publication(folder))
        assert layer in publisher.exchange(call, published_responses).missing
    break_off_an_upload(town.network, key, layer, (folder / "build" / "blobs" / layer).read_bytes())

    heard: list[tuple[str, int, int]] = []
    assert not bring(folder, town.network.url, key, lambda *said: heard.append(said)).missing
    offset = next(done for digest, done, _ in heard if digest == layer)
    assert offset > 1_000_000, "it goes on where it broke off"

    town.approve(workload, 100)
    node = next(iter(town.data))
    accept(town.data[node], workload, (folder / "build" / "manifest.json").read_bytes())
    reason = "needs a container: this node's engine gives no proof of network, files"
    until(lambda: (state_of(town.data[node], workload) or "").startswith(reason), 10, "the node to say why not")
    assert not town.lenders(workload)


def test_another_digest_of_an_accepted_name_is_asked_for_again_with_what_differs(town: Town, tmp_path: Path) -> None:
    before = town.offer()
    node = next(iter(town.data))
    town.accept(before, node)
    write_folder(tmp_path / "second", town.name, iou_max=6_000)
    town.folder = tmp_path / "second"
    after = town.offer()
    options = ("--data", town.data[node], "--network", town.network.url)

    listed = gridlight("node", "workloads", *options)
    assert f"{town.name}@{after[-64:-52]}  changed" in listed.stdout
    asked_again = gridlight("node", "accept", after, *options)
    assert asked_again.returncode != 0, "nobody said yes"
    assert "You accepted another manifest of this name" in asked_again.stdout
    assert "('iou_max', 7000)" in asked_again.stdout
    assert "('iou_max', 6000)" in asked_again.stdout
    assert town.lenders(before) == {node}

    assert gridlight("node", "accept", after, *options, "--yes").returncode == 0
    until(
        lambda: town.lenders(after) == {node} and not town.lenders(before), WARM_S, "the one to take the other's place"
    )


def test_even_the_built_in_detection_can_be_stopped_and_comes_back_by_a_later_word(town: Town, bus: Path) -> None:
    [ours] = catalogue()
    with town.network.administrator() as administrator:
        listed = administrator.exchange(WORKLOADS_CALL, workloads_responses).data
        serial = next(one.serial for one in listed if one.id == ours)
        stop = town.keys.order_stop(ours, serial=serial + 1)
        administrator.exchange(rule_call(ours, stop=stop), ruled_responses)
    until(lambda: not town.lenders(ours), 5, "nobody to lend it")
    with Gridlight(town.network.url) as requester, pytest.raises(RequestRefused, match="WORKLOAD_STOPPED"):
        requester.detect(bus)

    town.approve(ours, 100, serial=serial + 2)
    for data in town.data.values():  # a consent, whatever it is for, has a node look again at once
        accept(data, WorkloadId(f"{town.name}@sha256:" + "0" * 64), b"")
    until(lambda: town.lenders(ours) == set(town.data), WARM_S, "everybody to lend it again")
    assert town.network.answers(bus)


def break_off_an_upload(network: Network, key: SigningKey, digest: str, data: bytes) -> None:
    """Send most of it, and hang up."""
    said = base64.b64encode(key.sign(UPLOAD_DOMAIN, digest.encode())).decode()
    connection = HTTPConnection(urlsplit(network.url).netloc, timeout=10)
    connection.putrequest("PUT", f"/v1/blobs/sha256:{digest}")
    for name, value in (("Content-Length", str(len(data))), ("Upload-Offset", "0"), (SIGNATURE_HEADER, said)):
        connection.putheader(name, value)
    connection.endheaders(data[:2_000_000])
    connection.close()


def state_of(data: Path, workload: WorkloadId) -> str | None:
    return next((one.state for one in read_state(data).lent if one.workload == workload), None)
