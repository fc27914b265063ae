"""The main job with each node's workload in a container of its own."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.acceptance.stand import gridlight

pytestmark = pytest.mark.xdist_group("engines")

NODES = 2
REQUESTS = 12
ACK_MS = 1_000
DEADLINE_MS = 4_000


@pytest.mark.timeout(150)
@pytest.mark.usefixtures("photos")
def test_the_main_job_is_done_in_containers_and_none_is_left(tmp_path: Path) -> None:
    if shutil.which("podman") is None or os.geteuid() != 0:
        pytest.skip("!!! NOT TESTED: it needs podman and root; run .ci/packages as root")
    out = tmp_path / "demo"

    ran = gridlight(
        *("demo", "--engine", "podman", "--nodes", NODES, "--requests", REQUESTS, "--out", out), timeout_s=120
    )

    assert ran.returncode == 0, ran.stderr
    study = json.loads((out / "casestudy.json").read_text(encoding="utf-8"))
    assert len(study["nodes"]) == NODES
    assert all(node["answered"] == node["tasks"] > 0 for node in study["nodes"])
    assert max(node["ack_ms"]["max"] for node in study["nodes"]) < ACK_MS
    assert max(node["result_ms"]["max"] for node in study["nodes"]) < DEADLINE_MS
    assert study["requests"]["answered"] == REQUESTS
    listed = subprocess.run(
        ["podman", "ps", "--all", "--format", "{{.Labels}}"], capture_output=True, text=True, check=True
    )
    node_ids = [node["node_id"] for node in study["nodes"]]
    assert not any(node_id in listed.stdout for node_id in node_ids)
