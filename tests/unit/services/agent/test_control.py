"""The agent's door: a real socket, and what comes through it."""

import asyncio
import socket
import stat
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from gridlight.messages.codec import encode
from gridlight.messages.control import (
    AskPause,
    AskStatus,
    ControlAnswer,
    ControlRefusal,
    ControlRequest,
    DoneSoFar,
    NodeStatus,
    PauseReason,
    Stance,
)
from gridlight.services.agent.control import (
    CONNECTIONS_MAX,
    LINE_BYTES_MAX,
    SOCKET_FILE,
    Control,
    NoAgent,
    Refused,
    ask,
)

STATUS = NodeStatus(
    line="paused: by your word",
    node_id="U1",
    network="http://127.0.0.1:1",
    is_connected=True,
    stance=Stance.YIELDING,
    reason=PauseReason.PAUSED,
    cpus=0,
    workers=0,
    running=0,
    changes_in_s=None,
    seen=None,
    done=DoneSoFar(),
)
WAIT_S = 5.0


class Door:
    """Open, in a folder; notes what it is asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.heard: list[ControlRequest] = []
        self.answer: ControlAnswer = STATUS

    def answered(self, request: ControlRequest) -> ControlAnswer:
        self.heard.append(request)
        return self.answer

    async def ask(self, request: ControlRequest) -> ControlAnswer:
        return await asyncio.to_thread(ask, self.folder, request)

    async def send(self, data: bytes) -> bytes:
        """Anything at all, and what comes back; nothing where it is hung up on."""
        return await asyncio.to_thread(self._exchange, data)

    def _exchange(self, data: bytes) -> bytes:
        with self.connect() as connected, suppress(ConnectionError):
            connected.sendall(data)
            return connected.recv(LINE_BYTES_MAX)
        return b""

    def connect(self) -> socket.socket:
        """As any program may that can read the folder."""
        connected = socket.socket(socket.AF_UNIX)
        connected.settimeout(WAIT_S)
        connected.connect(str(self.folder / SOCKET_FILE))
        return connected


async def opened(folder: Path) -> AsyncIterator[Door]:
    door = Door(folder)
    serving = asyncio.create_task(Control(folder, door.answered).serve())
    async with asyncio.timeout(WAIT_S):
        while not (folder / SOCKET_FILE).exists():  # noqa: ASYNC110  (no event tells of it)
            await asyncio.sleep(0)
    yield door
    serving.cancel()
    await asyncio.wait([serving])


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    async for one in opened(tmp_path):
        yield one


async def test_a_question_has_its_answer(door: Door) -> None:
    assert await door.ask(AskPause(for_s=60)) == STATUS
    assert door.heard == [AskPause(for_s=60)]


async def test_a_refusal_is_said(door: Door) -> None:
    door.answer = ControlRefusal(message="not now")

    with pytest.raises(Refused, match="not now"):
        await door.ask(AskStatus())


async def test_only_its_owner_may_come_in(door: Door) -> None:
    assert stat.S_IMODE((door.folder / SOCKET_FILE).stat().st_mode) == 0o600


@pytest.mark.parametrize("line", [b"\n", b"{}\n", b'{"ask":"sell"}\n', b'{"ask":"pause","for_s":0}\n', b"\xff\n"])
async def test_what_is_no_request_is_refused_and_told_why(door: Door, line: bytes) -> None:
    answer = await door.send(line)

    assert b'"answer":"refusal"' in answer
    assert b"this is no request" in answer
    assert door.heard == []


async def test_a_line_that_never_ends_is_hung_up_on(door: Door) -> None:
    assert await door.send(b"x" * (64 * LINE_BYTES_MAX)) == b""
    assert await door.ask(AskStatus()) == STATUS


async def test_more_connections_than_it_takes_are_hung_up_on_and_the_next_one_is_answered(door: Door) -> None:
    silent = [await asyncio.to_thread(door.connect) for _ in range(CONNECTIONS_MAX)]
    assert await door.send(encode(AskStatus()) + b"\n") == b""
    for connected in silent:
        connected.close()
    async with asyncio.timeout(WAIT_S):
        while await door.send(encode(AskStatus()) + b"\n") == b"":
            pass


async def test_a_path_too_long_for_a_socket_is_gone_round(tmp_path: Path) -> None:
    folder = tmp_path / ("deep" * 30) / ("er" * 20)
    folder.mkdir(parents=True)
    async for door in opened(folder):
        assert await door.ask(AskStatus()) == STATUS


async def test_what_a_killed_agent_left_behind_is_taken_over(tmp_path: Path) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / SOCKET_FILE))
    left.close()
    async for door in opened(tmp_path):
        async with asyncio.timeout(WAIT_S):
            while True:
                try:
                    assert await door.ask(AskStatus()) == STATUS
                    break
                except NoAgent:
                    await asyncio.sleep(0)


def test_without_an_agent_it_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(NoAgent, match="no agent runs") as raised:
        ask(tmp_path, AskStatus())
    assert f"gridlight node start --data {tmp_path}" in raised.value.hint


def test_an_agent_that_is_gone_is_none(tmp_path: Path) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / SOCKET_FILE))
    left.close()

    with pytest.raises(NoAgent, match="no agent runs"):
        ask(tmp_path, AskStatus())


def test_an_agent_that_talks_nonsense_does_not_answer(tmp_path: Path) -> None:
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / SOCKET_FILE))
    listening.listen()

    def talk() -> None:
        connected, _ = listening.accept()
        connected.recv(1024)
        connected.sendall(b"hello\n")
        connected.close()

    talking = threading.Thread(target=talk)
    talking.start()
    with pytest.raises(NoAgent, match="does not answer"):
        ask(tmp_path, AskStatus())
    talking.join()
    listening.close()
