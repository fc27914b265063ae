"""Serves the local page: on this machine's own address, to whoever has the token, and to no other site's scripts."""

import secrets
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

from gridlight.messages.control import (
    AskFinish,
    AskHistory,
    AskPause,
    AskResume,
    AskStatus,
    ControlRequest,
    NodeHistory,
    NodeStatus,
)
from gridlight.services.agent.control import NoAgent, Refused, ask
from gridlight.services.page.view import Layers, running_page, silent_page

HOST: Final = "127.0.0.1"
TOKEN_BYTES: Final = 24
_PATIENCE_S: Final = 5.0
_BODY_BYTES_MAX: Final = 4_096
_HOUR_S: Final = 3_600

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # to itself, so that a browser says where a form comes from
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}

ORDERS: Final[dict[str, ControlRequest]] = {
    "pause": AskPause(),
    "pause-1h": AskPause(for_s=_HOUR_S),
    "resume": AskResume(),
    "finish": AskFinish(),
}


class Page(ThreadingHTTPServer):
    """One node's page. `url` is good for as long as this runs, and is a secret: who has it may pause the node."""

    daemon_threads = True

    def __init__(self, folder: Path, preferences: Callable[[bool], Layers], port: int = 0) -> None:
        super().__init__((HOST, port), _Visit)
        self.folder = folder
        self.preferences = preferences
        self.token = secrets.token_urlsafe(TOKEN_BYTES)
        self.origin = f"http://{HOST}:{self.server_port}"

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"{self.origin}/{self.token}/"


class _Visit(BaseHTTPRequestHandler):
    """One request. Whoever is not shown the page learns nothing of why."""

    server: Page
    timeout = _PATIENCE_S
    server_version = "gridlight"
    sys_version = ""

    def do_GET(self) -> None:
        """The page."""
        if self._is_ours() and self._word() == "":
            self._send(HTTPStatus.OK, self._page())
        else:
            self._send(HTTPStatus.FORBIDDEN, "")

    def do_POST(self) -> None:
        """A button; then the page again, so that it can be loaded anew without pressing it twice."""
        self.rfile.read(min(int(self.headers.get("Content-Length") or 0), _BODY_BYTES_MAX))
        word = self._word()
        # A browser names the origin of every form; who does not is no browser, and has the token all the same.
        if (
            not self._is_ours()
            or word not in ORDERS
            or self.headers.get("Origin", self.server.origin) != self.server.origin
        ):
            self._send(HTTPStatus.FORBIDDEN, "")
            return
        try:
            ask(self.server.folder, ORDERS[word])
        except (NoAgent, Refused) as error:
            self._send(HTTPStatus.SERVICE_UNAVAILABLE, silent_page(str(error), getattr(error, "hint", "")))
            return
        self._send(HTTPStatus.SEE_OTHER, "", Location=f"/{self.server.token}/")

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 (the base class named it)
        """Nothing: the token is in every line."""

    def _is_ours(self) -> bool:
        """Asked for by this address, not by a name that somebody made point to it, and with the token."""
        is_here = self.headers.get("Host") == self.server.origin.removeprefix("http://")
        is_same_site = self.headers.get("Sec-Fetch-Site", "none") in ("none", "same-origin")
        token = self.path.removeprefix("/").partition("/")[0]
        return is_here and is_same_site and secrets.compare_digest(token.encode(), self.server.token.encode())

    def _word(self) -> str | None:
        """What stands after the token."""
        _, slash, word = self.path.removeprefix("/").partition("/")
        return word if slash else None

    def _page(self) -> str:
        folder = self.server.folder
        try:
            status, history = ask(folder, AskStatus()), ask(folder, AskHistory())
            assert isinstance(status, NodeStatus)
            assert isinstance(history, NodeHistory)
            return running_page(status, history, self.server.preferences(status.is_always), datetime.now().astimezone())
        except (NoAgent, Refused, ValueError) as error:  # or preferences that cannot be read
            return silent_page(str(error), getattr(error, "hint", ""))

    def _send(self, status: HTTPStatus, content: str, **more: str) -> None:
        body = content.encode()
        self.send_response(status)
        for name, value in {**HEADERS, **more, "Content-Type": "text/html; charset=utf-8"}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
