"""HTTP bodies of the gateway's API, shared by server and SDK. Fields of later issues are absent, never zero."""

from typing import Annotated

from msgspec import Meta, Struct

from gridlight.messages.ids import JobId, NodeId
from gridlight.messages.limits import DEADLINE_MS_MAX, DEADLINE_MS_MIN
from gridlight.messages.trust import Verification


class ImageSource(Struct, forbid_unknown_fields=True):
    """Where a JSON body carries its picture: base64, with or without a `data:` prefix."""

    b64: str


class DetectBody(Struct, forbid_unknown_fields=True):
    """`POST /v1/detect` as JSON; the same names as query parameters where the body is a picture."""

    image: ImageSource
    model: str | None = None
    deadline_ms: Annotated[int, Meta(ge=DEADLINE_MS_MIN, le=DEADLINE_MS_MAX)] | None = None
    threshold: Annotated[float, Meta(ge=0.0, le=1.0)] | None = None


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


class ImageView(Struct):
    """The picture's size in pixels as shown, after EXIF orientation."""

    width: int
    height: int


class TimingView(Struct):
    """Milliseconds. `queue` from submission to assignment, `ack` from there on; `infer` is the node's own word."""

    picture: int
    queue: int
    ack: int
    infer: int
    total: int
    deadline: int


class DetectResponse(Struct):
    """A finished request."""

    id: JobId
    state: str
    verification: Verification
    model: str
    image: ImageView
    detections: list[DetectionView]
    timing_ms: TimingView
    attempts: int
    hedged: bool
    node_id: NodeId | None = None


class ErrorView(Struct, omit_defaults=True):
    """What went wrong: a code for programs, a sentence, what to do, and the id to quote."""

    code: str
    message: str
    hint: str
    request_id: str


class ErrorResponse(Struct):
    """Every refusal of the API. `rc` is the code in AI Horde's spelling."""

    error: ErrorView
    rc: str


class RequestView(Struct, omit_defaults=True):
    """`GET /v1/requests/{id}`."""

    id: JobId
    state: str
    result: DetectResponse | None = None
    error: ErrorView | None = None


class NodeView(Struct, omit_defaults=True):
    """One line of `GET /v1/nodes`."""

    node_id: NodeId
    online: bool
    operator: str
    agent_version: str
    cpus: int
    memory_mib: int
    slots: int
    workloads: list[str]
    tasks_answered: int


class NodesResponse(Struct):
    """`GET /v1/nodes`; *connected* nodes only are counted in `online`."""

    online: int
    enrolled: int
    nodes: list[NodeView]


class ModelView(Struct):
    """One line of `GET /v1/models`."""

    id: str
    name: str
    task: str
    input: str
    license: str
    labels: list[str]
    artifacts: dict[str, str]
    """File name to SHA-256; each is served as `GET /v1/blobs/sha256:...`."""


class ModelsResponse(Struct):
    """`GET /v1/models`, in the shape of OpenAI's list."""

    data: list[ModelView]
    object: str = "list"


class ChallengeResponse(Struct):
    """`POST /v1/nodes/challenge`: sign this within `expires_s`."""

    nonce: str
    expires_s: int


class EnrolmentResponse(Struct):
    """`POST /v1/nodes`: what a node needs to connect."""

    node_id: NodeId
    user_jwt: str
    nats_url: str
    expires_s: int
    workloads: list[str]
    reconnect_jitter_s: float
