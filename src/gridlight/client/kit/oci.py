"""An OCI image as blobs by digest: read from a layout that other tools wrote, or packed from a root file system.

What is packed here is the same bytes for the same files, whenever and by whomever: no times, no owners.
"""

import gzip
import io
import platform
import tarfile
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from gridlight.adapters.blobs import write_checked
from gridlight.messages.codec import Decoder, ProtocolViolation, encode

INDEX_BYTES_MAX: Final = 4 * 1024 * 1024
_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
_LAYER: Final = "application/vnd.oci.image.layer.v1.tar+gzip"
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}

_documents: Final[Decoder[dict[str, Any]]] = Decoder(dict[str, Any], INDEX_BYTES_MAX)


class BadLayout(ValueError):
    """The folder is no OCI layout of one image, or a blob of it is missing or damaged."""


class ImageBlobs(Struct, frozen=True):
    """One image: its manifest's digest, and every blob of it by a name of its own."""

    manifest: str
    files: dict[str, str]
    size: int


def read_layout(layout: Path, blobs: Path) -> ImageBlobs:
    """Copy the one image of an OCI layout. BadLayout."""
    found = _document(layout / "index.json").get("manifests", [])
    if len(found) != 1:
        raise BadLayout(f"{layout / 'index.json'} names {len(found)} images, and should name one")
    digest = _hexadecimal(found[0])
    manifest = _document(_blob(layout, digest))
    if "config" not in manifest:
        raise BadLayout("the image is an index of several platforms: export the image of one")
    parts = {"image-manifest.json": digest, "image-config.json": _hexadecimal(manifest["config"])}
    for number, layer in enumerate(manifest.get("layers", [])):
        parts[f"image-layer-{number}"] = _hexadecimal(layer)
    size = 0
    for digest in parts.values():
        data = _blob(layout, digest).read_bytes()
        if sha256(data).hexdigest() != digest:
            raise BadLayout(f"the blob {digest} of {layout} is damaged")
        write_checked(blobs / digest, data, digest)
        size += len(data)
    return ImageBlobs(parts["image-manifest.json"], parts, size)


def pack_root(root: Path, entrypoint: tuple[str, ...], blobs: Path) -> ImageBlobs:
    """One layer with all that is under `root`, in the order of its names. BadLayout where nothing would start."""
    if not root.is_dir():
        raise BadLayout(f"{root} is no folder")
    if not entrypoint:
        raise BadLayout("`entrypoint` says what is started, as a list of words")
    plain = _tar(root)
    layer = gzip.compress(plain, compresslevel=6, mtime=0)
    config = encode(
        {
            "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": {"Entrypoint": list(entrypoint), "Env": ["PATH=/usr/bin:/bin"], "WorkingDir": "/"},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{sha256(plain).hexdigest()}"]},
        }
    )
    manifest = encode(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": _descriptor(_CONFIG, config),
            "layers": [_descriptor(_LAYER, layer)],
        }
    )
    parts = {"image-manifest.json": manifest, "image-config.json": config, "image-layer-0": layer}
    files = {name: sha256(data).hexdigest() for name, data in parts.items()}
    for name, data in parts.items():
        write_checked(blobs / files[name], data, files[name])
    return ImageBlobs(files["image-manifest.json"], files, sum(map(len, parts.values())))


def _tar(root: Path) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(root.rglob("*")):
            entry = archive.gettarinfo(path, arcname=str(path.relative_to(root)))
            entry.uid = entry.gid = entry.mtime = 0
            entry.uname = entry.gname = ""
            if entry.isreg():
                with path.open("rb") as file:
                    archive.addfile(entry, file)
            else:
                archive.addfile(entry)
    return packed.getvalue()


def _descriptor(kind: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": kind, "digest": f"sha256:{sha256(data).hexdigest()}", "size": len(data)}


def _document(path: Path) -> dict[str, Any]:
    try:
        return _documents.decode(path.read_bytes())
    except (OSError, ProtocolViolation) as error:
        raise BadLayout(f"{path} cannot be read: {error}") from error


def _hexadecimal(descriptor: Any) -> str:
    digest = descriptor.get("digest") if isinstance(descriptor, dict) else None
    if not isinstance(digest, str) or not digest.startswith("sha256:") or not digest[7:].isalnum():
        raise BadLayout(f"a descriptor names no SHA-256: {str(descriptor)[:200]}")
    return digest.removeprefix("sha256:")


def _blob(layout: Path, digest: str) -> Path:
    return layout / "blobs" / "sha256" / digest
