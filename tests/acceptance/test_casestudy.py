"""`gridlight casestudy --kill`: two hundred requests while one node is killed and one is frozen."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.conftest import NODES
from tests.acceptance.stand import Network, gridlight

REQUESTS = 200
DEADLINE_MS = 4_000
ACK_MS = 1_000
ANSWERED_PER_MILLE = 995

NODE = {"node_id", "tasks", "answered", "ack_ms", "result_ms"}
REQUEST = {"sent", "answered", "refused", "deadline_exceeded", "hedged", "latency_ms"}
SPREAD = {"p50", "p95", "max"}
WIDE_SPREAD = SPREAD | {"p99"}
CLAIM = {"claim", "measured", "held"}

pytestmark = [pytest.mark.timeout(240), pytest.mark.xdist_group("disturbed_network")]


@pytest.fixture(scope="module")
def out(disturbed_network: Network, photos: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the command wrote."""
    disturbed_network.settle(photos["bus.jpg"])
    folder = tmp_path_factory.mktemp("casestudy")
    ran = gridlight(
        "casestudy",
        photos["bus.jpg"],
        photos["zidane.jpg"],
        *("--network", disturbed_network.folder / "network.json", "--out", folder),
        *("--requests", REQUESTS, "--concurrency", 8, "--kill"),
        timeout_s=120,
    )
    assert ran.returncode == 0, ran.stderr
    assert "7 of 7" in ran.stdout
    return folder


@pytest.fixture(scope="module")
def study(out: Path) -> dict[str, Any]:
    """casestudy.json, read as any program would."""
    read: dict[str, Any] = json.loads((out / "casestudy.json").read_text(encoding="utf-8"))
    return read


def test_every_request_is_answered_or_refused_by_4_s(study: dict[str, Any]) -> None:
    requests = study["requests"]

    assert requests["sent"] == REQUESTS
    assert requests["answered"] + requests["refused"] + requests["deadline_exceeded"] == REQUESTS
    assert requests["latency_ms"]["max"] <= DEADLINE_MS


def test_nearly_all_are_answered(study: dict[str, Any]) -> None:
    assert study["requests"]["answered"] * 1_000 >= REQUESTS * ANSWERED_PER_MILLE


def test_the_killed_and_the_frozen_node_serve_again(study: dict[str, Any], disturbed_network: Network) -> None:
    disturbed = {one["action"]: one for one in study["disturbed"]}

    assert set(disturbed) == {"killed", "frozen"}
    assert all(one["serving_again_ms"] is not None for one in disturbed.values())
    assert {one["node_id"] for one in disturbed.values()} <= set(disturbed_network.agents())
    assert len(disturbed_network.agents()) == NODES


def test_every_node_acked_within_1_s_and_returned_within_4_s(study: dict[str, Any]) -> None:
    nodes = study["nodes"]

    assert len({node["node_id"] for node in nodes}) == NODES
    assert all(node["tasks"] >= 2 for node in nodes)
    assert [node for node in nodes if node["answered"] < node["tasks"]] == []
    assert [node for node in nodes if node["ack_ms"]["max"] >= ACK_MS] == []
    assert [node for node in nodes if node["result_ms"]["max"] >= DEADLINE_MS] == []


def test_every_claim_held(study: dict[str, Any]) -> None:
    assert [claim for claim in study["claims"] if not claim["held"]] == []
    assert len(study["claims"]) >= 5


def test_the_file_has_the_fields_that_programs_read(study: dict[str, Any]) -> None:
    assert study.keys() >= {"nodes", "requests", "photos", "claims", "environment"}
    for node in study["nodes"]:
        assert node.keys() >= NODE
        assert node["ack_ms"].keys() >= SPREAD
        assert node["result_ms"].keys() >= SPREAD
    assert study["requests"].keys() >= REQUEST
    assert study["requests"]["latency_ms"].keys() >= WIDE_SPREAD
    assert all(claim.keys() >= CLAIM for claim in study["claims"])
    photos = {photo["file"]: photo["detections"] for photo in study["photos"]}
    assert set(photos) == {"bus.jpg", "zidane.jpg"}
    assert {found["label"] for found in photos["bus.jpg"]} >= {"bus", "person"}
    assert all(len(found["bbox"]) == 4 for found in photos["bus.jpg"])
    environment = study["environment"]
    assert environment["cores"] >= 1
    assert environment["versions"]["python"]
    assert any("load" in key for key in environment)
    assert "commit" in environment


def test_the_report_is_beside_it(out: Path) -> None:
    page = (out / "report.html").read_text(encoding="utf-8")

    assert "seven processes on one machine are not seven homes" in page.lower()
