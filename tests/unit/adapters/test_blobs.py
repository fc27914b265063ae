"""Files by digest: whole or not at all, and only what their digest says."""

from hashlib import sha256
from pathlib import Path

import pytest

from gridlight.adapters.blobs import Blobs, DigestMismatch, cache_folder

DATA = b"weights"
DIGEST = sha256(DATA).hexdigest()


def test_a_blob_is_found_under_its_digest(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "new" / "folder")
    assert blobs.path(DIGEST) is None
    path = blobs.put(DATA, DIGEST)
    assert blobs.path(DIGEST) == path == blobs.verified_path(DIGEST)
    assert path.read_bytes() == DATA


def test_a_file_is_copied(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(DATA)
    assert Blobs(tmp_path / "blobs").put(source, DIGEST).read_bytes() == DATA
    assert source.exists()


def test_other_bytes_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(DigestMismatch, match=DIGEST):
        Blobs(tmp_path).put(b"other", DIGEST)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_blob_is_removed_when_it_is_checked(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    blobs.put(DATA, DIGEST).write_bytes(b"damaged")
    assert blobs.verified_path(DIGEST) is None
    assert blobs.path(DIGEST) is None


def test_putting_twice_is_putting_once(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    blobs.put(DATA, DIGEST)
    blobs.put(DATA, DIGEST)
    assert [path.name for path in tmp_path.iterdir()] == [DIGEST]


@pytest.mark.parametrize("name", ["", "../../etc/passwd", DIGEST.upper(), DIGEST + "\n", DIGEST[:-1], "/" + DIGEST])
def test_only_a_digest_becomes_a_path(tmp_path: Path, name: str) -> None:
    blobs = Blobs(tmp_path)
    with pytest.raises(ValueError, match="SHA-256"):
        blobs.path(name)
    with pytest.raises(ValueError, match="SHA-256"):
        blobs.put(DATA, name)


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("GRIDLIGHT_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == tmp_path / "home" / ".cache" / "gridlight"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "shared"))
    assert cache_folder() == tmp_path / "shared" / "gridlight"
    monkeypatch.setenv("GRIDLIGHT_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
