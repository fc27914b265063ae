"""What a requester sent: limits kept while the body streams in, then the picture and the parameters beside it."""

import binascii
from collections.abc import Awaitable, Callable, Iterable, Mapping
from enum import StrEnum
from typing import Any, Final, Self, TypeVar
from urllib.parse import parse_qsl

from msgspec import Struct

from gridlight.messages.api import DetectBody, Privacy
from gridlight.messages.codec import Decoder, ProtocolViolation
from gridlight.messages.limits import (
    DEADLINE_MS_MAX,
    DEADLINE_MS_MIN,
    JSON_BODY_BYTES_MAX,
    THRESHOLD_FLOOR,
    UPLOAD_BYTES_MAX,
)
from gridlight.messages.trust import Assurance
from gridlight.services.gateway.errors import Refusal, RequesterGone
from gridlight.services.gateway.forms import FORM_BYTES_EXTRA_MAX, FORM_PARTS_MAX, read_form

Receive = Callable[[], Awaitable[Any]]
"""ASGI's `receive`, whoever's type it is."""

QUERY_BYTES_MAX: Final = 4_096
BODIES_BYTES_MAX: Final = 256 * 1024 * 1024
"""Of all bodies that are being read or prepared, together."""

E = TypeVar("E", bound=StrEnum)

DETECT_BODIES: Final[Decoder[DetectBody]] = Decoder(DetectBody, JSON_BODY_BYTES_MAX)


class Parameters(Struct, frozen=True, kw_only=True):
    """What may stand beside a picture, in the query, a form's fields or a JSON body. None where it was not said."""

    model: str | None = None
    deadline_ms: int | None = None
    threshold: int | None = None
    """In 1e-4."""
    verify: Assurance | None = None
    privacy: Privacy | None = None
    dry_run: bool | None = None

    def over(self, other: Self) -> "Parameters":
        """These, and the other's where these are silent."""
        return Parameters(
            model=other.model if self.model is None else self.model,
            deadline_ms=other.deadline_ms if self.deadline_ms is None else self.deadline_ms,
            threshold=other.threshold if self.threshold is None else self.threshold,
            verify=other.verify if self.verify is None else self.verify,
            privacy=other.privacy if self.privacy is None else self.privacy,
            dry_run=other.dry_run if self.dry_run is None else self.dry_run,
        )


class Upload(Struct, frozen=True):
    """A picture as sent, unparsed, and what to do with it."""

    picture: bytes
    parameters: Parameters


class BodyBudget:
    """How many bytes of bodies the process holds at once, over all requests."""

    def __init__(self, bytes_max: int = BODIES_BYTES_MAX) -> None:
        self._left = bytes_max

    def take(self, count: int) -> None:
        """Refusal BUSY where the budget is spent."""
        if count > self._left:
            raise Refusal("BUSY")
        self._left -= count

    def give_back(self, count: int) -> None:
        """When the body is no longer held."""
        self._left += count


def read_parameters(pairs: Iterable[tuple[str, str]]) -> Parameters:
    """From a query or a form's fields. A name we do not know is refused: a misspelt one would be passed over."""
    model, deadline_ms, threshold, verify, privacy, dry_run = None, None, None, None, None, None
    for name, value in pairs:
        if name == "model":
            model = value
        elif name == "deadline_ms":
            deadline_ms = read_deadline(value)
        elif name == "threshold":
            threshold = read_threshold(value)
        elif name == "verify":
            verify = read_choice(Assurance, value, "BAD_VERIFY")
        elif name == "privacy":
            privacy = read_choice(Privacy, value, "BAD_PRIVACY")
        elif name == "dry_run":
            dry_run = read_flag(name, value)
        else:
            raise Refusal(
                "BAD_PARAMETER",
                f"There is no parameter {name[:64]!r}.",
                "Parameters are model, deadline_ms, threshold, verify, privacy and dry_run.",
            )
    return Parameters(
        model=model, deadline_ms=deadline_ms, threshold=threshold, verify=verify, privacy=privacy, dry_run=dry_run
    )


def read_query(query: bytes, headers: Mapping[bytes, bytes]) -> Parameters:
    """From the address, and the deadline from `X-Deadline-Ms` where the address has none."""
    if len(query) > QUERY_BYTES_MAX:
        raise Refusal("BAD_PARAMETER", "The query is too long.")
    try:
        pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=FORM_PARTS_MAX)
    except ValueError:
        raise Refusal("BAD_PARAMETER", "The query has too many parameters.") from None
    parameters = read_parameters(pairs)
    header = headers.get(b"x-deadline-ms")
    if header is None:
        return parameters
    return parameters.over(Parameters(deadline_ms=read_deadline(header.decode("latin-1"))))


def read_deadline(text: str) -> int:
    """Whole milliseconds within the range."""
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()) or len(text) > 12:
        raise Refusal("BAD_DEADLINE", f"deadline_ms is {text[:24]!r}, which is no whole number of milliseconds.")
    if not DEADLINE_MS_MIN <= int(text) <= DEADLINE_MS_MAX:
        raise Refusal("BAD_DEADLINE", f"deadline_ms is {int(text)}.")
    return int(text)


def read_flag(name: str, text: str) -> bool:
    """`true` or `false`: whoever writes anything else may have meant either."""
    if text not in ("true", "false"):
        raise Refusal("BAD_PARAMETER", f"{name} is {text[:24]!r}.", f"Write {name}=true or {name}=false.")
    return text == "true"


def read_threshold(text: str) -> int:
    """A score from the service's floor to 1, in 1e-4."""
    try:
        return threshold_units(float(text[:32]))
    except ValueError:
        raise Refusal("BAD_THRESHOLD", f"threshold is {text[:24]!r}, which is no number.") from None


def read_choice(choices: type[E], text: str, code: str) -> E:
    """One of a closed list; the refusal's usual hint names them all."""
    try:
        return choices(text)
    except ValueError:
        raise Refusal(code, f"{code.removeprefix('BAD_').lower()} is {text[:24]!r}.") from None


def threshold_units(threshold: float) -> int:
    """In 1e-4, rounded; within the service's floor and 1."""
    if not THRESHOLD_FLOOR / 10_000 <= threshold <= 1:  # which is false of NaN, too
        raise Refusal("BAD_THRESHOLD", f"threshold is {threshold:g}.")
    return round(threshold * 10_000)


def body_bytes_max(kind: str) -> int:
    """How large a body of this media type may be. Refusal where this route takes no such body."""
    if kind.startswith("image/"):
        return UPLOAD_BYTES_MAX
    if kind == "multipart/form-data":
        return UPLOAD_BYTES_MAX + FORM_BYTES_EXTRA_MAX
    if kind == "application/json":
        return JSON_BODY_BYTES_MAX
    said = f"The Content-Type is {kind[:64]!r}." if kind else "There is no Content-Type."
    raise Refusal("UNSUPPORTED_MEDIA_TYPE", said)


def check_announced(headers: Mapping[bytes, bytes], bytes_max: int) -> int:
    """How many bytes the body may turn out to have. Refused by its own Content-Length, before a byte is read."""
    announced = headers.get(b"content-length")
    if announced is None:
        return bytes_max
    if not announced.isdigit():
        raise Refusal("BAD_REQUEST", "The Content-Length is no number.")
    if len(announced) > 18 or int(announced) > bytes_max:
        raise Refusal("BODY_TOO_LARGE", f"The body has {announced.decode()[:24]} bytes, at most {bytes_max}.")
    return int(announced)


class BodyReader:
    """Reads one request's body, and knows whether all of it has come."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.is_complete = False

    async def read(self, bytes_max: int) -> bytes:
        """The whole body, or a refusal with the first byte past the limit: the rest is never read."""
        chunks: list[bytes] = []
        size = 0
        while not self.is_complete:
            chunk = await self.chunk()
            size += len(chunk)
            if size > bytes_max:
                raise Refusal("BODY_TOO_LARGE", f"The body has more than {bytes_max} bytes.")
            chunks.append(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def wait_for_disconnect(self) -> None:
        """Return when the requester's connection is gone, or the request was answered."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def chunk(self) -> bytes:
        """What comes next; `is_complete` says whether that was the last. RequesterGone where nobody sends any more."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise RequesterGone
        self.is_complete = not message.get("more_body", False)
        chunk: bytes = message.get("body", b"")
        return chunk


def parse_upload(kind: str, options: Mapping[str, str], body: bytes) -> Upload:
    """The picture in a body of this media type. Refusal where there is none."""
    if kind == "application/json":
        upload = _from_json(body)
    elif kind == "multipart/form-data":
        picture, fields = read_form(options.get("boundary", ""), body)
        upload = Upload(picture, read_parameters(fields))
    else:
        upload = Upload(body, Parameters())
    if not upload.picture:
        raise Refusal("EMPTY_BODY")
    if len(upload.picture) > UPLOAD_BYTES_MAX:
        raise Refusal("BODY_TOO_LARGE", f"The picture has {len(upload.picture)} bytes, at most {UPLOAD_BYTES_MAX}.")
    return upload


def _from_json(body: bytes) -> Upload:
    if not body:
        raise Refusal("EMPTY_BODY")
    try:
        detect = DETECT_BODIES.decode(body)
    except ProtocolViolation as violation:
        raise _json_refusal(str(violation.__cause__ or violation)) from None
    threshold = None if detect.threshold is None else threshold_units(detect.threshold)
    parameters = Parameters(
        model=detect.model,
        deadline_ms=detect.deadline_ms,
        threshold=threshold,
        verify=detect.verify,
        privacy=detect.privacy,
        dry_run=detect.dry_run,
    )
    return Upload(_from_base64(detect.image.b64), parameters)


_FIELD_CODES: Final = (
    ("$.deadline_ms", "BAD_DEADLINE"),
    ("$.threshold", "BAD_THRESHOLD"),
    ("$.verify", "BAD_VERIFY"),
    ("$.privacy", "BAD_PRIVACY"),
)


def _json_refusal(detail: str) -> Refusal:
    """msgspec names the field at fault by its path; a code for each lets programs react without reading it."""
    for path, code in _FIELD_CODES:
        if path in detail:
            return Refusal(code, f"{detail[:200]}.")
    return Refusal("BAD_JSON", f"The JSON body cannot be read: {detail[:200]}.")


def _from_base64(text: str) -> bytes:
    if text.startswith("data:"):
        head, comma, text = text.partition(",")
        if not comma or not head.endswith(";base64"):
            raise Refusal("BAD_BASE64", "`image.b64` is a data URL without `;base64,`.")
    try:
        return binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except (binascii.Error, UnicodeEncodeError):
        raise Refusal("BAD_BASE64") from None
