"""What a requester reads: results, requests, nodes and models as HTTP bodies."""

from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from gridlight.adapters.store import CommitRecord, JobRecord
from gridlight.messages.api import (
    DetectResponse,
    ImageView,
    ModelsResponse,
    ModelView,
    NodesResponse,
    NodeView,
    RequestView,
    TimingView,
)
from gridlight.messages.ids import JobId, WorkloadId
from gridlight.messages.jobs import JobState, JobSubmitted, Outcome
from gridlight.messages.trust import TrustParameters, Verification
from gridlight.services.gateway.errors import refusal_of
from gridlight.workloads.contract import Manifest
from gridlight.workloads.present import Presented, present

OPEN = "open"
"""The state of a request that has no outcome yet."""

VOID_NOTE: Final = (
    "Nobody could tell in time whether this answer is right, or its node was found to lie: "
    "do not rely on it, and ask again."
)
OPEN_VERIFICATIONS: Final = (Verification.PROVISIONAL, Verification.DISPUTED)


def detect_response(
    submitted: JobSubmitted, manifest: Manifest, outcome: Outcome, *, total_ms: int, trust: TrustParameters | None
) -> DetectResponse:
    """A result in the picture's own pixels, at the threshold that the requester chose, as it is served at first."""
    assert outcome.state is JobState.DONE
    assert outcome.output is not None
    assert outcome.timing is not None
    assert submitted.picture is not None
    picture = submitted.picture
    presented = _presented(submitted, manifest, outcome.output)
    return DetectResponse(
        id=submitted.job_id,
        state=outcome.state.value,
        verification=outcome.verification or Verification.UNVERIFIED,
        verify=submitted.assurance,
        model=submitted.workload,
        image=ImageView(width=picture.width, height=picture.height),
        detections=presented.detections,
        timing_ms=TimingView(
            picture=submitted.prepared_ms,
            queue=outcome.timing.queue,
            ack=outcome.timing.ack,
            infer=outcome.timing.infer,
            total=total_ms,
            deadline=submitted.asked_deadline_ms,
        ),
        attempts=outcome.attempts,
        hedged=outcome.hedged,
        node_id=outcome.node_id,
        trust=None if trust is None else trust.profile,
        lines=presented.lines,
    )


def open_request(job_id: JobId) -> RequestView:
    """A request whose requester still waits."""
    return RequestView(id=job_id, state=OPEN)


def request_view(
    record: JobRecord, catalogue: Mapping[WorkloadId, Manifest], trust: TrustParameters | None, *, now_ms: int
) -> RequestView:
    """A request as the coordinator's read model has it, presented as the answer was, with what is known of it now."""
    submitted, outcome = record.submitted, record.outcome
    if outcome is None:
        return open_request(submitted.job_id)
    if outcome.state is not JobState.DONE:
        error = refusal_of(outcome).view(submitted.job_id)
        return RequestView(id=submitted.job_id, state=outcome.state.value, error=error)
    verification = outcome.verification or Verification.UNVERIFIED
    if record.commit is not None:
        verification = record.commit.verification
    view = RequestView(
        id=submitted.job_id,
        state=outcome.state.value,
        verification=verification,
        note=VOID_NOTE if verification is Verification.VOID else None,
        settles_by_ms=_settles_by_ms(record.commit, trust, now_ms=now_ms),
    )
    manifest = catalogue.get(submitted.workload)
    if manifest is None:  # a workload that was offered then; without its labels there is nothing to present
        return view
    assert outcome.timing is not None
    total_ms = submitted.prepared_ms + outcome.timing.total
    served = detect_response(submitted, manifest, outcome, total_ms=total_ms, trust=trust)
    result = replace(served, verification=verification)
    if record.commit is None or record.commit.output is None:
        return replace(view, result=result)
    # Whoever settled it is a reference node or a panel; the node that served is not to be named for it.
    settled = _presented(submitted, manifest, record.commit.output)
    right = replace(result, detections=settled.detections, lines=settled.lines, node_id=None)
    return replace(view, result=right, served=served)


def _presented(submitted: JobSubmitted, manifest: Manifest, output: bytes) -> Presented:
    assert submitted.picture is not None
    return present(manifest, output, submitted.picture, submitted.threshold)


def _settles_by_ms(commit: CommitRecord | None, trust: TrustParameters | None, *, now_ms: int) -> int | None:
    """How long it may take at most until nothing changes any more; absent where that is so already."""
    if commit is None or trust is None or commit.verification not in OPEN_VERIFICATIONS:
        return None
    return max(0, commit.committed_ms + trust.settle_ms_max + trust.settle_grace_ms - now_ms)


def models_response(catalogue: Mapping[WorkloadId, Manifest]) -> ModelsResponse:
    """Every workload that this network offers."""
    return ModelsResponse(data=[_model_view(workload, manifest) for workload, manifest in catalogue.items()])


def _model_view(workload: WorkloadId, manifest: Manifest) -> ModelView:
    return ModelView(
        id=workload,
        name=manifest.name,
        task=manifest.task,
        input=manifest.input,
        license=manifest.licence,
        labels=[label for label in manifest.labels if label],
        artifacts=manifest.artifacts,
        purpose=manifest.purpose,
        sees=manifest.sees,
        publisher=manifest.publisher,
        permissions=[str(one) for one in manifest.permissions],
        download_bytes=manifest.resources.download_bytes,
        work_units=manifest.work_units,
    )


def nodes_response(nodes: list[NodeView], listed_max: int) -> NodesResponse:
    """`online` and `enrolled` count all, however many are listed."""
    online = sum(node.online for node in nodes)
    return NodesResponse(online=online, enrolled=len(nodes), nodes=nodes[:listed_max])
