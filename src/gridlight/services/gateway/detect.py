"""One `POST /v1/detect` or `/v1/run/{workload}`, from the first byte to the answer: upload, picture, job, result, each
within the deadline.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import UNSET, Struct

from gridlight.adapters.clock import monotonic_ms
from gridlight.adapters.signatures import blake3_digest, is_public_key
from gridlight.messages.amounts import coins
from gridlight.messages.api import Privacy
from gridlight.messages.ids import AccountId, GatewayId, JobId, NodeId, WorkloadId
from gridlight.messages.jobs import JobCode, JobState, JobSubmitted, JobWithdrawn, Outcome
from gridlight.messages.limits import DEADLINE_MS_DEFAULT, DEADLINE_MS_MAX, THRESHOLD_FLOOR
from gridlight.messages.money_api import DryRunResponse
from gridlight.messages.trust import Assurance
from gridlight.services.gateway.administrators import AdminToken
from gridlight.services.gateway.errors import Refusal, RequesterGone, refusal_of
from gridlight.services.gateway.forms import media_type
from gridlight.services.gateway.jobs import GAVE_UP, LEFT, OpenJob, OpenJobs
from gridlight.services.gateway.metrics import Metrics
from gridlight.services.gateway.outbox import Outbox
from gridlight.services.gateway.pictures import PicturePool, Prepared
from gridlight.services.gateway.questions import Questions
from gridlight.services.gateway.terms import TrustTerms
from gridlight.services.gateway.uploads import (
    BodyBudget,
    BodyReader,
    Parameters,
    Upload,
    body_bytes_max,
    check_announced,
    parse_upload,
    read_query,
)
from gridlight.services.gateway.views import detect_response
from gridlight.workloads.contract import Manifest

RESERVE_MS_MAX: Final = 200
RESERVE_SHARE: Final = 20
"""One part in so many of the deadline, at most RESERVE_MS_MAX, is kept for the answer's own way."""
GRACE_MS_MAX: Final = 50
"""No word from the coordinator this long after the deadline it was told: the gateway answers by itself."""

DETECTION: Final = "object-detection"
"""The task of what `/v1/detect` runs; `/v1/run` runs any."""

WATCH_AFTER_S: Final = 0.25
"""A request that takes longer is withdrawn where its requester hangs up."""


class Asked(Struct, frozen=True, kw_only=True):
    """What comes before a request's body."""

    query: bytes
    headers: Mapping[bytes, bytes]
    run: str | None
    """The workload that the address names, by name or id; None asks for a detection."""
    pinned_node: NodeId | None


class Wanted(Struct, frozen=True, kw_only=True):
    """What one request asks for, every default filled in."""

    workload: WorkloadId
    manifest: Manifest
    deadline_ms: int
    threshold: int
    pinned_node: NodeId | None
    assurance: Assurance
    is_public: bool
    account: AccountId | None


def reserve_ms(deadline_ms: int) -> int:
    """Taken off what the coordinator is told, so that even DEADLINE_EXCEEDED arrives before the deadline."""
    return min(RESERVE_MS_MAX, deadline_ms // RESERVE_SHARE)


def grace_ms(deadline_ms: int) -> int:
    """How long after the coordinator's deadline the gateway still waits for its word: half the reserve at most."""
    return min(GRACE_MS_MAX, reserve_ms(deadline_ms) // 2)


class DetectRequests:
    """Answers pictures. Holds nothing but its parts: what is open is in OpenJobs."""

    def __init__(
        self,
        gateway_id: GatewayId,
        catalogue: Mapping[WorkloadId, Manifest],
        *,
        admin: AdminToken,
        terms: TrustTerms,
        jobs: OpenJobs,
        outbox: Outbox,
        pictures: PicturePool,
        metrics: Metrics,
        questions: Questions,
    ) -> None:
        assert catalogue
        self._gateway_id = gateway_id
        self._catalogue = catalogue
        self._admin = admin
        self._terms = terms
        self._jobs = jobs
        self._outbox = outbox
        self._pictures = pictures
        self._metrics = metrics
        self._questions = questions
        self._budget = BodyBudget()

    async def answer(self, job_id: JobId, asked: Asked, body: BodyReader, *, account: AccountId | None) -> bytes:
        """The encoded DetectResponse, or DryRunResponse where that was asked for. Refusal where there is none,
        RequesterGone where nobody waits any more.
        """
        arrived_ms = monotonic_ms()
        parameters = read_query(asked.query, asked.headers)
        kind, options = media_type(asked.headers)
        bytes_max = body_bytes_max(kind)
        held = check_announced(asked.headers, bytes_max)
        self._budget.take(held)
        try:
            upload = await self._upload(kind, options, parameters, body, bytes_max)
            wanted = self._wanted(upload.parameters, asked, account)
            if upload.parameters.dry_run:
                return msgspec.json.encode(await self._dry_run(wanted))
            prepared = await self._prepared(upload, wanted, arrived_ms)
        finally:
            self._budget.give_back(held)
        del upload
        prepared_ms = monotonic_ms() - arrived_ms
        self._metrics.picture_seconds.observe(prepared_ms / 1_000)
        submitted = self._submitted(job_id, wanted, prepared, prepared_ms)
        wait_ms = submitted.deadline_ms + grace_ms(wanted.deadline_ms)
        outcome = await self._outcome(submitted, wanted.manifest, prepared.tensor, body, wait_ms=wait_ms)
        if outcome.state is not JobState.DONE:
            raise refusal_of(outcome)
        trust = await self._terms.current()
        total_ms = monotonic_ms() - arrived_ms
        response = detect_response(submitted, wanted.manifest, outcome, total_ms=total_ms, trust=trust)
        return msgspec.json.encode(response)

    async def _dry_run(self, wanted: Wanted) -> DryRunResponse:
        """What the request would cost; the coordinator is asked, and nothing is held or sent."""
        funds = await self._questions.funds(wanted.account, wanted.workload, wanted.assurance)
        price = 0 if wanted.account is None else funds.price
        missing = max(0, price - funds.available)
        return DryRunResponse(
            model=wanted.workload,
            verify=wanted.assurance,
            price=coins(price),
            escrow=coins(price),
            account_id=wanted.account,
            available=coins(funds.available),
            missing=coins(missing),
            is_sufficient=missing == 0,
        )

    def pinned_node(self, headers: Mapping[bytes, bytes]) -> NodeId | None:
        """Only an administrator may choose the node; everybody may leave it to the scheduler."""
        node = headers.get(b"x-gridlight-node")
        if node is None:
            return None
        self._admin.demand(headers)
        node_id = node.decode("latin-1")
        if not is_public_key(node_id):
            raise Refusal("BAD_NODE_ID")
        return NodeId(node_id)

    async def _upload(
        self, kind: str, options: Mapping[str, str], asked: Parameters, body: BodyReader, bytes_max: int
    ) -> Upload:
        """The body within the deadline as far as it is known: a form or JSON may still name a longer one inside."""
        is_said_inside = asked.deadline_ms is None and not kind.startswith("image/")
        limit_ms = asked.deadline_ms or (DEADLINE_MS_MAX if is_said_inside else DEADLINE_MS_DEFAULT)
        try:
            async with asyncio.timeout(limit_ms / 1_000):
                data = await body.read(bytes_max)
        except TimeoutError:
            self._metrics.deadline_missed.labels("upload").inc()
            raise Refusal("UPLOAD_TOO_SLOW") from None
        upload = parse_upload(kind, options, data)
        return Upload(upload.picture, upload.parameters.over(asked))

    def _wanted(self, parameters: Parameters, asked: Asked, account: AccountId | None) -> Wanted:
        run = asked.run
        if run is not None and parameters.model is not None:
            raise Refusal(
                "BAD_PARAMETER", "The address names the workload, and `model` does, too.", "Leave `model` out."
            )
        workload = self._workload(parameters.model if run is None else run)
        task = self._catalogue[workload].task
        if run is None and task != DETECTION:
            raise Refusal(
                JobCode.UNKNOWN_MODEL.value,
                f"{workload.partition('@')[0]} is no detection: its task is {task}.",
                "Send the picture to POST /v1/run/ and the workload's name.",
            )
        return Wanted(
            workload=workload,
            manifest=self._catalogue[workload],
            deadline_ms=DEADLINE_MS_DEFAULT if parameters.deadline_ms is None else parameters.deadline_ms,
            threshold=THRESHOLD_FLOOR if parameters.threshold is None else parameters.threshold,
            pinned_node=asked.pinned_node,
            assurance=parameters.verify or Assurance.SAMPLED,
            is_public=parameters.privacy is Privacy.PUBLIC,
            account=account,
        )

    def _workload(self, model: str | None) -> WorkloadId:
        """By id, by name, or the first of the catalogue."""
        for workload, manifest in self._catalogue.items():
            if model in (None, workload, manifest.name):
                return workload
        names = ", ".join(manifest.name for manifest in self._catalogue.values())
        raise Refusal(JobCode.UNKNOWN_MODEL.value, hint=f"This network runs {names}; GET /v1/models says more.")

    async def _prepared(self, upload: Upload, wanted: Wanted, arrived_ms: int) -> Prepared:
        left_ms = wanted.deadline_ms - reserve_ms(wanted.deadline_ms) - (monotonic_ms() - arrived_ms)
        step = wanted.manifest.prepare
        try:
            async with asyncio.timeout(left_ms / 1_000):
                return await self._pictures.prepare(step.name, step.parameters, upload.picture)
        except TimeoutError:
            self._metrics.deadline_missed.labels("picture").inc()
            raise Refusal(
                JobCode.DEADLINE_EXCEEDED.value, "The deadline passed before the picture was prepared."
            ) from None

    def _submitted(self, job_id: JobId, wanted: Wanted, prepared: Prepared, prepared_ms: int) -> JobSubmitted:
        left_ms = wanted.deadline_ms - reserve_ms(wanted.deadline_ms) - prepared_ms
        if left_ms < 1:
            self._metrics.deadline_missed.labels("picture").inc()
            raise Refusal(JobCode.DEADLINE_EXCEEDED.value, "The deadline passed before the picture was prepared.")
        return JobSubmitted(
            job_id=job_id,
            gateway_id=self._gateway_id,
            workload=wanted.workload,
            deadline_ms=left_ms,
            input_digest=blake3_digest(prepared.tensor),
            input_bytes=len(prepared.tensor),
            picture=prepared.picture,
            threshold=wanted.threshold,
            pinned_node=wanted.pinned_node,
            prepared_ms=prepared_ms,
            asked_deadline_ms=wanted.deadline_ms,
            assurance=wanted.assurance,
            is_public=wanted.is_public,
            account_id=UNSET if wanted.account is None else wanted.account,
        )

    async def _outcome(
        self, submitted: JobSubmitted, manifest: Manifest, tensor: bytes, body: BodyReader, *, wait_ms: int
    ) -> Outcome:
        """Hand the job to the coordinator and wait; whoever speaks first, it, the deadline or a closed connection."""
        job = self._jobs.open(monotonic_ms(), submitted, manifest, tensor)
        self._outbox.add(submitted, deadline_ms=submitted.deadline_ms)
        self._metrics.jobs_open.inc()
        timer = asyncio.get_running_loop().call_later(wait_ms / 1_000, self._jobs.give_up, submitted.job_id)
        try:
            outcome = await self._first_word(job, body)
        finally:
            timer.cancel()
            self._jobs.close(submitted.job_id)
            self._metrics.jobs_open.dec()
        self._note(submitted.job_id, outcome)
        if outcome is LEFT:
            raise RequesterGone
        return outcome

    async def _first_word(self, job: OpenJob, body: BodyReader) -> Outcome:
        """How the job ended. Most end before anybody hangs up, so only one that takes longer is watched, by a task."""
        watchers: list[asyncio.Task[None]] = []
        async with asyncio.TaskGroup() as group:

            def watch() -> None:
                watchers.append(group.create_task(self._watch(job, body)))

            later = asyncio.get_running_loop().call_later(WATCH_AFTER_S, watch)
            try:
                outcome = await job.outcome
            finally:
                later.cancel()
                for watcher in watchers:
                    watcher.cancel()
        return outcome

    async def _watch(self, job: OpenJob, body: BodyReader) -> None:
        await body.wait_for_disconnect()
        self._jobs.leave(job.submitted.job_id)

    def _note(self, job_id: JobId, outcome: Outcome) -> None:
        if outcome is LEFT or outcome is GAVE_UP:
            self._outbox.add(JobWithdrawn(job_id=job_id))
        if outcome.code is JobCode.DEADLINE_EXCEEDED:
            self._metrics.deadline_missed.labels("gateway" if outcome is GAVE_UP else "task").inc()
        if outcome.timing is not None:
            self._metrics.queue_seconds.observe(outcome.timing.queue / 1_000)
