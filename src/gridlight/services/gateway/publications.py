"""What publishers brought: manifests with their signatures, and artifacts by digest, on this gateway's disk, bounded.

Nothing of it runs anywhere before the network has countersigned it. What nobody approves makes way after a week.
"""

import asyncio
from pathlib import Path
from typing import Final

import structlog
from msgspec import Struct

from gridlight.adapters.blobs import Blobs, BlobTooLarge, DigestMismatch
from gridlight.adapters.manifests import DAY_MS, ManifestRefused, check_publication, read_manifest
from gridlight.adapters.signatures import write_secret
from gridlight.messages.codec import Decoder, ProtocolViolation, encode
from gridlight.messages.ids import WorkloadId
from gridlight.messages.limits import BATCH_BYTES_MAX
from gridlight.messages.manifests import Manifest, workload_id
from gridlight.messages.workload_api import PublishBody
from gridlight.services.gateway.errors import Refusal
from gridlight.services.gateway.offered import Offered
from gridlight.workloads.contract import BadManifest, catalogue, check_manifest

UNAPPROVED_MAX: Final = 64
UNAPPROVED_PER_PUBLISHER_MAX: Final = 8
UNAPPROVED_DAYS: Final = 7
CHUNK_BYTES_MAX: Final = 1024 * 1024

_publish_bodies: Final[Decoder[PublishBody]] = Decoder(PublishBody, BATCH_BYTES_MAX)
_log = structlog.get_logger()


class Published(Struct, frozen=True, kw_only=True):
    """One publication: checked when it came, and again when it is approved."""

    workload: WorkloadId
    manifest: Manifest
    body: PublishBody
    received_ms: int


class Publications:
    """Bounded in number and in bytes. One process owns the folder; without one, nobody can publish here."""

    def __init__(
        self,
        folder: Path | None,
        shared: Blobs,
        offered: Offered,
        *,
        bytes_max: int,
        publishers: tuple[str, ...] = (),
    ) -> None:
        """`shared` holds the artifacts of what comes with the program: nobody need bring those again."""
        self._folder = folder
        self._shared = shared
        self._offered = offered
        self._bytes_max = bytes_max
        self._publishers = publishers
        self._published: dict[WorkloadId, Published] = {}
        self._turns: dict[str, asyncio.Lock] = {}
        self._blobs: Final = None if folder is None else Blobs(folder / "blobs")
        if folder is not None:
            self._load(folder / "manifests")

    def find(self, workload: WorkloadId) -> Published | None:
        """What was published under this id."""
        return self._published.get(workload)

    def waiting(self) -> list[Published]:
        """What was published, and the network has said nothing of."""
        return [one for workload, one in self._published.items() if self._offered.find(workload) is None]

    def missing(self, manifest: Manifest) -> list[str]:
        """Artifacts that did not come yet."""
        return [digest for digest in dict.fromkeys(manifest.artifacts.values()) if self.path(digest) is None]

    def path(self, digest: str) -> Path | None:
        """Where an artifact lies: brought by a publisher, or of what comes with the program."""
        brought = None if self._blobs is None else self._blobs.path(digest)
        if brought is None and self._offered.is_first_party(digest):
            return self._shared.path(digest)
        return brought

    async def take(self, data: bytes, *, now_ms: int) -> Published:
        """A manifest and its publisher's signature. Refusal where it is not taken."""
        if self._folder is None:
            raise Refusal("NOT_PUBLISHED_HERE")
        try:
            body = _publish_bodies.decode(data)
        except ProtocolViolation as violation:
            raise Refusal("BAD_MANIFEST", f"The publication cannot be read: {str(violation)[:200]}.") from None
        published = _checked(body, now_ms)
        if published.workload in self._published or self._offered.find(published.workload) is not None:
            return self._published.get(published.workload, published)
        await asyncio.to_thread(self._make_room, published.manifest, now_ms)
        text = encode(published).decode("ascii")
        await asyncio.to_thread(write_secret, self._file(published.workload), text)
        self._published[published.workload] = published
        _log.info("published", workload=published.workload, publisher=published.manifest.publisher)
        return published

    def expected(self, digest: str) -> list[Published]:
        """The publications that an artifact belongs to. Refusal where nobody announced it."""
        found = [one for one in self._published.values() if digest in one.manifest.artifacts.values()]
        if not found:
            raise Refusal("UNKNOWN_BLOB", "No manifest that was published here names this digest.", "POST it first.")
        return found

    def came(self, digest: str) -> tuple[bool, int]:
        """Whether all of an artifact is here, and else how many bytes of it."""
        assert self._blobs is not None
        path = self.path(digest)
        return (False, self._blobs.part_bytes(digest)) if path is None else (True, path.stat().st_size)

    def turn(self, digest: str) -> asyncio.Lock:
        """One upload of an artifact at a time."""
        return self._turns.setdefault(digest, asyncio.Lock())

    def append(self, digest: str, chunk: bytes, bytes_max: int) -> int:
        """A part of an artifact; how much came. Refusal where it is more than the manifest announced. Blocking."""
        assert self._blobs is not None
        try:
            return self._blobs.append(digest, chunk, bytes_max=bytes_max)
        except BlobTooLarge as error:
            raise Refusal("BODY_TOO_LARGE", f"{error}; the manifest's download_bytes allow no more.") from error

    def finish(self, digest: str) -> None:
        """The artifact is here. Refusal where it is not what its digest says; then it must come anew. Blocking."""
        assert self._blobs is not None
        self._turns.pop(digest, None)
        try:
            self._blobs.finish(digest)
        except DigestMismatch as error:
            raise Refusal("DIGEST_MISMATCH", f"{error}.") from error

    def _make_room(self, manifest: Manifest, now_ms: int) -> None:
        if self._publishers and manifest.publisher not in self._publishers:
            raise Refusal("UNKNOWN_PUBLISHER")
        for one in self.waiting():
            if now_ms - one.received_ms > UNAPPROVED_DAYS * DAY_MS:
                self._forget(one)
        waiting = self.waiting()
        own = sum(one.manifest.publisher == manifest.publisher for one in waiting)
        if own >= UNAPPROVED_PER_PUBLISHER_MAX or len(waiting) >= UNAPPROVED_MAX:
            raise Refusal("STORAGE_FULL", "Too many workloads wait for the network's approval.")
        announced = sum(one.manifest.resources.download_bytes for one in self._published.values())
        if announced + manifest.resources.download_bytes > self._bytes_max:
            raise Refusal("STORAGE_FULL")

    def _forget(self, published: Published) -> None:
        del self._published[published.workload]
        self._file(published.workload).unlink(missing_ok=True)
        assert self._blobs is not None
        kept = {digest for one in self._published.values() for digest in one.manifest.artifacts.values()}
        for digest in published.manifest.artifacts.values():
            if digest not in kept:
                self._blobs.remove(digest)

    def _file(self, workload: WorkloadId) -> Path:
        assert self._folder is not None
        return self._folder / "manifests" / f"{workload.rpartition(':')[2]}.json"

    def _load(self, folder: Path) -> None:
        decoder: Decoder[Published] = Decoder(Published, BATCH_BYTES_MAX)
        for path in sorted(folder.glob("*.json")):
            try:
                published = decoder.decode(path.read_bytes())
            except ProtocolViolation as violation:
                _log.error("publication_unreadable", path=str(path), error=str(violation))
                continue
            self._published[published.workload] = published


def _checked(body: PublishBody, now_ms: int) -> Published:
    try:
        manifest = read_manifest(body.manifest)
        check_publication(body.publication, manifest, now_ms=now_ms)
        check_manifest(manifest)
    except ManifestRefused as refused:
        code = "BAD_MANIFEST" if refused.flaw == "unreadable" else f"WORKLOAD_{refused.flaw.name}"
        raise Refusal(code, f"{str(refused)[:300]}.") from None
    except BadManifest as error:
        raise Refusal("BAD_MANIFEST", f"{str(error)[:300]}.") from None
    if manifest.name in {one.name for one in catalogue().values()}:
        raise Refusal("BAD_MANIFEST", f"{manifest.name} is the name of a workload that comes with the program.")
    return Published(workload=workload_id(manifest), manifest=manifest, body=body, received_ms=now_ms)
