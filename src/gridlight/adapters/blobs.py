"""Files by digest: weights and other artifacts, each under its SHA-256, written whole or not at all."""

import hashlib
import os
import re
import tempfile
from pathlib import Path

_DIGEST = re.compile(r"[0-9a-f]{64}\Z")


class DigestMismatch(Exception):
    """Bytes are not what their digest says: damaged on the way, or another file."""


def cache_folder() -> Path:
    """Where weights and photos are kept between runs: `$GRIDLIGHT_CACHE`, else the user's cache folder."""
    if own := os.environ.get("GRIDLIGHT_CACHE"):
        return Path(own).absolute()
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared).absolute() / "gridlight"
    return Path.home() / ".cache" / "gridlight"


class Blobs:
    """A folder of files named by their SHA-256 in hex. Any number of processes may share it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, digest: str) -> Path | None:
        """Where the blob lies, None where it is not there. ValueError for what is not 64 hex digits."""
        path = self._path(digest)
        return path if path.is_file() else None

    def verified_path(self, digest: str) -> Path | None:
        """As `path`, with the bytes checked; a damaged file is removed, so that it is fetched again."""
        path = self.path(digest)
        if path is None or file_sha256(path) == digest:
            return path
        path.unlink(missing_ok=True)
        return None

    def put(self, content: bytes | Path, digest: str) -> Path:
        """Keep these bytes, or a copy of this file. DigestMismatch where they are not what the digest says."""
        data = content.read_bytes() if isinstance(content, Path) else content
        return write_checked(self._path(digest), data, digest)

    def _path(self, digest: str) -> Path:
        # A digest comes from the network; nothing else may become part of a path.
        if not _DIGEST.match(digest):
            raise ValueError(f"{digest[:80]!r} is not a SHA-256 in lower-case hex")
        return self._folder / digest


def write_checked(path: Path, data: bytes, digest: str) -> Path:
    """Write a file of known SHA-256, so that no reader ever sees a part of it. DigestMismatch."""
    found = hashlib.sha256(data).hexdigest()
    if found != digest:
        raise DigestMismatch(f"{path.name} should have SHA-256 {digest}, these {len(data)} bytes have {found}")
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:16]}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def file_sha256(path: Path) -> str:
    """SHA-256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
