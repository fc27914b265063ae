"""What there is of the way to a network: proxy, name, certificate and bus, each tried for real and with a deadline."""

import base64
import socket
import ssl
from contextlib import closing
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from gridlight.adapters.proxies import proxy_for
from gridlight.core.checkup import CertificateSeen, ProxySeen

TIMEOUT_S: Final = 5.0
_HEAD_BYTES_MAX: Final = 16 * 1024
_PORTS: Final = {"http": 80, "ws": 80, "https": 443, "wss": 443, "nats": 4222}


class ProxyRefused(OSError):
    """The proxy answered, and does not connect us."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the proxy answered HTTP {status}")
        self.status = status


def see_proxy(url: str) -> ProxySeen:
    """The environment's proxy for this URL, asked to connect there. For `http` a proxy need only be there."""
    proxy = proxy_for(url)
    if proxy is None:
        return ProxySeen(url=None)
    shown = _without_password(proxy)
    try:
        with closing(_to_proxy(proxy)) as line:
            if urlsplit(url).scheme == "https":
                _tunnel(line, proxy, *_address(url))
    except ProxyRefused as refused:
        return ProxySeen(url=shown, status=refused.status)
    except (OSError, ValueError) as error:
        return ProxySeen(url=shown, error=_words(error))
    return ProxySeen(url=shown)


def name_error(host: str) -> str | None:
    """Why this name has no address, None where it has one."""
    try:
        socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        return _words(error)
    return None


def see_certificate(url: str, issuer_kept: str | None = None) -> CertificateSeen | None:
    """Whom the gateway's certificate is from, and whether this machine trusts it. None where none was shown."""
    host, port = _address(url)
    try:
        with _tls(url, ssl.create_default_context(), host) as shown:
            issuer, error = _issuer(shown.getpeercert()), None
    except ssl.SSLCertVerificationError as untrusted:
        issuer, error = _untrusted_issuer(url), untrusted.verify_message
    except (OSError, ValueError):
        return None
    return CertificateSeen(host=host, port=port, issuer=issuer, error=error, issuer_kept=issuer_kept)


def tcp_bus_error(url: str) -> str | None:
    """Why the bus does not greet at this address, None where it does."""
    try:
        with socket.create_connection(_address(url), TIMEOUT_S) as line:
            greeting = line.recv(5)
    except OSError as error:
        return _words(error)
    return None if greeting == b"INFO " else "what answers there is no bus: another program has the port"


def websocket_bus_error(url: str) -> str | None:
    """The same by WebSocket, through the proxy where there is one."""
    from websockets.exceptions import WebSocketException
    from websockets.sync.client import connect

    try:
        with connect(url, proxy=proxy_for(url), open_timeout=TIMEOUT_S, close_timeout=1, compression=None) as line:
            greeting = line.recv(TIMEOUT_S, decode=False)
    except (OSError, WebSocketException, EOFError) as error:
        return _words(error)
    return None if greeting.startswith(b"INFO ") else "what answers there is no bus"


def _line(url: str) -> socket.socket:
    """A connection to where the URL leads, through the proxy where there is one."""
    proxy = proxy_for(url)
    if proxy is None:
        return socket.create_connection(_address(url), TIMEOUT_S)
    line = _to_proxy(proxy)
    try:
        _tunnel(line, proxy, *_address(url))
    except BaseException:
        line.close()
        raise
    return line


def _tls(url: str, context: ssl.SSLContext, host: str) -> ssl.SSLSocket:
    line = _line(url)
    try:
        return context.wrap_socket(line, server_hostname=host)
    finally:
        line.close()  # which the TLS socket took over, unless it failed


def _to_proxy(proxy: str) -> socket.socket:
    parts = urlsplit(proxy)
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError("write it as http://HOST:PORT")
    return socket.create_connection((parts.hostname, parts.port or _PORTS["http"]), TIMEOUT_S)


def _tunnel(line: socket.socket, proxy: str, host: str, port: int) -> None:
    head = f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n"
    parts = urlsplit(proxy)
    if parts.username is not None:
        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        head += f"Proxy-Authorization: Basic {base64.b64encode(user.encode()).decode()}\r\n"
    line.sendall(f"{head}\r\n".encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        part = line.recv(4_096)
        if not part or len(answer) > _HEAD_BYTES_MAX:
            raise ConnectionError("what answers there is no proxy")
        answer += part
    words = answer.split(b" ", 2)
    if not answer.startswith(b"HTTP/1.") or not words[1].isdigit():
        raise ConnectionError("what answers there is no proxy")
    if words[1] != b"200":
        raise ProxyRefused(int(words[1]))


def _untrusted_issuer(url: str) -> str:
    """Who issued a certificate that is not trusted: shown once more, with itself as the only authority."""
    host, _ = _address(url)
    blind = ssl.create_default_context()
    blind.check_hostname = False
    blind.verify_mode = ssl.CERT_NONE
    try:
        with _tls(url, blind, host) as blindly:
            shown = blindly.getpeercert(binary_form=True)
        assert shown is not None
        itself = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        itself.check_hostname = False
        itself.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        itself.load_verify_locations(cadata=shown)
        with _tls(url, itself, host) as verified:
            return _issuer(verified.getpeercert())
    except (OSError, ValueError):  # such as one that is out of date
        return ""


def _issuer(certificate: object) -> str:
    """`Organisation, name`, of what `getpeercert` gives."""
    assert isinstance(certificate, dict)
    fields = {name: value for part in certificate.get("issuer", ()) for name, value in part}
    return ", ".join(fields[name] for name in ("organizationName", "commonName") if name in fields)


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or _PORTS[parts.scheme]


def _without_password(proxy: str) -> str:
    """As it may be shown and logged."""
    parts = urlsplit(proxy)
    return urlunsplit(SplitResult(parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _words(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
