"""What the SDK sends and how it reads answers; the same for the sync and the async requester, and without I/O."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import quote, urlsplit

from msgspec import Struct
from msgspec.structs import replace

from gridlight.client.errors import AnswerUnreadable, BadInput, DeadlineExceeded, RequestRefused
from gridlight.messages.api import (
    AuditsResponse,
    CommitsResponse,
    DetectResponse,
    EpochsResponse,
    ErrorResponse,
    ModelsResponse,
    NodeResponse,
    NodesResponse,
    Privacy,
    RequestView,
    TrustResponse,
    WhyResponse,
)
from gridlight.messages.codec import Decoder, ProtocolViolation
from gridlight.messages.ids import JobId, NodeId
from gridlight.messages.limits import DEADLINE_MS_DEFAULT
from gridlight.messages.trust import Assurance

ANSWER_BYTES_MAX = 32 * 1024 * 1024
"""Of one answer; the longest is the list of a shard's 50,000 nodes."""

DEADLINE_GRACE_S = 1.5
"""On top of a request's own deadline, for sending the picture and the way back."""

READ_TIMEOUT_S = 10.0
CONNECT_TIMEOUT_S = 5.0

PIN_HEADER = "X-Gridlight-Node"
DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"

A = TypeVar("A")

detect_responses: Final[Decoder[DetectResponse]] = Decoder(DetectResponse, ANSWER_BYTES_MAX)
request_views: Final[Decoder[RequestView]] = Decoder(RequestView, ANSWER_BYTES_MAX)
nodes_responses: Final[Decoder[NodesResponse]] = Decoder(NodesResponse, ANSWER_BYTES_MAX)
models_responses: Final[Decoder[ModelsResponse]] = Decoder(ModelsResponse, ANSWER_BYTES_MAX)
trust_responses: Final[Decoder[TrustResponse]] = Decoder(TrustResponse, ANSWER_BYTES_MAX)
node_responses: Final[Decoder[NodeResponse]] = Decoder(NodeResponse, ANSWER_BYTES_MAX)
why_responses: Final[Decoder[WhyResponse]] = Decoder(WhyResponse, ANSWER_BYTES_MAX)
audits_responses: Final[Decoder[AuditsResponse]] = Decoder(AuditsResponse, ANSWER_BYTES_MAX)
epochs_responses: Final[Decoder[EpochsResponse]] = Decoder(EpochsResponse, ANSWER_BYTES_MAX)
commits_responses: Final[Decoder[CommitsResponse]] = Decoder(CommitsResponse, ANSWER_BYTES_MAX)
error_responses: Final[Decoder[ErrorResponse]] = Decoder(ErrorResponse, ANSWER_BYTES_MAX)


class Call(Struct, frozen=True, kw_only=True):
    """One HTTP request; `timeout_s` is for all of it, from connecting to the answer's last byte."""

    method: str
    path: str
    timeout_s: float
    parameters: dict[str, str] = {}
    headers: dict[str, str] = {}
    body: bytes | None = None


def detect_call(
    photo: bytes | Path,
    *,
    threshold: float | None,
    deadline_ms: int | None,
    model: str | None,
    node: NodeId | None,
    verify: Assurance | None = None,
    privacy: Privacy | None = None,
) -> Call:
    """`POST /v1/detect` with the picture as body; reads the file where a path is given."""
    body = photo if isinstance(photo, bytes) else read_photo(photo)
    wanted: dict[str, float | str | None] = {
        "threshold": threshold,
        "deadline_ms": deadline_ms,
        "model": model,
        "verify": verify,
        "privacy": privacy,
    }
    headers = {"Content-Type": media_type(body)}
    if node is not None:
        headers[PIN_HEADER] = node
    return Call(
        method="POST",
        path="/v1/detect",
        timeout_s=(deadline_ms or DEADLINE_MS_DEFAULT) / 1000 + DEADLINE_GRACE_S,
        parameters={name: str(value) for name, value in wanted.items() if value is not None},
        headers=headers,
        body=body,
    )


def run_call(
    workload: str,
    photo: bytes | Path,
    *,
    threshold: float | None,
    deadline_ms: int | None,
    node: NodeId | None,
    verify: Assurance | None,
    privacy: Privacy | None,
) -> Call:
    """`POST /v1/run/{workload}` with the picture as body, as `detect_call`."""
    call = detect_call(
        photo, threshold=threshold, deadline_ms=deadline_ms, model=None, node=node, verify=verify, privacy=privacy
    )
    return replace(call, path=f"/v1/run/{quote(workload, safe='@:')}")


def request_call(job_id: JobId, timeout_s: float = READ_TIMEOUT_S) -> Call:
    """`GET /v1/requests/{id}`."""
    return Call(method="GET", path=f"/v1/requests/{job_id}", timeout_s=timeout_s)


def node_call(node_id: NodeId) -> Call:
    """`GET /v1/nodes/{node_id}`."""
    return Call(method="GET", path=f"/v1/nodes/{node_id}", timeout_s=READ_TIMEOUT_S)


def why_call(node_id: NodeId) -> Call:
    """`GET /v1/nodes/{node_id}/why`."""
    return Call(method="GET", path=f"/v1/nodes/{node_id}/why", timeout_s=READ_TIMEOUT_S)


def audits_call(limit: int, node: NodeId | None) -> Call:
    """`GET /v1/network/audits`."""
    parameters = {"limit": str(limit)} | ({} if node is None else {"node": str(node)})
    return Call(method="GET", path="/v1/network/audits", timeout_s=READ_TIMEOUT_S, parameters=parameters)


def epochs_call(limit: int) -> Call:
    """`GET /v1/epochs`."""
    return Call(method="GET", path="/v1/epochs", timeout_s=READ_TIMEOUT_S, parameters={"limit": str(limit)})


def commits_call(epoch: int, after: int, limit: int) -> Call:
    """`GET /v1/epochs/{epoch}/commits`."""
    parameters = {"after": str(after), "limit": str(limit)}
    return Call(method="GET", path=f"/v1/epochs/{epoch}/commits", timeout_s=READ_TIMEOUT_S, parameters=parameters)


NODES_CALL: Final = Call(method="GET", path="/v1/nodes", timeout_s=READ_TIMEOUT_S)
MODELS_CALL: Final = Call(method="GET", path="/v1/models", timeout_s=READ_TIMEOUT_S)
TRUST_CALL: Final = Call(method="GET", path="/v1/trust", timeout_s=READ_TIMEOUT_S)
LISTED: Final = 100
COMMITS_LISTED: Final = 10_000


def read_photo(path: Path) -> bytes:
    """The file's bytes, or BadInput that names it."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInput(f"cannot read photo {path}: {error.strerror}", "give the path of a JPEG, PNG or WebP") from error


def media_type(picture: bytes) -> str:
    """By its first bytes, so that a wrong file name does not matter; what is no picture the gateway refuses as such."""
    if picture.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if picture.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if picture[:4] == b"RIFF" and picture[8:12] == b"WEBP":
        return "image/webp"
    return "image/x-unknown"


def read_answer(decoder: Decoder[A], url: str, status: int, headers: Mapping[str, str], body: bytes) -> A:
    """The typed answer; RequestRefused for the network's own refusal, AnswerUnreadable for anything else."""
    try:
        if 200 <= status < 300:
            return decoder.decode(body)
        refusal = error_responses.decode(body).error
    except ProtocolViolation as violation:
        raise AnswerUnreadable(
            f"{url} answered {status} with what is no Gridlight answer ({violation})",
            "check the URL: is a Gridlight gateway listening there, and of this version?",
        ) from violation
    kind = DeadlineExceeded if refusal.code == DEADLINE_EXCEEDED else RequestRefused
    raise kind(
        code=refusal.code,
        message=refusal.message,
        hint=refusal.hint,
        request_id=refusal.request_id,
        status=status,
        retry_after_s=read_retry_after(headers),
        details=refusal.details,
    )


def read_retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds; None where the header is missing or is a date, which Gridlight never sends."""
    try:
        return float(headers["retry-after"])
    except (KeyError, ValueError):
        return None


def is_loopback(url: str) -> bool:
    """Such a URL is this machine's own, so a proxy named in the environment must not carry it."""
    host = urlsplit(url).hostname or ""
    return host == "localhost" or host == "::1" or host.startswith("127.")


def check_url(url: str) -> str:
    """Without a slash at the end; BadInput where it is no HTTP URL."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadInput(f"{url!r} is not the URL of a gateway", "write it as http://127.0.0.1:8080")
    return url.rstrip("/")
