"""The bus over WebSocket, with a real nats-server: what is carried and refused, and the way through a proxy."""

import asyncio
import os
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from tests.integration.conftest import WAIT_S, Connections, Inbox, Server
from tests.outside.connect_proxy import connect_proxy

from gridlight.adapters.bus import Bus, BusError, BusRefused
from gridlight.adapters.credentials import NodeCredentials
from gridlight.adapters.proxies import proxy_for

LARGEST = os.urandom(2 * 1024 * 1024)


async def connect(server: Server, *, url: str | None = None, **options: object) -> Bus:
    given = {"name": "test", "credentials": server.privileged(), "connect_timeout_s": WAIT_S, **options}
    return await Bus.connect(url=url or server.websocket_url, **given)  # type: ignore[arg-type]  # options


@pytest.fixture(autouse=True)
def no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ws_proxy", "wss_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


async def test_it_carries_the_largest_messages_both_ways_and_in_order(server: Server, connections: Connections) -> None:
    there = await connections.open(server, server.privileged())
    bus = await connect(server)
    to_here, to_there = Inbox(), Inbox()
    await bus.subscribe("here", to_here)
    await there.subscribe("there", to_there)
    await bus.flush()
    await there.flush()

    for first in range(0, 20, 5):  # 6 MB on their way at most: the server lets go of who has more than 16 MB to read
        batch = [(str(number).encode(), LARGEST[: (number % 3) * 1_000_000]) for number in range(first, first + 5)]
        for message, body in batch:
            await bus.publish("there", body, message=message)
            await there.publish("here", body, message=message)
        for inbox in (to_here, to_there):
            for message, body in batch:
                delivery = await inbox.next()
                assert (delivery.message, delivery.body) == (message, body)
    await bus.close()


async def test_a_server_that_dies_is_told_and_a_connection_is_made_again(server: Server) -> None:
    closed, back = asyncio.Event(), asyncio.Event()

    async def on_closed() -> None:
        closed.set()

    async def on_reconnected() -> None:
        back.set()

    once = await connect(server, reconnect=False, on_closed=on_closed)
    ever = await connect(server, on_reconnected=on_reconnected)
    inbox = Inbox()
    await ever.subscribe("here", inbox)

    server.kill()
    async with asyncio.timeout(WAIT_S):
        await closed.wait()
    assert not once.is_connected
    await server.start()
    async with asyncio.timeout(WAIT_S):
        await back.wait()
    await ever.publish("here", b"again")

    assert (await inbox.next()).body == b"again"
    await ever.close()


async def test_a_frozen_server_does_not_hold_up_whoever_leaves(server: Server) -> None:
    bus = await connect(server)
    await server.freeze()
    try:
        async with asyncio.timeout(WAIT_S):
            await bus.publish("there", LARGEST)
            await bus.close()
    finally:
        server.thaw()


async def test_stolen_credentials_are_refused(server: Server) -> None:
    node, thief = server.node(), server.node()

    with pytest.raises(BusRefused):
        await connect(server, credentials=NodeCredentials(jwt=node.jwt, key=thief.key), reconnect=False)


@pytest.mark.parametrize("name", ["gateway", "coordinator", "system"])
async def test_a_service_is_not_let_in_where_the_world_comes_in(server: Server, name: str) -> None:
    creds = server.keys.creds_file(name)

    by_tcp = await connect(server, url=server.url, credentials=creds)
    await by_tcp.close()
    with pytest.raises(BusRefused):
        await connect(server, credentials=creds, reconnect=False)


async def test_what_is_no_bus_is_named(server: Server, website: int) -> None:
    for url in (f"ws://127.0.0.1:{website}/bus", "ws://127.0.0.1:9/bus"):
        with pytest.raises(BusError, match=url) as refused:
            await connect(server, url=url, reconnect=False, connect_timeout_s=5)
        assert not isinstance(refused.value, BusRefused)


async def test_a_proxy_that_connects_to_it_is_gone_through(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with connect_proxy({"bus.example:80": server.websocket_port}, user="ada:secret") as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("//", "//ada:secret@"))
        bus = await connect(server, url="ws://bus.example/bus")
        inbox = Inbox()
        await bus.subscribe("here", inbox)
        await bus.publish("here", LARGEST)
        received = await inbox.next()
        await bus.close()

    assert received.body == LARGEST
    assert proxy.asked == ["CONNECT bus.example:80"]


@pytest.mark.parametrize("proxy", ["ftp://proxy.example:21", "socks5://proxy.example:1080"])
async def test_a_proxy_of_another_kind_is_named(server: Server, monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy)

    with pytest.raises(BusError, match=r"ftp|SOCKS|socks"):
        await connect(server, url="ws://bus.example/bus", reconnect=False)


async def test_a_proxy_that_refuses_is_named_with_its_reason(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with connect_proxy({}) as forbids, connect_proxy({}, user="ada:secret") as asks:
        for proxy, status in ((forbids, "403"), (asks, "407")):
            monkeypatch.setenv("HTTP_PROXY", proxy.url)
            with pytest.raises(BusError, match=status):
                await connect(server, url="ws://bus.example/bus", reconnect=False)


@pytest.mark.parametrize(
    ("url", "environment", "proxy"),
    [
        (
            "wss://bus.example/bus",
            {"https_proxy": "http://p.example:1", "http_proxy": "http://q.example:1"},
            "http://p.example:1",
        ),
        (
            "ws://bus.example/bus",
            {"https_proxy": "http://p.example:1", "http_proxy": "http://q.example:1"},
            "http://q.example:1",
        ),
        ("https://bus.example", {"HTTPS_PROXY": "http://p.example:1"}, "http://p.example:1"),
        ("https://bus.example", {"all_proxy": "http://p.example:1"}, "http://p.example:1"),
        ("https://bus.example", {"all_proxy": "socks5://p.example:1"}, None),
        ("https://bus.example", {"https_proxy": "http://p.example:1", "no_proxy": "bus.example"}, None),
        ("https://bus.example", {"https_proxy": "http://p.example:1", "no_proxy": ".example"}, None),
        ("https://bus.example", {"http_proxy": "http://q.example:1"}, None),
        ("http://127.0.0.1:8080", {"http_proxy": "http://q.example:1"}, None),
        ("http://localhost:8080", {"http_proxy": "http://q.example:1"}, None),
        ("http://[::1]:8080", {"http_proxy": "http://q.example:1"}, None),
        ("https://bus.example", {}, None),
    ],
)
def test_the_environment_says_which_proxy_leads_there(
    url: str, environment: dict[str, str], proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert proxy_for(url) == proxy


@pytest.fixture
def website() -> Iterator[int]:
    """A web server that knows no WebSocket; its port."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    server.daemon_threads = True
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()
