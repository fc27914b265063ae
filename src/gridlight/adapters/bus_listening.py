"""What listeners hear is read here, before nats-py: straight out of the socket, and a large body into its own memory.

nats-py's own way copies each byte of a body five times, and wakes a task for each read. Whatever nobody listens to (the
server's own words, and messages that wait in a queue) goes on to it as it came.
"""

import asyncio
from collections.abc import Mapping
from typing import Final, Self

from msgspec import Struct

from gridlight.adapters.bus_delivery import Listener, delivered

_READ_BYTES: Final = 64 * 1024
"""At most so much is asked of the socket at once, but for a large body; and no line may be longer."""

_LINE_END: Final = b"\r\n"


class _Message(Struct):
    """What its line says of a message. Its content is header lines, body and the end of a line."""

    line: bytes
    subject: bytes
    reply: bytes
    subscription: int
    header_bytes: int
    total_bytes: int
    """Of the content."""

    @classmethod
    def announced_by(cls, line: bytes) -> Self:
        """ConnectionError where no server talks so."""
        try:
            kind, subject, subscription, *reply, size = line.split(b" ")
            header_bytes = int(reply.pop()) if kind == b"HMSG" else 0
            message = cls(
                line=line,
                subject=subject,
                reply=reply[0] if reply else b"",
                subscription=int(subscription),
                header_bytes=header_bytes,
                total_bytes=int(size) + len(_LINE_END),
            )
        except (ValueError, IndexError):
            message = None
        if message is None or not 0 <= message.header_bytes <= message.total_bytes - len(_LINE_END):
            raise ConnectionError(f"the bus began a message with {line[:200]!r}")
        return message


class Listening(asyncio.BufferedProtocol):
    """Stands between a connection and the stream that nats-py reads, and takes out what listeners hear.

    `listeners` are looked up by subscription id as messages come, so later ones are heard, too.
    """

    def __init__(self, stream: asyncio.StreamReaderProtocol, listeners: Mapping[int, Listener]) -> None:
        self._stream = stream
        self._listeners = listeners
        self._held = bytearray(_READ_BYTES)
        """What came and is not understood yet lies between `_begin` and `_end`."""
        self._view = memoryview(self._held)
        self._begin = 0
        self._end = 0
        self._message: _Message | None = None
        """One that is too large for what is held, and is read into memory of its own."""
        self._large = bytearray()
        """Kept from one such message to the next: memory that is new costs more than what is read into it."""
        self._content = memoryview(self._large)
        self._filled = 0

    @classmethod
    def begin(cls, connection: asyncio.Transport, came: bytes, listeners: Mapping[int, Listener]) -> None:
        """From now on what comes is looked through, beginning with what the stream has and nobody read yet."""
        stream = connection.get_protocol()
        assert isinstance(stream, asyncio.StreamReaderProtocol)
        connection.pause_reading()  # so that the connection asks the new one for memory when it reads again
        listening = cls(stream, listeners)
        connection.set_protocol(listening)
        listening.feed(came)
        connection.resume_reading()

    def feed(self, data: bytes) -> None:
        """As if these bytes came now. ConnectionError as `buffer_updated`."""
        while data:
            room = self.get_buffer(-1)
            count = min(len(room), len(data))
            room[:count] = data[:count]
            self.buffer_updated(count)
            data = data[count:]

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go: into the body that is being read, else behind what is held."""
        if self._message is not None:
            return self._content[self._filled :]
        return self._view[self._end :]

    def buffer_updated(self, nbytes: int) -> None:
        """So many bytes have come. ConnectionError, which ends the connection, where no server talks so."""
        if self._message is None:
            self._end += nbytes
            self._understand()
            return
        self._filled += nbytes
        if self._filled == len(self._content):
            message, self._message = self._message, None
            self._pass_on(message, self._content)

    # What the connection tells beside data is the stream's business: who writes waits for it there.

    def pause_writing(self) -> None:
        """See asyncio."""
        self._stream.pause_writing()

    def resume_writing(self) -> None:
        """See asyncio."""
        self._stream.resume_writing()

    def eof_received(self) -> bool | None:
        """See asyncio."""
        return self._stream.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        self._stream.connection_lost(exc)

    def _understand(self) -> None:
        while self._message is None and self._begin < self._end:
            line_end = self._held.find(_LINE_END, self._begin, self._end)
            if line_end < 0:
                break
            line = bytes(self._view[self._begin : line_end])
            self._begin = line_end + len(_LINE_END)
            if line.startswith((b"MSG ", b"HMSG ")):
                self._start(_Message.announced_by(line))
            else:
                self._stream.data_received(line + _LINE_END)
        self._make_room()

    def _start(self, message: _Message) -> None:
        """A message begins, and is held whole already or is to be read into memory of its own."""
        total = message.total_bytes
        there = self._view[self._begin : min(self._begin + total, self._end)]
        self._begin += len(there)
        if len(there) == total:
            self._pass_on(message, there)
            return
        if total > len(self._large):
            self._large = bytearray(total)
        self._message, self._content, self._filled = message, memoryview(self._large)[:total], len(there)
        self._content[: len(there)] = there

    def _pass_on(self, message: _Message, content: memoryview) -> None:
        listener = self._listeners.get(message.subscription)
        if listener is None:
            self._stream.data_received(message.line + _LINE_END)
            self._stream.data_received(bytes(content))
            return
        headers, body = content[: message.header_bytes], content[message.header_bytes : -len(_LINE_END)]
        listener(delivered(message.subject.decode(), message.reply.decode(), bytes(headers), bytes(body)))

    def _make_room(self) -> None:
        """What is left is the beginning of a line, and goes to the front."""
        rest = bytes(self._view[self._begin : self._end])
        if len(rest) == len(self._held):
            raise ConnectionError(f"the bus sent a line of more than {_READ_BYTES} bytes")
        self._view[: len(rest)] = rest
        self._begin, self._end = 0, len(rest)
