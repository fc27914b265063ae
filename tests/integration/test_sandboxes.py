"""A worker's life in each backend: its work, its image, its end, and that nothing of it is left."""

import asyncio
import os
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest
from tests.integration.engines import (
    CONFINING,
    OTHER,
    READY_S,
    containers,
    control_groups,
    image,
    opened,
    require,
    said_in_shell,
)
from tests.pictures.making import GOOD

from gridlight.adapters.blobs import cache_folder
from gridlight.adapters.sandbox.bubblewrap import Bubblewrap
from gridlight.adapters.sandbox.podman import Podman
from gridlight.adapters.sandbox.port import (
    EngineUnavailable,
    Limits,
    Sandbox,
    WorkerCrashed,
    WorkerSpec,
    WorkerTimeout,
)
from gridlight.adapters.sandbox.subprocess import Subprocess
from gridlight.adapters.sandbox.worker_process import WorkerProcess
from gridlight.messages.frames import FrameHeader
from gridlight.services.setup import ensure_weights
from gridlight.workloads.contract import manifest_named

RESIZE = {"prepare": "resize_rgb_uint8", "parameters": {"width": 300, "height": 300}}
PREPARE = WorkerSpec(arguments=("prepare",), limits=Limits(memory_mib=512))

READY = said_in_shell(FrameHeader(id="ready"))
"""What a third party's program says first, in the shell of its image."""

LEAKS_WHEN_ASKED = f"{READY} head -c 1 <&3 >/dev/null; x=0123456789abcdef; while :; do x=$x$x; done"
"""Not before: it may well be dead else before podman has said that it runs."""


@pytest.fixture(scope="module", params=CONFINING)
def engine(request: pytest.FixtureRequest) -> str:
    require(request.param)
    return str(request.param)


@pytest.fixture(scope="module")
def third_party(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with image(engine, tmp_path_factory.mktemp("image")) as reference:
        yield reference


@pytest.fixture
async def sandbox(engine: str, tmp_path: Path) -> AsyncIterator[Sandbox]:
    async with opened(engine, tmp_path) as sandbox:
        yield sandbox


def shell(reference: str, script: str, *, limits: Limits | None = None, read_only: tuple[Path, ...] = ()) -> WorkerSpec:
    """A third party's program: this script."""
    return WorkerSpec(
        arguments=("/bin/sh", "-c", script),
        limits=limits or Limits(memory_mib=64),
        image=reference,
        read_only=read_only,
    )


async def is_all_gone() -> bool:
    """No container and no control group of ours is left, within moments."""
    for _ in range(100):
        if not control_groups() and not await containers():
            return True
        await asyncio.sleep(0.05)
    return False


async def test_a_first_party_worker_does_its_work_and_leaves_nothing(sandbox: Sandbox) -> None:
    worker = await sandbox.start(PREPARE, ready_timeout_s=READY_S)
    try:
        _, tensor = await worker.call(FrameHeader(id="1", parameters=RESIZE), GOOD["jpeg"](), timeout_s=20)
    finally:
        await worker.kill()
    with pytest.raises(WorkerCrashed):
        await worker.call(FrameHeader(id="2"), timeout_s=1)

    assert len(tensor) == 270_000
    assert await is_all_gone()


async def test_what_a_worker_needs_may_lie_where_it_has_its_own_scratch_space(sandbox: Sandbox) -> None:
    ensure_weights(lambda _: None)
    manifest = manifest_named("coco-ssd")
    [digest] = manifest.artifacts.values()
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="gridlight-") as folder:
        model = Path(shutil.copy(cache_folder() / "blobs" / digest, folder))
        spec = WorkerSpec(arguments=("run", "coco-ssd", str(model)), limits=PREPARE.limits, read_only=(model,))
        worker = await sandbox.start(spec, ready_timeout_s=READY_S)
        await worker.kill()

    assert await is_all_gone()


async def test_a_third_partys_image_runs_with_its_files_and_nothing_of_the_machines(
    sandbox: Sandbox, third_party: str, tmp_path: Path
) -> None:
    model = tmp_path / "model.bin"
    model.write_text("weights")
    script = f"""
        {READY}
        said=$(cat /artifacts/model.bin; cat {model} 2>&1 >/dev/null || echo , hidden)
        body="$said $(echo /usr/lib/python*) $(echo x 2>/dev/null >/etc/x || echo shut)"
        head -c 1 <&3 >/dev/null
        printf '\\012\\000\\000\\000\\'$(printf %03o "${{#body}}")'\\000\\000\\000{{"id":"1"}}%s' "$body" >&3
        cat <&3 >/dev/null
    """
    worker = await sandbox.start(shell(third_party, script, read_only=(model,)), ready_timeout_s=READY_S)
    try:
        _, body = await worker.call(FrameHeader(id="1"), timeout_s=10)
    finally:
        await worker.kill()

    said = body.decode()
    assert said.startswith("weights")
    assert "hidden" in said
    assert "/usr/lib/python*" in said, "the machine's own files are not there"
    assert said.endswith("shut")


async def test_a_worker_that_loops_without_end_is_killed_with_all_that_it_started(
    sandbox: Sandbox, third_party: str
) -> None:
    script = f"{READY} sleep 1000 & (while :; do :; done) & while :; do :; done"
    worker = await sandbox.start(
        shell(third_party, script, limits=Limits(memory_mib=64, processes=8)), ready_timeout_s=READY_S
    )
    started_s = time.monotonic()

    with pytest.raises(WorkerTimeout, match="no answer within"):
        await worker.call(FrameHeader(id="1"), timeout_s=0.3)

    assert time.monotonic() - started_s < 5
    assert "was killed" in await worker.ended()
    assert await is_all_gone()


async def test_a_worker_that_ends_says_why(sandbox: Sandbox, third_party: str) -> None:
    script = f"{READY} head -c 1 <&3 >/dev/null; echo out of luck >&2; exit 7"
    worker = await sandbox.start(shell(third_party, script), ready_timeout_s=READY_S)

    with pytest.raises(WorkerCrashed):
        await worker.call(FrameHeader(id="1"), timeout_s=10)
    reason = await worker.ended()

    assert "exit code" in reason
    assert "7" in reason
    assert "out of luck" in reason


async def test_a_worker_that_leaks_dies_of_its_own_memory_and_it_is_said(
    sandbox: Sandbox, third_party: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path_factory.mktemp("here")
    monkeypatch.chdir(here)
    worker = await sandbox.start(shell(third_party, LEAKS_WHEN_ASKED), ready_timeout_s=READY_S)

    with pytest.raises(WorkerCrashed):
        await worker.call(FrameHeader(id="1"), timeout_s=READY_S)
    reason = await worker.ended()

    assert "memory" in reason or "137" in reason, reason
    assert await is_all_gone()
    assert list(here.iterdir()) == [], "nothing of it stays where the agent was started"


async def test_why_a_container_ended_is_asked_until_its_engine_knows(tmp_path: Path) -> None:
    """What watches a container for podman hears of its end when the machine gets around to it."""
    require("podman")
    async with opened("podman", tmp_path) as sandbox:
        worker = await sandbox.start(PREPARE, ready_timeout_s=READY_S)
        assert isinstance(worker, WorkerProcess)
        watcher = psutil.Process(worker.pid).parent()
        assert watcher is not None
        assert watcher.name() == "conmon"
        watcher.suspend()
        os.kill(worker.pid, signal.SIGKILL)
        saying = asyncio.create_task(worker.ended())
        await asyncio.sleep(0.5)
        watcher.resume()

        assert "137" in await saying


async def test_a_worker_that_answers_without_end_is_killed(sandbox: Sandbox, third_party: str) -> None:
    script = f"{READY} head -c 1 <&3 >/dev/null; cat /dev/zero >&3"
    worker = await sandbox.start(shell(third_party, script), ready_timeout_s=READY_S)

    with pytest.raises(WorkerCrashed, match="broke the protocol"):
        await worker.call(FrameHeader(id="1"), timeout_s=10)

    await worker.kill()
    assert await is_all_gone()


async def test_a_worker_that_prints_without_end_is_killed(sandbox: Sandbox, third_party: str) -> None:
    worker = await sandbox.start(shell(third_party, f"{READY} yes >&2"), ready_timeout_s=READY_S)

    async with asyncio.timeout(20):
        reason = await worker.ended()

    assert "to its standard error" in reason
    assert await is_all_gone()


async def test_an_image_that_is_not_there_is_never_fetched(sandbox: Sandbox) -> None:
    absent = "localhost/gridlight-nobody-has-this:1"
    with pytest.raises((EngineUnavailable, WorkerCrashed)) as refused:
        await sandbox.start(shell(absent, READY), ready_timeout_s=READY_S)

    assert "gridlight-nobody-has-this" in str(refused.value)
    assert await is_all_gone()


async def test_what_an_earlier_life_left_is_swept_and_nobody_elses(tmp_path: Path) -> None:
    require("podman")
    async with opened("podman", tmp_path) as sandbox, opened("podman", tmp_path / "b", owner=OTHER) as other:
        orphan = await sandbox.start(PREPARE, ready_timeout_s=READY_S)
        theirs = await other.start(PREPARE, ready_timeout_s=READY_S)
        assert isinstance(orphan, WorkerProcess)
        os.kill(orphan.pid, 19)  # SIGSTOP: it would end by itself else, when nobody holds its socket any more

        async with opened("podman", tmp_path):
            assert await containers() == []
            assert len(await containers(OTHER)) == 1
        await orphan.kill()
        await theirs.kill()


async def test_a_third_party_never_runs_as_a_plain_process() -> None:
    with pytest.raises(EngineUnavailable, match="keeps nobody in"):
        await Subprocess().start(shell("any", READY), ready_timeout_s=READY_S)


@pytest.mark.parametrize("name", ["podman", "bubblewrap"])
async def test_an_engine_that_is_not_installed_is_missed_by_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(EngineUnavailable, match=f"there is no {name}: apt-get install {name}"):
        await (Podman if name == "podman" else Bubblewrap).opened("tests", tmp_path)
