"""What a case study found: the vocabulary of `casestudy.json`, and how it follows from single requests."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

from msgspec import Struct

from gridlight.client.casestudy.statistics import Spread, WideSpread, spread, wide_spread
from gridlight.client.exchange import DEADLINE_EXCEEDED
from gridlight.core.comparing import is_overlapping
from gridlight.messages.api import DetectionView, DetectResponse, ImageView
from gridlight.messages.ids import NodeId
from gridlight.messages.limits import THRESHOLD_FLOOR
from gridlight.messages.results import SCORE_ONE

SCORE_SLACK = 0.01
SAME_BOX_IOU = 9_000
"""In 1e-4. Boxes are whole pixels here: one more or less is a tenth of the smallest things that are found."""

UNANSWERED = "UNANSWERED"
"""Our own code for a request that got no answer at all: the connection broke, or the client's patience ended."""


class Observation(Struct, frozen=True, kw_only=True):
    """One request as its requester saw it. Exactly one of `response` and `code` is there."""

    file: str
    pinned_node: NodeId | None
    started_ms: int
    """From the start of the case study."""
    latency_ms: int
    """From sending to the whole answer, at the requester."""
    response: DetectResponse | None = None
    code: str | None = None


class NodeFindings(Struct, frozen=True, kw_only=True):
    """One node: its pinned tasks, and the ordinary ones that it answered."""

    node_id: NodeId
    tasks: int
    answered: int
    ack_ms: Spread | None
    """From assignment to the node's acknowledgement."""
    result_ms: Spread | None
    """From submission to the result."""


class RequestFindings(Struct, frozen=True, kw_only=True):
    """The ordinary requests; `sent` is the sum of the next four."""

    sent: int
    answered: int
    refused: int
    deadline_exceeded: int
    unanswered: int
    hedged: int
    reassigned: int
    """Answered after more than one assignment without a hedge: a lost ack, a closed connection."""
    codes: dict[str, int]
    """How often each code came where there was no result."""
    latency_ms: WideSpread | None
    """At the requester, of all that were answered, refused or ended at the deadline."""
    duration_ms: int


class PhotoFindings(Struct, frozen=True, kw_only=True):
    """What was found in one photo, as the first node said it."""

    file: str
    image: ImageView | None
    detections: list[DetectionView]
    nodes_answered: int
    nodes_agreeing: int
    """How many of them gave these detections, within what the seeds of their assignments change."""


class Claim(Struct, frozen=True, kw_only=True):
    """A statement, what was measured here, and whether it held; `held` is None where it was not tested."""

    source: Literal["reference", "gridlight"]
    claim: str
    measured: str
    held: bool | None


class DisturbedNode(Struct, frozen=True, kw_only=True):
    """What was done to a node midway, and when it answered a task again after its restart or waking."""

    node_id: NodeId
    action: Literal["killed", "frozen"]
    at_ms: int
    serving_again_ms: int | None
    """From the kill, or from the waking, to its next answer; None where it did not come back in the time allowed."""


class Environment(Struct, frozen=True, kw_only=True):
    """Where it was measured: without this no figure means anything."""

    measured_at: str
    cores: int
    cpu: str
    memory_mib: int
    system: str
    load_start: float
    load_end: float
    """The machine's 1-minute load averages."""
    versions: dict[str, str]
    commit: str | None
    """With `-dirty` where the work tree differed; None for an installed package."""
    command: str


class CaseStudy(Struct, frozen=True, kw_only=True):
    """All of `casestudy.json`."""

    nodes: list[NodeFindings]
    requests: RequestFindings
    photos: list[PhotoFindings]
    claims: list[Claim]
    disturbed: list[DisturbedNode]
    environment: Environment
    model: str | None
    concurrency: int


def find_node(node_id: NodeId, observations: Iterable[Observation]) -> NodeFindings:
    """Of all tasks that are known to have been this node's."""
    own = [one for one in observations if node_id in (one.pinned_node, answering_node(one))]
    answers = [one.response for one in own if one.response is not None]
    return NodeFindings(
        node_id=node_id,
        tasks=len(own),
        answered=len(answers),
        ack_ms=spread(answer.timing_ms.ack for answer in answers),
        result_ms=spread(answer.timing_ms.total for answer in answers),
    )


def answering_node(observation: Observation) -> NodeId | None:
    """The node whose result was served."""
    return None if observation.response is None else observation.response.node_id


def find_requests(observations: Sequence[Observation]) -> RequestFindings:
    """Of the ordinary requests."""
    answers = [one.response for one in observations if one.response is not None]
    codes = Counter(one.code for one in observations if one.code is not None)
    overdue, unanswered = codes[DEADLINE_EXCEEDED], codes[UNANSWERED]
    ends = [one.started_ms + one.latency_ms for one in observations]
    return RequestFindings(
        sent=len(observations),
        answered=len(answers),
        refused=codes.total() - overdue - unanswered,
        deadline_exceeded=overdue,
        unanswered=unanswered,
        hedged=sum(answer.hedged for answer in answers),
        reassigned=sum(answer.attempts > 1 and not answer.hedged for answer in answers),
        codes=dict(sorted(codes.items())),
        latency_ms=wide_spread(one.latency_ms for one in observations if one.code != UNANSWERED),
        duration_ms=max(ends) - min(one.started_ms for one in observations) if observations else 0,
    )


def find_photo(file: str, observations: Iterable[Observation]) -> PhotoFindings:
    """From the pinned tasks, since they went to every node."""
    answers = [one.response for one in observations if one.file == file and one.pinned_node and one.response]
    if not answers:
        return PhotoFindings(file=file, image=None, detections=[], nodes_answered=0, nodes_agreeing=0)
    first = answers[0]
    return PhotoFindings(
        file=file,
        image=first.image,
        detections=first.detections,
        nodes_answered=len(answers),
        nodes_agreeing=sum(are_alike(answer.detections, first.detections) for answer in answers),
    )


def are_alike(ones: list[DetectionView], others: list[DetectionView]) -> bool:
    """Whether both found the same; what is within a score's slack of the service's floor, one may have left out."""
    return all(
        any(_is_same(thing, other) for other in there)
        for here, there in ((ones, others), (others, ones))
        for thing in here
        if thing.score >= THRESHOLD_FLOOR / SCORE_ONE + SCORE_SLACK
    )


def _is_same(one: DetectionView, other: DetectionView) -> bool:
    return (
        one.class_id == other.class_id
        and abs(one.score - other.score) <= SCORE_SLACK
        and is_overlapping(one.bbox, other.bbox, SAME_BOX_IOU)
    )
