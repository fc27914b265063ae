"""The gateway's routes on workloads with a real database behind them, and the real core to journal what is ruled."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import httpx
from msgspec.structs import replace

from gridlight.adapters.blobs import Blobs
from gridlight.adapters.changes import Changes
from gridlight.adapters.clock import SteadyClock
from gridlight.adapters.journal import Journal, Record
from gridlight.adapters.manifests import countersign, order_stop, publish
from gridlight.adapters.signatures import SigningKey
from gridlight.adapters.store import Store
from gridlight.core.coordinator import Coordinator
from gridlight.messages.codec import encode
from gridlight.messages.envelope import UPLOAD_DOMAIN
from gridlight.messages.host import CoordinatorStarted
from gridlight.messages.ids import WorkloadId
from gridlight.messages.manifests import Manifest, canonical, workload_id
from gridlight.messages.workload_api import PublishBody, RuleBody
from gridlight.services.gateway.administrators import AdminToken
from gridlight.services.gateway.api import Parts, create_app
from gridlight.services.gateway.offered import Offered
from gridlight.services.gateway.outbox import Outbox
from gridlight.services.gateway.publications import Publications
from gridlight.services.gateway.rulings import Rulings
from gridlight.services.gateway.workload_api import WorkloadParts
from gridlight.workloads.contract import catalogue, manifest_named

TOKEN = "correct-horse-battery-staple"
WEIGHTS = b"weights of somebody else " * 4_000
DIGEST = sha256(WEIGHTS).hexdigest()
HOUR_MS = 3_600_000


def manifest(key: SigningKey | None, name: str = "stranger", artifact: str = DIGEST) -> Manifest:
    """Somebody's workload: our program with other weights."""
    built_in = manifest_named("coco-ssd")
    return replace(
        built_in,
        name=name,
        publisher=None if key is None else key.public,
        artifacts={"weights.onnx": artifact},
        resources=replace(built_in.resources, download_bytes=len(WEIGHTS)),
    )


class Desk:
    """A gateway's routes on workloads, a publisher and the network's founder."""

    def __init__(self, folder: Path, *, bytes_max: int = 10 * len(WEIGHTS), publishers: tuple[str, ...] = ()) -> None:
        folder.mkdir(exist_ok=True)
        self.publisher = SigningKey.generate()
        self.network = SigningKey.generate()
        self.clock = SteadyClock(0)
        url = f"sqlite:///{folder / 'gridlight.db'}"
        self._journal, self.store = Journal(url), Store.open(url)
        self._core, self._sequence = Coordinator(), 0
        self._outbox = Outbox()
        self.offered = Offered(catalogue(), self.store)
        self.publications = Publications(
            folder / "published", Blobs(folder / "shared"), self.offered, bytes_max=bytes_max, publishers=publishers
        )
        rulings = Rulings(
            self.network.public,
            catalogue(),
            offered=self.offered,
            publications=self.publications,
            outbox=self._outbox,
        )
        parts = WorkloadParts(
            offered=self.offered,
            publications=self.publications,
            rulings=rulings,
            admin=AdminToken(TOKEN),
            clock=self.clock,
        )
        absent = dict.fromkeys(Parts.__struct_fields__, cast("Any", None))
        app = create_app(Parts(**{**absent, "version": "test", "catalogue": self.offered, "workloads": parts}))
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app=cast("Any", app)), base_url="http://127.0.0.1")

    async def coordinate(self) -> None:
        """Take what the gateway says, journal what the core makes of it, and announce. Never returns."""
        self._record([CoordinatorStarted(seed=1, workloads=tuple(catalogue()))])
        while True:
            await self._outbox.wait()
            self._record(self._outbox.take())

    def _record(self, events: list[Any]) -> None:
        self._sequence += 1
        now_ms = self.clock.now_ms()
        effects = [effect for event in events for effect in self._core.handle(now_ms, event)]
        self._journal.commit(Record(self._sequence, now_ms, 1, events), Changes(now_ms, events, effects))
        self.offered.forget()

    async def publish(self, one: Manifest, key: SigningKey | None = None, *, lasts_ms: int = HOUR_MS) -> httpx.Response:
        """With the publisher's signature, or another's."""
        word = publish(key or self.publisher, workload_id(one), expires_ms=self.clock.now_ms() + lasts_ms)
        return await self.http.post(
            "/v1/workloads", content=encode(PublishBody(manifest=canonical(one), publication=word))
        )

    async def upload(
        self, body: bytes = WEIGHTS, *, offset: int = 0, digest: str = DIGEST, key: SigningKey | None = None
    ) -> httpx.Response:
        """Bytes of an artifact, from an offset on."""
        said = (key or self.publisher).sign(UPLOAD_DOMAIN, digest.encode())
        headers = {"Gridlight-Signature": base64.b64encode(said).decode(), "Upload-Offset": str(offset)}
        return await self.http.put(f"/v1/blobs/sha256:{digest}", content=body, headers=headers)

    async def rule(self, said: RuleBody, token: str = TOKEN) -> httpx.Response:
        """As an administrator."""
        headers = {"Authorization": f"Bearer {token}"}
        return await self.http.post("/v1/network/workloads", content=encode(said), headers=headers)

    async def approve(
        self,
        workload: WorkloadId,
        *,
        serial: int = 1,
        percent: int = 100,
        lasts_ms: int = HOUR_MS,
        key: SigningKey | None = None,
    ) -> httpx.Response:
        """With the network's countersignature, or another's."""
        ends_ms = self.clock.now_ms() + lasts_ms
        word = countersign(key or self.network, workload, percent=percent, serial=serial, expires_ms=ends_ms)
        return await self.rule(RuleBody(workload=workload, countersignature=word))

    async def stop(self, workload: WorkloadId, *, serial: int = 2, key: SigningKey | None = None) -> httpx.Response:
        """With the network's order, or another's."""
        return await self.rule(
            RuleBody(workload=workload, stop=order_stop(key or self.network, workload, serial=serial))
        )


@asynccontextmanager
async def open_desk(folder: Path, **options: Any) -> AsyncIterator[Desk]:
    """Open for as long as the `with` lasts."""
    desk = Desk(folder, **options)
    async with asyncio.TaskGroup() as group:
        helpers = [group.create_task(one) for one in (desk.offered.keep(), desk.coordinate())]
        yield desk
        for helper in helpers:
            helper.cancel()
    await desk.http.aclose()
    desk.store.close()
