"""A real HTTP proxy as companies have, in a thread of its own: it connects to what it allows, and to nothing else."""

import asyncio
import base64
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

_CHUNK_BYTES = 65_536
_START_S = 10.0


class ConnectProxy:
    """Knows the names of its network, as `{"network.example:443": port}`; everything else is forbidden."""

    def __init__(
        self, ways: Mapping[str, int], *, user: str | None = None, host: str = "127.0.0.1", source: str = "127.0.0.1"
    ) -> None:
        self.asked: list[str] = []
        """What it was asked to connect to, granted or not."""
        self.url = ""
        self._ways = dict(ways)
        self._wanted = None if user is None else f"Basic {base64.b64encode(user.encode()).decode()}"
        self._host = host
        self._source = source
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._run()))

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(_START_S)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()

    def cut(self) -> None:
        """Break all that goes through it."""

        def abort_all() -> None:
            for writer in self._writers:
                writer.transport.abort()

        self._loop.call_soon_threadsafe(abort_all)

    async def _run(self) -> None:
        tasks: set[asyncio.Task[None]] = set()

        async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._serve(reader, writer)
            writer.transport.abort()

        server = await asyncio.start_server(accepted, self._host, 0)
        self.url = f"http://{self._host}:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        await self._stop.wait()
        server.close()
        for writer in self._writers:
            writer.transport.abort()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split()
        given = next((line.split(": ", 1)[1] for line in head if line.lower().startswith("proxy-authorization")), None)
        self.asked.append(f"{method} {target}")
        if self._wanted is not None and given != self._wanted:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n")
        elif method != "CONNECT" or target not in self._ways:
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        else:
            await self._pass_on(reader, writer, self._ways[target])
            return
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(self._source, 0))
        self._writers |= {writer, there_writer}
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with suppress(ConnectionError):
            await asyncio.gather(_copy(reader, there_writer), _copy(there_reader, writer))
        self._writers -= {writer, there_writer}
        there_writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK_BYTES):
        writer.write(data)
        await writer.drain()
    writer.transport.abort()


@contextmanager
def connect_proxy(
    ways: Mapping[str, int], *, user: str | None = None, host: str = "127.0.0.1", source: str = "127.0.0.1"
) -> Iterator[ConnectProxy]:
    """A proxy for as long as the `with` lasts. It listens at `host`, and comes from `source`."""
    proxy = ConnectProxy(ways, user=user, host=host, source=source)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.close()
