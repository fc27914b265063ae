"""`gridlight detect` and `gridlight casestudy` as processes, against a stand-in gateway."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from gridlight.messages.api import LineView
from gridlight.messages.codec import encode


def gridlight(*arguments: str | Path, given: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "gridlight", *map(str, arguments)],
        input=given,
        capture_output=True,
        timeout=60,
        check=False,
    )


def test_detect_says_what_is_where(stand_in: Any, photo_path: Path) -> None:
    ran = gridlight("detect", photo_path, "--url", stand_in.url)

    assert ran.returncode == 0
    lines = ran.stdout.decode().splitlines()
    assert lines[1].split() == ["bus", "0.82", "4,", "40,", "300,", "180"]
    assert lines[2].split() == ["person", "0.99", "20,", "60,", "70,", "190"]
    assert ran.stderr == b""


def test_detect_prints_json_and_saves_the_drawing(stand_in: Any, photo_path: Path, tmp_path: Path) -> None:
    drawing = tmp_path / "boxes.png"

    ran = gridlight("detect", photo_path, "--url", stand_in.url, "--json", "--save", drawing, "--threshold", "0.4")

    assert json.loads(ran.stdout)["detections"][0]["label"] == "bus"
    assert drawing.read_bytes().startswith(b"\x89PNG")
    assert stand_in.received[0].parameters == {"threshold": "0.4"}


def test_detect_reads_standard_input(stand_in: Any, photo_jpeg: bytes) -> None:
    ran = gridlight("detect", "-", "--url", stand_in.url, "--deadline-ms", "2000", given=photo_jpeg)

    assert ran.returncode == 0
    assert stand_in.received[0].body == photo_jpeg
    assert stand_in.received[0].parameters == {"deadline_ms": "2000"}


def test_a_refusal_is_one_line(stand_in: Any, photo_path: Path, refusal: Any) -> None:
    stand_in.answers["/v1/detect"] = refusal(422, "NO_CAPABLE_NODE")

    ran = gridlight("detect", photo_path, "--url", stand_in.url)

    assert ran.returncode == 1
    assert ran.stdout == b""
    assert ran.stderr == b"gridlight: NO_CAPABLE_NODE: It was refused (Do otherwise.)\n"


def test_a_case_study_writes_both_files_and_prints_a_table(
    stand_in: Any, network_path: Path, photo_path: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"

    ran = gridlight("casestudy", photo_path, "--network", network_path, "--out", out, "--requests", "10")

    assert ran.returncode == 0, ran.stderr
    assert len(json.loads((out / "casestudy.json").read_bytes())["nodes"]) == 7
    assert (out / "report.html").stat().st_size > 10_000
    assert "Every node acknowledges" in ran.stdout.decode()
    assert "ordinary requests: 10 of 10" in ran.stderr.decode()


def test_a_case_study_prints_its_json(stand_in: Any, network_path: Path, photo_path: Path, tmp_path: Path) -> None:
    ran = gridlight(
        "casestudy", photo_path, "--network", network_path, "--out", tmp_path / "out", "--requests", "0", "--json"
    )

    assert json.loads(ran.stdout)["requests"]["sent"] == 0


def test_a_frozen_node_is_woken_when_a_case_study_is_stopped(
    stand_in: Any, network_path: Path, photo_path: Path, tmp_path: Path, sleepers: list[subprocess.Popen[bytes]]
) -> None:
    network = json.loads(network_path.read_bytes())
    agents = [one for one in network["processes"] if one["role"] == "agent"]
    for agent, sleeper in zip(agents, sleepers, strict=True):
        agent["pid"] = sleeper.pid
    network_path.write_text(json.dumps(network))
    # One look at the nodes, seven pinned tasks, and ten of the twenty requests: then the nodes are struck.
    stand_in.hold_after = 1 + 7 + 10
    arguments = ["casestudy", str(photo_path), "--network", str(network_path), "--out", str(tmp_path), "--kill"]
    frozen = psutil.Process(sleepers[4].pid)
    command = [sys.executable, "-m", "gridlight", *arguments, "--requests", "20"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as study:
        assert sleepers[2].wait(timeout=60) == -signal.SIGKILL
        wait_until_stopped(frozen)

        study.send_signal(signal.SIGTERM)
        _, printed = study.communicate(timeout=60)

    assert study.returncode == 130
    assert b"Traceback" not in printed
    assert frozen.status() != psutil.STATUS_STOPPED


def wait_until_stopped(process: psutil.Process) -> None:
    """The one node is frozen just after the other is killed."""
    deadline_s = time.monotonic() + 60
    while process.status() != psutil.STATUS_STOPPED:
        assert time.monotonic() < deadline_s, "nobody froze it"
        time.sleep(0.01)


def test_run_says_what_was_read_and_draws_it(
    stand_in: Any, photo_path: Path, tmp_path: Path, make_response: Any
) -> None:
    response = make_response()
    response.lines = [
        LineView(text="[red]Open", score=0.97, bbox=(1, 2, 90, 50), quad=[(1, 2), (90, 2), (90, 50), (1, 50)])
    ]
    stand_in.answers["/v1/run/ocr"] = (200, {}, encode(response))

    ran = gridlight("run", "ocr", photo_path, "--url", stand_in.url, "--save", tmp_path / "lines.png")

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.decode().splitlines()[1].split() == ["[red]Open", "0.97", "1,", "2,", "90,", "50"]
    assert (tmp_path / "lines.png").read_bytes().startswith(b"\x89PNG")
    assert stand_in.received[0].parameters == {"deadline_ms": "20000"}

    response.lines = []
    stand_in.answers["/v1/run/ocr"] = (200, {}, encode(response))
    assert b"nothing read" in gridlight("run", "ocr", photo_path, "--url", stand_in.url).stdout
