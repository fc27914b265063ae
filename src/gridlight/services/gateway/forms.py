"""Forms as browsers and `curl -F` send them: the bytes of a multipart body, and no files, no streams."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import multipart  # type: ignore[import-untyped]  # it has no stubs; its answers are typed here

from gridlight.services.gateway.errors import Refusal

FORM_BYTES_EXTRA_MAX: Final = 64 * 1024
"""Boundaries, part headers and small fields around a picture in a form."""
FORM_PARTS_MAX: Final = 16
FIELD_BYTES_MAX: Final = 1_024


def media_type(headers: Mapping[bytes, bytes]) -> tuple[str, dict[str, str]]:
    """The Content-Type in lower case, and its options."""
    text = headers.get(b"content-type", b"").decode("latin-1")
    kind, options = multipart.parse_options_header(text)
    return str(kind), dict(options)


def read_form(boundary: str, body: bytes) -> tuple[bytes, list[tuple[str, str]]]:
    """The one field `image`, and the other fields as text. Refusal where the body is no such form."""
    fields: list[tuple[str, str]] = []
    picture: bytes | None = None
    try:
        for name, value in _parts(boundary, body):
            if name != "image":
                fields.append((name, value[:FIELD_BYTES_MAX].decode("utf-8", errors="replace")))
            elif picture is None:
                picture = value
            else:
                raise Refusal("BAD_FORM", "The form has more than one field `image`.")
    except (multipart.MultipartError, UnicodeError) as error:
        raise Refusal("BAD_FORM", f"The multipart body cannot be read: {str(error)[:100]}.") from None
    if picture is None:
        raise Refusal("BAD_FORM", "The form has no field `image`.")
    return picture, fields


def _parts(boundary: str, body: bytes) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each part; leaving the parser checks that the last boundary came."""
    with multipart.PushMultipartParser(boundary, max_segment_count=FORM_PARTS_MAX, strict=True) as parser:
        name = ""
        chunks: list[bytes] = []
        event: Any
        for event in parser.parse(body):
            if isinstance(event, multipart.MultipartSegment):
                name, chunks = str(event.name), []
            elif event is not None:
                chunks.append(bytes(event))
            else:
                yield name, b"".join(chunks)
