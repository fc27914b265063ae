"""What a node lends: a task for each workload that may run here, which fetches what it needs and keeps its workers.

Nothing is offered before it is fetched, checked and warm. Whatever is revoked or stopped is ended at once, wherever it
stands; the word of the network and of the operator is asked again now and then.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

import structlog
from msgspec import Struct

from gridlight.adapters.blobs import Blobs, cache_folder
from gridlight.adapters.clock import wall_s
from gridlight.adapters.manifests import ManifestRefused, check_countersignature, check_signed
from gridlight.adapters.sandbox.images import Images, read_image
from gridlight.adapters.sandbox.port import ThirdParty, WorkerSpec, names
from gridlight.adapters.sandbox.unpacking import BadImage
from gridlight.core.agent import AgentEvent, ConsentRevoked
from gridlight.core.consent import Standing, Word, standing
from gridlight.messages.ids import AssignmentId, NodeId, WorkloadId
from gridlight.messages.manifests import Manifest, canonical
from gridlight.messages.workloads import WorkloadState
from gridlight.services.agent.consents import (
    BadConsents,
    Consent,
    Consents,
    LentState,
    pinned_network_key,
    read_consents,
    read_state,
    stamp,
    write_state,
)
from gridlight.services.agent.engine import Engine
from gridlight.services.agent.gateway_api import (
    GatewayApi,
    GatewayRefused,
    GatewayUnreachable,
    apart,
    signed_workload,
)
from gridlight.services.agent.ownership import Ownership
from gridlight.services.agent.turns import Turns
from gridlight.services.agent.workers import Workers, image_program, own_program
from gridlight.workloads.contract import BadManifest, check_manifest

WATCH_S: Final = 0.25
"""How soon a consent that was given or taken back is noticed."""
LOOK_AGAIN_S: Final = 30.0
STATE_CHARACTERS_MAX: Final = 300
_FETCH_RETRY_S: Final = 2.0
_MS: Final = 1_000

_log = structlog.get_logger()


class Judged(Struct, frozen=True):
    """One accepted workload, as it stands here now, and what is said of it."""

    standing: Standing
    manifest: Manifest
    reason: str


def said_of(found: Standing, third_party: ThirdParty) -> str:
    """To the operator, with what the node's engine lacks where that is why."""
    if found is not Standing.NEEDS_CONTAINER:
        return found.value
    return f"{found.value}: this node's engine gives no proof of {names(third_party.missing)}"[:STATE_CHARACTERS_MAX]


class Lent:
    """All workloads of one node."""

    def __init__(
        self,
        api: GatewayApi,
        data: Path,
        node_id: NodeId,
        *,
        engine: Engine,
        ownership: Ownership,
        slots: int,
        tell: Callable[[AgentEvent], None],
        is_wanted: Callable[[AssignmentId], bool],
    ) -> None:
        self._api = api
        self._data = data
        self._node_id = node_id
        self._engine = engine
        self._ownership = ownership
        self._slots = slots
        self._allowed = 0
        self._turns = Turns()
        self._tell = tell
        self._is_wanted = is_wanted
        self._blobs = Blobs(cache_folder() / "blobs")
        self._images = Images(cache_folder() / "roots")
        self._network_key: str | None = None
        self._tasks: dict[WorkloadId, asyncio.Task[None]] = {}
        self.running: dict[WorkloadId, Workers] = {}
        """Those that run assignments, by what they run."""
        self._first_party: dict[WorkloadId, Manifest] = {}
        self._manifests: dict[WorkloadId, Manifest] = {}
        self._is_news = asyncio.Event()
        self._consents: dict[WorkloadId, Consent] = {}
        self._states: dict[WorkloadId, str] = {}
        self._stops = dict(read_state(data).stops)
        self._written: list[LentState] | None = None
        self._group: asyncio.TaskGroup

    def pids(self) -> list[int]:
        """Of all workers that are up."""
        return [pid for workers in self.running.values() for pid in workers.pids]

    def allow(self, count: int) -> None:
        """So many workers of each workload may be up from now on, and so many of all of them compute at once."""
        self._allowed = count
        self._turns.allow(count)
        for workers in self.running.values():
            workers.allow(count)

    async def keep(self, first_party: dict[WorkloadId, Manifest], network_key: str | None) -> None:
        """Until cancelled. What comes with the program runs because the node was started; the rest where accepted."""
        self._first_party = first_party
        self._network_key = pinned_network_key(self._data, network_key)
        await apart(self._images.sweep)
        async with asyncio.TaskGroup() as self._group:
            for workload, manifest in first_party.items():
                self._begin(workload, manifest)
            self._group.create_task(self._look())
            seen = (-1, -1)
            while True:
                now = stamp(self._data)
                if now != seen:
                    seen = now
                    self._read_consents()
                    self._is_news.set()
                self._write_state()
                await asyncio.sleep(WATCH_S)

    def stop(self, workload: WorkloadId, serial: int) -> None:
        """The network's order: end it now, and remember that."""
        self._stops[workload] = max(serial, self._stops.get(workload, 0))
        self._end(workload, Standing.STOPPED)
        self._write_state()

    async def kill(self) -> None:
        """End all workers: the process is leaving."""
        for workers in self.running.values():
            await workers.kill()

    def _read_consents(self) -> None:
        """What is not accepted any more ends before anything else is asked of anybody."""
        try:
            consents = read_consents(self._data)
        except BadConsents as error:
            _log.error("consents_unreadable", error=str(error))
            consents = Consents()
        self._consents = {consent.workload: consent for consent in consents.accepted.values()}
        for workload in [one for one in self._states if one not in self._consents and one not in self._first_party]:
            self._end(workload, Standing.NOT_ACCEPTED)
            del self._states[workload]

    async def _look(self) -> None:
        """Ask for the network's word on what is accepted, at once where that changed. Never returns."""
        while True:
            self._is_news.clear()
            await self._look_at_all()
            await self._look_at_stopped()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_AGAIN_S):
                    await self._is_news.wait()

    async def _look_at_all(self) -> None:
        for workload, consent in list(self._consents.items()):
            if workload in self._first_party:
                continue
            try:
                judged = await self._judge(workload, consent)
            except (GatewayUnreachable, GatewayRefused, ManifestRefused, BadManifest) as error:
                # What runs goes on while nobody can be asked; what is found wanting does not.
                if isinstance(error, (ManifestRefused, BadManifest)):
                    self._end(workload, str(error)[:STATE_CHARACTERS_MAX])
                self._states.setdefault(workload, str(error)[:STATE_CHARACTERS_MAX])
                _log.warning("a workload is not lent", workload=workload, error=str(error))
                continue
            if self._consents.get(workload) is not consent:
                continue  # it was taken back while the gateway was asked
            if judged.standing is not Standing.ACCEPTED:
                self._end(workload, judged.reason)
            elif workload not in self._tasks:
                self._begin(workload, judged.manifest)

    async def _look_at_stopped(self) -> None:
        """What comes with the program and was stopped runs again once the network has a later word for it."""
        for workload, manifest in self._first_party.items():
            if workload in self._tasks or self._network_key is None:
                continue
            try:
                found = await apart(lambda one=workload: self._api.workload(one))  # type: ignore[misc]  # bound at once
                said = found.countersignature or ""
                word = check_countersignature(said, workload, self._network_key, now_ms=wall_s() * _MS)
            except (GatewayUnreachable, GatewayRefused, ManifestRefused) as error:
                _log.info("still stopped", workload=workload, error=str(error))
                continue
            if word.serial > self._stops.get(workload, 0):
                self._begin(workload, manifest)

    async def _judge(self, workload: WorkloadId, consent: Consent) -> Judged:
        """By the network's word of now, over the manifest that was accepted."""
        found = await apart(lambda: self._api.workload(workload))
        if self._network_key is None:
            raise GatewayRefused("the network's key is not known, so nobody can be believed")
        manifest, word = check_signed(signed_workload(found), self._network_key, now_ms=wall_s() * _MS)
        check_manifest(manifest)
        is_stopped = found.workload.state is WorkloadState.STOPPED
        said = Word(word, max(self._stops.get(workload, 0), word.serial if is_stopped else 0))
        third_party = ThirdParty(is_allowed=False, missing=())
        if manifest.run.name == "image":
            third_party = await self._engine.third_party()
        found_here = standing(
            workload, manifest, consent.workload, said, self._node_id, is_code_kept_in=third_party.is_allowed
        )
        return Judged(found_here, manifest, said_of(found_here, third_party))

    def _begin(self, workload: WorkloadId, manifest: Manifest) -> None:
        self._states[workload] = "fetching"
        self._manifests[workload] = manifest
        self._tasks[workload] = self._group.create_task(self._run(workload, manifest))

    def _end(self, workload: WorkloadId, why: str) -> None:
        """Kill its workers; the machine hands back at once what they were at."""
        self._states[workload] = why
        task = self._tasks.pop(workload, None)
        if task is None:
            return
        _log.warning("a workload ends here", workload=workload, why=why)
        self._tell(ConsentRevoked(workload))
        task.cancel()

    async def _run(self, workload: WorkloadId, manifest: Manifest) -> None:
        try:
            artifacts = {name: await self._fetched(manifest, name) for name in manifest.artifacts}
        except GatewayRefused as refused:
            if manifest.publisher is None:
                raise  # a node that cannot have what its network is about is of no use to it
            _log.warning("cannot fetch", workload=workload, error=str(refused))
            self._states[workload] = str(refused)[:STATE_CHARACTERS_MAX]
            self._tasks.pop(workload, None)  # to be begun anew when the network is asked again
            return
        digest = workload.rpartition(":")[2]
        if manifest.run.image is not None:
            await self._run_image(workload, manifest, digest, artifacts)
            return
        if manifest.publisher is not None:
            await apart(lambda: self._blobs.put(canonical(manifest), digest))
        await self._lend(workload, own_program(workload, manifest, artifacts))

    async def _run_image(
        self, workload: WorkloadId, manifest: Manifest, digest: str, artifacts: dict[str, Path]
    ) -> None:
        """Unpack it where no other agent of this machine has, and remove it once it may not run here any more."""
        assert manifest.run.image is not None
        self._states[workload] = "unpacking"
        try:
            image = await apart(partial(read_image, manifest.run.image, manifest.artifacts, artifacts))
            async with self._images.unpacked(digest, image) as held:
                try:
                    await self._lend(workload, image_program(manifest, held.root))
                finally:
                    held.is_unwanted = workload not in self._tasks
        except (BadImage, OSError) as error:
            _log.warning("cannot unpack", workload=workload, error=str(error))
            self._states[workload] = f"cannot unpack its image: {error}"[:STATE_CHARACTERS_MAX]
            # Not to be begun anew by itself: the same bytes give the same again, and the disk is the operator's.

    async def _lend(self, workload: WorkloadId, spec: WorkerSpec) -> None:
        """Keep its workers until cancelled."""
        sandbox = await self._engine.sandbox()
        self._states[workload] = "running"
        workers = self.running[workload] = Workers(
            workload,
            spec,
            sandbox=sandbox,
            turns=self._turns,
            slots=self._slots,
            tell=self._tell,
            is_wanted=self._is_wanted,
            cpu_limit_percent=lambda: self._ownership.preferences.cpu_usage_limit_percent,
        )
        workers.allow(self._allowed)
        try:
            await workers.keep()
        finally:
            if self.running.get(workload) is workers:
                del self.running[workload]

    async def _fetched(self, manifest: Manifest, name: str) -> Path:
        """An artifact, from the cache or from the gateway by its digest, going on where it broke off."""
        digest, bytes_max = manifest.artifacts[name], manifest.resources.download_bytes
        is_wanted = True
        try:
            while (path := await apart(lambda: self._blobs.verified_path(digest))) is None:
                await self._ownership.transfer_allowed()
                _log.info("fetching", artifact=name, digest=digest)
                try:
                    await apart(
                        lambda: self._api.fetch(digest, self._blobs, bytes_max=bytes_max, is_wanted=lambda: is_wanted)
                    )
                except (GatewayUnreachable, BlockingIOError) as error:
                    _log.warning("cannot fetch yet", artifact=name, error=str(error))
                    await asyncio.sleep(_FETCH_RETRY_S)
        finally:
            is_wanted = False
        return path

    def _write_state(self) -> None:
        lent = [
            LentState(workload, state, self._fetched_bytes(workload) if state == "fetching" else None)
            for workload, state in self._states.items()
        ]
        if lent != self._written:
            self._written = lent
            write_state(self._data, lent, self._stops)

    def _fetched_bytes(self, workload: WorkloadId) -> int:
        return sum(self._blobs.part_bytes(digest) for digest in self._manifests[workload].artifacts.values())
