"""Where a network is reached: by requesters, by its own processes, and by nodes elsewhere."""

from contextlib import suppress
from ipaddress import ip_network
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from gridlight.adapters import bus_server

BUS_HOST: Final = "127.0.0.1"
BUS_PATH: Final = "/bus"
"""Where a reverse proxy has the bus' WebSocket, beside the gateway's own addresses."""

_PORT_MAX: Final = 65_535
_WILDCARDS: Final = ("0.0.0.0", "::")  # noqa: S104  (recognised here, not bound)


class CannotStart(OSError):
    """The world is in the way: a port is taken, the folder is in use, a process does not come up."""


class Outside(Struct, frozen=True, kw_only=True):
    """How nodes and requesters elsewhere come to a network, in its founder's words."""

    websocket: str | None = None
    """HOST:PORT at which the bus speaks WebSocket; a port of this machine where it is left out."""
    public_url: str | None = None
    """What the gateway is called from elsewhere; the reverse proxy there has the bus under the path `/bus`."""
    trusted_proxies: tuple[str, ...] = ()


class Addresses(Struct, frozen=True, kw_only=True):
    """All of one running network."""

    http_host: str
    http_port: int
    bus_port: int
    websocket_host: str
    websocket_port: int
    public_url: str | None
    trusted_proxies: tuple[str, ...]

    @property
    def url(self) -> str:
        """The gateway, for whoever is on this machine."""
        return f"http://{_reachable(self.http_host)}:{self.http_port}"

    @property
    def nats_url(self) -> str:
        """The bus, for whoever is on this machine."""
        return f"nats://{BUS_HOST}:{self.bus_port}"

    @property
    def public_nats_url(self) -> str:
        """The bus over TCP, as nodes are told: none from elsewhere, for it has no TLS and stays on this machine."""
        return self.nats_url if self.public_url is None else ""

    @property
    def public_websocket_url(self) -> str:
        """The bus over WebSocket, as nodes are told."""
        if self.public_url is None:
            return f"ws://{_reachable(self.websocket_host)}:{self.websocket_port}"
        return f"ws{self.public_url.removeprefix('http')}{BUS_PATH}"


def find_addresses(folder: Path, http: str, outside: Outside) -> Addresses:
    """What a network is to listen at, checked; ports that nobody named are kept in the folder. CannotStart."""
    public_url = _checked_url(outside)
    host, port = _parse(http, "--http")
    _check_free(host, port, "--http")
    bus_port = _kept_port(folder / "port")
    if outside.websocket is None:
        websocket_host, websocket_port = BUS_HOST, _kept_port(folder / "websocket_port", unlike=bus_port)
    else:
        websocket_host, websocket_port = _parse(outside.websocket, "--websocket")
        _check_free(websocket_host, websocket_port, "--websocket")
    return Addresses(
        http_host=host,
        http_port=port,
        bus_port=bus_port,
        websocket_host=websocket_host,
        websocket_port=websocket_port,
        public_url=public_url,
        trusted_proxies=outside.trusted_proxies,
    )


def _checked_url(outside: Outside) -> str | None:
    for network in outside.trusted_proxies:
        try:
            ip_network(network)
        except ValueError as error:
            raise CannotStart(f"--trusted-proxy {error}; write an address as 127.0.0.1, or a network") from error
    if outside.public_url is None:
        return None
    parts = urlsplit(outside.public_url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query:
        raise CannotStart(f"--public-url {outside.public_url!r} should be a URL without a path, as https://HOST")
    if parts.scheme == "https" and not outside.trusted_proxies:
        raise CannotStart(
            "--public-url with https needs --trusted-proxy, the address from which the reverse proxy comes, "
            "as 127.0.0.1: without it every node would seem to be at the proxy's address"
        )
    return f"{parts.scheme}://{parts.netloc}"


def _kept_port(path: Path, *, unlike: int | None = None) -> int:
    """The port chosen at the folder's first start, so that nodes find the bus again; another where it is taken."""
    with suppress(FileNotFoundError, ValueError):
        port = int(path.read_text(encoding="ascii"))
        if bus_server.is_free(BUS_HOST, port):
            return port
    while (port := bus_server.free_port(BUS_HOST)) == unlike:
        pass
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{port}\n", encoding="ascii")
    return port


def _parse(address: str, option: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > _PORT_MAX:
        raise CannotStart(f"{option} {address!r} should be HOST:PORT, as 127.0.0.1:8080")
    host = host.strip("[]") or "127.0.0.1"
    return host, int(port) or bus_server.free_port(host)


def _reachable(host: str) -> str:
    """As a URL says it, for requesters and nodes on this machine."""
    if host in _WILDCARDS:
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _check_free(host: str, port: int, option: str) -> None:
    try:
        is_free = bus_server.is_free(host, port)
    except OSError as error:
        raise CannotStart(f"cannot listen at {option} {host}:{port}: {error.strerror}") from error
    if not is_free:
        raise CannotStart(f"{host}:{port} is taken, perhaps by another network: stop it or choose another {option}")
