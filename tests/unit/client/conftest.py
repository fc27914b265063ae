"""Made-up requests and photos for the SDK, the case study and its report."""

import io
from collections.abc import Callable

import pytest
from PIL import Image

from gridlight.client.casestudy import Outcome
from gridlight.client.claims import weigh_claims
from gridlight.client.findings import (
    CaseStudy,
    DisturbedNode,
    Environment,
    Observation,
    find_node,
    find_photo,
    find_requests,
)
from gridlight.messages.api import Box, DetectionView, DetectResponse, ImageView, TimingView
from gridlight.messages.ids import JobId, NodeId

NODES = tuple(NodeId("U" + letter * 55) for letter in "ABCDEFG")

MakeResponse = Callable[..., DetectResponse]
MakeObservation = Callable[..., Observation]
MakeOutcome = Callable[..., Outcome]


def detection(label: str, class_id: int, score: float, box: tuple[int, int, int, int]) -> DetectionView:
    return DetectionView(
        label=label,
        class_name=label,
        class_id=class_id,
        score=score,
        confidence=score,
        bbox=box,
        box=Box(xmin=box[0], ymin=box[1], xmax=box[2], ymax=box[3]),
    )


BUS = detection("bus", 6, 0.82, (4, 40, 300, 180))
PERSON = detection("person", 1, 0.99, (20, 60, 70, 190))


@pytest.fixture
def photo_jpeg() -> bytes:
    out = io.BytesIO()
    Image.linear_gradient("L").resize((320, 200)).convert("RGB").save(out, format="JPEG")
    return out.getvalue()


@pytest.fixture
def make_response() -> MakeResponse:
    def make(
        node_id: NodeId = NODES[0],
        *,
        ack: int = 20,
        total: int = 120,
        attempts: int = 1,
        hedged: bool = False,
        detections: tuple[DetectionView, ...] = (BUS, PERSON),
    ) -> DetectResponse:
        return DetectResponse(
            id=JobId("req_" + "0" * 26),
            state="done",
            verification="unverified",
            model="detector-coco-s@sha256:" + "0" * 64,
            image=ImageView(width=320, height=200),
            detections=list(detections),
            timing_ms=TimingView(picture=5, queue=1, ack=ack, infer=60, total=total, deadline=4000),
            attempts=attempts,
            hedged=hedged,
            node_id=node_id,
        )

    return make


@pytest.fixture
def make_observation() -> MakeObservation:
    def make(
        response: DetectResponse | None = None,
        *,
        file: str = "bus.jpg",
        pinned_node: NodeId | None = None,
        started_ms: int = 0,
        latency_ms: int = 130,
        code: str | None = None,
    ) -> Observation:
        return Observation(
            file=file,
            pinned_node=pinned_node,
            started_ms=started_ms,
            latency_ms=latency_ms,
            response=response,
            code=code,
        )

    return make


@pytest.fixture
def environment() -> Environment:
    return Environment(
        measured_at="2026-11-22T12:00:00+00:00",
        cores=2,
        cpu="A processor <of some kind>",
        memory_mib=24_000,
        system="Linux 6.1 x86_64",
        load_start=0.5,
        load_end=1.5,
        versions={"python": "3.11.2", "gridlight": "0.1.0"},
        commit="0123456789ab",
        command="gridlight casestudy bus.jpg",
    )


@pytest.fixture
def make_outcome(
    photo_jpeg: bytes, make_response: MakeResponse, make_observation: MakeObservation, environment: Environment
) -> MakeOutcome:
    """Seven nodes, one photo, a few ordinary requests; with `is_disturbed` one was lost and one reassigned."""

    def make(*, is_disturbed: bool = False, file: str = "bus.jpg") -> Outcome:
        pinned = [
            make_observation(make_response(node, ack=10 + row, total=100 + row), file=file, pinned_node=node)
            for row, node in enumerate(NODES)
        ]
        ordinary = [
            make_observation(make_response(NODES[row % 7]), file=file, started_ms=500 + 20 * row) for row in range(20)
        ]
        if is_disturbed:
            ordinary[11] = make_observation(
                make_response(NODES[1], attempts=2, total=710), file=file, started_ms=720, latency_ms=730
            )
            ordinary[12] = make_observation(file=file, started_ms=740, latency_ms=3990, code="DEADLINE_EXCEEDED")
        nodes = [find_node(node, pinned + ordinary) for node in NODES]
        requests, photos = find_requests(ordinary), [find_photo(file, pinned)]
        study = CaseStudy(
            nodes=nodes,
            requests=requests,
            photos=photos,
            claims=weigh_claims(nodes, requests, photos, is_disturbed=is_disturbed),
            disturbed=[
                DisturbedNode(node_id=NODES[2], action="killed", at_ms=700, serving_again_ms=2500),
                DisturbedNode(node_id=NODES[4], action="frozen", at_ms=700, serving_again_ms=None),
            ]
            if is_disturbed
            else [],
            environment=environment,
            model="detector-coco-s@sha256:" + "0" * 64,
            concurrency=8,
        )
        return Outcome(study=study, observations=pinned + ordinary, photos={file: photo_jpeg})

    return make
