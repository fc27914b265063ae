"""Third parties' images, unpacked once for all agents of this user: a root file system for each workload.

Both engines run from the folder itself, so no engine's own store is filled, and nothing is left there. A root lives as
long as an agent may run its workload: who uses one holds a lock on it, and the last one that gives it up removes it.
"""

import asyncio
import fcntl
import shutil
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from signal import SIGKILL
from typing import IO, Annotated, Final

from msgspec import Meta, Struct, field

from gridlight.adapters.parent_death import signalled_when_parent_dies
from gridlight.adapters.sandbox.unpacking import BadImage, Layer, Order
from gridlight.messages.codec import Decoder, ProtocolViolation, encode
from gridlight.messages.limits import BATCH_BYTES_MAX

UNPACK_S_MAX: Final = 900.0
"""A disk that is slow, with others busy on it; nobody waits for it but this workload."""

LAYERS_MAX: Final = 128
_COMPRESSED: Final = {
    "application/vnd.oci.image.layer.v1.tar": False,
    "application/vnd.oci.image.layer.v1.tar+gzip": True,
    "application/vnd.docker.image.rootfs.diff.tar.gzip": True,
}
_LOOK_AGAIN_S: Final = 0.2
_SAID_BYTES_MAX: Final = 4_096

_DigestField = Annotated[str, Meta(pattern=r"^sha256:[0-9a-f]{64}$(?!\n)")]
_WordField = Annotated[str, Meta(min_length=1, max_length=4_096, pattern=r"^[^\x00]+$")]
_Words = Annotated[tuple[_WordField, ...], Meta(max_length=64)]


class _Descriptor(Struct, frozen=True):
    digest: _DigestField
    media_type: str = field(name="mediaType", default="")


class _ImageManifest(Struct, frozen=True):
    config: _Descriptor
    layers: Annotated[tuple[_Descriptor, ...], Meta(min_length=1, max_length=LAYERS_MAX)]


class _Start(Struct, frozen=True):
    entrypoint: _Words | None = field(name="Entrypoint", default=None)
    command: _Words | None = field(name="Cmd", default=None)


class _Layers(Struct, frozen=True):
    diff_ids: tuple[_DigestField, ...]


class _Config(Struct, frozen=True):
    rootfs: _Layers
    config: _Start = _Start()


_image_manifests: Final[Decoder[_ImageManifest]] = Decoder(_ImageManifest, BATCH_BYTES_MAX)
_configs: Final[Decoder[_Config]] = Decoder(_Config, BATCH_BYTES_MAX)


class Image(Struct, frozen=True):
    """An image's layers, and what is started in it. Its own environment, user and working folder are passed over."""

    layers: tuple[Layer, ...]
    command: tuple[str, ...]
    artifacts: dict[str, str]
    """What the manifest names beside the image."""


class UnpackedRoot(Struct, frozen=True):
    """What a worker runs in."""

    folder: Path
    command: tuple[str, ...]


def read_image(digest: str, artifacts: Mapping[str, str], files: Mapping[str, Path]) -> Image:
    """The image with this manifest's digest, of artifacts by name that lie in files by name, checked. BadImage."""
    names = {artifact: name for name, artifact in artifacts.items()}

    def file(digest: str) -> Path:
        name = names.get(digest.removeprefix("sha256:"))
        if name is None:
            raise BadImage(f"the image names {digest}, which is none of the workload's artifacts")
        return files[name]

    try:
        manifest = _image_manifests.decode(file(digest).read_bytes())
        config = _configs.decode(file(manifest.config.digest).read_bytes())
    except ProtocolViolation as violation:
        raise BadImage(f"the image cannot be read: {violation}") from violation
    command = (*(config.config.entrypoint or ()), *(config.config.command or ()))
    if not command:
        raise BadImage("the image does not say what is started in it")
    if len(config.rootfs.diff_ids) != len(manifest.layers):
        raise BadImage("the image names as many layers twice, and they are not as many")
    layers: list[Layer] = []
    for layer, plain in zip(manifest.layers, config.rootfs.diff_ids, strict=True):
        if layer.media_type not in _COMPRESSED:
            raise BadImage(f"a layer is {layer.media_type[:80]!r}; there are {', '.join(_COMPRESSED)}")
        path = str(file(layer.digest))
        layers.append(Layer(path, _COMPRESSED[layer.media_type], plain.removeprefix("sha256:")))
    used = {
        one.removeprefix("sha256:") for one in (digest, manifest.config.digest, *(x.digest for x in manifest.layers))
    }
    beside = {name: str(files[name]) for name, one in artifacts.items() if one not in used}
    return Image(tuple(layers), command, beside)


class Images:
    """A folder of roots, each under its workload's digest. Any number of processes may share it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def sweep(self) -> None:
        """Remove what was being unpacked or removed when an agent was killed, unless another is at it."""
        for part in self._folder.glob("*.part"):
            with part.with_suffix(".lock").open("ab") as lock:
                if _locks(lock, fcntl.LOCK_EX):
                    shutil.rmtree(part, ignore_errors=True)

    @asynccontextmanager
    async def unpacked(self, name: str, image: Image) -> AsyncIterator["Held"]:
        """A root that stays while it is used. BadImage; OSError where there is no room for it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / f"{name}.lock").open("ab") as lock:
            held = Held(self._folder / name, image.command, lock)
            while not (_locks(lock, fcntl.LOCK_SH) and held.root.folder.is_dir()):
                if _locks(lock, fcntl.LOCK_EX) and not held.root.folder.is_dir():
                    await self._unpack(held.root.folder, image)
                elif not held.root.folder.is_dir():
                    await asyncio.sleep(_LOOK_AGAIN_S)  # somebody else unpacks it
            try:
                yield held
            finally:
                if held.is_unwanted:
                    await held.remove()

    async def _unpack(self, folder: Path, image: Image) -> None:
        """Beside it, and there at once when it is whole."""
        part = folder.with_name(f"{folder.name}.part")
        await asyncio.to_thread(shutil.rmtree, part, ignore_errors=True)
        order = encode(Order(str(part), image.layers, image.artifacts)).decode()
        words = (sys.executable, "-I", "-m", "gridlight.adapters.sandbox.unpacking", order)
        process = await asyncio.create_subprocess_exec(
            *words, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE, preexec_fn=signalled_when_parent_dies(SIGKILL)
        )
        try:
            async with asyncio.timeout(UNPACK_S_MAX):
                said = await _end_of(process)
        except TimeoutError:
            raise BadImage(f"the image was not unpacked within {UNPACK_S_MAX:g} s") from None
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
            if process.returncode != 0:
                await asyncio.to_thread(shutil.rmtree, part, ignore_errors=True)
        if process.returncode != 0:
            raise BadImage(said or f"unpacking ended with {process.returncode}")
        part.rename(folder)


class Held:
    """A root in use."""

    def __init__(self, folder: Path, command: tuple[str, ...], lock: IO[bytes]) -> None:
        self.root = UnpackedRoot(folder, command)
        self.is_unwanted = False
        """Whether it may go when it is not used any more."""
        self._lock = lock

    async def remove(self) -> None:
        """Unless somebody else uses it."""
        folder = self.root.folder
        if _locks(self._lock, fcntl.LOCK_EX) and folder.is_dir():
            gone = folder.with_name(f"{folder.name}.part")  # which an unpacking removes first, should this break off
            await asyncio.to_thread(shutil.rmtree, gone, ignore_errors=True)
            folder.rename(gone)
            await asyncio.to_thread(shutil.rmtree, gone, ignore_errors=True)


async def _end_of(process: Process) -> str:
    """The last of what it printed, once it has ended."""
    assert process.stderr is not None
    said = b""
    while chunk := await process.stderr.read(_SAID_BYTES_MAX):
        said = (said + chunk)[-_SAID_BYTES_MAX:]
    await process.wait()
    lines = said.decode(errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else ""


def _locks(file: IO[bytes], kind: int) -> bool:
    """Whether the lock is ours now; one of another kind that was held is given up for it."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
