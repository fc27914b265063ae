"""The agent's own door: a socket in its folder, for whoever owns that folder; one line of JSON in, one line out."""

import asyncio
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from gridlight.messages.codec import Decoder, ProtocolViolation, encode
from gridlight.messages.control import ControlAnswer, ControlRefusal, ControlRequest

SOCKET_FILE: Final = "control.sock"
LINE_BYTES_MAX: Final = 64 * 1024
CONNECTIONS_MAX: Final = 8
PATIENCE_S: Final = 5.0
"""For a line to come, or to be taken."""

_PATH_BYTES_MAX: Final = 100
"""The kernel takes 107; a longer path is gone round by the folder's descriptor."""

requests: Final[Decoder[ControlRequest]] = Decoder(ControlRequest, LINE_BYTES_MAX)
answers: Final[Decoder[ControlAnswer]] = Decoder(ControlAnswer, LINE_BYTES_MAX)


class NoAgent(OSError):
    """No agent runs with this folder, or it does not answer."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class Refused(Exception):
    """The agent says no."""


class Control:
    """Listens for as long as `serve` runs. What it is asked is answered by `answer`, at once."""

    def __init__(self, folder: Path, answer: Callable[[ControlRequest], ControlAnswer]) -> None:
        self._folder = folder
        self._answer = answer
        self._connections = 0

    async def serve(self) -> None:
        """Never returns. Nobody but the folder's owner can connect."""
        path = self._folder / SOCKET_FILE
        listening = socket.socket(socket.AF_UNIX)
        with _short(path) as short:
            path.unlink(missing_ok=True)  # left by a killed one: the folder is held by us
            before = os.umask(0o177)
            try:
                listening.bind(short)
            finally:
                os.umask(before)
        try:
            server = await asyncio.start_unix_server(self._converse, sock=listening, limit=LINE_BYTES_MAX)
            async with server:
                await server.serve_forever()
        finally:
            path.unlink(missing_ok=True)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One question, one answer. Whoever says nothing, or too much, is hung up on."""
        self._connections += 1
        try:
            if self._connections <= CONNECTIONS_MAX:
                async with asyncio.timeout(PATIENCE_S):
                    writer.write(encode(self._answered(await reader.readline())) + b"\n")
                    await writer.drain()
        except (TimeoutError, ValueError, OSError):
            return  # it is the other side that has gone, or does not keep to a line
        finally:
            self._connections -= 1
            writer.close()

    def _answered(self, line: bytes) -> ControlAnswer:
        try:
            return self._answer(requests.decode(line))
        except ProtocolViolation as violation:
            return ControlRefusal(message=f"this is no request: {violation}")


def ask(folder: Path, request: ControlRequest) -> ControlAnswer:
    """Of the agent that runs with this folder. NoAgent; Refused."""
    path = folder / SOCKET_FILE
    hint = f"`gridlight node start --data {folder}` starts one"
    try:
        with _short(path) as short, socket.socket(socket.AF_UNIX) as connected:
            connected.settimeout(PATIENCE_S)
            connected.connect(short)
            connected.sendall(encode(request) + b"\n")
            answer = answers.decode(_line(connected))
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise NoAgent(f"no agent runs with the folder {folder}", hint) from error
    except PermissionError as error:
        raise NoAgent(f"the agent of {folder} is another user's", "ask as the user that started it") from error
    except (OSError, ProtocolViolation) as error:
        raise NoAgent(f"the agent of {folder} does not answer: {error}", "`gridlight node logs` may say why") from error
    if isinstance(answer, ControlRefusal):
        raise Refused(answer.message)
    return answer


def _line(connected: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\n") and len(data) <= LINE_BYTES_MAX:
        part = connected.recv(LINE_BYTES_MAX)
        if not part:
            break
        data += part
    return data


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """The socket's path, in a form that fits its address."""
    if len(os.fsencode(path)) <= _PATH_BYTES_MAX:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
