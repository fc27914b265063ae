"""`gridlight demo`: the main job with one command, which is what `make demo` calls."""

import json
import subprocess
from pathlib import Path

import psutil
import pytest
from tests.acceptance.stand import GRIDLIGHT, are_gone, until

DEMO_S = 100
"""A second run, with the weights in the cache, is meant to take less than 60 s on two idle cores."""

REPORT_BYTES_MIN = 200_000


@pytest.mark.timeout(150)
def test_the_demo_does_the_main_job_and_leaves_nothing_running(photos: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "demo"
    with (tmp_path / "stdout").open("wb") as stdout, (tmp_path / "stderr").open("wb") as stderr:
        demo = subprocess.Popen(
            [GRIDLIGHT, "demo", "--out", str(out), "--requests", "40"],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
        )
    family: set[psutil.Process] = set()

    def is_over() -> bool:
        if demo.poll() is None:
            family.update(psutil.Process(demo.pid).children(recursive=True))
        return demo.returncode is not None

    try:
        until(is_over, DEMO_S, "the demo to end")
    finally:
        demo.terminate()
        demo.wait(30)
    said, progress = ((tmp_path / name).read_text(encoding="utf-8") for name in ("stdout", "stderr"))
    assert demo.returncode == 0, progress
    assert len(family) >= 1 + 3 + 7 + 7
    until(lambda: are_gone(list(family)), 2, "every process of the demo to be gone")
    study = json.loads((out / "casestudy.json").read_text(encoding="utf-8"))
    assert [claim for claim in study["claims"] if claim["held"] is False] == []
    assert len(study["nodes"]) == 7
    assert (out / "report.html").stat().st_size > REPORT_BYTES_MIN
    assert "7 of 7 nodes" in said
    assert str(out / "report.html") in progress
    assert len(progress.splitlines()) > 5, "progress is told all the way"


@pytest.mark.timeout(150)
@pytest.mark.usefixtures("photos")
def test_a_demo_that_is_killed_leaves_nothing_running(tmp_path: Path) -> None:
    with (tmp_path / "said").open("wb") as said:
        command = [GRIDLIGHT, "demo", "--out", str(tmp_path / "demo")]
        demo = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
    family: set[psutil.Process] = set()

    def is_under_way() -> bool:
        family.update(psutil.Process(demo.pid).children(recursive=True))
        return len(family) >= 1 + 3 + 7

    try:
        until(is_under_way, 30, "the network's processes to be there")
    finally:
        demo.kill()
        demo.wait(10)
    until(lambda: are_gone(list(family)), 20, "every process of the demo to be gone")
