"""Files out of package archives, without unpacking or installing them."""

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from gridlight.adapters.packages import PackageUnavailable, read_tarball, read_wheel


@pytest.fixture
def tarball(tmp_path: Path) -> Path:
    path = tmp_path / "package.tgz"
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo("package/model.json")
        member.size = 2
        archive.addfile(member, io.BytesIO(b"{}"))
        folder = tarfile.TarInfo("package/folder")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
    return path


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    path = tmp_path / "package-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("package/photo.jpg", b"photo")
    return path


def test_files_are_read_from_a_tarball(tarball: Path) -> None:
    assert read_tarball(tarball, ["package/model.json"]) == {"package/model.json": b"{}"}


@pytest.mark.parametrize("name", ["package/other", "package/folder"])
def test_what_a_tarball_does_not_have_is_named(tarball: Path, name: str) -> None:
    with pytest.raises(PackageUnavailable, match=name):
        read_tarball(tarball, [name])


def test_files_are_read_from_a_wheel(wheel: Path) -> None:
    assert read_wheel(wheel, ["package/photo.jpg"]) == {"package/photo.jpg": b"photo"}


def test_what_a_wheel_does_not_have_is_named(wheel: Path) -> None:
    with pytest.raises(PackageUnavailable, match=r"other\.jpg"):
        read_wheel(wheel, ["other.jpg"])
