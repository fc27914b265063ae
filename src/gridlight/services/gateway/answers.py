"""What the routes share: a look into the read models, and how an answer is written."""

import asyncio
import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any, Final, ParamSpec, TypeVar

import msgspec
from litestar import Request, Response
from litestar.openapi.datastructures import ResponseSpec
from msgspec import Struct

from gridlight.services.gateway.errors import Refusal

READ_S_MAX: Final = 5.0
"""Of one look into the read models, and of a node's enrolment to arrive."""
JSON: Final = "application/json"

P = ParamSpec("P")
R = TypeVar("R")
AnyRequest = Request[Any, Any, Any]
Answer = Response[bytes]


class Reply(Struct, frozen=True, eq=False):
    """What goes back, before anybody knows how."""

    status: int
    body: bytes
    """JSON."""
    headers: Mapping[str, str] = {}

    def response(self) -> Answer:
        """As Litestar sends it."""
        return Response(self.body, media_type=JSON, status_code=self.status, headers=dict(self.headers))


async def read(look: Callable[P, R], *what: P.args, **named: P.kwargs) -> R:
    """One look into the read models, in a thread: the database blocks."""
    try:
        async with asyncio.timeout(READ_S_MAX):
            return await asyncio.to_thread(look, *what, **named)
    except TimeoutError:
        raise Refusal("BUSY", "The database did not answer in time.") from None


def says(body: type[Struct]) -> ResponseSpec:
    """What an operation answers, for the API's own description."""
    return ResponseSpec(data_container=body, generate_examples=False)


def decoded_base64(text: bytes | None) -> bytes | None:
    """A header's bytes; None where there is none, or it is no base64."""
    try:
        return None if text is None else base64.b64decode(text, validate=True)
    except binascii.Error:
        return None


def json_answer(content: bytes) -> Answer:
    """200, with a body that is encoded already."""
    return Reply(200, content).response()


def answer(body: Struct) -> Answer:
    """200, with this body."""
    return json_answer(msgspec.json.encode(body))
