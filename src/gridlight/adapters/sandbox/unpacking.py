"""Unpacks the layers of a stranger's image into a folder: the program that `images` starts, bounded and killable.

Nothing is written outside of the folder: names are relative, never pass a symbolic link, and replace what is there.
Devices are left out; owners, set-user-id and whatever else a mode says but "executable" is forgotten.
"""

import gzip
import os
import resource
import shutil
import stat
import sys
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO, Any, Final

from msgspec import Struct

from gridlight.messages.codec import Decoder

MIB: Final = 1024 * 1024
UNPACKED_BYTES_MAX: Final = 4 * 1024 * MIB
"""Of all layers, as a tar file counts."""

ENTRIES_MAX: Final = 200_000
PATH_CHARACTERS_MAX: Final = 1_024
ARTIFACTS: Final = "artifacts"
"""The folder where an image finds the manifest's other files."""

MOUNTED: Final = ("proc", "dev", "sys", "tmp", "etc", "run", ARTIFACTS)
"""Folders that every root has: an engine mounts something there, and a root is not written to once it runs."""

_MEMORY_BYTES_MAX: Final = 1024 * MIB
_NICE: Final = 10
_HIDES: Final = ".wh."
_HIDES_ALL: Final = ".wh..wh..opq"
"""Whiteouts (OCI image specification, "Image Layer Filesystem Changeset"): what a lower layer has is not there."""

Parts = tuple[str, ...]


class BadImage(Exception):
    """The image is damaged, too large, or would write outside of its folder."""


class Layer(Struct, frozen=True):
    """One layer, from the lowest up."""

    path: str
    is_compressed: bool
    plain_digest: str
    """SHA-256 of the tar file, uncompressed: the image's own word for what was packed."""


class Order(Struct, frozen=True):
    """What is to be unpacked where."""

    root: str
    layers: tuple[Layer, ...]
    artifacts: dict[str, str]
    """Files by the name under which they are to be found."""
    bytes_max: int = UNPACKED_BYTES_MAX


orders: Final[Decoder[Order]] = Decoder(Order, MIB)


class _Counted:
    """A tar file being read: how much may still come, and the digest of what came."""

    def __init__(self, source: IO[bytes], bytes_max: int) -> None:
        self._source = source
        self.bytes_left = bytes_max
        self.digest = sha256()

    def read(self, count: int) -> bytes:
        data = self._source.read(min(count, self.bytes_left + 1))
        self.bytes_left -= len(data)
        if self.bytes_left < 0:
            raise BadImage("the image is larger than is allowed, unpacked")
        self.digest.update(data)
        return data


class Root:
    """A folder that becomes the root file system of a container."""

    def __init__(self, folder: Path, bytes_max: int = UNPACKED_BYTES_MAX) -> None:
        self._folder = folder
        self._bytes_left = bytes_max
        self._entries_left = ENTRIES_MAX
        self._added: set[Parts] = set()
        """By the layer that is being unpacked: its whiteouts are about lower ones."""

    def add(self, layer: Layer) -> None:
        """Lay a layer over what is there. BadImage."""
        self._added.clear()
        with _opened(layer) as source:
            counted = _Counted(source, self._bytes_left)
            with tarfile.open(fileobj=counted, mode="r|") as archive:  # type: ignore[call-overload]  # a stream reads
                while (entry := archive.next()) is not None:
                    self._take(archive, entry)
                    archive.members = []  # which would hold every entry's header
            while counted.read(MIB):
                pass
        if counted.digest.hexdigest() != layer.plain_digest:
            raise BadImage(f"a layer has SHA-256 {counted.digest.hexdigest()} unpacked, not {layer.plain_digest}")
        self._bytes_left = counted.bytes_left

    def finish(self, artifacts: dict[str, str]) -> None:
        """What is mounted in every root, and the manifest's files."""
        for name in MOUNTED:
            self._make_folders((name,))
        (self._folder / "tmp").chmod(0o1777)
        for name, source in artifacts.items():
            target = self._cleared((ARTIFACTS, *_parts(name)))
            shutil.copyfile(source, target)
            target.chmod(0o644)

    def _take(self, archive: tarfile.TarFile, entry: tarfile.TarInfo) -> None:
        self._entries_left -= 1
        if self._entries_left < 0:
            raise BadImage(f"the image has more than {ENTRIES_MAX} entries")
        parts = _parts(entry.name)
        if not parts:
            return
        *above, name = parts
        if name == _HIDES_ALL:
            self._hide_all(tuple(above))
        elif name.startswith(_HIDES):
            self._hide((*above, *_parts(name.removeprefix(_HIDES))))
        elif self._make(archive, entry, parts):
            self._added.update(parts[:length] for length in range(1, len(parts) + 1))

    def _make(self, archive: tarfile.TarFile, entry: tarfile.TarInfo, parts: Parts) -> bool:
        """Whether it is of a kind that is kept."""
        if entry.isdir():
            self._make_folders(parts[:-1])
            path = self._folder.joinpath(*parts)
            if not _is_folder(path):
                self._cleared(parts).mkdir()
        elif entry.isreg():
            self._write(archive, entry, parts)
        elif entry.issym():
            if not entry.linkname or len(entry.linkname) > PATH_CHARACTERS_MAX:
                raise BadImage(f"{entry.name[:80]!r} is a symbolic link to nothing")
            # Where it leads is asked inside of the sandbox alone: nothing out here follows one.
            self._cleared(parts).symlink_to(entry.linkname)
        elif entry.islnk():
            source = self._folder.joinpath(*self._checked(_parts(entry.linkname)))
            if _parts(entry.linkname) == parts or not stat.S_ISREG(_mode(source)):
                raise BadImage(f"{entry.name[:80]!r} is a hard link to what is no file")
            os.link(source, self._cleared(parts), follow_symlinks=False)
        else:
            return False
        return True

    def _write(self, archive: tarfile.TarFile, entry: tarfile.TarInfo, parts: Parts) -> None:
        source = archive.extractfile(entry)
        assert source is not None
        if entry.issparse():
            raise BadImage(f"{entry.name[:80]!r} is a sparse file, whose size nothing bounds")
        mode = 0o755 if entry.mode & 0o111 else 0o644
        handle = os.open(self._cleared(parts), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        with os.fdopen(handle, "wb") as file:
            shutil.copyfileobj(source, file, MIB)
            os.fchmod(file.fileno(), mode)

    def _cleared(self, parts: Parts) -> Path:
        """Where an entry goes, with nothing there any more and its folder made."""
        self._make_folders(parts[:-1])
        path = self._folder.joinpath(*parts)
        _remove(path)
        return path

    def _make_folders(self, parts: Parts) -> None:
        """All of these, where they are not there yet. BadImage where one is something else, a symbolic link even."""
        for length in range(1, len(parts) + 1):
            path = self._folder.joinpath(*parts[:length])
            if not os.path.lexists(path):
                path.mkdir()
        self._checked((*parts, ""))

    def _checked(self, parts: Parts) -> Parts:
        """BadImage where the way to it passes anything but folders of ours."""
        for length in range(1, len(parts)):
            if not _is_folder(self._folder.joinpath(*parts[:length])):
                raise BadImage(f"{'/'.join(parts)[:80]!r} passes through what is no folder")
        return parts

    def _hide(self, parts: Parts) -> None:
        if parts and parts not in self._added and self._is_folder(parts[:-1]):
            _remove(self._folder.joinpath(*parts))

    def _hide_all(self, parts: Parts) -> None:
        """What lower layers have in a folder; what this one has added stays, whichever came first."""
        if not self._is_folder(parts):
            return
        for path in list(self._folder.joinpath(*parts).iterdir()):
            inside = (*parts, path.name)
            if inside not in self._added:
                _remove(path)
            elif _is_folder(path):
                self._hide_all(inside)

    def _is_folder(self, parts: Parts) -> bool:
        """Whether a folder is there. BadImage where the way to it passes a symbolic link."""
        for length in range(1, len(parts) + 1):
            mode = _mode(self._folder.joinpath(*parts[:length]))
            if stat.S_ISLNK(mode):
                raise BadImage(f"{'/'.join(parts)[:80]!r} passes through what is no folder")
            if not stat.S_ISDIR(mode):
                return False
        return True


def unpack(order: Order) -> None:
    """Into a folder that is not there yet. BadImage where it is not as it should be; OSError of the disk."""
    folder = Path(order.root)
    folder.mkdir(mode=0o755, parents=True)
    folder.chmod(0o755)
    root = Root(folder, order.bytes_max)
    try:
        for layer in order.layers:
            root.add(layer)
    except (tarfile.TarError, zlib.error, gzip.BadGzipFile, EOFError, UnicodeError, ValueError) as error:
        raise BadImage(f"a layer cannot be read: {error}") from error
    root.finish(order.artifacts)


@contextmanager
def _opened(layer: Layer) -> Iterator[Any]:
    with Path(layer.path).open("rb") as file:
        if not layer.is_compressed:
            yield file
            return
        with gzip.GzipFile(fileobj=file) as plain:
            yield plain


def _parts(name: str) -> Parts:
    """Of a path below the root; none of the root's own name. BadImage."""
    if name.startswith("/") or "\0" in name or len(name) > PATH_CHARACTERS_MAX:
        raise BadImage(f"{name[:80]!r} is no name below the root")
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in parts:
        raise BadImage(f"{name[:80]!r} leads out of the root")
    return parts


def _mode(path: Path) -> int:
    """Of itself, not of what it links to; 0 where nothing is there."""
    try:
        return path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0


def _is_folder(path: Path) -> bool:
    return stat.S_ISDIR(_mode(path))


def _remove(path: Path) -> None:
    if _is_folder(path):
        shutil.rmtree(path)  # which follows no symbolic link
    else:
        path.unlink(missing_ok=True)


def main() -> None:
    """With an Order as the one argument; what is wrong is its last line, and its exit code."""
    os.nice(_NICE)
    # A header's size is the image's word; what would be read for it is bounded here.
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES_MAX, _MEMORY_BYTES_MAX))
    try:
        unpack(orders.decode(sys.argv[1].encode()))
    except (BadImage, OSError, MemoryError) as error:
        raise SystemExit(str(error) or type(error).__name__) from None


if __name__ == "__main__":
    main()
