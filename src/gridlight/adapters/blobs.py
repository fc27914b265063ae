"""Files by digest: weights and other artifacts, each under its SHA-256, written whole or not at all."""

import fcntl
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
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


class BlobTooLarge(Exception):
    """More bytes came than were announced."""


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

    def part_bytes(self, digest: str) -> int:
        """How much of a blob came before it broke off: where to go on."""
        part = self._part(digest)
        return part.stat().st_size if part.is_file() else 0

    def append(self, digest: str, chunk: bytes, *, bytes_max: int) -> int:
        """Put a chunk behind what came so far, and say how much that is. BlobTooLarge, and all of it is dropped."""
        part = self._part(digest)
        part.parent.mkdir(parents=True, exist_ok=True)
        with part.open("ab") as file:
            if file.tell() + len(chunk) <= bytes_max:
                file.write(chunk)
                return file.tell()
        part.unlink(missing_ok=True)
        raise BlobTooLarge(f"{digest} has more than {bytes_max} bytes")

    def finish(self, digest: str) -> Path:
        """All of it came: check it, and keep it. DigestMismatch, and all of it is dropped, to be fetched anew."""
        part, path = self._part(digest), self._path(digest)
        found = file_sha256(part) if part.is_file() else "nothing"
        if found != digest:
            part.unlink(missing_ok=True)
            raise DigestMismatch(f"what came as {digest} has SHA-256 {found}")
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.chmod(0o644)
        return part.replace(path)

    @contextmanager
    def held(self, digest: str) -> Iterator[None]:
        """Be the only one, of all processes, that fetches this blob. BlockingIOError where another does."""
        lock = self._part(digest).with_suffix(".lock")
        lock.parent.mkdir(parents=True, exist_ok=True)
        with lock.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            try:
                yield
            finally:
                lock.unlink(missing_ok=True)

    def drop_part(self, digest: str) -> None:
        """Begin anew."""
        self._part(digest).unlink(missing_ok=True)

    def remove(self, digest: str) -> None:
        """Make room: the blob and what came of it."""
        self._path(digest).unlink(missing_ok=True)
        self.drop_part(digest)

    def _part(self, digest: str) -> Path:
        path = self._path(digest)
        return path.with_name(f".{path.name}.part")

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
