"""What the network offers, as this gateway knows it: first-party manifests, and those in the coordinator's read model.

It is read again at each start of the coordinator and at each of its announcements, and never waited for by a request.
"""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Final

import structlog
from msgspec import Struct

from gridlight.adapters.manifests import ManifestRefused, read_manifest
from gridlight.adapters.store import Store, WorkloadRecord
from gridlight.messages.ids import WorkloadId
from gridlight.messages.manifests import Manifest, canonical
from gridlight.messages.workload_api import WorkloadResponse, WorkloadView
from gridlight.messages.workloads import WorkloadState
from gridlight.services.gateway.answers import read
from gridlight.services.gateway.errors import Refusal

RULED_S_MAX: Final = 5.0
RETRY_S: Final = 1.0

_log = structlog.get_logger()


class OfferedWorkload(Struct, frozen=True):
    """One workload, with what the network said of it last; nothing yet, of one that comes with the program."""

    manifest: Manifest
    record: WorkloadRecord | None = None

    @property
    def state(self) -> WorkloadState:
        """Whether it is offered."""
        return WorkloadState.APPROVED if self.record is None else self.record.state

    @property
    def serial(self) -> int:
        """Of the network's last word."""
        return 0 if self.record is None else self.record.serial


class Offered(Mapping[WorkloadId, Manifest]):
    """Manifests by id: the network's own, then others that are offered, then those that were, which the coordinator
    refuses.
    """

    def __init__(self, first_party: Mapping[WorkloadId, Manifest], store: Store) -> None:
        self._first_party = first_party
        self._store = store
        self._known = {workload: OfferedWorkload(manifest) for workload, manifest in first_party.items()}
        self._is_stale = asyncio.Event()
        self._is_stale.set()
        self._is_new = asyncio.Condition()

    def __getitem__(self, workload: WorkloadId) -> Manifest:
        return self._known[workload].manifest

    def __iter__(self) -> Iterator[WorkloadId]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    def find(self, workload: str) -> OfferedWorkload | None:
        """One workload, offered or not."""
        return self._known.get(WorkloadId(workload))

    def approved(self) -> dict[WorkloadId, Manifest]:
        """What a request may name."""
        return {workload: one.manifest for workload, one in self._known.items() if one.state is WorkloadState.APPROVED}

    def serves(self, digest: str) -> bool:
        """Whether an artifact of this SHA-256 belongs to what is offered."""
        return any(digest in manifest.artifacts.values() for manifest in self.approved().values())

    def is_first_party(self, digest: str) -> bool:
        """Whether an artifact of this SHA-256 belongs to what comes with the program."""
        return any(digest in manifest.artifacts.values() for manifest in self._first_party.values())

    def views(self) -> list[WorkloadView]:
        """All of them, for whoever asks."""
        return [workload_view(workload, one) for workload, one in self._known.items()]

    def forget(self) -> None:
        """The coordinator started, or said that something changed."""
        self._is_stale.set()

    async def keep(self) -> None:
        """Read again whenever it is stale. Never returns."""
        while True:
            await self._is_stale.wait()
            self._is_stale.clear()
            try:
                records = await read(self._store.workloads)
            except Exception as error:  # noqa: BLE001  (a database that is not there yet has many ways to say so)
                _log.warning("workloads_not_read", error=str(error), again_in_s=RETRY_S)
                await asyncio.sleep(RETRY_S)
                self._is_stale.set()
                continue
            self._take(records)
            async with self._is_new:
                self._is_new.notify_all()

    async def ruled(self, workload: WorkloadId, serial: int) -> OfferedWorkload:
        """The workload once the network's word with this serial is in the journal. Refusal where it is not."""
        try:
            async with asyncio.timeout(RULED_S_MAX), self._is_new:
                while (one := self._known.get(workload)) is None or one.serial < serial:
                    await self._is_new.wait()
                return one
        except TimeoutError:
            raise Refusal("NO_COORDINATOR") from None

    def _take(self, records: list[WorkloadRecord]) -> None:
        known = {workload: OfferedWorkload(manifest) for workload, manifest in self._first_party.items()}
        for record in records:
            manifest = self._first_party.get(record.workload) or _manifest(record)
            if manifest is not None:
                known[record.workload] = OfferedWorkload(manifest, record)
        self._known = dict(sorted(known.items(), key=self._rank))

    def _rank(self, item: tuple[WorkloadId, OfferedWorkload]) -> tuple[bool, bool]:
        """The network's own come first, and its first one is the default, stopped or not: nobody who names no model
        is served by a stranger's. Whoever names one by its name gets what is offered, if anything of that name is.
        """
        return item[0] not in self._first_party, item[1].state is not WorkloadState.APPROVED


def workload_view(workload: WorkloadId, one: OfferedWorkload, missing: list[str] | None = None) -> WorkloadView:
    """What is said of a workload, to anybody."""
    manifest, record = one.manifest, one.record
    return WorkloadView(
        id=workload,
        name=manifest.name,
        version=manifest.version,
        state=one.state,
        purpose=manifest.purpose,
        sees=manifest.sees,
        permissions=[str(permission) for permission in manifest.permissions],
        license=manifest.licence,
        task=manifest.task,
        run=manifest.run.name,
        work_units=manifest.work_units,
        download_bytes=manifest.resources.download_bytes,
        memory_mib=manifest.resources.memory_mib,
        cpus=manifest.resources.cpus,
        tmp_mib=manifest.resources.tmp_mib,
        numeric_class=manifest.numeric_class,
        publisher=manifest.publisher,
        rollout_percent=100 if record is None else record.rollout_percent,
        serial=one.serial,
        expires_ms=None if record is None else record.expires_ms,
        missing=missing,
    )


def workload_response(workload: WorkloadId, one: OfferedWorkload) -> WorkloadResponse:
    """With what a node checks."""
    return WorkloadResponse(
        workload=workload_view(workload, one),
        manifest=canonical(one.manifest),
        publication=None if one.record is None else one.record.publication,
        countersignature=None if one.record is None else one.record.countersignature,
    )


def _manifest(record: WorkloadRecord) -> Manifest | None:
    """Of a third party's workload; a stop may be known of one whose manifest never was."""
    if record.manifest is None:
        return None
    try:
        return read_manifest(record.manifest, record.workload)
    except ManifestRefused as refused:
        _log.error("workload_unreadable", workload=record.workload, error=str(refused))
        return None
