"""What a requester reads: results, requests, nodes and models as HTTP bodies."""

from collections.abc import Mapping

from gridlight.adapters.store import JobRecord
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
from gridlight.messages.trust import Verification
from gridlight.services.gateway.errors import refusal_of
from gridlight.workloads.contract import Manifest
from gridlight.workloads.present import present_detections

OPEN = "open"
"""The state of a request that has no outcome yet."""


def detect_response(
    submitted: JobSubmitted,
    manifest: Manifest,
    outcome: Outcome,
    *,
    total_ms: int,
) -> DetectResponse:
    """A result in the picture's own pixels, at the threshold that the requester chose."""
    assert outcome.state is JobState.DONE
    assert outcome.output is not None
    assert outcome.timing is not None
    assert submitted.picture is not None
    picture = submitted.picture
    return DetectResponse(
        id=submitted.job_id,
        state=outcome.state.value,
        verification=Verification.UNVERIFIED,
        model=submitted.workload,
        image=ImageView(width=picture.width, height=picture.height),
        detections=present_detections(manifest, outcome.output, picture, submitted.threshold),
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
    )


def open_request(job_id: JobId) -> RequestView:
    """A request whose requester still waits."""
    return RequestView(id=job_id, state=OPEN)


def request_view(record: JobRecord, catalogue: Mapping[WorkloadId, Manifest]) -> RequestView:
    """A request as the coordinator's read model has it, presented as the answer was."""
    submitted, outcome = record.submitted, record.outcome
    if outcome is None:
        return open_request(submitted.job_id)
    if outcome.state is not JobState.DONE:
        error = refusal_of(outcome).view(submitted.job_id)
        return RequestView(id=submitted.job_id, state=outcome.state.value, error=error)
    manifest = catalogue.get(submitted.workload)
    if manifest is None:  # a workload that was offered then; without its labels there is nothing to present
        return RequestView(id=submitted.job_id, state=outcome.state.value)
    assert outcome.timing is not None
    result = detect_response(submitted, manifest, outcome, total_ms=submitted.prepared_ms + outcome.timing.total)
    return RequestView(id=submitted.job_id, state=outcome.state.value, result=result)


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
    )


def nodes_response(nodes: list[NodeView], listed_max: int) -> NodesResponse:
    """`online` and `enrolled` count all, however many are listed."""
    online = sum(node.online for node in nodes)
    return NodesResponse(online=online, enrolled=len(nodes), nodes=nodes[:listed_max])
