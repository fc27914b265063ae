"""The way of a picture past Litestar: what most requests are is answered here, everything else by its routes.

Both ways end in the same function. Litestar's routing, its reading of parameters and its own responses took a twelfth
of a gateway's CPU a task (decision 36).
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from litestar import Request

from gridlight.services.gateway.answers import JSON, AnyRequest, Reply

Application = Callable[[Any, Any, Any], Awaitable[None]]

DETECT_PATH: Final = "/v1/detect"


class Direct:
    """The ASGI application around Litestar's."""

    def __init__(self, app: Application, detect: Callable[[AnyRequest], Awaitable[Reply]]) -> None:
        self._app = app
        self._detect = detect

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI."""
        if scope["type"] != "http" or scope["path"] != DETECT_PATH or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        scope["path_template"] = DETECT_PATH
        reply = await self._detect(Request(scope, receive))
        headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in reply.headers.items()]
        headers += [(b"content-type", JSON.encode()), (b"content-length", b"%d" % len(reply.body))]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body})
