"""The whole path of one picture through real processes: set-up, picture process, model process, presentation."""

import tomllib
from pathlib import Path
from typing import Any

import psutil
import pytest

from gridlight.adapters.blobs import Blobs, cache_folder
from gridlight.adapters.sandbox.port import Limits, WorkerRefused, WorkerSpec
from gridlight.adapters.sandbox.subprocess import Subprocess
from gridlight.adapters.sandbox.worker_process import WorkerProcess
from gridlight.messages.api import DetectionView
from gridlight.messages.frames import FrameHeader
from gridlight.messages.jobs import Picture
from gridlight.messages.limits import DITHER_BITS, PROBES_MAX, THRESHOLD_FLOOR
from gridlight.services.setup import ensure_photos, ensure_weights
from gridlight.workloads.contract import manifest_named
from gridlight.workloads.present import present_detections

MANIFEST = manifest_named("coco-ssd")
REFERENCE = Path(__file__).parents[1] / "acceptance" / "reference_boxes.toml"


@pytest.fixture(scope="module")
def photos() -> dict[str, bytes]:
    ensure_weights(lambda _: None)
    return {path.name: path.read_bytes() for path in ensure_photos(lambda _: None)}


async def model_process() -> WorkerProcess:
    (digest,) = MANIFEST.artifacts.values()
    path = Blobs(cache_folder() / "blobs").path(digest)
    limits = Limits(memory_mib=MANIFEST.resources.memory_mib)
    spec = WorkerSpec(arguments=("run", MANIFEST.name, str(path)), limits=limits)
    return await Subprocess().start(spec, ready_timeout_s=60)


async def detected(photo: bytes) -> list[DetectionView]:
    spec = WorkerSpec(arguments=("prepare",), limits=Limits(memory_mib=768))
    pictures = await Subprocess().start(spec, ready_timeout_s=60)
    model = await model_process()
    try:
        step = {"prepare": MANIFEST.prepare.name, "parameters": MANIFEST.prepare.parameters}
        sized, tensor = await pictures.call(FrameHeader(id="1", parameters=step), photo, timeout_s=30)
        _, output = await model.call(FrameHeader(id="1", parameters={"probe_seed": 1}), tensor, timeout_s=30)
    finally:
        await pictures.kill()
        await model.kill()
    return present_detections(MANIFEST, output, Picture(**sized.parameters), THRESHOLD_FLOOR)


def overlap(one: Any, other: Any) -> float:
    width = max(0, min(one[2], other[2]) - max(one[0], other[0]))
    height = max(0, min(one[3], other[3]) - max(one[1], other[1]))
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return float(width * height / (areas - width * height))


@pytest.mark.parametrize("name", ["bus.jpg", "zidane.jpg"])
async def test_what_a_person_sees_is_found(photos: dict[str, bytes], name: str) -> None:
    reference = tomllib.loads(REFERENCE.read_text(encoding="utf-8"))["photos"]
    (things,) = (photo["things"] for photo in reference if photo["file"] == name)
    found = await detected(photos[name])
    for thing in things:
        if thing["label"] in ("bus", "person") and not thing.get("partial"):
            overlaps = [overlap(view.bbox, thing["box"]) for view in found if view.label == thing["label"]]
            assert max(overlaps, default=0) >= 0.5, thing["note"]


@pytest.mark.parametrize(
    ("name", "label"),
    [("astronaut.png", "person"), ("cat.png", "cat"), ("coffee.png", "cup"), ("motorcycle.png", "motorcycle")],
)
async def test_the_best_detection_is_what_the_photo_shows(photos: dict[str, bytes], name: str, label: str) -> None:
    assert (await detected(photos[name]))[0].label == label


async def test_a_photo_without_anything_known_has_no_detections(photos: dict[str, bytes]) -> None:
    assert await detected(photos["rocket.jpg"]) == []


@pytest.mark.usefixtures("photos")
async def test_two_workers_agree_bit_for_bit_and_answer_each_probe() -> None:
    tensor = bytes(range(250)) * 1080
    answers = []
    for _ in range(2):
        model = await model_process()
        try:
            assert model.ready.parameters["benchmark_ms"] >= 1
            for seed in (77, 77 + (1 << DITHER_BITS), 78):
                call = FrameHeader(id=str(seed), parameters={"probe_seed": seed})
                answers.append(await model.call(call, tensor, timeout_s=30))
        finally:
            await model.kill()
    assert [output for _, output in answers[:3]] == [output for _, output in answers[3:]]
    probes = [tuple(answer.parameters["probes"]) for answer, _ in answers]
    assert probes[:3] == probes[3:]
    assert len(set(probes)) == 3
    assert [len(one) for one in probes] == [PROBES_MAX] * 6
    far, near = (max(abs(a - b) for a, b in zip(probes[0], one, strict=True)) for one in probes[1:3])
    assert 0 < near <= MANIFEST.compare.parameters["dither_delta_max"] < far
    assert all(answer.parameters["infer_ms"] >= 0 for answer, _ in answers)


@pytest.mark.usefixtures("photos")
async def test_a_model_process_has_one_thread_and_refuses_other_inputs() -> None:
    model = await model_process()
    try:
        assert psutil.Process(model.pid).num_threads() == 1  # the runtime's reports to its makers would be a second
        with pytest.raises(WorkerRefused, match="BAD_INPUT"):
            await model.call(FrameHeader(id="1", parameters={"probe_seed": 1}), b"short", timeout_s=30)
        with pytest.raises(WorkerRefused, match="BAD_CALL"):
            await model.call(FrameHeader(id="2"), bytes(270_000), timeout_s=30)
        await model.call(FrameHeader(id="3", parameters={"probe_seed": 1}), bytes(270_000), timeout_s=30)
    finally:
        await model.kill()
