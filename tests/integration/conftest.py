"""A real nats-server with a network's keys, and empty databases of both kinds, each test with its own."""

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import psutil
import pytest
from sqlalchemy import Engine
from tests.integration.databases import KINDS, NewDatabase, new_databases

from gridlight.adapters import bus_server
from gridlight.adapters.bus import Bus, Delivery
from gridlight.adapters.credentials import NetworkKeys, NodeCredentials
from gridlight.adapters.schema import open_engine
from gridlight.adapters.signatures import SigningKey

WAIT_S = 10.0
"""How long a test waits for what should come within milliseconds, on a busy machine."""


class Server:
    """A nats-server as a process, on one port and configuration over its restarts."""

    def __init__(self, folder: Path, *, reply_ttl_s: int = 900) -> None:
        self.keys = NetworkKeys.create(folder / "keys", reply_ttl_s=reply_ttl_s)
        self.folder = folder / "nats"
        self.port = bus_server.free_port("127.0.0.1")
        self.websocket_port = bus_server.free_port("127.0.0.1")
        self.config = bus_server.write_config(
            self.folder, self.keys, host="127.0.0.1", port=self.port, websocket=("127.0.0.1", self.websocket_port)
        )
        self.url = f"nats://127.0.0.1:{self.port}"
        self.websocket_url = f"ws://127.0.0.1:{self.websocket_port}/bus"
        self.process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        assert self.process is None
        command = bus_server.arguments(bus_server.find_server(), self.config)
        environment = {**os.environ, **bus_server.ENVIRONMENT}
        self.process = subprocess.Popen(command, env=environment)  # noqa: ASYNC220  (killed after the loop is closed)
        await bus_server.wait_ready("127.0.0.1", self.port, timeout_s=WAIT_S)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.process = None

    async def freeze(self) -> None:
        """Stop it with everything open, as a machine that hangs; returns when it really stands still."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        async with asyncio.timeout(WAIT_S):
            while psutil.Process(self.process.pid).status() != psutil.STATUS_STOPPED:  # noqa: ASYNC110
                await asyncio.sleep(0.001)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def node(self, *, ttl_s: int = 3_600) -> NodeCredentials:
        """A node that enrolled properly."""
        key = SigningKey.generate()
        return NodeCredentials(jwt=self.keys.issue_node_jwt(key.public, ttl_s=ttl_s), key=key)

    def privileged(self) -> NodeCredentials:
        """A user who may do all that nodes are refused."""
        return self.keys.privileged_credentials("privileged")

    def log(self) -> str:
        return (self.folder / "log").read_text()


class Inbox:
    """What a subscription received, with a wait for the next."""

    def __init__(self) -> None:
        self.deliveries: asyncio.Queue[Delivery] = asyncio.Queue()

    async def __call__(self, delivery: Delivery) -> None:
        self.deliveries.put_nowait(delivery)

    async def next(self) -> Delivery:
        async with asyncio.timeout(WAIT_S):
            return await self.deliveries.get()

    @property
    def count(self) -> int:
        return self.deliveries.qsize()


class Connections:
    """Buses to one server, closed at the end of the test."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack

    async def open(self, server: Server, credentials: Path | NodeCredentials, **options: object) -> Bus:
        given = {"name": "test", "connect_timeout_s": WAIT_S, **options}
        bus = await Bus.connect(url=server.url, credentials=credentials, **given)  # type: ignore[arg-type]  # options
        self._stack.push_async_callback(bus.close)
        return bus


StartServer = Callable[..., Awaitable[Server]]


@pytest.fixture
async def start_server(tmp_path: Path) -> AsyncIterator[StartServer]:
    """Starts a server; may be called more than once."""
    servers: list[Server] = []

    async def start(*, reply_ttl_s: int = 900) -> Server:
        server = Server(tmp_path / f"network{len(servers)}", reply_ttl_s=reply_ttl_s)
        servers.append(server)
        await server.start()
        return server

    yield start
    for server in servers:
        if server.process is not None:
            server.kill()


@pytest.fixture
async def server(start_server: StartServer) -> Server:
    return await start_server()


@pytest.fixture
async def connections(start_server: StartServer) -> AsyncIterator[Connections]:
    # Asks for `start_server` only so that its servers outlive the connections.
    async with AsyncExitStack() as stack:
        yield Connections(stack)


@pytest.fixture(scope="module", params=KINDS)
def new_database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NewDatabase]:
    with new_databases(request.param, tmp_path_factory.mktemp("databases")) as new_database:
        yield new_database


@pytest.fixture
def engine(new_database: NewDatabase) -> Iterator[Engine]:
    engine = open_engine(new_database())
    yield engine
    engine.dispose()
