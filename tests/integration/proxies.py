"""A real TCP proxy before the bus, so that a test can cut some connections and hold others back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

_CHUNK_BYTES = 65_536


class Proxy:
    """Passes bytes on between clients and one server, unless it was told not to."""

    def __init__(self, port: int) -> None:
        self.url = ""
        self.held_back = 0
        """How many connections wait for `release`."""
        self._port = port
        self._hold: bytes | None = None
        self._released = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()

    def cut(self) -> None:
        """Break all connections, as a router that is switched off and on."""
        for writer in self._writers:
            writer.transport.abort()

    def hold(self, name: bytes) -> None:
        """Let clients that introduce themselves with this name wait, until `release`."""
        self._hold = name

    def release(self) -> None:
        self._hold = None
        self._released.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers |= {writer, there_writer}
        with suppress(ConnectionError):
            await asyncio.gather(self._pass_on(reader, there_writer), self._pass_on(there_reader, writer))
        self._writers -= {writer, there_writer}

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK_BYTES):
            if self._hold is not None and self._hold in data:
                self.held_back += 1
                await self._released.wait()
            writer.write(data)
            await writer.drain()
        writer.transport.abort()


@asynccontextmanager
async def proxy(port: int) -> AsyncIterator[Proxy]:
    """Before the server on this port."""
    passing = Proxy(port)
    tasks: set[asyncio.Task[None]] = set()

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        await passing.serve(reader, writer)

    server = await asyncio.start_server(accepted, "127.0.0.1", 0)
    passing.url = f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield passing
    finally:
        server.close()
        passing.release()
        passing.cut()
        await asyncio.wait(tasks, timeout=5) if tasks else None
        await server.wait_closed()
