"""A publisher with a folder: our weights with other settings, as somebody else would bring them to a network."""

import tomllib
from pathlib import Path

import tomli_w
from tests.acceptance.stand import Network, gridlight

from gridlight.adapters.blobs import Blobs, cache_folder
from gridlight.adapters.clock import wall_s
from gridlight.adapters.signatures import SigningKey
from gridlight.client.kit.folder import build, init, sign
from gridlight.client.kit.uploading import publish as bring
from gridlight.messages.codec import Decoder
from gridlight.messages.ids import WorkloadId
from gridlight.messages.workload_api import PublishedResponse
from gridlight.workloads.contract import manifest_named

BUILT_IN = manifest_named("coco-ssd")
_published: Decoder[PublishedResponse] = Decoder(PublishedResponse)


def write_folder(folder: Path, name: str, *, iou_max: int = 7_000, weights: Path | None = None) -> Path:
    """workload.toml of a detector that suppresses less than the built-in one."""
    [digest] = BUILT_IN.artifacts.values()
    path = Blobs(cache_folder() / "blobs").path(digest) if weights is None else weights
    assert path is not None
    init(folder, name)
    said = tomllib.loads((folder / "workload.toml").read_text(encoding="utf-8"))
    said |= {
        "purpose": "finds things that stand close together",
        "labels": list(BUILT_IN.labels),
        "numeric_class": "fp32",
        "resources": {"memory_mib": 512},
        "artifacts": {"weights.onnx": str(path)},
        "prepare": {"name": "resize_rgb_uint8", "parameters": {"width": 300, "height": 300}},
        "present": {"name": "resized_boxes", "parameters": {"width": 300, "height": 300}},
        "compare": {"name": "boxes", "parameters": dict(BUILT_IN.compare.parameters)},
        "run": {
            "name": "ssd",
            "parameters": {"width": 300, "height": 300, "iou_max": iou_max, "candidates_max": 1_000},
        },
    }
    (folder / "workload.toml").write_text(tomli_w.dumps(said), encoding="utf-8")
    return folder


def publish(folder: Path, key_file: Path, network: Network) -> WorkloadId:
    """Build it, sign it, and bring it there, as the command does."""
    key = SigningKey.load_or_create(key_file)
    build(folder)
    sign(folder, key, expires_ms=(wall_s() + 3_600) * 1_000)
    answer = bring(folder, network.url, key)
    assert not answer.missing
    return answer.id


def publish_by_command(folder: Path, key_file: Path, network: Network) -> WorkloadId:
    """As the how-to says."""
    for words in (("build", folder), ("sign", folder, "--key", key_file)):
        done = gridlight("workload", *words)
        assert done.returncode == 0, done.stderr
    done = gridlight("workload", "publish", folder, "--key", key_file, "--url", network.url, "--json")
    assert done.returncode == 0, done.stderr
    answer = _published.decode(done.stdout.encode())
    assert not answer.missing
    return answer.id
