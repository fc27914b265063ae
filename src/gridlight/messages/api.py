"""HTTP bodies of the gateway's API, shared by server and SDK. Fields of later issues are absent, never zero."""

from enum import StrEnum
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from gridlight.messages.ids import Blake3Digest, JobId, NodeId
from gridlight.messages.limits import DEADLINE_MS_MAX, DEADLINE_MS_MIN
from gridlight.messages.operators import Hold
from gridlight.messages.trust import Assurance, CheckOutcome, FaultGrade, Role, Tier, Verification


class Privacy(StrEnum):
    """What may be done with a request's input besides answering it."""

    PRIVATE = "private"
    PUBLIC = "public"
    """It may be used again, to see whether another node answers it rightly."""


class ImageSource(Struct, forbid_unknown_fields=True):
    """Where a JSON body carries its picture: base64, with or without a `data:` prefix."""

    b64: str


class DetectBody(Struct, forbid_unknown_fields=True):
    """`POST /v1/detect` as JSON; the same names as query parameters where the body is a picture."""

    image: ImageSource
    model: str | None = None
    deadline_ms: Annotated[int, Meta(ge=DEADLINE_MS_MIN, le=DEADLINE_MS_MAX)] | None = None
    threshold: Annotated[float, Meta(ge=0.0, le=1.0)] | None = None
    verify: Assurance | None = None
    privacy: Privacy | None = None
    dry_run: bool | None = None
    """Say what it would cost, and run nothing."""


class Box(Struct):
    """Pixels of the picture as shown, origin top left; for users of Hugging Face."""

    xmin: int
    ymin: int
    xmax: int
    ymax: int


class DetectionView(Struct, rename={"class_name": "class"}):
    """`label, score, bbox` are canonical; `class, confidence` (OM1) and `box` (Hugging Face) say the same."""

    label: str
    class_name: str
    class_id: int
    score: float
    confidence: float
    bbox: tuple[int, int, int, int]
    box: Box


class LineView(Struct):
    """A line of text. `bbox` is the rectangle around its corners `quad`, both in pixels of the picture as shown."""

    text: str
    score: float
    bbox: tuple[int, int, int, int]
    quad: list[tuple[int, int]]


class ImageView(Struct):
    """The picture's size in pixels as shown, after EXIF orientation."""

    width: int
    height: int


class TimingView(Struct):
    """Milliseconds. `queue` from submission to assignment; `ack` from there on, to the result where that came so soon
    that it is both; `infer` is the node's own word.
    """

    picture: int
    queue: int
    ack: int
    infer: int
    total: int
    deadline: int


class DetectResponse(Struct):
    """A finished request. `verify` was asked for, `verification` is what stands behind the answer so far."""

    id: JobId
    state: str
    verification: Verification
    verify: Assurance
    model: str
    image: ImageView
    detections: list[DetectionView]
    timing_ms: TimingView
    attempts: int
    hedged: bool
    node_id: NodeId | None = None
    trust: str | None = None
    """The trust profile that applies; `GET /v1/trust` says what it means."""
    lines: list[LineView] | UnsetType = UNSET
    """What was read, from top to bottom; only where the workload's task is to read, and then nothing is detected."""


class ErrorView(Struct, omit_defaults=True):
    """What went wrong: a code for programs, a sentence, what to do, and the id to quote."""

    code: str
    message: str
    hint: str
    request_id: str
    details: dict[str, str] | None = None
    """Of some codes, for programs: the price, the balance and what is missing of INSUFFICIENT_FUNDS, in coins."""


class ErrorResponse(Struct):
    """Every refusal of the API. `rc` is the code in AI Horde's spelling."""

    error: ErrorView
    rc: str


class RequestView(Struct, omit_defaults=True):
    """`GET /v1/requests/{id}`. `result` is what stands now; `served` is what was served first, where that was wrong."""

    id: JobId
    state: str
    verification: Verification | None = None
    note: str | None = None
    """What is to be known before the result is used."""
    settles_by_ms: int | None = None
    """So much later than this answer, at the latest, the verification is one that stays."""
    result: DetectResponse | None = None
    served: DetectResponse | None = None
    error: ErrorView | None = None


class NodeView(Struct, omit_defaults=True):
    """One line of `GET /v1/nodes`. Its reputation is absent until something is known of it."""

    node_id: NodeId
    online: bool
    operator: str
    agent_version: str
    cpus: int
    memory_mib: int
    slots: int
    workloads: list[str]
    tasks_answered: int
    tier: Tier | None = None
    clean_run: int | None = None
    """Answers in a row that held."""
    checks_passed: int | None = None
    faults: int | None = None
    hold: Hold | None = None
    """Why it is held in shadow, or does not become trusted, where that is not its own doing."""


class NodesResponse(Struct):
    """`GET /v1/nodes`; *connected* nodes only are counted in `online`."""

    online: int
    enrolled: int
    nodes: list[NodeView]


class CheckView(Struct, omit_defaults=True):
    """One check of an answer, for administrators. `node_id` checked what `primary_id` had answered."""

    check: int
    commit: int
    role: Role
    outcome: CheckOutcome
    at_ms: int
    """Since 1970, on the coordinator's clock."""
    node_id: NodeId | None = None
    """Absent where nobody was found."""
    primary_id: NodeId | None = None
    verification: Verification | None = None
    """What the answer is worth now."""
    output_digest: Blake3Digest | None = None


class FaultView(Struct, omit_defaults=True):
    """A contradicted answer, for administrators: digests of what the node said, and of what settled it."""

    commit: int
    role: Role
    grade: FaultGrade
    said: Blake3Digest
    reference: Blake3Digest
    at_ms: int
    settled_by: NodeId | None = None
    """The reference node; absent where a panel of operators settled it."""
    are_probes_wrong: bool = False


class NodeResponse(Struct, omit_defaults=True):
    """`GET /v1/nodes/{node_id}`; its newest faults and checks are for administrators."""

    node: NodeView
    faults: list[FaultView] | None = None
    checks: list[CheckView] | None = None


class AuditsResponse(Struct):
    """`GET /v1/network/audits`, the newest first."""

    audits: list[CheckView]


class EpochView(Struct, omit_defaults=True):
    """One line of `GET /v1/epochs`: the digest of a secret, and the secret once nothing depends on it any more."""

    epoch: int
    commitment: str
    secret: str | None = None


class EpochsResponse(Struct):
    """`GET /v1/epochs`, the newest first."""

    epochs: list[EpochView]


class CommitView(Struct):
    """One line of `GET /v1/epochs/{epoch}/commits`. It does not say which request: its id is the requester's secret."""

    commit: int
    node_id: NodeId
    audit_ppm: int
    is_audited: bool


class CommitsResponse(Struct, omit_defaults=True):
    """`GET /v1/epochs/{epoch}/commits`, in their order; `next_after` asks for those that follow."""

    epoch: int
    commits: list[CommitView]
    next_after: int | None = None


class LevelView(Struct):
    """What one value of `verify` costs, relative to none, and how often a final answer is wrong all the same."""

    verify: Assurance
    price: float
    expected_error: float
    meaning: str


class TrustResponse(Struct):
    """`GET /v1/trust`. Errors are those expected if `malicious_share` of all work is done by colluding liars."""

    profile: str
    malicious_share: float
    levels: list[LevelView]
    parameters: dict[str, bool | int | str]
    """The `[trust]` table as it applies, by name."""


class ModelView(Struct, omit_defaults=True):
    """One line of `GET /v1/models`; `GET /v1/workloads` says more."""

    id: str
    name: str
    task: str
    input: str
    license: str
    labels: list[str]
    artifacts: dict[str, str]
    """File name to SHA-256; each is served as `GET /v1/blobs/sha256:...`."""
    purpose: str | None = None
    sees: str | None = None
    publisher: str | None = None
    """Absent for what comes with the program."""
    permissions: list[str] | None = None
    download_bytes: int | None = None
    work_units: int | None = None


class ModelsResponse(Struct):
    """`GET /v1/models`, in the shape of OpenAI's list."""

    data: list[ModelView]
    object: str = "list"
    trust: str = "/v1/trust"
    """Where it says how far an answer can be trusted."""


class ReasonView(Struct):
    """One line of `GET /v1/nodes/{node_id}/why`: how often, in a sentence, and what the operator can do about it."""

    reason: str
    tasks: int
    is_given: bool
    """Whether the node was given these tasks."""
    sentence: str
    advice: str


class WorkloadWhy(Struct):
    """What was counted for a node in one workload since it first offered it; the reasons add up to `considered`."""

    workload: str
    since_ms: int
    """Since 1970, on the coordinator's clock."""
    considered: int
    reasons: list[ReasonView]


class WhyResponse(Struct):
    """`GET /v1/nodes/{node_id}/why`: why the node did not get, finish or get paid for tasks; for itself alone."""

    node_id: NodeId
    at_ms: int
    """Since 1970, on the gateway's clock."""
    workloads: list[WorkloadWhy]


class ChallengeResponse(Struct):
    """`POST /v1/nodes/challenge`: sign this within `expires_s`."""

    nonce: str
    expires_s: int


class EnrolmentResponse(Struct):
    """`POST /v1/nodes`: what a node needs to connect."""

    node_id: NodeId
    user_jwt: str
    nats_url: str
    """The bus over TCP; empty where the network offers none to this node."""
    expires_s: int
    workloads: list[str]
    reconnect_jitter_s: float
    websocket_url: str | None = None
    """The bus over WebSocket, for nodes that get nowhere by TCP; agents before 0.2 pass it over."""
    network_key: str | None = None
    """What the network signs its words on workloads with; a node keeps the first that it hears."""


class NetworkResponse(Struct):
    """`GET /v1/network`: what a node wants to know before it joins."""

    version: str
    agent_version_min: str
    """The oldest agent that is taken."""
    nats_url: str
    websocket_url: str | None
