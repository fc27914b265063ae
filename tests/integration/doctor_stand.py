"""A network as a doctor sees it: a gateway's answers from a real HTTP server, with whatever is wrong with them."""

import ssl
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from tests.integration.conftest import Server
from tests.outside.reverse_proxy import NAME, self_signed

from gridlight.adapters.clock import wall_s
from gridlight.core.checkup import Finding, Level
from gridlight.messages.api import NetworkResponse, NodeResponse, NodeView
from gridlight.messages.codec import encode
from gridlight.messages.ids import NodeId


class Gateway:
    """A gateway's answers from a real HTTP server, with whatever is wrong with them."""

    def __init__(self, server: Server) -> None:
        self.told = NetworkResponse(
            version="0.1.0",
            agent_version_min="0.1.0",
            nats_url=server.url,
            websocket_url=server.websocket_url,
        )
        self.online: set[NodeId] = set()
        self.ahead_s = 0
        """Of our clock."""
        self.page: bytes | None = None
        """What is served instead."""
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = gateway.page if gateway.page is not None else gateway.answer(self.path)
                self.send_response(200 if body else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def date_time_string(self, timestamp: float | None = None) -> str:
                return formatdate(wall_s() + gateway.ahead_s, usegmt=True)

            def log_message(self, *arguments: object) -> None:
                """Stay silent."""

        class Listening(ThreadingHTTPServer):
            def handle_error(self, *arguments: object) -> None:
                """Stay silent where somebody hangs up on a certificate."""

        self.http = Listening(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.port = self.http.server_port
        self.url = f"http://127.0.0.1:{self.port}"

    def answer(self, path: str) -> bytes:
        node_id = NodeId(path.rpartition("/")[2])
        if path == "/v1/network":
            return encode(self.told)
        if node_id in self.online:
            node = NodeView(node_id, True, operator="", agent_version="", cpus=1, memory_mib=1, slots=1,
                            workloads=[], tasks_answered=0)  # fmt: skip
            return encode(NodeResponse(node=node))
        return b""

    def serve(self) -> None:
        Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()


def problems(findings: list[Finding]) -> dict[str, Finding]:
    """By the check that found them."""
    return {one.check: one for one in findings if one.level is Level.PROBLEM}


def the_problem(findings: list[Finding], check: str) -> str:
    """The only one that there is; its sentence and its line."""
    found = problems(findings)
    assert list(found) == [check], findings
    assert found[check].line
    return f"{found[check].said} → {found[check].line}"


def put_behind_tls(gateway: Gateway, folder: Path, issuer: str) -> Path:
    """The gateway's own answers, with a certificate of this issuer; its file."""
    folder.mkdir()
    certificate = self_signed(folder, NAME, issuer=issuer)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.file, certificate.key)
    plain = gateway.http.socket
    gateway.http.socket = context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
    return certificate.file
